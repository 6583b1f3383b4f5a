package sql

import (
	"math"
	"strings"

	"throughline/infra/local/cosmosdb/value"
)

func numbersMap(f func(a, b float64) float64) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if !numbers(a) {
			return value.Value{}
		}
		return value.OfNumber(f(a[0].Float(), a[1].Float()))
	}
}

// integers works on whole numbers alone.
func integers(f func(a, b int64) int64) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if !numbers(a) || a[0].Float() != math.Trunc(a[0].Float()) || a[1].Float() != math.Trunc(a[1].Float()) {
			return value.Value{}
		}
		return value.OfNumber(float64(f(int64(a[0].Float()), int64(a[1].Float()))))
	}
}

// quotient is integers for what cannot be divided by zero.
func quotient(f func(a, b int64) int64) func([]value.Value) value.Value {
	divide := integers(f)
	return func(a []value.Value) value.Value {
		if a[1].Float() == 0 {
			return value.Value{}
		}
		return divide(a)
	}
}

// numberBin is the multiple of the size, 1 when none is given, at or below a number.
func numberBin(a []value.Value) value.Value {
	size := 1.0
	if len(a) == 2 {
		size = a[1].Float()
	}
	if !numbers(a) || size == 0 {
		return value.Value{}
	}
	return value.OfNumber(math.Floor(a[0].Float()/size) * size)
}

// choose counts from one.
func choose(a []value.Value) value.Value {
	if i := a[0].Float(); a[0].Kind() == value.Number && i >= 1 && i < float64(len(a)) {
		return a[int(i)]
	}
	return value.Value{}
}

// objectToArray makes pairs of an object, with other names for key and value where they are given.
func objectToArray(a []value.Value) value.Value {
	names := []string{"k", "v"}
	for i, n := range a[1:] {
		if n.Kind() != value.String {
			return value.Value{}
		}
		names[i] = n.Text()
	}
	if a[0].Kind() != value.Object {
		return value.Value{}
	}
	var pairs []value.Value
	values := a[0].Items()
	for i, key := range a[0].Names() {
		pairs = append(pairs, value.OfObject(names, []value.Value{value.OfString(key), values[i]}))
	}
	return value.OfArray(pairs)
}

func lastIndexOf(a []value.Value) value.Value {
	if a[0].Kind() != value.String || a[1].Kind() != value.String {
		return value.Value{}
	}
	i := strings.LastIndex(a[0].Text(), a[1].Text())
	if i > 0 {
		i = len([]rune(a[0].Text()[:i]))
	}
	return value.OfNumber(float64(i))
}
