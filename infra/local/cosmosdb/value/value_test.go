package value_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"throughline/infra/local/cosmosdb/value"
)

// draw makes values of every kind but undefined, with hostile strings and close numbers.
func draw(depth int) *rapid.Generator[value.Value] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "a\x00", "a\x00b", "ab", "é", "日本", "\"\\\n", "\u2028", "\U0001F600"}), rapid.String())
	scalars := []*rapid.Generator[value.Value]{
		rapid.Just(value.OfNull()),
		rapid.Map(rapid.Bool(), value.OfBool),
		rapid.Map(rapid.OneOf(rapid.SampledFrom([]float64{0, -1, 1, 1.5, -1.5, 1e300, -1e-300, 1e21, 1e-7, 123456789}), rapid.Float64()), value.OfNumber),
		rapid.Map(text, value.OfString),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...).Filter(func(v value.Value) bool { return v.Kind() != value.Undefined })
	}
	inner := draw(depth - 1)
	array := rapid.Map(rapid.SliceOfN(inner, 0, 4), value.OfArray)
	object := rapid.Custom(func(t *rapid.T) value.Value {
		names := rapid.SliceOfNDistinct(text, 0, 4, rapid.ID).Draw(t, "names")
		items := make([]value.Value, len(names))
		for i := range items {
			items[i] = inner.Draw(t, "item")
		}
		return value.OfObject(names, items)
	})
	return rapid.OneOf(inner, array, object)
}

func TestParseReadsWhatAppendWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := draw(3).Draw(t, "v")
		text := v.JSON()
		if !json.Valid([]byte(text)) {
			t.Fatalf("not JSON: %s", text)
		}
		back, err := value.Parse(text)
		if err != nil || !value.Equal(v, back) || back.JSON() != text {
			t.Fatalf("%v: %s became %s", err, text, back.JSON())
		}
	})
}

func TestKeysSortAsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(2).Draw(t, "a"), draw(2).Draw(t, "b")
		if rapid.Bool().Draw(t, "with undefined") {
			a = value.Value{}
		}
		ka, kb := a.AppendKey(nil), b.AppendKey(nil)
		if got, want := bytes.Compare(ka, kb), value.Compare(a, b); got != want {
			t.Fatalf("keys say %d, values say %d: %s and %s", got, want, a.JSON(), b.JSON())
		}
		if !bytes.Equal(ka, kb) && bytes.HasPrefix(kb, ka) {
			t.Fatalf("the key of %s begins the key of %s", a.JSON(), b.JSON())
		}
	})
}

func TestCompareOrdersKinds(t *testing.T) {
	order := []string{`null`, `false`, `true`, `-1`, `0`, `1e3`, `""`, `"a"`, `"b"`, `[]`, `[1]`, `{}`, `{"a":1}`}
	values := []value.Value{{}}
	for _, text := range order {
		v, err := value.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	for i, a := range values {
		for j, b := range values {
			if got, want := value.Compare(a, b), cmp.Compare(i, j); got != want {
				t.Errorf("%s and %s: %d, want %d", a.JSON(), b.JSON(), got, want)
			}
		}
	}
}

func TestLazyFindsWhatParseFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c\"", "d\\", "é", ""}), 1, 5, rapid.ID).Draw(t, "names")
		items := make([]value.Value, len(names))
		for i := range items {
			items[i] = draw(2).Draw(t, "item")
		}
		o := value.OfObject(names, items)
		lazy := value.Lazy(o.JSON())
		for i, name := range names {
			if got := lazy.Get(name); !value.Equal(got, items[i]) {
				t.Fatalf("%q of %s is %s", name, o.JSON(), got.JSON())
			}
		}
		if got := lazy.Get("not there"); got.Kind() != value.Undefined {
			t.Fatalf("found %s in %s", got.JSON(), o.JSON())
		}
		if !value.Equal(lazy, o) || !slices.Equal(lazy.Names(), names) || lazy.JSON() != o.JSON() {
			t.Fatalf("%s is not %s", lazy.JSON(), o.JSON())
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", " ", "nul", "tru", "01", "1.", ".5", "1e", "+1", "-", `"`, `"\x"`, `"\u12"`, "\"\n\"", "[1,]", "[1 2]", "{,}", `{"a"}`, `{"a":}`, `{"a":1,}`,
		`{1:2}`, "1 2", "1e999", "\"\xff\"", strings.Repeat("[", 200) + strings.Repeat("]", 200)} {
		if v, err := value.Parse(text); !errors.Is(err, value.ErrSyntax) {
			t.Errorf("%q: %v, %s", text, err, v.JSON())
		}
	}
}

func TestLastOfARepeatedNameCounts(t *testing.T) {
	var many strings.Builder
	for i := range 100 {
		many.WriteString(`"n` + strings.Repeat("x", i%50) + `":` + string(rune('0'+i/50)) + ",")
	}
	v, err := value.Parse(`{` + many.String() + `"end":1}`)
	if err != nil || len(v.Names()) != 51 || v.Get("nx").Float() != 1 {
		t.Fatalf("%v: %d names, nx is %s", err, len(v.Names()), v.Get("nx").JSON())
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"id":"1","a":[1,2.5e3,null,true]}`, `"\ud83d\ude00\ud83d"`, `[[[]]]`, `-0.0`, `{"a":{"b":{}}}`, "\x00", `{"a":1,"a":2}`, `"\u0000"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := value.Parse(s)
		if err != nil {
			return
		}
		if !json.Valid([]byte(s)) {
			t.Fatalf("accepted %q, which is no JSON", s)
		}
		text := v.JSON()
		back, err := value.Parse(text)
		if err != nil || !value.Equal(v, back) {
			t.Fatalf("%v: %q became %q", err, s, text)
		}
		if v.Kind() == value.Object {
			for i, name := range v.Names() {
				if got := value.Lazy(text).Get(name); !value.Equal(got, v.Items()[i]) {
					t.Fatalf("lazy %q of %q is %s", name, text, got.JSON())
				}
			}
		}
	})
}
