package amqp

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrMalformed is wrapped by every decoding error.
var ErrMalformed = errors.New("malformed amqp")

const (
	maxDepth     = 32
	maxZeroWidth = 1024 // elements of an array that take no bytes each
)

// Reader decodes one value after the other from a byte slice. The first error sticks; what is read after it is zero.
type Reader struct {
	buf   []byte
	err   error
	depth int
}

// NewReader reads from b, which must not change while decoded values are in use.
func NewReader(b []byte) *Reader { return &Reader{buf: b} }

// Err is the first error met, nil when there was none.
func (r *Reader) Err() error { return r.err }

// Len is the number of bytes not yet read.
func (r *Reader) Len() int { return len(r.buf) }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	r.buf = nil
}

func (r *Reader) take(n int) []byte {
	if n < 0 || n > len(r.buf) {
		r.fail("%d bytes wanted, %d left", n, len(r.buf))
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *Reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *Reader) fixed(n int) uint64 {
	b := r.take(n)
	if b == nil {
		return 0
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// size reads a length of one or four bytes and checks it against what is left.
func (r *Reader) size(wide bool) int {
	n := 0
	if wide {
		n = int(r.fixed(4))
	} else {
		n = int(r.octet())
	}
	if n > len(r.buf) {
		r.fail("length %d, %d bytes left", n, len(r.buf))
		return 0
	}
	return n
}

// Value reads a value of any type. See the package's types for what it can be.
func (r *Reader) Value() any {
	if r.err != nil {
		return nil
	}
	code := r.octet()
	if code == codeDescribed {
		return r.described()
	}
	return r.coded(code)
}

func (r *Reader) enter() bool {
	if r.depth++; r.depth > maxDepth {
		r.fail("nested more than %d deep", maxDepth)
		return false
	}
	return true
}

func (r *Reader) described() any {
	if !r.enter() {
		return nil
	}
	defer func() { r.depth-- }()
	d := r.Value()
	return Described{Descriptor: d, Value: r.Value()}
}

func (r *Reader) coded(code byte) any {
	switch code >> 4 {
	case 0x4:
		return r.empty(code)
	case 0x5, 0x6, 0x7, 0x8, 0x9:
		return r.scalar(code)
	case 0xa, 0xb:
		return r.variable(code, r.size(code >= 0xb0))
	case 0xc, 0xd:
		return r.compound(code)
	case 0xe, 0xf:
		return r.array(code)
	}
	r.fail("constructor 0x%02x", code)
	return nil
}

func (r *Reader) empty(code byte) any {
	switch code {
	case codeNull:
		return nil
	case codeTrue:
		return true
	case codeFalse:
		return false
	case codeUint0:
		return uint32(0)
	case codeUlong0:
		return uint64(0)
	case codeList0:
		return List{}
	}
	r.fail("constructor 0x%02x", code)
	return nil
}

func (r *Reader) scalar(code byte) any {
	switch code {
	case codeUbyte:
		return r.octet()
	case codeByte:
		return int8(r.octet())
	case codeBool:
		return r.octet() != 0
	case codeSmallUint:
		return uint32(r.octet())
	case codeSmallUlong:
		return uint64(r.octet())
	case codeSmallInt:
		return int32(int8(r.octet()))
	case codeSmallLong:
		return int64(int8(r.octet()))
	case codeUshort:
		return uint16(r.fixed(2))
	case codeShort:
		return int16(r.fixed(2))
	case codeUint:
		return uint32(r.fixed(4))
	case codeInt:
		return int32(r.fixed(4))
	case codeUlong:
		return r.fixed(8)
	case codeLong:
		return int64(r.fixed(8))
	}
	return r.rareScalar(code)
}

func (r *Reader) rareScalar(code byte) any {
	switch code {
	case codeTimestamp:
		return Timestamp(r.fixed(8))
	case codeUUID:
		var u UUID
		copy(u[:], r.take(16))
		return u
	case codeFloat:
		return math.Float32frombits(uint32(r.fixed(4)))
	case codeDouble:
		return math.Float64frombits(r.fixed(8))
	case codeChar:
		return Char(r.fixed(4))
	case codeDecimal32, codeDecimal64, codeDecimal128:
		return Decimal{Code: code, Bytes: string(r.take(4 << (code>>4 - 7)))}
	}
	r.fail("constructor 0x%02x", code)
	return nil
}

func (r *Reader) variable(code byte, n int) any {
	b := r.take(n)
	if r.err != nil {
		return nil
	}
	switch code {
	case codeBin8, codeBin32:
		return b
	case codeStr8, codeStr32:
		if !utf8.Valid(b) {
			r.fail("string is not UTF-8")
			return nil
		}
		return string(b)
	case codeSym8, codeSym32:
		r.ascii(b)
		return Symbol(b)
	}
	r.fail("constructor 0x%02x", code)
	return nil
}

// ascii refuses a symbol that is none.
func (r *Reader) ascii(b []byte) {
	for _, c := range b {
		if c >= 0x80 {
			r.fail("symbol is not ASCII")
			return
		}
	}
}

// body cuts the bytes of a list or map, and returns a reader over its elements and their number.
func (r *Reader) body(wide bool) (Reader, int) {
	sub := Reader{buf: r.take(r.size(wide)), depth: r.depth, err: r.err}
	count := 0
	if wide {
		count = int(sub.fixed(4))
	} else {
		count = int(sub.octet())
	}
	if count > len(sub.buf) {
		sub.fail("%d elements in %d bytes", count, len(sub.buf))
	}
	if sub.err != nil {
		r.adopt(&sub)
		return sub, 0
	}
	return sub, count
}

func (r *Reader) adopt(sub *Reader) {
	if r.err == nil && sub.err != nil {
		r.err, r.buf = sub.err, nil
	}
}

func (r *Reader) compound(code byte) any {
	if !r.enter() {
		return nil
	}
	defer func() { r.depth-- }()
	sub, count := r.body(code >= 0xd0)
	if r.err != nil {
		return nil
	}
	var v any
	switch code {
	case codeList8, codeList32:
		v = sub.items(count)
	case codeMap8, codeMap32:
		v = sub.pairs(count)
	default:
		sub.fail("constructor 0x%02x", code)
	}
	if sub.err == nil && len(sub.buf) > 0 {
		sub.fail("%d bytes left over in a compound", len(sub.buf))
	}
	if r.adopt(&sub); r.err != nil {
		return nil
	}
	return v
}

func (r *Reader) items(count int) List {
	l := make(List, 0, min(count, 64))
	for i := 0; i < count && r.err == nil; i++ {
		l = append(l, r.Value())
	}
	return l
}

func (r *Reader) pairs(count int) Map {
	if count%2 != 0 {
		r.fail("a map of %d values", count)
		return nil
	}
	m := make(Map, 0, min(count/2, 64))
	for i := 0; i < count && r.err == nil; i += 2 {
		k := r.Value()
		m = append(m, Pair{Key: k, Value: r.Value()})
	}
	return m
}

func (r *Reader) array(code byte) any {
	if code != codeArray8 && code != codeArray32 {
		r.fail("constructor 0x%02x", code)
		return nil
	}
	if !r.enter() {
		return nil
	}
	defer func() { r.depth-- }()
	sub := Reader{buf: r.take(r.size(code == codeArray32)), depth: r.depth}
	if r.err != nil {
		return nil
	}
	a := sub.elements(code == codeArray32)
	if r.adopt(&sub); r.err != nil {
		return nil
	}
	return a
}

func (r *Reader) elements(wide bool) Array {
	count := 0
	if wide {
		count = int(r.fixed(4))
	} else {
		count = int(r.octet())
	}
	element := r.octet()
	var descriptor any
	if element == codeDescribed { // one descriptor for all elements
		descriptor = r.Value()
		element = r.octet()
	}
	if count > len(r.buf) && !(element>>4 == 4 && count <= maxZeroWidth) {
		r.fail("an array of %d elements in %d bytes", count, len(r.buf))
		return Array{}
	}
	a := Array{Code: widest(element), Descriptor: descriptor, Items: make([]any, 0, min(count, 64))}
	for i := 0; i < count && r.err == nil; i++ {
		a.Items = append(a.Items, r.coded(element))
	}
	if r.err == nil && len(r.buf) > 0 {
		r.fail("%d bytes left over in an array", len(r.buf))
	}
	return a
}

// Skip passes over one value and checks its shape without building it.
func (r *Reader) Skip() {
	if r.err != nil || !r.enter() {
		return
	}
	defer func() { r.depth-- }()
	code := r.octet()
	switch {
	case code == codeDescribed:
		r.Skip()
		r.Skip()
	case code>>4 == 0x4:
		r.empty(code)
	case isScalar(code):
		r.take(scalarWidth(code))
	case code == codeStr8 || code == codeStr32:
		if b := r.take(r.size(code == codeStr32)); !utf8.Valid(b) {
			r.fail("string is not UTF-8")
		}
	case code == codeSym8 || code == codeSym32:
		r.ascii(r.take(r.size(code == codeSym32)))
	case code == codeBin8 || code == codeBin32:
		r.take(r.size(code == codeBin32))
	case code == codeList8 || code == codeList32 || code == codeMap8 || code == codeMap32:
		r.skipCompound(code)
	case code == codeArray8 || code == codeArray32:
		r.array(code)
	default:
		r.fail("constructor 0x%02x", code)
	}
}

func (r *Reader) skipCompound(code byte) {
	sub, count := r.body(code >= 0xd0)
	if r.err != nil {
		return
	}
	if code&0x0f == 1 && count%2 != 0 {
		sub.fail("a map of %d values", count)
	}
	for i := 0; i < count && sub.err == nil; i++ {
		sub.Skip()
	}
	if sub.err == nil && len(sub.buf) > 0 {
		sub.fail("%d bytes left over in a compound", len(sub.buf))
	}
	r.adopt(&sub)
}

func isScalar(code byte) bool {
	switch code {
	case codeUbyte, codeByte, codeSmallUint, codeSmallUlong, codeSmallInt, codeSmallLong, codeBool, codeUshort, codeShort,
		codeUint, codeInt, codeFloat, codeChar, codeDecimal32, codeUlong, codeLong, codeDouble, codeTimestamp, codeDecimal64,
		codeDecimal128, codeUUID:
		return true
	}
	return false
}

func scalarWidth(code byte) int { return 1 << (code>>4 - 5) }
