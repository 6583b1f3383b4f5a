package sql

import (
	"fmt"

	"throughline/infra/local/cosmosdb/value"
)

// aggregate is COUNT, SUM, AVG, MIN or MAX over the rows of a group.
type aggregate struct {
	name  string
	of    expr
	place int
}

func (a *aggregate) eval(r *row) value.Value {
	if a.place < len(r.aggregates) {
		return r.aggregates[a.place]
	}
	return value.Value{}
}
func (a *aggregate) parts() []expr { return []expr{a.of} }

func newAggregate(name string, args []expr) (expr, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("%w: The %s function requires 1 argument(s)", ErrSyntax, name)
	}
	if len(findAggregates(args[0])) > 0 {
		return nil, fmt.Errorf("%w: an aggregate cannot stand inside another one", ErrSyntax)
	}
	return &aggregate{name: name, of: args[0]}, nil
}

// accumulator folds values. A value of a wrong kind makes SUM and AVG undefined; undefined values do not count.
type accumulator struct {
	name  string
	count float64
	sum   float64
	best  value.Value
	wrong bool
}

func (a *accumulator) add(v value.Value) {
	if v.Kind() == value.Undefined {
		return
	}
	a.count++
	switch a.name {
	case "SUM", "AVG":
		a.wrong = a.wrong || v.Kind() != value.Number
		a.sum += v.Float()
	case "MIN", "MAX":
		a.wrong = a.wrong || v.Kind() >= value.Array
		if c := value.Compare(v, a.best); a.count == 1 || a.name == "MIN" && c < 0 || a.name == "MAX" && c > 0 {
			a.best = v
		}
	}
}

func (a *accumulator) result() value.Value {
	switch {
	case a.name == "COUNT":
		return value.OfNumber(a.count)
	case a.wrong:
		return value.Value{}
	case a.name == "SUM":
		return value.OfNumber(a.sum)
	case a.name == "AVG":
		return value.OfNumber(a.sum / a.count)
	}
	return a.best
}
