package sql

import (
	"slices"

	"throughline/infra/local/cosmosdb/value"
)

// arrayContains looks for an equal element or, with a true third argument, for an object that has at least the
// properties of the second one.
func arrayContains(a []value.Value) value.Value {
	if a[0].Kind() != value.Array || a[1].Kind() == value.Undefined {
		return value.Value{}
	}
	partial := len(a) == 3 && a[2].IsTrue()
	return value.OfBool(slices.ContainsFunc(a[0].Items(), func(v value.Value) bool {
		return value.Equal(v, a[1]) || partial && includes(v, a[1])
	}))
}

func includes(v, part value.Value) bool {
	if v.Kind() != value.Object || part.Kind() != value.Object {
		return value.Equal(v, part)
	}
	for i, name := range part.Names() {
		if !includes(v.Get(name), part.Items()[i]) {
			return false
		}
	}
	return true
}

// wanted are the values that ARRAY_CONTAINS_ANY and _ALL look for: the arguments after the first, or the elements of a single array.
func wanted(a []value.Value) []value.Value {
	if len(a) == 2 && a[1].Kind() == value.Array {
		return a[1].Items()
	}
	return a[1:]
}

func arrayContainsAny(a []value.Value) value.Value {
	if a[0].Kind() != value.Array {
		return value.Value{}
	}
	return value.OfBool(slices.ContainsFunc(wanted(a), func(v value.Value) bool { return holds(a[0], v) }))
}

func arrayContainsAll(a []value.Value) value.Value {
	if a[0].Kind() != value.Array {
		return value.Value{}
	}
	return value.OfBool(!slices.ContainsFunc(wanted(a), func(v value.Value) bool { return !holds(a[0], v) }))
}

func holds(list, v value.Value) bool {
	return slices.ContainsFunc(list.Items(), func(item value.Value) bool { return value.Equal(item, v) })
}

func arrayLength(a []value.Value) value.Value {
	if a[0].Kind() != value.Array {
		return value.Value{}
	}
	return value.OfNumber(float64(len(a[0].Items())))
}

// arraySlice counts a negative start from the end.
func arraySlice(a []value.Value) value.Value {
	if a[0].Kind() != value.Array || !numbers(a[1:]) {
		return value.Value{}
	}
	items := a[0].Items()
	start := a[1].Float()
	if start < 0 {
		start += float64(len(items))
	}
	from, count := clamp(start, len(items)), len(items)
	if len(a) == 3 {
		count = clamp(a[2].Float(), len(items))
	}
	return value.OfArray(items[from:min(from+count, len(items))])
}

func arrayConcat(a []value.Value) value.Value {
	items := []value.Value{}
	for _, v := range a {
		if v.Kind() != value.Array {
			return value.Value{}
		}
		items = append(items, v.Items()...)
	}
	return value.OfArray(items)
}

func setIntersect(a []value.Value) value.Value {
	if a[0].Kind() != value.Array || a[1].Kind() != value.Array {
		return value.Value{}
	}
	items := []value.Value{}
	for _, v := range Distinct(a[0].Items()) {
		if holds(a[1], v) {
			items = append(items, v)
		}
	}
	return value.OfArray(items)
}

func setUnion(a []value.Value) value.Value {
	if a[0].Kind() != value.Array || a[1].Kind() != value.Array {
		return value.Value{}
	}
	return value.OfArray(Distinct(slices.Concat(a[0].Items(), a[1].Items())))
}
