// Package scan reads the wanted paths of a JSON text in one pass and checks all the rest on the way.
//
// A caller walks objects and arrays with a Cursor and asks for the values it knows; what it does not ask for is
// skipped, and still must be valid JSON. A value of another type than asked for reads as absent, because GitHub changes
// the type of fields that nobody decides on. The first syntax error sticks: walking then ends, and End reports it.
// The package agrees with encoding/json on what is valid, except that it wants valid UTF-8 and bounds the depth.
package scan

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may nest. GitHub's own payloads stay below 20.
const maxDepth = 512

// SyntaxError tells where a text stops being JSON.
type SyntaxError struct {
	Offset int
	Reason string
}

// Error says what is wrong and where.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Reason)
}

// Cursor stands at one place of a JSON text. Walk an object with
//
//	for c.Object(); c.Field(); {
//		switch string(c.Key()) { … }
//	}
//
// and an array with Array and Element, and never leave such a loop early. The zero Cursor is not usable; call New.
type Cursor struct {
	data []byte
	pos  int
	err  error
	key  []byte
	// waiting: Field or Element has announced a value that nobody has read yet.
	waiting bool
	// first: the innermost object or array was just entered.
	first bool
	// absent: Object or Array met another type; the next Field or Element ends the loop.
	absent bool
	depth  int
	// objects has a bit for each open level: set for an object, clear for an array.
	objects [maxDepth / 64]uint64
}

// New makes a cursor at the start of a text. The text must not change while the cursor is used; strings that the cursor
// returns are copies.
func New(text []byte) *Cursor {
	c := &Cursor{data: text, waiting: true}
	if !utf8.Valid(text) {
		c.fail(0, "not valid UTF-8")
		return c
	}
	c.pos = c.space(0)
	if c.pos == len(text) {
		c.fail(c.pos, "the text is empty")
	}
	return c
}

// Check tells whether the text is one valid JSON value.
func Check(text []byte) error {
	c := New(text)
	c.Skip()
	return c.End()
}

// End checks that nothing but space follows the value that was read, and returns the first error of the whole walk.
func (c *Cursor) End() error {
	if c.err == nil && c.waiting {
		c.Skip()
	}
	if c.err == nil {
		if c.pos = c.space(c.pos); c.pos != len(c.data) {
			c.fail(c.pos, "more text after the value")
		}
	}
	return c.err
}

// Err is the first error so far.
func (c *Cursor) Err() error { return c.err }

// IsObject tells whether the value at the cursor is an object.
func (c *Cursor) IsObject() bool { return c.peek() == '{' }

// IsString tells whether the value at the cursor is a string.
func (c *Cursor) IsString() bool { return c.peek() == '"' }

// IsNull tells whether the value at the cursor is null.
func (c *Cursor) IsNull() bool { return c.peek() == 'n' }

// Object enters the object at the cursor; anything else is skipped and has no fields.
func (c *Cursor) Object() { c.enter('{') }

// Array enters the array at the cursor; anything else is skipped and has no elements.
func (c *Cursor) Array() { c.enter('[') }

// Field goes on to the next field and tells whether there is one. A field nobody read is skipped.
func (c *Cursor) Field() bool {
	if !c.next('}') {
		return false
	}
	i, ok := c.readKey()
	if !ok {
		return false
	}
	i = c.space(i)
	if i >= len(c.data) || c.data[i] != ':' {
		c.fail(i, "want : after a field's name")
		return false
	}
	if c.pos = c.space(i + 1); c.pos >= len(c.data) {
		c.fail(c.pos, "ends inside an object")
		return false
	}
	c.waiting = true
	return true
}

// readKey reads a field's name and gives the place after it.
func (c *Cursor) readKey() (int, bool) {
	if c.data[c.pos] == '"' {
		if end := plain(c.data, c.pos+1); end < len(c.data) && c.data[end] == '"' {
			c.key = c.data[c.pos+1 : end]
			return end + 1, true
		}
	}
	i, raw, escaped := c.text(c.pos)
	if c.key = raw; escaped {
		c.key = unescape(raw)
	}
	return i, c.err == nil
}

// Key is the name of the field that Field went to, until the cursor moves.
func (c *Cursor) Key() []byte { return c.key }

// Element goes on to the next element and tells whether there is one. An element nobody read is skipped.
func (c *Cursor) Element() bool {
	if !c.next(']') {
		return false
	}
	c.waiting = true
	return true
}

// String reads a string; anything else reads as empty.
func (c *Cursor) String() string { return string(c.Text()) }

// Text reads a string as bytes that are valid as long as the text; anything else reads as nil.
func (c *Cursor) Text() []byte {
	if c.peek() != '"' {
		c.Skip()
		return nil
	}
	i, raw, escaped := c.text(c.pos)
	if c.err != nil {
		return nil
	}
	c.moved(i)
	if escaped {
		return unescape(raw)
	}
	return raw
}

// Int reads a whole number; anything else reads as 0.
func (c *Cursor) Int() int64 {
	n, err := strconv.ParseInt(string(c.Number()), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Float reads a number; ok is false for anything else.
func (c *Cursor) Float() (f float64, ok bool) {
	f, err := strconv.ParseFloat(string(c.Number()), 64)
	return f, err == nil
}

// Number reads a number as it is written; anything else reads as nil.
func (c *Cursor) Number() []byte {
	switch c.peek() {
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		start := c.pos
		if i := c.number(start); c.err == nil {
			c.moved(i)
			return c.data[start:i]
		}
		return nil
	}
	c.Skip()
	return nil
}

// Bool reads true; anything else reads as false.
func (c *Cursor) Bool() bool {
	is := c.peek() == 't'
	c.Skip()
	return is && c.err == nil
}

// Time reads a string in RFC 3339 as UTC; anything else reads as the zero time.
func (c *Cursor) Time() time.Time {
	if c.peek() != '"' {
		c.Skip()
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, c.String())
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}

// StringField reads one string field of the object at the cursor and skips the others.
func (c *Cursor) StringField(name string) string {
	value := ""
	for c.Object(); c.Field(); {
		if string(c.key) == name {
			value = c.String()
		}
	}
	return value
}

// IntField reads one whole number of the object at the cursor and skips the other fields.
func (c *Cursor) IntField(name string) int64 {
	value := int64(0)
	for c.Object(); c.Field(); {
		if string(c.key) == name {
			value = c.Int()
		}
	}
	return value
}

// Raw reads any value as it is written, a slice of the text.
func (c *Cursor) Raw() []byte {
	start := c.pos
	c.Skip()
	if c.err != nil {
		return nil
	}
	return c.data[start:c.pos]
}

// Skip passes over the value at the cursor and checks it.
func (c *Cursor) Skip() {
	if c.err != nil || !c.waiting {
		return
	}
	if i := c.value(c.pos); c.err == nil {
		c.moved(i)
	}
}

func (c *Cursor) peek() byte {
	if c.err != nil || !c.waiting {
		return 0
	}
	return c.data[c.pos]
}

func (c *Cursor) moved(i int) { c.pos, c.waiting = i, false }

func (c *Cursor) enter(open byte) {
	if c.peek() != open {
		c.Skip()
		c.absent = true
		return
	}
	c.push(open == '{')
	c.moved(c.pos + 1)
	c.first = true
}

// next stands before the next field or element, or closes the innermost level and answers false.
func (c *Cursor) next(closing byte) bool {
	if c.absent || c.err != nil {
		c.absent = false
		return false
	}
	if c.waiting {
		if c.data[c.pos] == '"' {
			c.moved(c.pass(c.pos))
		} else {
			c.Skip()
		}
		if c.err != nil {
			return false
		}
	}
	i := c.space(c.pos)
	switch {
	case i >= len(c.data):
		c.fail(i, "ends inside an object or array")
		return false
	case c.data[i] == closing:
		c.pos, c.first = i+1, false
		c.depth--
		return false
	case c.first:
		c.first = false
	case c.data[i] != ',':
		c.fail(i, "want a comma or the end of an object or array")
		return false
	default:
		i = c.space(i + 1)
	}
	if c.pos = i; i >= len(c.data) {
		c.fail(i, "ends inside an object or array")
		return false
	}
	return true
}

func (c *Cursor) fail(at int, reason string) {
	if c.err == nil {
		c.err = &SyntaxError{Offset: at, Reason: reason}
	}
	c.waiting = false
}

func (c *Cursor) push(object bool) {
	if c.depth == maxDepth {
		c.fail(c.pos, "nested too deeply")
		return
	}
	word, bit := c.depth/64, uint64(1)<<(c.depth%64)
	if object {
		c.objects[word] |= bit
	} else {
		c.objects[word] &^= bit
	}
	c.depth++
}

func (c *Cursor) inObject() bool {
	d := c.depth - 1
	return c.objects[d/64]&(1<<(d%64)) != 0
}
