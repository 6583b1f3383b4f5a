package sql

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"throughline/infra/local/cosmosdb/value"
)

// maxText bounds what one function call may build.
const maxText = 2 << 20

// textTest makes a test of two strings with an optional third argument that ignores case.
func textTest(test func(a, b string) bool) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if !texts(a[:2]) || len(a) == 3 && a[2].Kind() != value.Bool {
			return value.Value{}
		}
		s, part := a[0].Text(), a[1].Text()
		if len(a) == 3 && a[2].IsTrue() {
			s, part = strings.ToLower(s), strings.ToLower(part)
		}
		return value.OfBool(test(s, part))
	}
}

func texts(a []value.Value) bool {
	for _, v := range a {
		if v.Kind() != value.String {
			return false
		}
	}
	return true
}

func textMap(f func(string) string) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if a[0].Kind() != value.String {
			return value.Value{}
		}
		return value.OfString(f(a[0].Text()))
	}
}

func reverse(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

func length(a []value.Value) value.Value {
	if a[0].Kind() != value.String {
		return value.Value{}
	}
	return value.OfNumber(float64(len([]rune(a[0].Text()))))
}

func substring(s, start, count value.Value) value.Value {
	if s.Kind() != value.String || start.Kind() != value.Number || count.Kind() != value.Number {
		return value.Value{}
	}
	r := []rune(s.Text())
	from := clamp(start.Float(), len(r))
	return value.OfString(string(r[from : from+clamp(count.Float(), len(r)-from)]))
}

// clamp makes a whole number between 0 and most of f.
func clamp(f float64, most int) int {
	return int(math.Max(0, math.Min(math.Trunc(f), float64(most))))
}

func right(a []value.Value) value.Value {
	if a[0].Kind() != value.String || a[1].Kind() != value.Number {
		return value.Value{}
	}
	r := []rune(a[0].Text())
	return value.OfString(string(r[len(r)-clamp(a[1].Float(), len(r)):]))
}

func indexOf(a []value.Value) value.Value {
	if !texts(a[:2]) || !numbers(a[2:]) {
		return value.Value{}
	}
	r, from := []rune(a[0].Text()), 0
	if len(a) == 3 {
		from = clamp(a[2].Float(), len(r))
	}
	at := strings.Index(string(r[from:]), a[1].Text())
	if at < 0 {
		return value.OfNumber(-1)
	}
	return value.OfNumber(float64(from + len([]rune(string(r[from:])[:at]))))
}

func replace(a []value.Value) value.Value {
	if !texts(a) {
		return value.Value{}
	}
	if a[1].Text() == "" {
		return a[0]
	}
	if grown := strings.Count(a[0].Text(), a[1].Text()) * len(a[2].Text()); grown > maxText {
		return value.Value{}
	}
	return value.OfString(strings.ReplaceAll(a[0].Text(), a[1].Text(), a[2].Text()))
}

func replicate(a []value.Value) value.Value {
	if a[0].Kind() != value.String || a[1].Kind() != value.Number || a[1].Float() < 0 || a[1].Float() > 10000 {
		return value.Value{}
	}
	times := int(a[1].Float())
	if times*len(a[0].Text()) > maxText {
		return value.Value{}
	}
	return value.OfString(strings.Repeat(a[0].Text(), times))
}

func concat(a []value.Value) value.Value {
	if !texts(a) {
		return value.Value{}
	}
	var b strings.Builder
	for _, v := range a {
		b.WriteString(v.Text())
	}
	return value.OfString(b.String())
}

func stringSplit(a []value.Value) value.Value {
	if !texts(a) {
		return value.Value{}
	}
	items := []value.Value{}
	for _, s := range strings.Split(a[0].Text(), a[1].Text()) {
		items = append(items, value.OfString(s))
	}
	return value.OfArray(items)
}

func stringJoin(a []value.Value) value.Value {
	if a[0].Kind() != value.Array || a[1].Kind() != value.String || !texts(a[0].Items()) {
		return value.Value{}
	}
	var parts []string
	for _, v := range a[0].Items() {
		parts = append(parts, v.Text())
	}
	return value.OfString(strings.Join(parts, a[1].Text()))
}

func toString(a []value.Value) value.Value {
	switch a[0].Kind() {
	case value.Undefined:
		return value.Value{}
	case value.String:
		return a[0]
	}
	return value.OfString(a[0].JSON())
}

func parseAs(k value.Kind) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if a[0].Kind() != value.String {
			return value.Value{}
		}
		if v, err := value.Parse(a[0].Text()); err == nil && v.Kind() == k {
			return v
		}
		return value.Value{}
	}
}

// regexMatch takes the modifiers i, m and s; RE2 stands in for the engine of Cosmos DB, so a pattern with
// look-around is undefined.
func regexMatch(a []value.Value) value.Value {
	if !texts(a) {
		return value.Value{}
	}
	pattern := a[1].Text()
	if len(a) == 3 && a[2].Text() != "" {
		if strings.Trim(a[2].Text(), "ims") != "" {
			return value.Value{}
		}
		pattern = "(?" + a[2].Text() + ")" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return value.Value{}
	}
	return value.OfBool(re.MatchString(a[0].Text()))
}

// words are the lower-case runs of letters and digits in a text.
func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// holdsPhrase reports whether the words of phrase follow each other in list.
func holdsPhrase(list []string, phrase string) bool {
	want := words(phrase)
	if len(want) == 0 {
		return false
	}
	for i := 0; i+len(want) <= len(list); i++ {
		if slices.Equal(list[i:i+len(want)], want) {
			return true
		}
	}
	return false
}

func fullTextContainsAll(a []value.Value) value.Value {
	if !texts(a) {
		return value.Value{}
	}
	list := words(a[0].Text())
	for _, phrase := range a[1:] {
		if !holdsPhrase(list, phrase.Text()) {
			return value.OfBool(false)
		}
	}
	return value.OfBool(true)
}

func fullTextContainsAny(a []value.Value) value.Value {
	if !texts(a) {
		return value.Value{}
	}
	list := words(a[0].Text())
	for _, phrase := range a[1:] {
		if holdsPhrase(list, phrase.Text()) {
			return value.OfBool(true)
		}
	}
	return value.OfBool(false)
}
