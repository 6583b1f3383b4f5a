package sql

import (
	"strings"

	"throughline/infra/local/cosmosdb/value"
)

// expression reads the loosest forms: `a ?? b` and `a ? b : c`.
func (p *parser) expression() (expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	for p.sign("??") {
		right, err := p.or()
		if err != nil {
			return nil, err
		}
		e = &coalesce{e, right}
	}
	if !p.sign("?") {
		return e, nil
	}
	yes, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.needSign(":"); err != nil {
		return nil, err
	}
	no, err := p.expression()
	return &conditional{e, yes, no}, err
}

func (p *parser) or() (expr, error) {
	e, err := p.and()
	for err == nil && p.keyword("OR") {
		var right expr
		right, err = p.and()
		e = &logical{left: e, right: right, or: true}
	}
	return e, err
}

func (p *parser) and() (expr, error) {
	e, err := p.not()
	for err == nil && p.keyword("AND") {
		var right expr
		right, err = p.not()
		e = &logical{left: e, right: right}
	}
	return e, err
}

func (p *parser) not() (expr, error) {
	if !p.isKeyword("NOT") {
		return p.comparison()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.at++
	e, err := p.not()
	return &negation{e}, err
}

// comparison reads one operand and what may follow it: a comparison, [NOT] IN, BETWEEN, LIKE.
func (p *parser) comparison() (expr, error) {
	e, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	for {
		not := p.isKeyword("NOT")
		if not {
			p.at++
		}
		var test expr
		switch {
		case p.keyword("IN"):
			test, err = p.in(e)
		case p.keyword("BETWEEN"):
			test, err = p.between(e)
		case p.keyword("LIKE"):
			test, err = p.like(e)
		case not:
			return nil, p.wrong()
		default:
			op, ok := p.comparator()
			if !ok {
				return e, nil
			}
			right, err := p.binary(0)
			if err != nil {
				return nil, err
			}
			e = &comparison{op, e, right}
			continue
		}
		if err != nil {
			return nil, err
		}
		if e = test; not {
			e = &negation{test}
		}
	}
}

func (p *parser) comparator() (string, bool) {
	t := p.peek()
	if t.kind != tokenSign {
		return "", false
	}
	switch t.text {
	case "=", "!=", "<>", "<", "<=", ">", ">=":
		p.at++
		return strings.Replace(t.text, "<>", "!=", 1), true
	}
	return "", false
}

func (p *parser) in(e expr) (expr, error) {
	if err := p.needSign("("); err != nil {
		return nil, err
	}
	list, err := p.list(")")
	if err == nil && len(list) == 0 {
		p.at--
		return nil, p.wrong()
	}
	return &membership{e, list}, err
}

func (p *parser) between(e expr) (expr, error) {
	low, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if err := p.needKeyword("AND"); err != nil {
		return nil, err
	}
	high, err := p.binary(0)
	return &logical{left: &comparison{">=", e, low}, right: &comparison{"<=", e, high}}, err
}

func (p *parser) like(e expr) (expr, error) {
	pattern, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	l := &like{subject: e, pattern: pattern}
	if p.keyword("ESCAPE") {
		t := p.next()
		if t.kind != tokenString || len([]rune(t.text)) != 1 {
			p.at--
			return nil, p.wrong()
		}
		l.escape = []rune(t.text)[0]
	}
	return l, nil
}

// levels are the binary operators from loose to tight.
var levels = [][]string{{"|"}, {"^"}, {"&"}, {"<<", ">>", ">>>"}, {"||"}, {"+", "-"}, {"*", "/", "%"}}

func (p *parser) binary(level int) (expr, error) {
	if level == len(levels) {
		return p.unary()
	}
	e, err := p.binary(level + 1)
	for err == nil {
		op := ""
		for _, s := range levels[level] {
			if p.sign(s) {
				op = s
				break
			}
		}
		if op == "" {
			return e, nil
		}
		var right expr
		right, err = p.binary(level + 1)
		e = &arithmetic{op, e, right}
	}
	return nil, err
}

func (p *parser) unary() (expr, error) {
	for _, s := range []string{"-", "+", "~"} {
		if !p.isSign(s) {
			continue
		}
		if err := p.enter(); err != nil {
			return nil, err
		}
		defer p.leave()
		p.at++
		e, err := p.unary()
		return &unary{s, e}, err
	}
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.steps(e)
}

// steps reads `.name`, `["name"]`, `[0]` and `[expression]` after a value.
func (p *parser) steps(e expr) (expr, error) {
	for {
		switch {
		case p.sign("."):
			if p.peek().kind != tokenWord {
				return nil, p.wrong()
			}
			e = &property{e, p.next().text}
		case p.sign("["):
			key, err := p.expression()
			if err != nil {
				return nil, err
			}
			if err := p.needSign("]"); err != nil {
				return nil, err
			}
			if l, ok := key.(literal); ok && l.v.Kind() == value.String {
				e = &property{e, l.v.Text()}
			} else {
				e = &index{e, key}
			}
		default:
			return e, nil
		}
	}
}

func (p *parser) primary() (expr, error) {
	t := p.next()
	switch t.kind {
	case tokenNumber:
		return literal{value.OfNumber(t.num)}, nil
	case tokenString:
		return literal{value.OfString(t.text)}, nil
	case tokenParameter:
		return p.parameter(t.text), nil
	case tokenWord:
		return p.word(t)
	case tokenKeyword:
		return p.keywordValue(t)
	case tokenSign:
		switch t.text {
		case "(":
			return p.parenthesis()
		case "[":
			list, err := p.list("]")
			return &arrayLiteral{list}, err
		case "{":
			return p.object()
		}
	}
	p.back(t)
	return nil, p.wrong()
}

// back undoes next, which does not move at the end.
func (p *parser) back(t token) {
	if t.kind != tokenEnd {
		p.at--
	}
}

func (p *parser) word(t token) (expr, error) {
	if p.sign("(") {
		args, err := p.list(")")
		if err != nil {
			return nil, err
		}
		return newCall(t.text, args)
	}
	// The FROM clause stands after the names that use it: query resolves them at its end.
	id := &identifier{name: t.text, slot: -1}
	p.idents = append(p.idents, id)
	return id, nil
}

func (p *parser) keywordValue(t token) (expr, error) {
	switch t.text {
	case "NULL":
		return literal{value.OfNull()}, nil
	case "TRUE", "FALSE":
		return literal{value.OfBool(t.text == "TRUE")}, nil
	case "UNDEFINED":
		return literal{}, nil
	case "EXISTS", "ARRAY":
		if err := p.needSign("("); err != nil {
			return nil, err
		}
		sub, err := p.query()
		if err != nil {
			return nil, err
		}
		return &subquery{sub, t.text}, p.needSign(")")
	}
	p.back(t)
	return nil, p.wrong()
}

func (p *parser) parenthesis() (expr, error) {
	if p.isKeyword("SELECT") {
		sub, err := p.query()
		if err != nil {
			return nil, err
		}
		return &subquery{sub, ""}, p.needSign(")")
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	return e, p.needSign(")")
}

// list reads expressions up to the closing sign.
func (p *parser) list(end string) ([]expr, error) {
	var list []expr
	if p.sign(end) {
		return list, nil
	}
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if p.sign(end) {
			return list, nil
		}
		if err := p.needSign(","); err != nil {
			return nil, err
		}
	}
}

func (p *parser) object() (expr, error) {
	o := &objectLiteral{}
	if p.sign("}") {
		return o, nil
	}
	for {
		t := p.next()
		if t.kind != tokenString && t.kind != tokenWord {
			p.back(t)
			return nil, p.wrong()
		}
		if err := p.needSign(":"); err != nil {
			return nil, err
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		o.names, o.values = append(o.names, t.text), append(o.values, e)
		if p.sign("}") {
			return o, nil
		}
		if err := p.needSign(","); err != nil {
			return nil, err
		}
	}
}
