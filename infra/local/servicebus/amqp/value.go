// Package amqp encodes and decodes the part of AMQP 1.0 that Service Bus speaks: frames, performatives,
// values and message sections.
//
// Decoding trusts nobody: every length is checked against the bytes that are there, nesting is bounded, and
// an error names what was wrong. Byte slices that a decoder returns alias its input.
//
// It knows no connections, links or queues; transactions and decimals are carried, not understood.
package amqp

import "fmt"

// Symbol is an ASCII name from a constrained domain, a type of its own on the wire.
type Symbol string

// Timestamp counts milliseconds since the Unix epoch.
type Timestamp int64

// UUID stands in RFC 4122 order, as AMQP writes it.
type UUID [16]byte

// String is the usual form, in lower case.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Char is a single Unicode character.
type Char rune

// Decimal carries a decimal32, 64 or 128 through unchanged; Code is its constructor.
type Decimal struct {
	Code  byte
	Bytes string
}

// List is an ordered sequence of values of any type.
type List []any

// Pair is one entry of a Map.
type Pair struct {
	Key, Value any
}

// Map keeps its entries in the order of the wire.
type Map []Pair

// Get returns the value under a key that is the string or symbol given, nil when there is none.
func (m Map) Get(key string) any {
	for _, p := range m {
		switch k := p.Key.(type) {
		case string:
			if k == key {
				return p.Value
			}
		case Symbol:
			if string(k) == key {
				return p.Value
			}
		}
	}
	return nil
}

// Array is a sequence whose elements share the constructor Code, always the widest of their type, and a
// Descriptor when they are described.
type Array struct {
	Code       byte
	Descriptor any
	Items      []any
}

// Described is a value with its descriptor, a uint64 or a Symbol in all that Service Bus uses.
type Described struct {
	Descriptor any
	Value      any
}

// Constructors of the type system, as the specification numbers them.
const (
	codeDescribed  = 0x00
	codeNull       = 0x40
	codeTrue       = 0x41
	codeFalse      = 0x42
	codeUint0      = 0x43
	codeUlong0     = 0x44
	codeList0      = 0x45
	codeUbyte      = 0x50
	codeByte       = 0x51
	codeSmallUint  = 0x52
	codeSmallUlong = 0x53
	codeSmallInt   = 0x54
	codeSmallLong  = 0x55
	codeBool       = 0x56
	codeUshort     = 0x60
	codeShort      = 0x61
	codeUint       = 0x70
	codeInt        = 0x71
	codeFloat      = 0x72
	codeChar       = 0x73
	codeDecimal32  = 0x74
	codeUlong      = 0x80
	codeLong       = 0x81
	codeDouble     = 0x82
	codeTimestamp  = 0x83
	codeDecimal64  = 0x84
	codeDecimal128 = 0x94
	codeUUID       = 0x98
	codeBin8       = 0xa0
	codeStr8       = 0xa1
	codeSym8       = 0xa3
	codeBin32      = 0xb0
	codeStr32      = 0xb1
	codeSym32      = 0xb3
	codeList8      = 0xc0
	codeMap8       = 0xc1
	codeList32     = 0xd0
	codeMap32      = 0xd1
	codeArray8     = 0xe0
	codeArray32    = 0xf0
)

// Constructors that a caller names when it builds an Array.
const (
	ArrayOfLong      = codeLong
	ArrayOfTimestamp = codeTimestamp
	ArrayOfString    = codeStr32
	ArrayOfSymbol    = codeSym32
	ArrayOfUUID      = codeUUID
)
