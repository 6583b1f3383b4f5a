package amqp

import "fmt"

// Descriptors of the message sections.
const (
	descHeader                = 0x70
	descDeliveryAnnotations   = 0x71
	descAnnotations           = 0x72
	descProperties            = 0x73
	descApplicationProperties = 0x74
	descData                  = 0x75
	descSequence              = 0x76
	descValue                 = 0x77
	descFooter                = 0x78
)

// BatchFormat is the message-format of a transfer whose data sections are whole messages.
const BatchFormat = 0x80013700

// Header holds what a broker reads of a message's header.
type Header struct {
	Durable       bool
	Priority      uint8
	HasPriority   bool
	TTL           uint32 // milliseconds
	HasTTL        bool
	DeliveryCount uint32
}

// Message is a message cut into its sections. The opaque ones are the bytes of the wire, descriptors included.
type Message struct {
	Header      Header
	Delivery    Map // delivery-annotations
	Annotations Map
	Properties  []byte
	AppProps    []byte
	Body        []byte
	Footer      []byte
}

// ParseMessage cuts a message into its sections and checks the shape of all of them. Slices alias b.
func ParseMessage(b []byte) (Message, error) {
	var m Message
	r, last, body := NewReader(b), uint64(descHeader), -1
	for r.Len() > 0 {
		start := len(b) - r.Len()
		d := r.Descriptor()
		if r.err == nil && (d < last || d > descFooter) {
			r.fail("section 0x%02x after 0x%02x", d, last)
		}
		last = d
		m.section(d, r)
		if r.err != nil {
			return Message{}, r.err
		}
		if body < 0 && d >= descData && d < descFooter {
			body = start
		}
		m.keep(d, b[start:len(b)-r.Len()])
		if body >= 0 && d < descFooter {
			m.Body = b[body : len(b)-r.Len()]
		}
	}
	return m, nil
}

func (m *Message) section(d uint64, r *Reader) {
	switch d {
	case descHeader:
		f := r.Fields()
		m.Header = Header{Durable: f.Bool()}
		if v, ok := f.optional(); ok {
			m.Header.Priority, m.Header.HasPriority = uint8(v), true
		}
		if v, ok := f.optional(); ok {
			m.Header.TTL, m.Header.HasTTL = uint32(v), true
		}
		f.Bool()
		m.Header.DeliveryCount = uint32(f.Uint(0))
		r.adopt(&f.r)
	case descDeliveryAnnotations:
		m.Delivery, _ = r.Value().(Map)
	case descAnnotations:
		m.Annotations, _ = r.Value().(Map)
	default:
		r.shape(d)
		r.Skip()
	}
}

// shape checks that a section is of the type that it must be.
func (r *Reader) shape(d uint64) {
	if r.err != nil || len(r.buf) == 0 {
		return // Skip says so
	}
	ok := true
	switch c := r.buf[0]; d {
	case descProperties, descSequence:
		ok = c == codeList0 || c == codeList8 || c == codeList32
	case descApplicationProperties, descFooter:
		ok = c == codeMap8 || c == codeMap32
	case descData:
		ok = c == codeBin8 || c == codeBin32
	}
	if !ok {
		r.fail("constructor 0x%02x in section 0x%02x", r.buf[0], d)
	}
}

func (m *Message) keep(d uint64, raw []byte) {
	switch d {
	case descProperties:
		m.Properties = raw
	case descApplicationProperties:
		m.AppProps = raw
	case descFooter:
		m.Footer = raw
	}
}

// Data returns the content of each data section of a body.
func Data(body []byte) ([][]byte, error) {
	var parts [][]byte
	r := NewReader(body)
	for r.Len() > 0 {
		if d := r.Descriptor(); r.err == nil && d != descData {
			return nil, fmt.Errorf("%w: section 0x%02x where data was wanted", ErrMalformed, d)
		}
		part, ok := r.Value().([]byte)
		if r.err != nil {
			return nil, r.err
		}
		if !ok {
			return nil, fmt.Errorf("%w: a data section that is no binary", ErrMalformed)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// Value returns the content of a body that is one amqp-value section.
func Value(body []byte) (any, error) {
	r := NewReader(body)
	if d := r.Descriptor(); r.err == nil && d != descValue {
		return nil, fmt.Errorf("%w: section 0x%02x where a value was wanted", ErrMalformed, d)
	}
	v := r.Value()
	return v, r.err
}

// Properties are the immutable properties of a message; ids are nil, string, uint64, UUID or []byte.
type Properties struct {
	MessageID          any
	UserID             []byte
	To                 any
	Subject            any
	ReplyTo            any
	CorrelationID      any
	ContentType        any
	ContentEncoding    any
	AbsoluteExpiryTime any
	CreationTime       any
	GroupID            any
	GroupSequence      any
	ReplyToGroupID     any
}

// ParseProperties decodes a properties section, or nothing.
func ParseProperties(section []byte) (Properties, error) {
	var p Properties
	if len(section) == 0 {
		return p, nil
	}
	r := NewReader(section)
	r.Descriptor()
	f := r.Fields()
	p.MessageID = f.Any()
	p.UserID = f.Bytes()
	for _, field := range p.rest() {
		*field = f.Any()
	}
	if f.Err() != nil {
		return Properties{}, f.Err()
	}
	return p, r.err
}

func (p *Properties) rest() []*any {
	return []*any{&p.To, &p.Subject, &p.ReplyTo, &p.CorrelationID, &p.ContentType, &p.ContentEncoding,
		&p.AbsoluteExpiryTime, &p.CreationTime, &p.GroupID, &p.GroupSequence, &p.ReplyToGroupID}
}

// Append appends p as a section.
func (p *Properties) Append(b []byte) []byte {
	return composite(b, descProperties, 13, func(b []byte) []byte {
		b = AppendValue(b, p.MessageID)
		if p.UserID == nil {
			b = null(b, 1)
		} else {
			b = AppendBinary(b, p.UserID)
		}
		for _, field := range p.rest() {
			b = AppendValue(b, *field)
		}
		return b
	})
}

// ParseMap decodes a section that is a map, as application-properties, or nothing.
func ParseMap(section []byte) (Map, error) {
	if len(section) == 0 {
		return nil, nil
	}
	r := NewReader(section)
	r.Descriptor()
	m, _ := r.Value().(Map)
	return m, r.err
}

// AppendAppProps appends an application-properties section.
func AppendAppProps(b []byte, m Map) []byte {
	return AppendMap(append(b, codeDescribed, codeSmallUlong, descApplicationProperties), m)
}

// AppendBodyValue appends an amqp-value section.
func AppendBodyValue(b []byte, v any) []byte {
	return AppendValue(append(b, codeDescribed, codeSmallUlong, descValue), v)
}

// AppendHeader appends a header section.
func AppendHeader(b []byte, h Header) []byte {
	return composite(b, descHeader, 5, func(b []byte) []byte {
		b = AppendBool(b, h.Durable)
		if h.HasPriority {
			b = append(b, codeUbyte, h.Priority)
		} else {
			b = null(b, 1)
		}
		if h.HasTTL {
			b = AppendUint(b, h.TTL)
		} else {
			b = null(b, 1)
		}
		return AppendUint(AppendBool(b, false), h.DeliveryCount)
	})
}

// AppendDeliveryAnnotations appends a delivery-annotations section, as AppendAnnotations does.
func AppendDeliveryAnnotations(b []byte, m Map, raw []byte, count int) []byte {
	return appendNotes(b, descDeliveryAnnotations, m, raw, count)
}

// AppendAnnotations appends a message-annotations section of the pairs in m and of count further values that are
// already encoded in raw.
func AppendAnnotations(b []byte, m Map, raw []byte, count int) []byte {
	return appendNotes(b, descAnnotations, m, raw, count)
}

func appendNotes(b []byte, descriptor byte, m Map, raw []byte, count int) []byte {
	b = append(b, codeDescribed, codeSmallUlong, descriptor)
	return appendCompound(b, codeMap32, 2*len(m)+count, func(b []byte) []byte {
		return append(AppendPairs(b, m), raw...)
	})
}
