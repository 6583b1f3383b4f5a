package sql

import (
	"slices"

	"throughline/infra/local/cosmosdb/value"
)

// collector gathers the rows of one query and, at the end, groups, sorts, makes distinct and cuts them.
type collector struct {
	q      *query
	params []value.Value
	rows   []collected
	groups map[string]*group
	order  []string
}

type collected struct {
	keys   []value.Value
	result value.Value
}

type group struct {
	slots []value.Value
	sums  []accumulator
}

func newCollector(q *query, params []value.Value) *collector {
	return &collector{q: q, params: params, groups: map[string]*group{}}
}

func (c *collector) add(r *row) {
	if c.q.grouped() {
		c.addToGroup(r)
		return
	}
	result := c.q.project(r)
	if result.Kind() == value.Undefined {
		return
	}
	keys := make([]value.Value, len(c.q.orderBy))
	for i, o := range c.q.orderBy {
		keys[i] = o.expr.eval(r)
	}
	c.rows = append(c.rows, collected{keys, result})
}

func (c *collector) addToGroup(r *row) {
	var key []byte
	for _, e := range c.q.groupBy {
		key = append(e.eval(r).Append(key), 0)
	}
	g := c.groups[string(key)]
	if g == nil {
		g = c.newGroup(r)
		c.groups[string(key)] = g
		c.order = append(c.order, string(key))
	}
	for i, a := range c.q.aggregates {
		g.sums[i].add(a.of.eval(r))
	}
}

func (c *collector) newGroup(r *row) *group {
	g := &group{slots: slices.Clone(r.slots), sums: make([]accumulator, len(c.q.aggregates))}
	for i, a := range c.q.aggregates {
		g.sums[i].name = a.name
	}
	return g
}

// results ends the collection. outer gives the slots for a query over no rows at all.
func (c *collector) results(outer *row) []value.Value {
	if c.q.grouped() {
		c.finishGroups(outer)
	}
	sortRows(c.rows, c.q.orderBy)
	results := make([]value.Value, 0, len(c.rows))
	for _, r := range c.rows {
		results = append(results, r.result)
	}
	if c.q.distinct {
		results = Distinct(results)
	}
	return c.cut(results, outer)
}

func (c *collector) finishGroups(outer *row) {
	if len(c.order) == 0 && len(c.q.groupBy) == 0 {
		c.groups[""] = c.newGroup(outer)
		c.order = append(c.order, "")
	}
	for _, key := range c.order {
		g := c.groups[key]
		r := &row{slots: g.slots, params: c.params, aggregates: make([]value.Value, len(g.sums))}
		for i := range g.sums {
			r.aggregates[i] = g.sums[i].result()
		}
		if v := c.q.project(r); v.Kind() != value.Undefined {
			c.rows = append(c.rows, collected{result: v})
		}
	}
}

func (c *collector) cut(results []value.Value, r *row) []value.Value {
	if c.q.offset != nil {
		results = results[min(asCount(c.q.offset.eval(r)), len(results)):]
		results = results[:min(asCount(c.q.limit.eval(r)), len(results))]
	}
	if c.q.top != nil {
		results = results[:min(asCount(c.q.top.eval(r)), len(results))]
	}
	return results
}

func asCount(v value.Value) int {
	return int(max(0, min(v.Float(), 1<<31-1)))
}

func sortRows(rows []collected, order []orderItem) {
	slices.SortStableFunc(rows, func(a, b collected) int {
		for i, o := range order {
			if c := value.Compare(a.keys[i], b.keys[i]); c != 0 {
				if o.descending {
					return -c
				}
				return c
			}
		}
		return 0
	})
}

// Distinct keeps the first of equal values; objects are equal whatever the order of their properties.
func Distinct(values []value.Value) []value.Value {
	seen := map[string][]value.Value{}
	var kept []value.Value
next:
	for _, v := range values {
		key := fingerprint(v)
		for _, old := range seen[key] {
			if value.Equal(v, old) {
				continue next
			}
		}
		seen[key] = append(seen[key], v)
		kept = append(kept, v)
	}
	return kept
}

// fingerprint is equal for equal values; unequal objects may share it.
func fingerprint(v value.Value) string {
	switch v.Kind() {
	case value.Object:
		names := slices.Clone(v.Names())
		slices.Sort(names)
		var b []byte
		for _, n := range names {
			b = value.AppendString(b, n)
			b = append(b, fingerprint(v.Get(n))...)
		}
		return "{" + string(b)
	case value.Array:
		s := "["
		for _, item := range v.Items() {
			s += fingerprint(item) + ","
		}
		return s
	case value.Number:
		return string(value.AppendNumber(nil, v.Float()))
	}
	return v.JSON()
}
