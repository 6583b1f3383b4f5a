package amqp

import (
	"encoding/binary"
	"math"
)

// AppendValue appends v in its AMQP form. Types that have none, as an int or a struct, are written as null:
// all callers pass what a Reader can return.
func AppendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return AppendString(b, v)
	case Symbol:
		return AppendSymbol(b, v)
	case []byte:
		return AppendBinary(b, v)
	case Map:
		return AppendMap(b, v)
	case List:
		return AppendList(b, v)
	case Array:
		return AppendArray(b, v)
	case Described:
		return AppendValue(AppendValue(append(b, codeDescribed), v.Descriptor), v.Value)
	case bool:
		return AppendBool(b, v)
	}
	return appendScalar(b, v)
}

func appendScalar(b []byte, v any) []byte {
	switch v := v.(type) {
	case uint8:
		return append(b, codeUbyte, v)
	case int8:
		return append(b, codeByte, byte(v))
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, codeUshort), v)
	case int16:
		return binary.BigEndian.AppendUint16(append(b, codeShort), uint16(v))
	case uint32:
		return AppendUint(b, v)
	case int32:
		return binary.BigEndian.AppendUint32(append(b, codeInt), uint32(v))
	case uint64:
		return AppendUlong(b, v)
	case int64:
		return binary.BigEndian.AppendUint64(append(b, codeLong), uint64(v))
	case float32:
		return binary.BigEndian.AppendUint32(append(b, codeFloat), math.Float32bits(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, codeDouble), math.Float64bits(v))
	case Char:
		return binary.BigEndian.AppendUint32(append(b, codeChar), uint32(v))
	case Timestamp:
		return binary.BigEndian.AppendUint64(append(b, codeTimestamp), uint64(v))
	case UUID:
		return append(append(b, codeUUID), v[:]...)
	case Decimal:
		return append(append(b, v.Code), v.Bytes...)
	}
	return append(b, codeNull)
}

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, codeTrue)
	}
	return append(b, codeFalse)
}

// AppendUint appends a uint in its shortest form.
func AppendUint(b []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(b, codeUint0)
	case v < 256:
		return append(b, codeSmallUint, byte(v))
	}
	return binary.BigEndian.AppendUint32(append(b, codeUint), v)
}

// AppendUlong appends a ulong in its shortest form.
func AppendUlong(b []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(b, codeUlong0)
	case v < 256:
		return append(b, codeSmallUlong, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(b, codeUlong), v)
}

func appendSized(b []byte, short, long byte, n int) []byte {
	if n < 256 {
		return append(b, short, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, long), uint32(n))
}

// AppendString appends a string.
func AppendString(b []byte, s string) []byte {
	return append(appendSized(b, codeStr8, codeStr32, len(s)), s...)
}

// AppendSymbol appends a symbol.
func AppendSymbol(b []byte, s Symbol) []byte {
	return append(appendSized(b, codeSym8, codeSym32, len(s)), s...)
}

// AppendBinary appends a binary.
func AppendBinary(b, v []byte) []byte {
	return append(appendSized(b, codeBin8, codeBin32, len(v)), v...)
}

// appendCompound appends a list or map of count elements that fill writes.
func appendCompound(b []byte, code byte, count int, fill func([]byte) []byte) []byte {
	b = append(b, code, 0, 0, 0, 0)
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(count))
	b = fill(b)
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at))
	return b
}

// AppendList appends a list.
func AppendList(b []byte, l List) []byte {
	if len(l) == 0 {
		return append(b, codeList0)
	}
	return appendCompound(b, codeList32, len(l), func(b []byte) []byte { return appendItems(b, l) })
}

func appendItems(b []byte, l List) []byte {
	for _, v := range l {
		b = AppendValue(b, v)
	}
	return b
}

// AppendMap appends a map in its own order.
func AppendMap(b []byte, m Map) []byte {
	return appendCompound(b, codeMap32, 2*len(m), func(b []byte) []byte { return AppendPairs(b, m) })
}

// AppendPairs appends the entries of a map without its frame.
func AppendPairs(b []byte, m Map) []byte {
	for _, p := range m {
		b = AppendValue(AppendValue(b, p.Key), p.Value)
	}
	return b
}

// AppendArray appends an array. Elements that do not fit its constructor are left out.
func AppendArray(b []byte, a Array) []byte {
	b = append(b, codeArray32, 0, 0, 0, 0)
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	if a.Descriptor != nil {
		b = AppendValue(append(b, codeDescribed), a.Descriptor)
	}
	b = append(b, a.Code)
	count := 0
	for _, v := range a.Items {
		if next, ok := appendElement(b, a.Code, v); ok {
			b, count = next, count+1
		}
	}
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at))
	binary.BigEndian.PutUint32(b[at:], uint32(count))
	return b
}

// appendElement appends v in its widest form without the constructor; false when that is not code.
func appendElement(b []byte, code byte, v any) ([]byte, bool) {
	at := len(b)
	switch v := v.(type) {
	case bool:
		if v {
			b = append(b, codeBool, 1)
		} else {
			b = append(b, codeBool, 0)
		}
	case uint32:
		b = binary.BigEndian.AppendUint32(append(b, codeUint), v)
	case uint64:
		b = binary.BigEndian.AppendUint64(append(b, codeUlong), v)
	case string:
		b = appendWide(b, codeStr32, v)
	case Symbol:
		b = appendWide(b, codeSym32, string(v))
	case []byte:
		b = appendWide(b, codeBin32, string(v))
	case List:
		b = appendCompound(b, codeList32, len(v), func(b []byte) []byte { return appendItems(b, v) })
	default:
		b = AppendValue(b, v)
	}
	if b[at] != code {
		return b[:at], false
	}
	return append(b[:at], b[at+1:]...), true
}

func appendWide(b []byte, code byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, code), uint32(len(s))), s...)
}

// widest names the constructor that AppendArray uses for what was read under code.
func widest(code byte) byte {
	switch code {
	case codeTrue, codeFalse:
		return codeBool
	case codeUint0, codeSmallUint:
		return codeUint
	case codeUlong0, codeSmallUlong:
		return codeUlong
	case codeSmallInt:
		return codeInt
	case codeSmallLong:
		return codeLong
	case codeList0:
		return codeList32
	case codeBin8, codeStr8, codeSym8, codeList8, codeMap8, codeArray8:
		return code + 0x10
	}
	return code
}
