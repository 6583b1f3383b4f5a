package github

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// parseQuery reads one query: names, aliases, arguments, inline fragments and variables. No directives, no named fragments.
func parseQuery(text string, variables map[string]any) ([]field, error) {
	p := &queryParser{text: text, variables: variables}
	p.space()
	if p.word() == "mutation" {
		return nil, errors.New("mutations are not answered here")
	}
	if err := p.skipHead(); err != nil {
		return nil, err
	}
	fields, err := p.selection(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.unexpected()
	}
	return fields, nil
}

type queryParser struct {
	text      string
	at        int
	variables map[string]any
}

func (p *queryParser) unexpected() error {
	if p.at >= len(p.text) {
		return refusal("Expected more, reached the end of the document")
	}
	return refusal(fmt.Sprintf("Expected something else at %d, got %q", p.at, p.text[p.at:min(p.at+10, len(p.text))]))
}

// space skips blanks, commas and comments.
func (p *queryParser) space() {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',':
			p.at++
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		default:
			return
		}
	}
}

func (p *queryParser) peek(s string) bool {
	p.space()
	return strings.HasPrefix(p.text[p.at:], s)
}

func (p *queryParser) eat(s string) bool {
	if !p.peek(s) {
		return false
	}
	p.at += len(s)
	return true
}

func (p *queryParser) word() string {
	p.space()
	from := p.at
	for p.at < len(p.text) && (p.text[p.at] == '_' || unicode.IsLetter(rune(p.text[p.at])) || p.at > from && unicode.IsDigit(rune(p.text[p.at]))) {
		p.at++
	}
	return p.text[from:p.at]
}

// skipHead passes over the operation's name and the declarations of its variables.
func (p *queryParser) skipHead() error {
	p.word()
	if !p.eat("(") {
		return nil
	}
	end := strings.IndexByte(p.text[p.at:], ')')
	if end < 0 {
		return p.unexpected()
	}
	p.at += end + 1
	return nil
}

func (p *queryParser) selection(depth int) ([]field, error) {
	if depth > 20 {
		return nil, errors.New("the query is nested too deeply")
	}
	if !p.eat("{") {
		return nil, p.unexpected()
	}
	var out []field
	for !p.eat("}") {
		if p.eat("...") {
			if p.word() != "on" || p.word() == "" {
				return nil, p.unexpected()
			}
			inner, err := p.selection(depth + 1)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
			continue
		}
		f, err := p.field(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (p *queryParser) field(depth int) (f field, err error) {
	if f.name = p.word(); f.name == "" {
		return f, p.unexpected()
	}
	if p.eat(":") {
		f.alias = f.name
		if f.name = p.word(); f.name == "" {
			return f, p.unexpected()
		}
	}
	if p.eat("(") {
		f.args = map[string]any{}
		for !p.eat(")") {
			name := p.word()
			if name == "" || !p.eat(":") {
				return f, p.unexpected()
			}
			if f.args[name], err = p.value(depth); err != nil {
				return f, err
			}
		}
	}
	if p.peek("{") {
		f.fields, err = p.selection(depth + 1)
	}
	return f, err
}

func (p *queryParser) value(depth int) (any, error) {
	p.space()
	switch {
	case depth > 20:
		return nil, errors.New("the query is nested too deeply")
	case p.eat("$"):
		return p.variables[p.word()], nil
	case p.eat("["):
		out := []any{}
		for !p.eat("]") {
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case p.peek(`"`):
		return p.quoted()
	}
	if w := p.word(); w != "" {
		return map[string]any{"true": true, "false": false}[w], nil // enum values and null count as nothing
	}
	from := p.at
	for p.at < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.at]) >= 0 {
		p.at++
	}
	if from == p.at {
		return nil, p.unexpected()
	}
	return literal(p.text[from:p.at])
}

func (p *queryParser) quoted() (any, error) {
	from := p.at
	for p.at++; p.at < len(p.text); p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		} else if p.text[p.at] == '"' {
			p.at++
			return literal(p.text[from:p.at])
		}
	}
	return nil, p.unexpected()
}
