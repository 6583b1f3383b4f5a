package sql

import (
	"fmt"
	"slices"

	"throughline/infra/local/cosmosdb/value"
)

type query struct {
	distinct   bool
	star       bool
	value      expr
	items      []selectItem
	from       []source
	where      expr
	groupBy    []expr
	orderBy    []orderItem
	top        expr
	offset     expr
	limit      expr
	aggregates []*aggregate
}

type selectItem struct {
	expr expr
	name string
}

// source binds slot to a value, to each element of an array (iterate), or to each result of a subquery.
type source struct {
	slot    int
	over    expr
	iterate bool
	sub     *query
}

type orderItem struct {
	expr       expr
	descending bool
}

// check refuses what the grammar allows and Cosmos DB does not, and numbers the aggregates.
func (q *query) check() error {
	if q.star && len(q.from) != 1 {
		return fmt.Errorf("%w: 'SELECT *' is only valid with a single input set", ErrSyntax)
	}
	if q.top != nil && q.offset != nil {
		return fmt.Errorf("%w: TOP and OFFSET LIMIT cannot be used together", ErrSyntax)
	}
	for _, o := range q.orderBy {
		if _, ok := pathOf(o.expr); !ok {
			return fmt.Errorf("%w: Unsupported ORDER BY clause. ORDER BY item expression could not be mapped to a document path", ErrSyntax)
		}
	}
	for _, e := range q.filters() {
		if len(findAggregates(e)) > 0 {
			return fmt.Errorf("%w: an aggregate cannot be used outside of the SELECT clause", ErrSyntax)
		}
	}
	for _, e := range q.outputs() {
		q.aggregates = append(q.aggregates, findAggregates(e)...)
	}
	for i, a := range q.aggregates {
		a.place = i
	}
	return nil
}

func (q *query) filters() []expr {
	list := slices.Clone(q.groupBy)
	if q.where != nil {
		list = append(list, q.where)
	}
	return list
}

func (q *query) outputs() []expr {
	if q.value != nil {
		return []expr{q.value}
	}
	var list []expr
	for _, item := range q.items {
		list = append(list, item.expr)
	}
	return list
}

func findAggregates(e expr) []*aggregate {
	if a, ok := e.(*aggregate); ok {
		return []*aggregate{a}
	}
	var found []*aggregate
	for _, part := range e.parts() {
		found = append(found, findAggregates(part)...)
	}
	return found
}

// grouped reports whether rows melt into groups.
func (q *query) grouped() bool { return len(q.aggregates) > 0 || len(q.groupBy) > 0 }

// bindSources calls use for every combination of the sources, as JOIN does.
func (q *query) bindSources(r *row, from []source, use func(*row)) {
	if len(from) == 0 {
		use(r)
		return
	}
	if from[0].plain() {
		if r.slots[from[0].slot] = from[0].over.eval(r); r.slots[from[0].slot].Kind() != value.Undefined {
			q.bindSources(r, from[1:], use)
		}
		return
	}
	for _, v := range from[0].values(r) {
		r.slots[from[0].slot] = v
		q.bindSources(r, from[1:], use)
	}
}

// plain tells a source that is one value.
func (s source) plain() bool { return s.sub == nil && !s.iterate }

func (s source) values(r *row) []value.Value {
	if s.sub != nil {
		return s.sub.collect(r)
	}
	if v := s.over.eval(r); v.Kind() == value.Array {
		return v.Items()
	}
	return nil
}

// matches calls use for every row of the sources that the WHERE clause lets through.
func (q *query) matches(r *row, use func(*row)) {
	q.bindSources(r, q.from, func(r *row) {
		if q.where == nil || q.where.eval(r).IsTrue() {
			use(r)
		}
	})
}

// project is the SELECT clause; undefined means that the row has no result.
func (q *query) project(r *row) value.Value {
	if q.star {
		return r.slots[q.from[0].slot]
	}
	if q.value != nil {
		return q.value.eval(r)
	}
	names := make([]string, 0, len(q.items))
	values := make([]value.Value, 0, len(q.items))
	unnamed := 0
	for _, item := range q.items {
		name := item.name
		if name == "" {
			unnamed++
			name = fmt.Sprintf("$%d", unnamed)
		}
		if v := item.expr.eval(r); v.Kind() != value.Undefined {
			names, values = append(names, name), append(values, v)
		}
	}
	return value.OfObject(names, values)
}

// collect runs the query inside a row, for subqueries: everything at once.
func (q *query) collect(r *row) []value.Value {
	c := newCollector(q, r.params)
	q.matches(r, c.add)
	return c.results(r)
}

// pathOf tells the steps of c.a.b or c["a"]["b"] when e is such a path of at least one step over a name.
func pathOf(e expr) ([]string, bool) {
	var steps []string
	for {
		switch n := e.(type) {
		case *property:
			steps = append(steps, n.name)
			e = n.of
		case *identifier:
			slices.Reverse(steps)
			return steps, len(steps) > 0
		default:
			return nil, false
		}
	}
}
