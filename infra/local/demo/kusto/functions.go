package kusto

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// dynamic reads the JSON in dynamic(...) up to its closing bracket.
func (p *parser) dynamic() (node, error) {
	if p.token.text != "(" {
		return nil, p.unexpected("(")
	}
	d := json.NewDecoder(strings.NewReader(p.lexer.text[p.at:]))
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("dynamic() wants JSON: %w", err)
	}
	p.at += int(d.InputOffset())
	if err := p.next(); err != nil {
		return nil, err
	}
	return constant{value: v}, p.expect(")")
}

// moment reads datetime(2026-01-02) and its longer forms.
func (p *parser) moment() (node, error) {
	closing := strings.IndexByte(p.lexer.text[p.at:], ')')
	if p.token.text != "(" || closing < 0 {
		return nil, p.unexpected("a time in brackets")
	}
	word := strings.Trim(strings.TrimSpace(p.lexer.text[p.at:p.at+closing]), `"'`)
	p.at += closing + 1
	t, known := moment(word)
	if !known {
		return nil, fmt.Errorf("datetime(%s) is no time", word)
	}
	return constant{value: t}, p.next()
}

func moment(v any) (time.Time, bool) {
	if t, isTime := v.(time.Time); isTime {
		return t, true
	}
	s, isText := v.(string)
	if !isText {
		return time.Time{}, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

func truth(v any) bool {
	b, isBool := v.(bool)
	return isBool && b
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

// textOf is tostring(): null is "", bags and lists are JSON.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		return v.Format("2006-01-02T15:04:05.0000000Z")
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// order compares two values: numbers and times as such, the rest as text.
func order(a, b any) int {
	if x, isTime := a.(time.Time); isTime {
		if y, known := moment(b); known {
			return x.Compare(y)
		}
	}
	x, okX := a.(float64)
	y, okY := b.(float64)
	if okX && okY {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return strings.Compare(textOf(a), textOf(b))
}

func member(a, b any, fold bool) bool {
	list, isList := b.([]any)
	if !isList {
		list = []any{b}
	}
	for _, x := range list {
		if textOf(x) == textOf(a) || fold && strings.EqualFold(textOf(x), textOf(a)) {
			return true
		}
	}
	return false
}

func lower(v any) string { return strings.ToLower(textOf(v)) }

// hasWord is Kusto's has: a whole term, letters and digits being what terms are made of.
func hasWord(a, b any) bool {
	s, w := lower(a), lower(b)
	inside := func(c byte) bool { return digit(c) || c >= 'a' && c <= 'z' }
	for from := 0; w != ""; {
		i := strings.Index(s[from:], w)
		if i < 0 {
			return false
		}
		i += from
		if (i == 0 || !inside(s[i-1])) && (i+len(w) == len(s) || !inside(s[i+len(w)])) {
			return true
		}
		from = i + 1
	}
	return true
}

var comparisons = withNegations(map[string]func(a, b any) any{
	"==":         func(a, b any) any { return textOf(a) == textOf(b) },
	"=~":         func(a, b any) any { return strings.EqualFold(textOf(a), textOf(b)) },
	"in":         func(a, b any) any { return member(a, b, false) },
	"in~":        func(a, b any) any { return member(a, b, true) },
	"contains":   func(a, b any) any { return strings.Contains(lower(a), lower(b)) },
	"has":        func(a, b any) any { return hasWord(a, b) },
	"startswith": func(a, b any) any { return strings.HasPrefix(lower(a), lower(b)) },
	"endswith":   func(a, b any) any { return strings.HasSuffix(lower(a), lower(b)) },
	"<":          func(a, b any) any { return a != nil && b != nil && order(a, b) < 0 },
	"<=":         func(a, b any) any { return a != nil && b != nil && order(a, b) <= 0 },
	">":          func(a, b any) any { return a != nil && b != nil && order(a, b) > 0 },
	">=":         func(a, b any) any { return a != nil && b != nil && order(a, b) >= 0 },
})

func withNegations(m map[string]func(a, b any) any) map[string]func(a, b any) any {
	for not, is := range map[string]string{"!=": "==", "!~": "=~", "!in": "in", "!in~": "in~", "!contains": "contains", "!has": "has", "!startswith": "startswith", "!endswith": "endswith"} {
		f := m[is]
		m[not] = func(a, b any) any { return !truth(f(a, b)) }
	}
	return m
}

func reckon(f func(x, y float64) float64) func(a, b any) any {
	return func(a, b any) any {
		x, okX := number(a)
		y, okY := number(b)
		if !okX || !okY {
			return nil
		}
		return f(x, y)
	}
}

var arithmetic = map[string]func(a, b any) any{
	"+": reckon(func(x, y float64) float64 { return x + y }),
	"-": since(reckon(func(x, y float64) float64 { return x - y })),
	"*": reckon(func(x, y float64) float64 { return x * y }),
	"/": reckon(func(x, y float64) float64 { return x / y }),
}

// since lets a time minus a timespan (now() - 7d, ago's long form) be a time.
func since(otherwise func(a, b any) any) func(a, b any) any {
	return func(a, b any) any {
		if t, isTime := a.(time.Time); isTime {
			if d, known := span(textOf(b)); known {
				return t.Add(-d)
			}
		}
		return otherwise(a, b)
	}
}

func span(s string) (time.Duration, bool) {
	if days, isDays := strings.CutSuffix(s, "d"); isDays {
		n, err := strconv.ParseFloat(days, 64)
		return time.Duration(n * float64(24*time.Hour)), err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

type function struct {
	least int
	run   func([]any) any
}

var functions = map[string]function{
	"tostring":   {1, func(a []any) any { return textOf(a[0]) }},
	"tolower":    {1, func(a []any) any { return lower(a[0]) }},
	"toupper":    {1, func(a []any) any { return strings.ToUpper(textOf(a[0])) }},
	"trim":       {2, func(a []any) any { return strings.Trim(textOf(a[1]), textOf(a[0])) }},
	"strlen":     {1, func(a []any) any { return float64(len(textOf(a[0]))) }},
	"strcat":     {1, func(a []any) any { return concat(a) }},
	"not":        {1, func(a []any) any { return !truth(a[0]) }},
	"isnull":     {1, func(a []any) any { return a[0] == nil }},
	"isnotnull":  {1, func(a []any) any { return a[0] != nil }},
	"isempty":    {1, func(a []any) any { return textOf(a[0]) == "" }},
	"isnotempty": {1, func(a []any) any { return textOf(a[0]) != "" }},
	"iff":        {3, choose},
	"iif":        {3, choose},
	"case":       {3, cases},
	"coalesce": {1, func(a []any) any {
		for _, v := range a {
			if v != nil && v != "" {
				return v
			}
		}
		return nil
	}},
	"parse_json":   {1, parseJSON},
	"todynamic":    {1, parseJSON},
	"todatetime":   {1, func(a []any) any { return orNull(moment(a[0])) }},
	"datetime":     {1, func(a []any) any { return orNull(moment(a[0])) }},
	"now":          {0, func([]any) any { return time.Now().UTC() }},
	"ago":          {1, ago},
	"tobool":       {1, toBool},
	"toint":        {1, func(a []any) any { return orNull(number(a[0])) }},
	"tolong":       {1, func(a []any) any { return orNull(number(a[0])) }},
	"todouble":     {1, func(a []any) any { return orNull(number(a[0])) }},
	"toreal":       {1, func(a []any) any { return orNull(number(a[0])) }},
	"array_length": {1, func(a []any) any { return size(a[0]) }},
	"split":        {2, split},
	"bag_keys":     {1, bagKeys},
	"gettype":      {1, func(a []any) any { return fmt.Sprintf("%T", a[0]) }},
	"replace_string": {3, func(a []any) any {
		return strings.ReplaceAll(textOf(a[0]), textOf(a[1]), textOf(a[2]))
	}},
}

func orNull[T any](v T, known bool) any {
	if !known {
		return nil
	}
	return v
}

func concat(a []any) any {
	var b strings.Builder
	for _, v := range a {
		b.WriteString(textOf(v))
	}
	return b.String()
}

func choose(a []any) any {
	if truth(a[0]) {
		return a[1]
	}
	return a[2]
}

func cases(a []any) any {
	for i := 0; i+1 < len(a); i += 2 {
		if truth(a[i]) {
			return a[i+1]
		}
	}
	return a[len(a)-1]
}

// parseJSON leaves bags and lists alone and gives a text that is no JSON back as it is.
func parseJSON(a []any) any {
	s, isText := a[0].(string)
	if !isText {
		return a[0]
	}
	if s == "" {
		return nil
	}
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	return v
}

func ago(a []any) any {
	d, known := span(textOf(a[0]))
	if !known {
		return nil
	}
	return time.Now().UTC().Add(-d)
}

func toBool(a []any) any {
	switch v := a[0].(type) {
	case bool:
		return v
	case float64:
		return v != 0
	}
	b, err := strconv.ParseBool(lower(a[0]))
	return orNull(b, err == nil)
}

func size(v any) any {
	if list, isList := v.([]any); isList {
		return float64(len(list))
	}
	return nil
}

func split(a []any) any {
	out := []any{}
	for _, part := range strings.Split(textOf(a[0]), textOf(a[1])) {
		out = append(out, part)
	}
	return out
}

func bagKeys(a []any) any {
	bag, isBag := a[0].(map[string]any)
	if !isBag {
		return nil
	}
	out := []any{}
	for _, k := range sortedKeys(bag) {
		out = append(out, k)
	}
	return out
}
