package assign

import (
	"encoding/json"
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// code puts a value of unknown origin into a code span, where GitHub neither links, mentions, nor renders.
func code(s string) string {
	s = plain(s)
	s = strings.ReplaceAll(s, "`", "'")
	s = strings.ReplaceAll(s, "|", "¦") // a pipe ends a table cell even inside a code span
	if strings.TrimSpace(s) == "" {
		return "—"
	}
	return "`" + clip(s, 200) + "`"
}

// text escapes a sentence that holds values of unknown origin, so that nothing in it is active.
func text(s string) string {
	s = plain(s)
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '@':
			b.WriteString("@\u200b")
		case r == '#':
			b.WriteString("#\u200b")
		case strings.ContainsRune("\\`*_{}[]()<>!|~$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == ':':
			b.WriteString(":\u200b") // neither a URL nor an emoji
		case r == '&':
			b.WriteString("&amp;")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain makes one printable line: entities decoded, control, zero-width and direction characters gone.
func plain(s string) string {
	for range 3 {
		decoded := html.UnescapeString(s)
		if decoded == s {
			break
		}
		s = decoded
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		case r >= '\uFF01' && r <= '\uFF5E':
			return r - 0xFEE0 // full width forms
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// clip cuts at a number of runes and says so.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	const mark = " …"
	rs := []rune(s)
	return string(rs[:n-len([]rune(mark))]) + mark
}

// explanationOf reads the explanation of the most urgent workload.
func explanationOf(f graph.Finding) (decision.Explanation, bool) {
	var e decision.Explanation
	if f.Decision == nil || len(f.Decision.Workloads) == 0 {
		return e, false
	}
	err := json.Unmarshal(f.Decision.Workloads[0].Explanation, &e)
	return e, err == nil
}
