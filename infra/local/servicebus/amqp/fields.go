package amqp

// Descriptor reads the descriptor of a described value and leaves the reader at the value. A symbolic
// descriptor of the specification is given as its number.
func (r *Reader) Descriptor() uint64 {
	if c := r.octet(); c != codeDescribed {
		r.fail("constructor 0x%02x where a described value was wanted", c)
		return 0
	}
	switch d := r.Value().(type) {
	case uint64:
		return d
	case Symbol:
		if n, ok := symbolic[d]; ok {
			return n
		}
		r.fail("unknown descriptor %q", string(d))
	default:
		if r.err == nil {
			r.fail("descriptor of type %T", d)
		}
	}
	return 0
}

// Fields opens a list and returns a reader over its fields; fields that the sender left out read as null.
func (r *Reader) Fields() *Fields {
	switch code := r.octet(); code {
	case codeList0:
		return &Fields{}
	case codeList8, codeList32:
		sub, count := r.body(code == codeList32)
		return &Fields{r: sub, left: count}
	default:
		r.fail("constructor 0x%02x where a list was wanted", code)
		return &Fields{r: Reader{err: r.err}}
	}
}

// Fields reads the fields of a composite type in their order.
type Fields struct {
	r    Reader
	left int
}

// Err is the first error met.
func (f *Fields) Err() error { return f.r.err }

// next is false when the field is null or absent.
func (f *Fields) next() bool {
	if f.left == 0 || f.r.err != nil {
		return false
	}
	f.left--
	if len(f.r.buf) > 0 && f.r.buf[0] == codeNull {
		f.r.buf = f.r.buf[1:]
		return false
	}
	return true
}

// Any reads a field of any type.
func (f *Fields) Any() any {
	if !f.next() {
		return nil
	}
	return f.r.Value()
}

// Uint reads an unsigned number of any width, def when the field is null.
func (f *Fields) Uint(def uint64) uint64 {
	if !f.next() {
		return def
	}
	switch code := f.r.octet(); code {
	case codeUint0, codeUlong0:
		return 0
	case codeSmallUint, codeSmallUlong, codeUbyte:
		return uint64(f.r.octet())
	case codeUshort:
		return f.r.fixed(2)
	case codeUint:
		return f.r.fixed(4)
	case codeUlong:
		return f.r.fixed(8)
	default:
		f.r.fail("constructor 0x%02x where a number was wanted", code)
		return def
	}
}

// Bool reads a boolean, false when the field is null.
func (f *Fields) Bool() bool { b, _ := f.Any().(bool); return b }

// String reads a string or symbol, "" when the field is null or another type.
func (f *Fields) String() string {
	switch s := f.Any().(type) {
	case string:
		return s
	case Symbol:
		return string(s)
	}
	return ""
}

// Bytes reads a binary; it aliases the input.
func (f *Fields) Bytes() []byte { b, _ := f.Any().([]byte); return b }

// Map reads a map, nil when the field is null or another type.
func (f *Fields) Map() Map { m, _ := f.Any().(Map); return m }

// composite opens a described list inside a field; ok is false when the field is null.
func (f *Fields) composite() (descriptor uint64, fields *Fields, ok bool) {
	if !f.next() {
		return 0, nil, false
	}
	if f.r.depth++; f.r.depth > maxDepth {
		f.r.fail("nested more than %d deep", maxDepth)
		return 0, nil, false
	}
	descriptor = f.r.Descriptor()
	fields = f.r.Fields()
	f.r.depth--
	return descriptor, fields, f.r.err == nil
}
