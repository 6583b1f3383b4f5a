package value

import (
	"math"
	"strconv"
)

// JSON is v as compact JSON; undefined, which JSON cannot say, is "null" inside an array and "" alone.
func (v Value) JSON() string { return string(v.Append(nil)) }

// Append adds v to b as compact JSON. Numbers that were parsed keep their literal; properties that are undefined are left out.
func (v Value) Append(b []byte) []byte {
	switch v.kind {
	case Null:
		return append(b, "null"...)
	case Bool:
		return strconv.AppendBool(b, v.num == 1)
	case Number:
		if v.text != "" {
			return append(b, v.text...)
		}
		return AppendNumber(b, v.num)
	case String:
		return AppendString(b, v.text)
	case Array:
		return v.appendArray(b)
	case Object:
		if v.lazy {
			return append(b, v.text...)
		}
		b = append(b, '{')
		b = v.AppendMembers(b)
		return append(b, '}')
	}
	return b
}

func (v Value) appendArray(b []byte) []byte {
	b = append(b, '[')
	for i, item := range v.items {
		if i > 0 {
			b = append(b, ',')
		}
		if item.kind == Undefined {
			item = OfNull()
		}
		b = item.Append(b)
	}
	return append(b, ']')
}

// AppendMembers adds the properties of an object without the braces around them.
func (v Value) AppendMembers(b []byte) []byte {
	v = v.read()
	first := true
	for i, name := range v.names {
		if v.items[i].kind == Undefined {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = AppendString(b, name)
		b = append(b, ':')
		b = v.items[i].Append(b)
	}
	return b
}

// AppendNumber writes f as JavaScript does: plain digits between 1e-6 and 1e21, an exponent outside.
func AppendNumber(b []byte, f float64) []byte {
	if f == 0 {
		return append(b, '0')
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'e', -1, 64)
}

const hexDigits = "0123456789abcdef"

// AppendString writes s as a JSON string and escapes only what JSON demands.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
