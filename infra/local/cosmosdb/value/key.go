package value

import (
	"encoding/binary"
	"math"
	"strings"
)

// AppendKey writes v so that the bytes of two keys compare as Compare orders the values. Keys can follow each other: no key
// is the beginning of another one. Numbers that are equal have equal keys, whatever literal they came from.
func (v Value) AppendKey(b []byte) []byte {
	b = append(b, byte(v.kind)+1)
	switch v.kind {
	case Bool:
		return append(b, byte(v.num))
	case Number:
		return appendFloat(b, v.num)
	case String:
		return appendText(b, v.text)
	case Array:
		for _, item := range v.items {
			b = item.AppendKey(b)
		}
		return append(b, 0)
	case Object:
		o := v.read()
		for i, name := range o.names {
			b = append(b, 1)
			b = appendText(b, name)
			b = o.items[i].AppendKey(b)
		}
		return append(b, 0)
	}
	return b
}

// appendFloat flips the bits of a float so that they sort as unsigned numbers.
func appendFloat(b []byte, f float64) []byte {
	if f == 0 {
		f = 0 // one zero
	}
	n := math.Float64bits(f)
	if n>>63 == 1 {
		n = ^n
	} else {
		n |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, n)
}

// appendText ends a string with 0 1 and writes a 0 inside of it as 0 255.
func appendText(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			break
		}
		b = append(append(b, s[:i]...), 0, 255)
		s = s[i+1:]
	}
	return append(append(b, s...), 0, 1)
}
