// Package sql reads and evaluates the query language of Azure Cosmos DB.
//
// Parse turns a text into a Statement, Bind adds the parameters, and the Query that results is asked: which documents
// match, what they give, and what of it a store could answer by itself (Plan). Everything undefined stays undefined:
// a comparison of what is not there is neither true nor false.
//
// As Cosmos DB: SELECT with *, VALUE, projections, DISTINCT, TOP; FROM with aliases, paths, IN and JOIN; WHERE; GROUP BY;
// ORDER BY over paths; OFFSET LIMIT; parameters; subqueries (scalar, EXISTS, ARRAY); the operators; the aggregates COUNT,
// SUM, AVG, MIN, MAX; the functions listed in functions.go.
//
// Not here: user-defined functions, spatial, vector and date arithmetic functions, ranked full text. They are refused
// as unknown, never ignored.
package sql

import (
	"errors"
	"fmt"

	"throughline/infra/local/cosmosdb/value"
)

// ErrSyntax is wrapped by every error of Parse and Bind: the query is the caller's mistake.
var ErrSyntax = errors.New("query refused")

// Statement is a parsed query. It does not change and may be shared.
type Statement struct {
	query  *query
	params []string
	slots  int
}

// maxQuery is the length that Cosmos DB accepts.
const maxQuery = 512 << 10

// Parse reads a query. What it cannot read, or does not know, is an error that wraps ErrSyntax.
func Parse(text string) (*Statement, error) {
	if len(text) > maxQuery {
		return nil, fmt.Errorf("%w: the query is longer than %d bytes", ErrSyntax, maxQuery)
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, slots: 1}
	q, err := p.query()
	if err != nil {
		return nil, err
	}
	if p.peek().kind != tokenEnd {
		return nil, p.wrong()
	}
	return &Statement{q, p.params, p.slots}, nil
}

// ParseCondition reads the condition of a patch, `from c where …`.
func ParseCondition(text string) (*Statement, error) {
	return Parse("SELECT * " + text)
}

// Bind gives the parameters, named with their @. One that the query uses and params lacks is an error.
func (s *Statement) Bind(params map[string]value.Value) (*Query, error) {
	b := &Query{query: s.query, slots: s.slots, params: make([]value.Value, len(s.params))}
	for i, name := range s.params {
		v, ok := params[name]
		if !ok {
			return nil, fmt.Errorf("%w: The query parameter '%s' is not provided", ErrSyntax, name)
		}
		b.params[i] = v
	}
	for _, e := range []expr{s.query.top, s.query.offset, s.query.limit} {
		if e == nil {
			continue
		}
		if v := e.eval(b.row(value.Value{})); v.Kind() != value.Number || v.Float() < 0 || v.Float() != float64(int64(v.Float())) {
			return nil, fmt.Errorf("%w: TOP, OFFSET and LIMIT take a non-negative integer", ErrSyntax)
		}
	}
	return b, nil
}

// Query is a statement with its parameters. It does not change and may be shared.
type Query struct {
	query  *query
	slots  int
	params []value.Value
}

func (b *Query) row(doc value.Value) *row {
	r := &row{slots: make([]value.Value, b.slots), params: b.params}
	r.slots[documentSlot] = doc
	return r
}

// Matches reports whether the document gives at least one row.
func (b *Query) Matches(doc value.Value) bool {
	found := false
	b.query.matches(b.row(doc), func(*row) { found = true })
	return found
}

// Reader evaluates a query without aggregates on one document after the other. One goroutine uses it.
type Reader struct {
	query *query
	row   *row
}

// Reader begins such an evaluation.
func (b *Query) Reader() *Reader { return &Reader{query: b.query, row: b.row(value.Value{})} }

// Rows calls yield for each row of the document, with the values that ORDER BY sorts by and the result of SELECT.
func (r *Reader) Rows(doc value.Value, yield func(keys []value.Value, result value.Value)) {
	r.row.slots[documentSlot] = doc
	r.query.matches(r.row, func(row *row) {
		result := r.query.project(row)
		if result.Kind() == value.Undefined {
			return
		}
		var keys []value.Value
		if len(r.query.orderBy) > 0 {
			keys = make([]value.Value, len(r.query.orderBy))
			for i, o := range r.query.orderBy {
				keys[i] = o.expr.eval(row)
			}
		}
		yield(keys, result)
	})
}

// Run is one complete evaluation over documents given one by one.
type Run struct {
	query     *Query
	collector *collector
}

// Start begins an evaluation.
func (b *Query) Start() *Run {
	return &Run{b, newCollector(b.query, b.params)}
}

// Add evaluates one document. A query without FROM has its single row at the end instead.
func (r *Run) Add(doc value.Value) {
	if len(r.query.query.from) > 0 {
		r.query.query.matches(r.query.row(doc), r.collector.add)
	}
}

// Results ends the evaluation: grouped, sorted (ties in the order of Add), distinct, cut by TOP or OFFSET LIMIT.
func (r *Run) Results() []value.Value {
	empty := r.query.row(value.Value{})
	if len(r.query.query.from) == 0 {
		r.query.query.matches(empty, r.collector.add)
	}
	return r.collector.results(empty)
}
