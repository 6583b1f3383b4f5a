package sql

import (
	"fmt"

	"throughline/infra/local/cosmosdb/value"
)

// maxNesting bounds how deep expressions and subqueries stand in each other.
const maxNesting = 100

// maxJoins is the limit of Cosmos DB.
const maxJoins = 10

type parser struct {
	tokens []token
	at     int
	depth  int
	scope  *scope
	idents []*identifier
	slots  int
	params []string
	head   *scope // of the outermost FROM, while the subquery that stands first in it is read
}

// scope holds the names that one query level gives; inner levels see outer ones.
type scope struct {
	names []string
	slots []int
	outer *scope
}

func (s *scope) find(name string) (int, bool) {
	for ; s != nil; s = s.outer {
		for i, n := range s.names {
			if n == name {
				return s.slots[i], true
			}
		}
	}
	return 0, false
}

func (p *parser) bind(name string) (int, error) {
	for _, n := range p.scope.names {
		if n == name {
			return 0, fmt.Errorf("%w: The input alias '%s' is specified more than once in the FROM clause", ErrSyntax, name)
		}
	}
	slot := p.slots
	p.slots++
	p.scope.names, p.scope.slots = append(p.scope.names, name), append(p.scope.slots, slot)
	return slot, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (p *parser) wrong() error {
	t := p.peek()
	if t.kind == tokenEnd {
		return fmt.Errorf("%w: Syntax error, unexpected end-of-file encountered", ErrSyntax)
	}
	return syntaxAt(t.at, t.text)
}

func (p *parser) isKeyword(k string) bool {
	t := p.peek()
	return t.kind == tokenKeyword && t.text == k
}

func (p *parser) isSign(s string) bool {
	t := p.peek()
	return t.kind == tokenSign && t.text == s
}

// keyword takes the keyword when it is next.
func (p *parser) keyword(k string) bool {
	if p.isKeyword(k) {
		p.at++
		return true
	}
	return false
}

func (p *parser) sign(s string) bool {
	if p.isSign(s) {
		p.at++
		return true
	}
	return false
}

func (p *parser) needKeyword(k string) error {
	if !p.keyword(k) {
		return p.wrong()
	}
	return nil
}

func (p *parser) needSign(s string) error {
	if !p.sign(s) {
		return p.wrong()
	}
	return nil
}

// enter counts nesting; every call is paired with leave.
func (p *parser) enter() error {
	p.depth++
	if p.depth > maxNesting {
		return fmt.Errorf("%w: the query is nested deeper than %d levels", ErrSyntax, maxNesting)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

func (p *parser) query() (*query, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	p.scope = &scope{outer: p.scope}
	defer func() { p.scope = p.scope.outer }()
	q := &query{}
	if err := p.needKeyword("SELECT"); err != nil {
		return nil, err
	}
	firstIdent := len(p.idents)
	steps := []func(*query) error{p.selectClause, p.fromClause, p.whereClause, p.groupClause, p.orderClause, p.offsetClause}
	for _, step := range steps {
		if err := step(q); err != nil {
			return nil, err
		}
	}
	for _, id := range p.idents[firstIdent:] {
		if slot, ok := p.scope.find(id.name); ok && id.slot < 0 {
			id.slot = slot
		} else if id.slot < 0 && p.scope.outer == nil {
			return nil, fmt.Errorf("%w: Identifier '%s' could not be resolved", ErrSyntax, id.name)
		}
	}
	return q, q.check()
}

func (p *parser) selectClause(q *query) error {
	q.distinct = p.keyword("DISTINCT")
	if p.keyword("TOP") {
		e, err := p.count()
		if err != nil {
			return err
		}
		q.top = e
	}
	if p.sign("*") {
		q.star = true
		return nil
	}
	if p.keyword("VALUE") {
		e, err := p.expression()
		q.value = e
		return err
	}
	for {
		item, err := p.selectItem()
		if err != nil {
			return err
		}
		q.items = append(q.items, item)
		if !p.sign(",") {
			return nil
		}
	}
}

func (p *parser) selectItem() (selectItem, error) {
	e, err := p.expression()
	if err != nil {
		return selectItem{}, err
	}
	item := selectItem{expr: e}
	switch as := p.keyword("AS"); {
	case p.peek().kind == tokenWord:
		item.name = p.next().text
	case as:
		return item, p.wrong()
	default:
		item.name = lastName(e)
	}
	return item, nil
}

// lastName is the property that a projection without AS gets; "" for what is no path.
func lastName(e expr) string {
	switch e := e.(type) {
	case *identifier:
		return e.name
	case *property:
		return e.name
	}
	return ""
}

func (p *parser) fromClause(q *query) error {
	if !p.keyword("FROM") {
		return nil
	}
	first, err := p.source(true)
	if err != nil {
		return err
	}
	q.from = append(q.from, first)
	for p.keyword("JOIN") {
		if len(q.from) > maxJoins {
			return fmt.Errorf("%w: a query holds at most %d JOINs", ErrSyntax, maxJoins)
		}
		s, err := p.source(false)
		if err != nil {
			return err
		}
		q.from = append(q.from, s)
	}
	return nil
}

// source reads `c`, `root r`, `c.items AS i`, `i IN c.items` or `(SELECT …) AS s`. The first source of the outermost query names
// the container itself, whatever it is called.
func (p *parser) source(first bool) (source, error) {
	if p.isSign("(") {
		if first && p.atContainer() {
			defer func(before *scope) { p.head = before }(p.head)
			p.head = p.scope
		}
		return p.subquerySource()
	}
	if p.peek().kind != tokenWord {
		return source{}, p.wrong()
	}
	name := p.next()
	if p.keyword("IN") {
		over, err := p.path(first)
		if err != nil {
			return source{}, err
		}
		slot, err := p.bind(name.text)
		return source{slot: slot, over: over, iterate: true}, err
	}
	p.at--
	over, err := p.path(first)
	if err != nil {
		return source{}, err
	}
	alias := lastName(over)
	if p.keyword("AS") || p.peek().kind == tokenWord {
		if p.peek().kind != tokenWord {
			return source{}, p.wrong()
		}
		alias = p.next().text
	}
	slot, err := p.bind(alias)
	return source{slot: slot, over: over}, err
}

func (p *parser) subquerySource() (source, error) {
	p.at++
	sub, err := p.query()
	if err != nil {
		return source{}, err
	}
	if err := p.needSign(")"); err != nil {
		return source{}, err
	}
	if p.keyword("AS"); p.peek().kind != tokenWord {
		return source{}, p.wrong()
	}
	slot, err := p.bind(p.next().text)
	return source{slot: slot, sub: sub}, err
}

// atContainer tells whether the first source here is the container: in the outermost FROM, and in a subquery that stands first there.
func (p *parser) atContainer() bool { return p.scope.outer == nil || p.scope.outer == p.head }

// path reads a name and its steps. At the head of the outermost FROM the name stands for the container.
func (p *parser) path(first bool) (expr, error) {
	if p.peek().kind != tokenWord {
		return nil, p.wrong()
	}
	id := &identifier{name: p.next().text, slot: -1}
	if slot, ok := p.scope.find(id.name); ok {
		id.slot = slot
	} else if first && p.atContainer() {
		id.slot = documentSlot
	}
	p.idents = append(p.idents, id)
	return p.steps(id)
}

func (p *parser) whereClause(q *query) (err error) {
	if p.keyword("WHERE") {
		q.where, err = p.expression()
	}
	return err
}

func (p *parser) groupClause(q *query) error {
	if !p.keyword("GROUP") {
		return nil
	}
	if err := p.needKeyword("BY"); err != nil {
		return err
	}
	for {
		e, err := p.expression()
		if err != nil {
			return err
		}
		q.groupBy = append(q.groupBy, e)
		if !p.sign(",") {
			return nil
		}
	}
}

func (p *parser) orderClause(q *query) error {
	if !p.keyword("ORDER") {
		return nil
	}
	if err := p.needKeyword("BY"); err != nil {
		return err
	}
	for {
		e, err := p.expression()
		if err != nil {
			return err
		}
		o := orderItem{expr: e}
		if p.keyword("DESC") {
			o.descending = true
		} else {
			p.keyword("ASC")
		}
		q.orderBy = append(q.orderBy, o)
		if !p.sign(",") {
			return nil
		}
	}
}

func (p *parser) offsetClause(q *query) (err error) {
	if !p.keyword("OFFSET") {
		return nil
	}
	if q.offset, err = p.count(); err != nil {
		return err
	}
	if err := p.needKeyword("LIMIT"); err != nil {
		return err
	}
	q.limit, err = p.count()
	return err
}

// count reads what TOP, OFFSET and LIMIT take: a whole number or a parameter.
func (p *parser) count() (expr, error) {
	t := p.next()
	switch {
	case t.kind == tokenNumber && t.num >= 0 && t.num == float64(int32(t.num)):
		return literal{value.OfNumber(t.num)}, nil
	case t.kind == tokenParameter:
		return p.parameter(t.text), nil
	}
	p.at = max(p.at-1, 0)
	return nil, p.wrong()
}

func (p *parser) parameter(name string) expr {
	for i, n := range p.params {
		if n == name {
			return parameter{i}
		}
	}
	p.params = append(p.params, name)
	return parameter{len(p.params) - 1}
}
