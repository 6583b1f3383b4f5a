// Package kusto reads and runs the part of the Kusto query language that people use with Azure Resource Graph.
//
// A query is a table and a pipeline of where, extend, project, project-away, mv-expand, order by, take, distinct,
// summarize and count. Expressions have property paths, string and number comparison with Kusto's operators (==, =~, in,
// in~, contains, has, startswith, endswith and their negations), and the functions listed in functions.go. Property names
// are case-sensitive, as they are in Azure. Joins, unions and let are not understood and are an error, never a guess.
package kusto

import (
	"encoding/json"
	"fmt"
	"iter"
	"sort"
	"strings"
)

// Row is one row: column names and values (nil, bool, float64, string, time.Time, []any, map[string]any, Lazy).
type Row = map[string]any

// Lazy is a value that costs something to make, inside a bag. It is made when an expression reads it or when it is
// rendered as JSON, and not where a row is filtered out before.
type Lazy func() any

// MarshalJSON renders the value.
func (l Lazy) MarshalJSON() ([]byte, error) { return json.Marshal(l()) }

// Query is a parsed query. It holds no state and may be run many times at once.
type Query struct {
	Table string // lower case
	steps []operator
}

// operator turns rows into rows. A streaming one sees each row alone; the others need them all.
type operator struct {
	name   string
	stream func(Row) []Row
	whole  func([]Row) []Row
	source []condition // where: what must hold of a plain column
}

type condition struct {
	column string
	values []string // lower case
}

// Parse reads a query. Errors say where and what.
func Parse(text string) (*Query, error) {
	p := &parser{lexer: lexer{text: text}}
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.token.kind != name {
		return nil, p.unexpected("a table")
	}
	q := &Query{Table: strings.ToLower(p.token.text)}
	if err := p.next(); err != nil {
		return nil, err
	}
	for p.token.kind != end {
		if err := p.expect("|"); err != nil {
			return nil, err
		}
		o, err := p.operator()
		if err != nil {
			return nil, err
		}
		q.steps = append(q.steps, o)
	}
	return q, nil
}

// Equal gives the values that a column of the table must have by the where steps that open the pipeline, in lower case;
// false when they leave it open. It lets a table skip rows that cannot fit.
func (q *Query) Equal(column string) ([]string, bool) {
	for _, s := range q.steps {
		if s.name != "where" {
			return nil, false
		}
		for _, c := range s.source {
			if c.column == column {
				return c.values, true
			}
		}
	}
	return nil, false
}

// Streams tells whether rows can be handed out while the table is still being read: no step needs them all (but for an
// order by id, which is the order of the table itself), and none makes several of one.
func (q *Query) Streams() bool {
	for _, s := range q.steps {
		if s.stream == nil && s.name != "order by id" || s.name == "mv-expand" {
			return false
		}
	}
	return true
}

// Limited tells whether the query itself cuts its result, which switches paging off.
func (q *Query) Limited() bool {
	for _, s := range q.steps {
		if s.name == "take" {
			return true
		}
	}
	return false
}

// Stream runs a streaming query on one row of the table.
func (q *Query) Stream(r Row) []Row {
	rows := []Row{r}
	for _, s := range q.steps {
		if s.stream == nil {
			continue
		}
		var out []Row
		for _, r := range rows {
			out = append(out, s.stream(r)...)
		}
		if rows = out; len(rows) == 0 {
			return nil
		}
	}
	return rows
}

// Run runs the query over a table.
func (q *Query) Run(table iter.Seq[Row]) []Row {
	head := 0
	for head < len(q.steps) && q.steps[head].stream != nil {
		head++
	}
	first := &Query{steps: q.steps[:head]}
	var rows []Row
	for r := range table {
		rows = append(rows, first.Stream(r)...)
	}
	for _, s := range q.steps[head:] {
		if s.whole != nil {
			rows = s.whole(rows)
			continue
		}
		var out []Row
		for _, r := range rows {
			out = append(out, s.stream(r)...)
		}
		rows = out
	}
	return rows
}

func (p *parser) operator() (operator, error) {
	word := p.token.text
	if err := p.next(); err != nil {
		return operator{}, err
	}
	switch word {
	case "where", "filter":
		return p.where()
	case "extend":
		return p.columns(true)
	case "project":
		return p.columns(false)
	case "project-away":
		return p.projectAway()
	case "mv-expand":
		return p.expand()
	case "order", "sort":
		return p.order()
	case "take", "limit":
		return p.take()
	case "distinct":
		return p.distinct()
	case "summarize":
		return p.summarize()
	case "count":
		return operator{name: "count", whole: func(rows []Row) []Row { return []Row{{"Count": float64(len(rows))}} }}, nil
	}
	return operator{}, fmt.Errorf("the operator %q is not supported", word)
}

func (p *parser) where() (operator, error) {
	e, err := p.expression()
	if err != nil {
		return operator{}, err
	}
	return operator{name: "where", source: e.conditions(), stream: func(r Row) []Row {
		if truth(e.eval(r)) {
			return []Row{r}
		}
		return nil
	}}, nil
}

type column struct {
	name string
	expr node
}

// list reads name = expression, ... ; a bare path takes the name that Kusto gives it.
func (p *parser) list() ([]column, error) {
	var out []column
	for {
		var c column
		if p.token.kind == name && p.peek() == "=" {
			c.name = p.token.text
			if err := p.skip(2); err != nil {
				return nil, err
			}
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		c.expr = e
		if c.name == "" {
			c.name = e.label(len(out))
		}
		out = append(out, c)
		if p.token.text != "," {
			return out, nil
		}
		if err := p.next(); err != nil {
			return nil, err
		}
	}
}

func (p *parser) columns(keep bool) (operator, error) {
	list, err := p.list()
	if err != nil {
		return operator{}, err
	}
	return operator{name: "project", stream: func(r Row) []Row {
		out := Row{}
		if keep {
			for k, v := range r {
				out[k] = v
			}
		}
		for _, c := range list {
			out[c.name] = c.expr.eval(r)
			if keep {
				r = out // later columns of an extend see earlier ones
			}
		}
		return []Row{out}
	}}, nil
}

func (p *parser) projectAway() (operator, error) {
	list, err := p.list()
	if err != nil {
		return operator{}, err
	}
	return operator{name: "project-away", stream: func(r Row) []Row {
		out := Row{}
		for k, v := range r {
			out[k] = v
		}
		for _, c := range list {
			delete(out, c.name)
		}
		return []Row{out}
	}}, nil
}

// expand makes a row for each element; a row whose list is empty or missing is dropped, as Kusto does.
func (p *parser) expand() (operator, error) {
	list, err := p.list()
	if err != nil || len(list) != 1 {
		return operator{}, fmt.Errorf("mv-expand takes one column: %w", err)
	}
	c := list[0]
	return operator{name: "mv-expand", stream: func(r Row) []Row {
		var out []Row
		add := func(v any) {
			next := Row{}
			for k, old := range r {
				next[k] = old
			}
			next[c.name] = v
			out = append(out, next)
		}
		switch v := c.expr.eval(r).(type) {
		case []any:
			for _, x := range v {
				add(x)
			}
		case map[string]any:
			for _, k := range sortedKeys(v) {
				add(map[string]any{k: v[k]})
			}
		}
		return out
	}}, nil
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

type sortKey struct {
	expr node
	down bool
}

func (p *parser) order() (operator, error) {
	if err := p.expect("by"); err != nil {
		return operator{}, err
	}
	var keys []sortKey
	label := ""
	for {
		e, err := p.expression()
		if err != nil {
			return operator{}, err
		}
		k := sortKey{expr: e, down: true} // Kusto sorts downwards unless told otherwise
		if p.token.text == "asc" || p.token.text == "desc" {
			k.down = p.token.text == "desc"
			if err := p.next(); err != nil {
				return operator{}, err
			}
		}
		keys, label = append(keys, k), label+e.label(0)
		if p.token.text != "," {
			break
		}
		if err := p.next(); err != nil {
			return operator{}, err
		}
	}
	o := operator{name: "order", whole: sorter(keys)}
	if label == "id" && !keys[0].down {
		o.name = "order by id"
	}
	return o, nil
}

func sorter(keys []sortKey) func([]Row) []Row {
	return func(rows []Row) []Row {
		out := append([]Row(nil), rows...)
		sort.SliceStable(out, func(i, j int) bool {
			for _, k := range keys {
				if c := order(k.expr.eval(out[i]), k.expr.eval(out[j])); c != 0 {
					return (c < 0) != k.down
				}
			}
			return false
		})
		return out
	}
}

func (p *parser) take() (operator, error) {
	e, err := p.expression()
	if err != nil {
		return operator{}, err
	}
	n, isNumber := e.eval(Row{}).(float64)
	if !isNumber || n < 0 {
		return operator{}, fmt.Errorf("take wants a number")
	}
	return operator{name: "take", whole: func(rows []Row) []Row { return rows[:min(int(n), len(rows))] }}, nil
}

func (p *parser) distinct() (operator, error) {
	list, err := p.list()
	if err != nil {
		return operator{}, err
	}
	return operator{name: "distinct", whole: func(rows []Row) []Row {
		var out []Row
		seen := map[string]bool{}
		for _, r := range rows {
			next := Row{}
			for _, c := range list {
				next[c.name] = c.expr.eval(r)
			}
			if k := fmt.Sprint(next); !seen[k] {
				seen[k] = true
				out = append(out, next)
			}
		}
		return out
	}}, nil
}
