package scan

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape decodes the inside of a string that was checked before. Half a surrogate pair becomes U+FFFD, as
// encoding/json has it.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if raw[i+1] != 'u' {
			out = append(out, short(raw[i+1]))
			i += 2
			continue
		}
		r := hex4(raw[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			second := rune(-1)
			if len(raw)-i >= 6 && raw[i] == '\\' && raw[i+1] == 'u' {
				second = hex4(raw[i+2:])
			}
			if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
				i += 6
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// short is the character that a one-letter escape stands for.
func short(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter
}

// hex4 reads four hex digits, -1 when one of them is none.
func hex4(b []byte) rune {
	var r rune
	for _, d := range b[:4] {
		switch {
		case d-'0' <= 9:
			d -= '0'
		case (d|0x20)-'a' <= 5:
			d = (d | 0x20) - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(d)
	}
	return r
}
