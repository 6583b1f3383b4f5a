package kusto

import (
	"fmt"
	"strconv"
	"strings"
)

type parser struct {
	lexer
	token token
	depth int
}

func (p *parser) next() (err error) {
	p.token, err = p.lex()
	return err
}

func (p *parser) skip(n int) error {
	for range n {
		if err := p.next(); err != nil {
			return err
		}
	}
	return nil
}

// peek gives the text of the token behind this one, "" when there is none.
func (p *parser) peek() string {
	ahead := p.lexer
	t, err := ahead.lex()
	if err != nil || t.kind == text {
		return ""
	}
	return t.text
}

func (p *parser) unexpected(want string) error {
	if p.token.kind == end {
		return fmt.Errorf("want %s, the query ends", want)
	}
	return fmt.Errorf("want %s, got %q at %d", want, p.token.text, p.token.at)
}

func (p *parser) expect(s string) error {
	if p.token.text != s || p.token.kind == text {
		return p.unexpected(s)
	}
	return p.next()
}

// node is a part of an expression.
type node interface {
	eval(Row) any
	label(position int) string // the column name that Kusto gives it
	conditions() []condition
}

type plain struct{}

func (plain) label(position int) string { return "Column" + strconv.Itoa(position+1) }
func (plain) conditions() []condition   { return nil }

type constant struct {
	plain
	value any
}

func (c constant) eval(Row) any { return c.value }

type path struct {
	column string
	steps  []node // constants, or expressions in brackets
}

func (p path) eval(r Row) any {
	v := r[p.column]
	for _, s := range p.steps {
		v = at(v, s.eval(r))
	}
	return v
}

// at reads a property or an element; anything that is not there is null.
func at(v, key any) any {
	switch v := v.(type) {
	case map[string]any:
		if k, isText := key.(string); isText {
			if l, isLazy := v[k].(Lazy); isLazy {
				return l()
			}
			return v[k]
		}
	case []any:
		if f, isNumber := key.(float64); isNumber {
			i := int(f)
			if i < 0 {
				i += len(v)
			}
			if i >= 0 && i < len(v) {
				return v[i]
			}
		}
	}
	return nil
}

func (p path) label(int) string {
	out := p.column
	for _, s := range p.steps {
		out += "_" + textOf(s.eval(nil))
	}
	return out
}

func (p path) conditions() []condition { return nil }

// indexed is a path into what a function gave.
type indexed struct {
	plain
	of  node
	key node
}

func (i indexed) eval(r Row) any { return at(i.of.eval(r), i.key.eval(r)) }

type call struct {
	name string
	args []node
	run  func([]any) any
}

func (c call) eval(r Row) any {
	if c.run == nil {
		return nil // an aggregate, which summarize folds
	}
	args := make([]any, len(c.args))
	for i, a := range c.args {
		args[i] = a.eval(r)
	}
	return c.run(args)
}

func (c call) label(position int) string {
	if len(c.args) > 0 {
		if folds[c.name] != nil {
			return c.name + "_" + c.args[0].label(position)
		}
		return c.args[0].label(position)
	}
	return c.name + "_"
}

func (c call) conditions() []condition { return nil }

type binary struct {
	plain
	op          string
	left, right node
	run         func(a, b any) any
}

func (b binary) eval(r Row) any {
	switch b.op {
	case "and":
		return truth(b.left.eval(r)) && truth(b.right.eval(r))
	case "or":
		return truth(b.left.eval(r)) || truth(b.right.eval(r))
	}
	return b.run(b.left.eval(r), b.right.eval(r))
}

// conditions are the equalities on plain columns that must hold for the whole to hold.
func (b binary) conditions() []condition {
	if b.op == "and" {
		return append(b.left.conditions(), b.right.conditions()...)
	}
	l, isPath := b.left.(path)
	r, isConstant := b.right.(constant)
	if !isPath || len(l.steps) > 0 || !isConstant {
		return nil
	}
	switch b.op {
	case "==", "=~":
		return []condition{{l.column, []string{strings.ToLower(textOf(r.value))}}}
	case "in", "in~":
		var values []string
		list, _ := r.value.([]any)
		for _, v := range list {
			values = append(values, strings.ToLower(textOf(v)))
		}
		return []condition{{l.column, values}}
	}
	return nil
}

func (p *parser) expression() (node, error) {
	if p.depth++; p.depth > 200 {
		return nil, fmt.Errorf("the expression is nested too deeply")
	}
	defer func() { p.depth-- }()
	return p.chain([]string{"or"}, func() (node, error) {
		return p.chain([]string{"and"}, p.comparison)
	})
}

func (p *parser) chain(ops []string, operand func() (node, error)) (node, error) {
	left, err := operand()
	for err == nil && p.token.kind != text && contains(ops, p.token.text) {
		b := binary{op: p.token.text, left: left, run: arithmetic[p.token.text]}
		if err = p.next(); err != nil {
			return nil, err
		}
		if b.right, err = operand(); err != nil {
			return nil, err
		}
		left = b
	}
	return left, err
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (p *parser) comparison() (node, error) {
	left, err := p.sum()
	if err != nil || p.token.kind == text {
		return left, err
	}
	op := p.token.text
	run := comparisons[op]
	if run == nil {
		return left, nil
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	right, err := p.operand(op)
	return binary{op: op, left: left, right: right, run: run}, err
}

// operand reads a list where the operator takes one.
func (p *parser) operand(op string) (node, error) {
	if !strings.Contains(op, "in") || strings.Contains(op, "contains") || p.token.text != "(" {
		return p.sum()
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	var list []any
	for _, a := range args {
		c, isConstant := a.(constant)
		if !isConstant {
			return nil, fmt.Errorf("a list holds constants only")
		}
		if inner, isList := c.value.([]any); isList {
			list = append(list, inner...)
			continue
		}
		list = append(list, c.value)
	}
	return constant{value: list}, nil
}

func (p *parser) sum() (node, error) {
	return p.chain([]string{"+", "-"}, func() (node, error) {
		return p.chain([]string{"*", "/"}, p.postfix)
	})
}

func (p *parser) postfix() (node, error) {
	n, err := p.primary()
	for err == nil && p.token.kind == symbol && (p.token.text == "." || p.token.text == "[") {
		var key node
		if p.token.text == "." {
			if err = p.next(); err != nil {
				return nil, err
			}
			key = constant{value: p.token.text}
			err = p.next()
		} else {
			if err = p.next(); err != nil {
				return nil, err
			}
			if key, err = p.expression(); err == nil {
				err = p.expect("]")
			}
		}
		if base, isPath := n.(path); isPath {
			n = path{base.column, append(append([]node(nil), base.steps...), key)}
		} else {
			n = indexed{of: n, key: key}
		}
	}
	return n, err
}

func (p *parser) primary() (node, error) {
	t := p.token
	switch t.kind {
	case text:
		return constant{value: t.text}, p.next()
	case digits:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			return constant{value: t.text}, p.next() // a timespan such as 7d
		}
		return constant{value: f}, p.next()
	case symbol:
		return p.bracketed()
	case end:
		return nil, p.unexpected("an expression")
	}
	if p.peek() != "(" {
		switch t.text {
		case "true", "false":
			return constant{value: t.text == "true"}, p.next()
		case "null":
			return constant{}, p.next()
		}
		return path{column: t.text}, p.next()
	}
	return p.function()
}

func (p *parser) bracketed() (node, error) {
	switch p.token.text {
	case "(":
		if err := p.next(); err != nil {
			return nil, err
		}
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case "-":
		if err := p.next(); err != nil {
			return nil, err
		}
		n, err := p.primary()
		return binary{op: "-", left: constant{value: 0.0}, right: n, run: arithmetic["-"]}, err
	}
	return nil, p.unexpected("an expression")
}

func (p *parser) function() (node, error) {
	name := p.token.text
	if err := p.next(); err != nil {
		return nil, err
	}
	if name == "dynamic" {
		return p.dynamic()
	}
	if name == "datetime" && p.peek() != "" { // datetime(2026-01-02T03:04:05Z) is no expression
		return p.moment()
	}
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	f := functions[name]
	if folds[name] != nil && (f.run == nil || len(args) == 1 && (name == "min" || name == "max")) {
		if len(args) == 0 && name != "count" {
			return nil, fmt.Errorf("%s() wants an argument", name)
		}
		return call{name: name, args: args}, nil
	}
	if f.run == nil {
		return nil, fmt.Errorf("the function %s() is not supported", name)
	}
	if len(args) < f.least {
		return nil, fmt.Errorf("%s() wants %d arguments", name, f.least)
	}
	return call{name: name, args: args, run: f.run}, nil
}

func (p *parser) arguments() ([]node, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var out []node
	for p.token.text != ")" || p.token.kind == text {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if p.token.text != "," || p.token.kind == text {
			break
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
	return out, p.expect(")")
}
