package scan

import (
	"encoding/binary"
	"math/bits"
)

// value passes over the value at i, without recursion, and gives the place after it.
func (c *Cursor) value(i int) int {
	base := c.depth
	for c.err == nil {
		var opened bool
		i, opened = c.scalarOrOpen(i)
		if opened {
			continue
		}
		for c.err == nil {
			if c.depth == base {
				return i
			}
			var closed bool
			if i, closed = c.between(i); !closed {
				break
			}
		}
	}
	return i
}

// scalarOrOpen passes over a scalar or an empty container, or enters a container and stands at its first value.
func (c *Cursor) scalarOrOpen(i int) (int, bool) {
	if i >= len(c.data) {
		return c.bad(i, "ends where a value is wanted"), false
	}
	switch c.data[i] {
	case '"':
		return c.pass(i), false
	case '{':
		if c.push(true); c.err != nil {
			return i, false
		}
		if i = c.space(i + 1); i < len(c.data) && c.data[i] == '}' {
			c.depth--
			return i + 1, false
		}
		return c.name(i), true
	case '[':
		if c.push(false); c.err != nil {
			return i, false
		}
		if i = c.space(i + 1); i < len(c.data) && c.data[i] == ']' {
			c.depth--
			return i + 1, false
		}
		return i, true
	case 't':
		return c.word(i, "true"), false
	case 'f':
		return c.word(i, "false"), false
	case 'n':
		return c.word(i, "null"), false
	}
	return c.number(i), false
}

// between passes over what follows a value inside a container: a comma (and a name), or the container's end.
func (c *Cursor) between(i int) (int, bool) {
	i = c.space(i)
	if i >= len(c.data) {
		return c.bad(i, "ends inside an object or array"), false
	}
	switch object := c.inObject(); {
	case c.data[i] == ',' && object:
		return c.name(c.space(i + 1)), false
	case c.data[i] == ',':
		return c.space(i + 1), false
	case c.data[i] == '}' && object, c.data[i] == ']' && !object:
		c.depth--
		return i + 1, true
	}
	return c.bad(i, "want a comma or the end of an object or array"), false
}

// name passes over a field's name and colon and stands at its value.
func (c *Cursor) name(i int) int {
	if i = c.pass(i); c.err != nil {
		return i
	}
	if i = c.space(i); i >= len(c.data) || c.data[i] != ':' {
		return c.bad(i, "want : after a field's name")
	}
	return c.space(i + 1)
}

func (c *Cursor) word(i int, w string) int {
	if len(c.data)-i < len(w) || string(c.data[i:i+len(w)]) != w {
		return c.bad(i, "want a value")
	}
	return i + len(w)
}

// number passes over a number in JSON's own grammar: no leading zero, no plus, digits on both sides of a point.
func (c *Cursor) number(i int) int {
	start := i
	if i < len(c.data) && c.data[i] == '-' {
		i++
	}
	whole := c.digits(i)
	if whole == i {
		return c.bad(start, "want a value")
	}
	if c.data[i] == '0' && whole > i+1 {
		return c.bad(i, "a number must not start with 0")
	}
	i = whole
	if i < len(c.data) && c.data[i] == '.' {
		fraction := c.digits(i + 1)
		if fraction == i+1 {
			return c.bad(i, "want digits after the point")
		}
		i = fraction
	}
	if i < len(c.data) && c.data[i]|0x20 == 'e' {
		i++
		if i < len(c.data) && (c.data[i] == '+' || c.data[i] == '-') {
			i++
		}
		exponent := c.digits(i)
		if exponent == i {
			return c.bad(i, "want digits in the exponent")
		}
		i = exponent
	}
	return i
}

func (c *Cursor) digits(i int) int {
	for i < len(c.data) && c.data[i]-'0' <= 9 {
		i++
	}
	return i
}

const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	spaces = ones * ' '
)

// space gives the first place from i that is not JSON space.
func (c *Cursor) space(i int) int {
	if i < len(c.data) && c.data[i] > ' ' {
		return i
	}
	return pastSpace(c.data, i)
}

// pastSpace takes runs of blanks eight at a time: pretty-printed payloads are one third blanks.
func pastSpace(data []byte, i int) int {
	for i < len(data) {
		switch data[i] {
		case ' ':
			if len(data)-i < 8 {
				i++
			} else if others := binary.LittleEndian.Uint64(data[i:]) ^ spaces; others == 0 {
				i += 8
			} else {
				i += bits.TrailingZeros64(others) / 8
			}
		case '\n', '\t', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// plain gives the first place from i that holds a quote, a backslash or a control character. It looks at 16 bytes at a
// time: subtracting one from each byte of x^'"' borrows first at the first quote, and so on; what has its high bit set
// is part of a longer character and never a hit.
func plain(data []byte, i int) int {
	for len(data)-i >= 16 {
		x, y := binary.LittleEndian.Uint64(data[i:]), binary.LittleEndian.Uint64(data[i+8:])
		first, second := hits(x), hits(y)
		if first|second != 0 {
			if first != 0 {
				return i + bits.TrailingZeros64(first)/8
			}
			return i + 8 + bits.TrailingZeros64(second)/8
		}
		i += 16
	}
	for i < len(data) && data[i] != '"' && data[i] != '\\' && data[i] >= ' ' {
		i++
	}
	return i
}

// hits has the high bit of the first byte of x set that ends a plain run; bytes behind it may be wrong.
func hits(x uint64) uint64 {
	return (((x ^ ones*'"') - ones) | ((x ^ ones*'\\') - ones) | (x - spaces)) &^ x & highs
}

// pass gives the place after the string at i.
func (c *Cursor) pass(i int) int {
	if i < len(c.data) && c.data[i] == '"' {
		if end := plain(c.data, i+1); end < len(c.data) && c.data[end] == '"' {
			return end + 1 // no escapes: nearly always
		}
	}
	end, _, _ := c.text(i)
	return end
}

// text reads the string at i: the place after it, what stands between the quotes, and whether that has escapes.
func (c *Cursor) text(i int) (end int, raw []byte, escaped bool) {
	if i >= len(c.data) || c.data[i] != '"' {
		return c.bad(i, "want a string"), nil, false
	}
	start := i + 1
	for i = start; ; {
		if i = plain(c.data, i); i >= len(c.data) {
			return c.bad(i, "ends inside a string"), nil, false
		}
		switch c.data[i] {
		case '"':
			return i + 1, c.data[start:i], escaped
		case '\\':
			escaped = true
			if i = c.escape(i + 1); c.err != nil {
				return i, nil, false
			}
		default:
			return c.bad(i, "a control character inside a string"), nil, false
		}
	}
}

// escape passes over what follows a backslash.
func (c *Cursor) escape(i int) int {
	if i >= len(c.data) {
		return c.bad(i, "ends inside a string")
	}
	switch c.data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(c.data)-i > 4 && hex4(c.data[i+1:]) >= 0 {
			return i + 5
		}
	}
	return c.bad(i, "an escape that JSON does not know")
}

func (c *Cursor) bad(at int, reason string) int {
	c.fail(at, reason)
	return at
}
