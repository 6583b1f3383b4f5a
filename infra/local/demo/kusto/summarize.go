package kusto

import "fmt"

// summarize knows count(), countif(), dcount(), min(), max(), sum(), make_set(), make_list() and any()/take_any().
func (p *parser) summarize() (operator, error) {
	var aggregates, by []column
	var err error
	if p.token.text != "by" {
		if aggregates, err = p.list(); err != nil {
			return operator{}, err
		}
	}
	if p.token.text == "by" {
		if err = p.next(); err != nil {
			return operator{}, err
		}
		if by, err = p.list(); err != nil {
			return operator{}, err
		}
	}
	for _, a := range aggregates {
		if c, isCall := a.expr.(call); !isCall || folds[c.name] == nil {
			return operator{}, fmt.Errorf("summarize: %q is not an aggregate", a.expr.label(0))
		}
	}
	return operator{name: "summarize", whole: func(rows []Row) []Row { return group(rows, aggregates, by) }}, nil
}

func group(rows []Row, aggregates, by []column) []Row {
	groups := map[string][]Row{}
	heads := map[string]Row{}
	var keys []string
	for _, r := range rows {
		head := Row{}
		for _, c := range by {
			head[c.name] = c.expr.eval(r)
		}
		k := fmt.Sprint(head)
		if _, known := heads[k]; !known {
			heads[k] = head
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], r)
	}
	if len(by) == 0 && len(rows) == 0 {
		keys, heads[""] = []string{""}, Row{}
	}
	var out []Row
	for _, k := range keys {
		r := heads[k]
		for _, a := range aggregates {
			c := a.expr.(call)
			r[a.name] = folds[c.name](groups[k], c.args)
		}
		out = append(out, r)
	}
	return out
}

var folds = map[string]func([]Row, []node) any{
	"count": func(rows []Row, _ []node) any { return float64(len(rows)) },
	"countif": func(rows []Row, args []node) any {
		n := 0.0
		for _, r := range rows {
			if truth(args[0].eval(r)) {
				n++
			}
		}
		return n
	},
	"dcount": func(rows []Row, args []node) any { return float64(len(set(rows, args))) },
	"min":    func(rows []Row, args []node) any { return extreme(rows, args, -1) },
	"max":    func(rows []Row, args []node) any { return extreme(rows, args, 1) },
	"sum": func(rows []Row, args []node) any {
		sum := 0.0
		for _, r := range rows {
			if f, isNumber := number(args[0].eval(r)); isNumber {
				sum += f
			}
		}
		return sum
	},
	"make_set": func(rows []Row, args []node) any { return set(rows, args) },
	"make_list": func(rows []Row, args []node) any {
		out := []any{}
		for _, r := range rows {
			if v := args[0].eval(r); v != nil {
				out = append(out, v)
			}
		}
		return out
	},
	"any":      first,
	"take_any": first,
}

func first(rows []Row, args []node) any {
	for _, r := range rows {
		if v := args[0].eval(r); v != nil {
			return v
		}
	}
	return nil
}

func set(rows []Row, args []node) []any {
	out := []any{}
	seen := map[string]bool{}
	for _, r := range rows {
		v := args[0].eval(r)
		if k := fmt.Sprint(v); v != nil && !seen[k] {
			seen[k] = true
			out = append(out, v)
		}
	}
	return out
}

func extreme(rows []Row, args []node, sign int) any {
	var best any
	for _, r := range rows {
		if v := args[0].eval(r); v != nil && (best == nil || order(v, best)*sign > 0) {
			best = v
		}
	}
	return best
}
