package filter

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of an expression.
const maxDepth = 64

// Condition is a parsed condition.
type Condition struct{ root expression }

// Parse reads a condition such as "color = 'red' AND sys.Label LIKE 'a%'".
func Parse(sql string) (*Condition, error) {
	p := &parser{lex: lexer{in: sql}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != end {
		return nil, p.unexpected()
	}
	return &Condition{root: root}, nil
}

// Action is a parsed action.
type Action struct{ steps []step }

type step struct {
	target property
	value  expression // nil removes
}

// ParseAction reads an action such as "SET color = 'red'; REMOVE size".
func ParseAction(sql string) (*Action, error) {
	p := &parser{lex: lexer{in: sql}}
	a := &Action{}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for p.tok.kind != end {
		s, err := p.step()
		if err != nil {
			return nil, err
		}
		a.steps = append(a.steps, s)
		for p.isSign(";") {
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

type parser struct {
	lex   lexer
	tok   token
	depth int
}

func (p *parser) advance() error {
	t, err := p.lex.next()
	p.tok = t
	return err
}

func (p *parser) unexpected() error {
	if p.tok.kind == end {
		return fmt.Errorf("the expression ends too early")
	}
	return fmt.Errorf("unexpected %q at %d", p.tok.text, p.tok.at)
}

func (p *parser) isWord(w string) bool { return p.tok.kind == word && strings.EqualFold(p.tok.text, w) }

func (p *parser) isSign(s string) bool { return p.tok.kind == sign && p.tok.text == s }

func (p *parser) expect(s string) error {
	if !p.isSign(s) {
		return p.unexpected()
	}
	return p.advance()
}

func (p *parser) step() (step, error) {
	set := p.isWord("SET")
	if !set && !p.isWord("REMOVE") {
		return step{}, p.unexpected()
	}
	if err := p.advance(); err != nil {
		return step{}, err
	}
	target, err := p.property()
	if err != nil || !set {
		return step{target: target}, err
	}
	if err := p.expect("="); err != nil {
		return step{}, err
	}
	v, err := p.sum()
	return step{target: target, value: v}, err
}

// or parses the lowest level: everything that can stand in parentheses goes through it.
func (p *parser) or() (expression, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	return p.chain([]string{"OR"}, p.and)
}

func (p *parser) and() (expression, error) { return p.chain([]string{"AND"}, p.not) }

func (p *parser) chain(words []string, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	for err == nil && p.isWord(words[0]) {
		if err = p.advance(); err != nil {
			return nil, err
		}
		var right expression
		if right, err = operand(); err == nil {
			left = logic{and: words[0] == "AND", left: left, right: right}
		}
	}
	return left, err
}

func (p *parser) not() (expression, error) {
	n := 0
	for ; p.isWord("NOT"); n++ {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	e, err := p.comparison()
	if n%2 == 1 {
		e = negation{e}
	}
	return e, err
}

func (p *parser) comparison() (expression, error) {
	if p.isWord("EXISTS") {
		return p.exists()
	}
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.tok.kind == sign {
		switch op := p.tok.text; op {
		case "=", "<>", "!=", "<", "<=", ">", ">=":
			if err := p.advance(); err != nil {
				return nil, err
			}
			right, err := p.sum()
			return compare{op: op, left: left, right: right}, err
		}
		return left, nil
	}
	return p.tail(left)
}

// tail parses IS [NOT] NULL, [NOT] IN and [NOT] LIKE.
func (p *parser) tail(left expression) (expression, error) {
	if p.isWord("IS") {
		return p.isNull(left)
	}
	negated := p.isWord("NOT")
	if negated {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	var e expression
	var err error
	switch {
	case p.isWord("IN"):
		e, err = p.in(left)
	case p.isWord("LIKE"):
		e, err = p.like(left)
	case negated:
		return nil, p.unexpected()
	default:
		return left, nil
	}
	if negated {
		e = negation{e}
	}
	return e, err
}

func (p *parser) isNull(left expression) (expression, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	negated := p.isWord("NOT")
	if negated {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if !p.isWord("NULL") {
		return nil, p.unexpected()
	}
	var e expression = isNull{left}
	if negated {
		e = negation{e}
	}
	return e, p.advance()
}

func (p *parser) in(left expression) (expression, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	m := member{value: left}
	for {
		e, err := p.sum()
		if err != nil {
			return nil, err
		}
		m.list = append(m.list, e)
		if !p.isSign(",") {
			return m, p.expect(")")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) like(left expression) (expression, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	pattern, err := p.sum()
	if err != nil {
		return nil, err
	}
	l := like{value: left, pattern: pattern}
	if p.isWord("ESCAPE") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if l.escape, err = p.sum(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (p *parser) exists() (expression, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	name, err := p.property()
	if err != nil {
		return nil, err
	}
	return exists{name}, p.expect(")")
}

func (p *parser) sum() (expression, error) { return p.arithmetic("+-", p.product) }

func (p *parser) product() (expression, error) { return p.arithmetic("*/%", p.unary) }

func (p *parser) arithmetic(ops string, operand func() (expression, error)) (expression, error) {
	left, err := operand()
	for err == nil && p.tok.kind == sign && len(p.tok.text) == 1 && strings.Contains(ops, p.tok.text) {
		op := p.tok.text[0]
		if err = p.advance(); err != nil {
			return nil, err
		}
		var right expression
		if right, err = operand(); err == nil {
			left = calculation{op: op, left: left, right: right}
		}
	}
	return left, err
}

func (p *parser) unary() (expression, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	if p.isSign("-") || p.isSign("+") {
		minus := p.isSign("-")
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.unary()
		if minus {
			e = calculation{op: '-', left: constant{int64(0)}, right: e}
		}
		return e, err
	}
	return p.primary()
}

func (p *parser) primary() (expression, error) {
	t := p.tok
	switch {
	case p.isSign("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		return e, p.expect(")")
	case t.kind == text:
		return constant{t.text}, p.advance()
	case t.kind == parameter:
		return variable{t.text}, p.advance()
	case t.kind == number:
		return p.number()
	case p.isWord("TRUE"), p.isWord("FALSE"):
		return constant{strings.EqualFold(t.text, "TRUE")}, p.advance()
	case p.isWord("NULL"):
		return constant{nil}, p.advance()
	}
	return p.property()
}

func (p *parser) number() (expression, error) {
	s := p.tok.text
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return constant{n}, p.advance()
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("%q at %d is no number", s, p.tok.at)
	}
	return constant{f}, p.advance()
}

// property parses [scope.]name, and property(name) or p(name).
func (p *parser) property() (property, error) {
	first := p.tok
	if first.kind != word && first.kind != quoted {
		return property{}, p.unexpected()
	}
	if err := p.advance(); err != nil {
		return property{}, err
	}
	if p.isSign("(") && first.kind == word && (strings.EqualFold(first.text, "property") || strings.EqualFold(first.text, "p")) {
		return p.called()
	}
	if !p.isSign(".") {
		return property{scope: "user", name: first.text}, nil
	}
	scope := strings.ToLower(first.text)
	if scope != "sys" && scope != "user" {
		return property{}, fmt.Errorf("%q at %d is no scope: sys and user are", first.text, first.at)
	}
	if err := p.advance(); err != nil {
		return property{}, err
	}
	if p.tok.kind != word && p.tok.kind != quoted {
		return property{}, p.unexpected()
	}
	name := p.tok.text
	return property{scope: scope, name: name}, p.advance()
}

func (p *parser) called() (property, error) {
	if err := p.advance(); err != nil {
		return property{}, err
	}
	if p.tok.kind != text {
		return property{}, p.unexpected()
	}
	name := property{scope: "user", name: p.tok.text}
	if err := p.advance(); err != nil {
		return property{}, err
	}
	return name, p.expect(")")
}
