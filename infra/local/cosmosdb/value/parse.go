package value

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is the nesting that Cosmos DB accepts in a document.
const maxDepth = 128

// ErrSyntax is wrapped by every error of Parse.
var ErrSyntax = errors.New("invalid JSON")

// Parse reads exactly one JSON value (RFC 8259, UTF-8, at most 128 levels deep). Of a name that an object holds twice
// the last value counts. Numbers keep the literal they were written with.
func Parse(text string) (Value, error) {
	if !utf8.ValidString(text) {
		return Value{}, fmt.Errorf("%w: not UTF-8", ErrSyntax)
	}
	p := parser{text: text}
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.at < len(text) {
		return Value{}, p.fail("text after the value")
	}
	return v, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) fail(what string) error {
	return fmt.Errorf("%w at byte %d: %s", ErrSyntax, p.at, what)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek skips space and shows the next byte, 0 at the end.
func (p *parser) peek() byte {
	p.space()
	if p.at >= len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) value(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, p.fail("nested deeper than 128 levels")
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.string()
		return OfString(s), err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == 0 && p.at >= len(p.text):
		return Value{}, p.fail("value missing")
	}
	return p.word()
}

func (p *parser) word() (Value, error) {
	rest := p.text[p.at:]
	for _, w := range []struct {
		word string
		v    Value
	}{{"true", OfBool(true)}, {"false", OfBool(false)}, {"null", OfNull()}} {
		if strings.HasPrefix(rest, w.word) {
			p.at += len(w.word)
			return w.v, nil
		}
	}
	return Value{}, p.fail("no JSON value")
}

func (p *parser) array(depth int) (Value, error) {
	p.at++
	items := []Value{}
	if p.peek() == ']' {
		p.at++
		return OfArray(items), nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		items = append(items, v)
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return OfArray(items), nil
		default:
			return Value{}, p.fail("expected , or ] in an array")
		}
	}
}

func (p *parser) object(depth int) (Value, error) {
	p.at++
	o := Value{kind: Object, names: make([]string, 0, 8), items: make([]Value, 0, 8)}
	if p.peek() == '}' {
		p.at++
		return o, nil
	}
	var seen map[string]int
	for {
		if err := p.member(&o, &seen, depth); err != nil {
			return Value{}, err
		}
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return o, nil
		default:
			return Value{}, p.fail("expected , or } in an object")
		}
	}
}

// manyNames is where looking for a repeated name turns from a walk to a map: hostile objects have 100,000 names.
const manyNames = 32

func (p *parser) member(o *Value, seen *map[string]int, depth int) error {
	if p.peek() != '"' {
		return p.fail("expected a property name")
	}
	name, err := p.string()
	if err != nil {
		return err
	}
	if p.peek() != ':' {
		return p.fail("expected : after a property name")
	}
	p.at++
	v, err := p.value(depth + 1)
	if err != nil {
		return err
	}
	if i := indexOf(o.names, name, seen); i >= 0 {
		o.items[i] = v
		return nil
	}
	o.names, o.items = append(o.names, name), append(o.items, v)
	return nil
}

// indexOf finds name among names, which are about to grow by it when it is new.
func indexOf(names []string, name string, seen *map[string]int) int {
	if len(names) < manyNames {
		for i, n := range names {
			if n == name {
				return i
			}
		}
		return -1
	}
	if *seen == nil {
		*seen = make(map[string]int, 2*manyNames)
		for i, n := range names {
			(*seen)[n] = i
		}
	}
	if i, ok := (*seen)[name]; ok {
		return i
	}
	(*seen)[name] = len(names)
	return -1
}

func (p *parser) number() (Value, error) {
	start := p.at
	if p.text[p.at] == '-' {
		p.at++
	}
	whole := p.digits()
	if whole == 0 || whole > 1 && p.text[p.at-whole] == '0' {
		return Value{}, p.fail("bad number")
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if p.digits() == 0 {
			return Value{}, p.fail("bad number")
		}
	}
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if p.digits() == 0 {
			return Value{}, p.fail("bad number")
		}
	}
	literal := p.text[start:p.at]
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return Value{}, p.fail("number out of range")
	}
	return Value{kind: Number, num: f, text: literal}, nil
}

func (p *parser) digits() int {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - start
}

// string reads a string literal; without escapes it is a part of the text, not a copy.
func (p *parser) string() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			p.at++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail("control character in a string")
		}
		p.at++
	}
	return "", p.fail("string without end")
}

func (p *parser) escaped(start int) (string, error) {
	b := append(make([]byte, 0, 2*(p.at-start)+16), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(b), nil
		case c < 0x20:
			return "", p.fail("control character in a string")
		case c != '\\':
			b = append(b, c)
		default:
			var err error
			if b, err = p.escape(b); err != nil {
				return "", err
			}
		}
	}
	return "", p.fail("string without end")
}

const (
	escapeLetters = `"\/bfnrt`
	escapeBytes   = "\"\\/\b\f\n\r\t"
)

func (p *parser) escape(b []byte) ([]byte, error) {
	if p.at >= len(p.text) {
		return nil, p.fail("string without end")
	}
	c := p.text[p.at]
	p.at++
	if i := strings.IndexByte(escapeLetters, c); i >= 0 {
		return append(b, escapeBytes[i]), nil
	}
	if c != 'u' {
		return nil, p.fail("unknown escape")
	}
	r, err := p.hex()
	if err != nil {
		return nil, err
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(b, r), nil
	}
	// Half a pair becomes U+FFFD, as encoding/json has it.
	if strings.HasPrefix(p.text[p.at:], `\u`) {
		back := p.at
		p.at += 2
		low, err := p.hex()
		if err != nil {
			return nil, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(b, pair), nil
		}
		p.at = back
	}
	return utf8.AppendRune(b, utf8.RuneError), nil
}

func (p *parser) hex() (rune, error) {
	if p.at+4 > len(p.text) {
		return 0, p.fail("short \\u escape")
	}
	n, err := strconv.ParseUint(p.text[p.at:p.at+4], 16, 16)
	if err != nil {
		return 0, p.fail("bad \\u escape")
	}
	p.at += 4
	return rune(n), nil
}
