package sql

import (
	"math"

	"throughline/infra/local/cosmosdb/value"
)

// expr is one node of the tree. eval never fails: what makes no sense is undefined, as in Cosmos DB.
type expr interface {
	eval(r *row) value.Value
	parts() []expr
}

// documentSlot is where a row holds the document itself.
const documentSlot = 0

// row is what an expression sees: the values of the names in the FROM clause, the parameters, the finished aggregates.
type row struct {
	slots      []value.Value
	params     []value.Value
	aggregates []value.Value
}

type literal struct{ v value.Value }

func (l literal) eval(*row) value.Value { return l.v }
func (literal) parts() []expr           { return nil }

type parameter struct{ place int }

func (p parameter) eval(r *row) value.Value { return r.params[p.place] }
func (parameter) parts() []expr             { return nil }

type identifier struct {
	name string
	slot int
}

func (i *identifier) eval(r *row) value.Value { return r.slots[i.slot] }
func (*identifier) parts() []expr             { return nil }

type property struct {
	of   expr
	name string
}

func (p *property) eval(r *row) value.Value { return p.of.eval(r).Get(p.name) }
func (p *property) parts() []expr           { return []expr{p.of} }

type index struct{ of, key expr }

func (i *index) eval(r *row) value.Value {
	of, key := i.of.eval(r), i.key.eval(r)
	switch {
	case key.Kind() == value.String:
		return of.Get(key.Text())
	case key.Kind() == value.Number && key.Float() == math.Trunc(key.Float()) && math.Abs(key.Float()) < 1e9:
		return of.At(int(key.Float()))
	}
	return value.Value{}
}
func (i *index) parts() []expr { return []expr{i.of, i.key} }

type coalesce struct{ left, right expr }

func (c *coalesce) eval(r *row) value.Value {
	if v := c.left.eval(r); v.Kind() != value.Undefined {
		return v
	}
	return c.right.eval(r)
}
func (c *coalesce) parts() []expr { return []expr{c.left, c.right} }

type conditional struct{ test, yes, no expr }

func (c *conditional) eval(r *row) value.Value {
	if c.test.eval(r).IsTrue() {
		return c.yes.eval(r)
	}
	return c.no.eval(r)
}
func (c *conditional) parts() []expr { return []expr{c.test, c.yes, c.no} }

// logical is AND or OR in three values: true, false and anything else.
type logical struct {
	left, right expr
	or          bool
}

func (l *logical) eval(r *row) value.Value {
	a := l.left.eval(r)
	if a.Kind() == value.Bool && a.IsTrue() == l.or {
		return a
	}
	b := l.right.eval(r)
	if b.Kind() == value.Bool && (b.IsTrue() == l.or || a.Kind() == value.Bool) {
		return b
	}
	return value.Value{}
}
func (l *logical) parts() []expr { return []expr{l.left, l.right} }

type negation struct{ of expr }

func (n *negation) eval(r *row) value.Value {
	if v := n.of.eval(r); v.Kind() == value.Bool {
		return value.OfBool(!v.IsTrue())
	}
	return value.Value{}
}
func (n *negation) parts() []expr { return []expr{n.of} }

type comparison struct {
	op          string
	left, right expr
}

func (c *comparison) eval(r *row) value.Value { return compare(c.op, c.left.eval(r), c.right.eval(r)) }
func (c *comparison) parts() []expr           { return []expr{c.left, c.right} }

// compare gives undefined when a side is undefined. Values of different kinds are not equal, so that c.a != null finds
// every a that is there; to ask which is greater is undefined, as it is for arrays and objects. Microsoft's
// documentation calls (in)equality of different kinds undefined as well; its own reference evaluator, and the
// common use of != null, say otherwise.
func compare(op string, a, b value.Value) value.Value {
	if a.Kind() == value.Undefined || b.Kind() == value.Undefined {
		return value.Value{}
	}
	switch op {
	case "=":
		return value.OfBool(value.Equal(a, b))
	case "!=":
		return value.OfBool(!value.Equal(a, b))
	}
	if a.Kind() != b.Kind() || a.Kind() >= value.Array {
		return value.Value{}
	}
	c := value.Compare(a, b)
	switch op {
	case "<":
		return value.OfBool(c < 0)
	case "<=":
		return value.OfBool(c <= 0)
	case ">":
		return value.OfBool(c > 0)
	}
	return value.OfBool(c >= 0)
}

// membership is IN: undefined when its subject is; what is undefined in the list equals nothing.
type membership struct {
	subject expr
	list    []expr
}

func (m *membership) eval(r *row) value.Value {
	subject := m.subject.eval(r)
	if subject.Kind() == value.Undefined {
		return value.Value{}
	}
	for _, e := range m.list {
		if is := compare("=", subject, e.eval(r)); is.IsTrue() {
			return is
		}
	}
	return value.OfBool(false)
}
func (m *membership) parts() []expr { return append([]expr{m.subject}, m.list...) }

type arithmetic struct {
	op          string
	left, right expr
}

func (a *arithmetic) eval(r *row) value.Value {
	left, right := a.left.eval(r), a.right.eval(r)
	if a.op == "||" {
		if left.Kind() != value.String || right.Kind() != value.String {
			return value.Value{}
		}
		return value.OfString(left.Text() + right.Text())
	}
	if left.Kind() != value.Number || right.Kind() != value.Number {
		return value.Value{}
	}
	return value.OfNumber(calculate(a.op, left.Float(), right.Float()))
}
func (a *arithmetic) parts() []expr { return []expr{a.left, a.right} }

func calculate(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	}
	x, y := bits(a), bits(b)
	switch op {
	case "|":
		return float64(x | y)
	case "^":
		return float64(x ^ y)
	case "&":
		return float64(x & y)
	case "<<":
		return float64(x << (uint32(y) & 31))
	case ">>":
		return float64(x >> (uint32(y) & 31))
	}
	return float64(uint32(x) >> (uint32(y) & 31))
}

// bits is the 32-bit integer that JavaScript's operators take from a number.
func bits(f float64) int32 {
	if math.Abs(f) >= 1<<53 {
		return 0
	}
	return int32(uint32(int64(f)))
}

type unary struct {
	op string
	of expr
}

func (u *unary) eval(r *row) value.Value {
	v := u.of.eval(r)
	if v.Kind() != value.Number {
		return value.Value{}
	}
	switch u.op {
	case "-":
		return value.OfNumber(-v.Float())
	case "~":
		return value.OfNumber(float64(^bits(v.Float())))
	}
	return value.OfNumber(v.Float())
}
func (u *unary) parts() []expr { return []expr{u.of} }

type arrayLiteral struct{ items []expr }

func (a *arrayLiteral) eval(r *row) value.Value {
	items := make([]value.Value, 0, len(a.items))
	for _, e := range a.items {
		if v := e.eval(r); v.Kind() != value.Undefined {
			items = append(items, v)
		}
	}
	return value.OfArray(items)
}
func (a *arrayLiteral) parts() []expr { return a.items }

type objectLiteral struct {
	names  []string
	values []expr
}

func (o *objectLiteral) eval(r *row) value.Value {
	v := value.OfObject(nil, nil)
	for i, e := range o.values {
		v = v.With(o.names[i], e.eval(r))
	}
	return v
}
func (o *objectLiteral) parts() []expr { return o.values }

// subquery is EXISTS(…), ARRAY(…) or a scalar (…).
type subquery struct {
	query *query
	form  string
}

func (s *subquery) eval(r *row) value.Value {
	results := s.query.collect(r)
	switch s.form {
	case "EXISTS":
		return value.OfBool(len(results) > 0)
	case "ARRAY":
		return value.OfArray(results)
	}
	if len(results) == 0 {
		return value.Value{}
	}
	return results[0]
}
func (s *subquery) parts() []expr { return nil }

type like struct {
	subject, pattern expr
	escape           rune
}

func (l *like) eval(r *row) value.Value {
	subject, pattern := l.subject.eval(r), l.pattern.eval(r)
	if subject.Kind() != value.String || pattern.Kind() != value.String {
		return value.Value{}
	}
	return value.OfBool(matchLike([]rune(subject.Text()), []rune(pattern.Text()), l.escape))
}
func (l *like) parts() []expr { return []expr{l.subject, l.pattern} }
