package sql

// matchLike matches % (any run), _ (one sign), [a-f] and [^a-f]; escape, when not 0, makes the next sign plain.
// It keeps one point to return to, so that hostile patterns cost at most pattern times text.
func matchLike(text, pattern []rune, escape rune) bool {
	t, p := 0, 0
	retryT, retryP := -1, -1
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '%' && escape != '%' {
			retryT, retryP = t, p+1
			p++
			continue
		}
		if next, ok := matchOne(text[t], pattern, p, escape); ok {
			t, p = t+1, next
			continue
		}
		if retryP < 0 {
			return false
		}
		retryT++
		t, p = retryT, retryP
	}
	for p < len(pattern) && pattern[p] == '%' && escape != '%' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one sign at pattern[p] and tells where the pattern goes on.
func matchOne(r rune, pattern []rune, p int, escape rune) (int, bool) {
	if p >= len(pattern) {
		return p, false
	}
	switch c := pattern[p]; {
	case escape != 0 && c == escape && p+1 < len(pattern):
		return p + 2, pattern[p+1] == r
	case c == '_':
		return p + 1, true
	case c == '[':
		if end := setEnd(pattern, p); end > 0 {
			return end + 1, inSet(r, pattern[p+1:end])
		}
	}
	return p + 1, pattern[p] == r
}

func setEnd(pattern []rune, open int) int {
	for i := open + 1; i < len(pattern); i++ {
		if pattern[i] == ']' {
			return i
		}
	}
	return -1
}

func inSet(r rune, set []rune) bool {
	not := len(set) > 0 && set[0] == '^'
	if not {
		set = set[1:]
	}
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= r && r <= set[i+2] {
				return !not
			}
			i += 2
		} else if set[i] == r {
			return !not
		}
	}
	return not
}
