// Package value holds JSON values the way Azure Cosmos DB compares them: with undefined beside null, one kind of
// number, and a total order over all kinds. Objects keep the order of their properties.
//
// It does not stream: a document is at most 2 MB.
package value

import (
	"cmp"
	"math"
	"strings"
)

// Kind is the JSON type of a Value. The constants stand in the sort order of Cosmos DB.
type Kind uint8

// The kinds, in sort order.
const (
	Undefined Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// Value is one JSON value, or undefined, which is the zero Value. Values share their parts: treat them as read-only.
type Value struct {
	kind  Kind
	lazy  bool    // an object that is still text
	num   float64 // numbers; 1 for true
	text  string  // strings; for numbers the literal that was read, if any; for lazy objects their JSON
	items []Value // elements of an array, values of an object
	names []string
}

// OfNull is JSON null.
func OfNull() Value { return Value{kind: Null} }

// OfBool is true or false.
func OfBool(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// OfNumber is a number; NaN and infinities, which JSON cannot say, become undefined.
func OfNumber(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: Number, num: f}
}

// OfString is a string.
func OfString(s string) Value { return Value{kind: String, text: s} }

// OfArray is an array over items, which it keeps.
func OfArray(items []Value) Value { return Value{kind: Array, items: items} }

// OfObject is an object with the given names and, at the same places, values. It keeps both slices.
func OfObject(names []string, values []Value) Value {
	return Value{kind: Object, names: names, items: values}
}

// Kind tells the JSON type.
func (v Value) Kind() Kind { return v.kind }

// IsTrue reports whether v is the boolean true; anything else, undefined too, is not.
func (v Value) IsTrue() bool { return v.kind == Bool && v.num == 1 }

// Float is the number, 0 for other kinds.
func (v Value) Float() float64 {
	if v.kind != Number {
		return 0
	}
	return v.num
}

// Text is the string, "" for other kinds.
func (v Value) Text() string {
	if v.kind != String {
		return ""
	}
	return v.text
}

// Items are the elements of an array or the values of an object, in order.
func (v Value) Items() []Value { return v.read().items }

// Names are the property names of an object, in order.
func (v Value) Names() []string { return v.read().names }

// Get is the property of an object; undefined when there is none or v is no object.
func (v Value) Get(name string) Value {
	if v.lazy {
		return find(v.text, name)
	}
	for i, n := range v.names {
		if n == name {
			return v.items[i]
		}
	}
	return Value{}
}

// At is the element of an array; undefined outside of it.
func (v Value) At(i int) Value {
	if v.kind != Array || i < 0 || i >= len(v.items) {
		return Value{}
	}
	return v.items[i]
}

// With is a copy of the object with the property set, at its old place or at the end.
// Setting undefined removes the property.
func (v Value) With(name string, to Value) Value {
	v = v.read()
	names := make([]string, 0, len(v.names)+1)
	items := make([]Value, 0, len(v.items)+1)
	found := false
	for i, n := range v.names {
		switch {
		case n != name:
			names, items = append(names, n), append(items, v.items[i])
		case to.kind != Undefined:
			names, items = append(names, n), append(items, to)
			found = true
		}
	}
	if !found && to.kind != Undefined {
		names, items = append(names, name), append(items, to)
	}
	return OfObject(names, items)
}

// Equal reports deep equality; the order of an object's properties does not matter.
func Equal(a, b Value) bool {
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case Bool, Number:
		return a.num == b.num
	case String:
		return a.text == b.text
	case Array:
		return equalItems(a.items, b.items)
	case Object:
		return equalObjects(a.read(), b.read())
	}
	return true
}

func equalItems(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalObjects(a, b Value) bool {
	if len(a.names) != len(b.names) {
		return false
	}
	for i, name := range a.names {
		other := b.Get(name)
		if other.kind == Undefined || !Equal(a.items[i], other) {
			return false
		}
	}
	return true
}

// Compare orders values as ORDER BY does: by kind (undefined, null, false, true, numbers, strings by code point,
// arrays, objects), then inside the kind. Cosmos DB promises no order inside arrays and objects; here it is
// element by element and property by property, so that it is stable.
func Compare(a, b Value) int {
	if a.kind != b.kind {
		return cmp.Compare(a.kind, b.kind)
	}
	switch a.kind {
	case Bool, Number:
		return cmp.Compare(a.num, b.num)
	case String:
		return strings.Compare(a.text, b.text)
	case Array:
		return compareItems(a.items, b.items)
	case Object:
		return compareObjects(a.read(), b.read())
	}
	return 0
}

func compareObjects(a, b Value) int {
	for i := range min(len(a.names), len(b.names)) {
		if c := strings.Compare(a.names[i], b.names[i]); c != 0 {
			return c
		}
		if c := Compare(a.items[i], b.items[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a.names), len(b.names))
}

func compareItems(a, b []Value) int {
	for i := range min(len(a), len(b)) {
		if c := Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}
