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
	Simple      bool // rows follow each other: no JOIN, aggregate, GROUP BY, DISTINCT
	Aggregate   bool // an aggregate or GROUP BY
	Count       bool // SELECT VALUE COUNT(1), nothing else
	Cut         bool // TOP or OFFSET LIMIT
	Offset      int  // rows to leave out
	Limit       int  // rows to give after them; -1 without TOP or LIMIT
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
		Limit:       -1,
		Distinct:    q.distinct,
		Filtered:    q.where != nil,
		Exact:       true,
	}
	plain := len(q.from) == 1 && !q.from[0].iterate && q.from[0].sub == nil && isDocument(q.from[0].over)
	p.Star = q.star && plain
	p.Simple = plain && !p.Aggregate && !p.Distinct
	p.Count = plain && q.countsRows()
	b.cut(&p)
	for _, o := range q.orderBy {
		path, _ := b.documentPath(o.expr)
		p.Order = append(p.Order, Order{path, o.descending})
	}
	if q.where != nil {
		p.Exact = b.addPins(&p, q.where)
	}
	return p
}

// countsRows tells SELECT VALUE COUNT(<a constant>).
func (q *query) countsRows() bool {
	a, ok := q.value.(*aggregate)
	if !ok || a.name != "COUNT" || len(q.groupBy) > 0 || len(q.orderBy) > 0 || q.top != nil || q.offset != nil || q.distinct {
		return false
	}
	l, ok := a.of.(literal)
	return ok && l.v.Kind() != value.Undefined
}

func (b *Query) cut(p *Plan) {
	r := b.row(value.Value{})
	switch q := b.query; {
	case q.top != nil:
		p.Limit = asCount(q.top.eval(r))
	case q.offset != nil:
		p.Offset, p.Limit = asCount(q.offset.eval(r)), asCount(q.limit.eval(r))
	}
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
