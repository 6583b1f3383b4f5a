package sql

import "throughline/infra/local/cosmosdb/value"

// Order is one ORDER BY item: the steps of its path from the document, nil when it starts at a JOIN.
type Order struct {
	Path       []string
	Descending bool
}

// Pin says that every result has this value at this path.
type Pin struct {
	Path  []string
	Value value.Value
}

// Plan is what a query needs beside its documents, so that a store can help or refuse.
type Plan struct {
	Star        bool // SELECT * of the document itself
	FromNothing bool // no FROM clause: one row, no documents
	Simple      bool // rows stream: no JOIN, aggregate, GROUP BY, DISTINCT, TOP, OFFSET
	Aggregate   bool // an aggregate or GROUP BY
	Cut         bool // TOP or OFFSET LIMIT
	Distinct    bool
	Filtered    bool // there is a WHERE clause
	Exact       bool // the pins are the whole WHERE clause
	Order       []Order
	Pins        []Pin
}

// Plan tells what the query needs. Pins come only from equalities joined by AND: inside OR or NOT they pin nothing.
func (b *Query) Plan() Plan {
	q := b.query
	p := Plan{
		FromNothing: len(q.from) == 0,
		Aggregate:   q.grouped(),
		Cut:         q.top != nil || q.offset != nil,
		Distinct:    q.distinct,
		Filtered:    q.where != nil,
	}
	plain := len(q.from) == 1 && !q.from[0].iterate && q.from[0].sub == nil && isDocument(q.from[0].over)
	p.Star = q.star && plain
	p.Simple = plain && !p.Aggregate && !p.Cut && !p.Distinct
	for _, o := range q.orderBy {
		path, _ := b.documentPath(o.expr)
		p.Order = append(p.Order, Order{path, o.descending})
	}
	p.Exact = true
	if q.where != nil {
		p.Exact = b.addPins(&p, q.where)
	}
	return p
}

func isDocument(e expr) bool {
	id, ok := e.(*identifier)
	return ok && id.slot == documentSlot
}

// documentPath is the path of e when it starts at the alias of the document itself.
func (b *Query) documentPath(e expr) ([]string, bool) {
	path, ok := pathOf(e)
	if !ok {
		return nil, false
	}
	for {
		p, ok := e.(*property)
		if !ok {
			break
		}
		e = p.of
	}
	slot := e.(*identifier).slot
	for _, s := range b.query.from {
		if s.slot == slot && !s.iterate && s.sub == nil && isDocument(s.over) {
			return path, true
		}
	}
	return nil, false
}

// addPins collects the pins of e and reports whether they are all that e says.
func (b *Query) addPins(p *Plan, e expr) bool {
	switch e := e.(type) {
	case *logical:
		if e.or {
			return false
		}
		left := b.addPins(p, e.left)
		right := b.addPins(p, e.right)
		return left && right
	case *comparison:
		if e.op != "=" {
			return false
		}
		return b.addPin(p, e.left, e.right) || b.addPin(p, e.right, e.left)
	case *call:
		return false
	}
	return false
}

func (b *Query) addPin(p *Plan, path, constant expr) bool {
	steps, ok := b.documentPath(path)
	if !ok {
		return false
	}
	switch c := constant.(type) {
	case literal:
		p.Pins = append(p.Pins, Pin{steps, c.v})
	case parameter:
		p.Pins = append(p.Pins, Pin{steps, b.params[c.place]})
	default:
		return false
	}
	return true
}
