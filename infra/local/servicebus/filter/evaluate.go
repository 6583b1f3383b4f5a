package filter

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// ErrEvaluation is wrapped when a condition or action cannot be carried out on a message.
var ErrEvaluation = errors.New("the rule cannot be evaluated")

// Message gives and takes properties; scope is "sys" or "user".
type Message interface {
	Property(scope, name string) (value any, ok bool)
	SetProperty(scope, name string, value any) error
	RemoveProperty(scope, name string)
}

// Match tells whether the condition is true for m; parameters are named with their @.
func (c *Condition) Match(m Message, parameters map[string]any) (bool, error) {
	v, err := c.root.eval(scopeOf{m, parameters})
	b, ok := v.(bool)
	return ok && b, err
}

// Run carries the action out on m.
func (a *Action) Run(m Message, parameters map[string]any) error {
	for _, s := range a.steps {
		if s.value == nil {
			m.RemoveProperty(s.target.scope, s.target.name)
			continue
		}
		v, err := s.value.eval(scopeOf{m, parameters})
		if err != nil {
			return err
		}
		if err := m.SetProperty(s.target.scope, s.target.name, v); err != nil {
			return fmt.Errorf("%w: %w", ErrEvaluation, err)
		}
	}
	return nil
}

type scopeOf struct {
	m          Message
	parameters map[string]any
}

// expression evaluates to a value; nil is unknown.
type expression interface {
	eval(s scopeOf) (any, error)
}

type constant struct{ v any }

func (c constant) eval(scopeOf) (any, error) { return c.v, nil }

type variable struct{ name string }

func (v variable) eval(s scopeOf) (any, error) {
	x, ok := s.parameters[v.name]
	if !ok {
		return nil, fmt.Errorf("%w: the parameter %s has no value", ErrEvaluation, v.name)
	}
	return x, nil
}

type property struct{ scope, name string }

func (p property) eval(s scopeOf) (any, error) {
	v, _ := s.m.Property(p.scope, p.name)
	return v, nil
}

type exists struct{ p property }

func (e exists) eval(s scopeOf) (any, error) {
	_, ok := s.m.Property(e.p.scope, e.p.name)
	return ok, nil
}

type isNull struct{ e expression }

func (n isNull) eval(s scopeOf) (any, error) {
	v, err := n.e.eval(s)
	return v == nil, err
}

type negation struct{ e expression }

func (n negation) eval(s scopeOf) (any, error) {
	v, err := n.e.eval(s)
	if b, ok := v.(bool); ok {
		return !b, err
	}
	return nil, err
}

type logic struct {
	and         bool
	left, right expression
}

// eval is Kleene's: what decides alone decides even beside the unknown.
func (l logic) eval(s scopeOf) (any, error) {
	a, err := l.left.eval(s)
	if err != nil {
		return nil, err
	}
	if x, ok := a.(bool); ok && x != l.and {
		return x, nil
	}
	b, err := l.right.eval(s)
	if err != nil {
		return nil, err
	}
	y, ok := b.(bool)
	switch {
	case ok && y != l.and:
		return y, nil
	case ok && a != nil:
		return l.and, nil
	}
	return nil, nil
}

type compare struct {
	op          string
	left, right expression
}

func (c compare) eval(s scopeOf) (any, error) {
	a, err := c.left.eval(s)
	if err != nil {
		return nil, err
	}
	b, err := c.right.eval(s)
	if err != nil {
		return nil, err
	}
	order, ok := relate(a, b)
	if !ok {
		if a != nil && b != nil && (c.op == "<>" || c.op == "!=") {
			return true, nil // of different kinds
		}
		return nil, nil
	}
	switch c.op {
	case "=":
		return order == 0, nil
	case "<>", "!=":
		return order != 0, nil
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

// relate orders two values; ok is false when they cannot be compared.
func relate(a, b any) (order int, ok bool) {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	case bool:
		y, ok := b.(bool)
		if x == y {
			return 0, ok
		}
		if !x {
			return -1, ok
		}
		return 1, ok
	case time.Time:
		y, ok := b.(time.Time)
		return x.Compare(y), ok
	case int64:
		if y, ok := b.(int64); ok {
			return threeWay(x, y), true
		}
	}
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	return threeWay(x, y), okX && okY
}

func threeWay[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// Equal tells whether two values are the same, numbers by their size.
func Equal(a, b any) bool {
	order, ok := relate(a, b)
	return ok && order == 0
}

type member struct {
	value expression
	list  []expression
}

func (m member) eval(s scopeOf) (any, error) {
	v, err := m.value.eval(s)
	if err != nil || v == nil {
		return nil, err
	}
	for _, e := range m.list {
		x, err := e.eval(s)
		if err != nil {
			return nil, err
		}
		if Equal(v, x) {
			return true, nil
		}
	}
	return false, nil
}

type calculation struct {
	op          byte
	left, right expression
}

func (c calculation) eval(s scopeOf) (any, error) {
	a, err := c.left.eval(s)
	if err != nil {
		return nil, err
	}
	b, err := c.right.eval(s)
	if err != nil || a == nil || b == nil {
		return nil, err
	}
	if x, ok := a.(string); ok && c.op == '+' {
		if y, ok := b.(string); ok {
			return x + y, nil
		}
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return integers(c.op, x, y)
		}
	}
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	if !okX || !okY {
		return nil, fmt.Errorf("%w: %T %c %T", ErrEvaluation, a, c.op, b)
	}
	return floats(c.op, x, y), nil
}

func integers(op byte, x, y int64) (any, error) {
	switch op {
	case '+':
		return x + y, nil
	case '-':
		return x - y, nil
	case '*':
		return x * y, nil
	}
	if y == 0 {
		return nil, fmt.Errorf("%w: division by zero", ErrEvaluation)
	}
	if op == '/' {
		return x / y, nil
	}
	return x % y, nil
}

func floats(op byte, x, y float64) any {
	switch op {
	case '+':
		return x + y
	case '-':
		return x - y
	case '*':
		return x * y
	case '/':
		return x / y
	}
	return math.Mod(x, y)
}

type like struct {
	value, pattern, escape expression
}

func (l like) eval(s scopeOf) (any, error) {
	v, err := l.value.eval(s)
	if err != nil {
		return nil, err
	}
	p, err := l.pattern.eval(s)
	if err != nil {
		return nil, err
	}
	escape := any("")
	if l.escape != nil {
		if escape, err = l.escape.eval(s); err != nil {
			return nil, err
		}
	}
	value, okV := v.(string)
	pattern, okP := p.(string)
	mark, okE := escape.(string)
	if !okV || !okP || !okE {
		return nil, nil
	}
	parts, err := wildcards(pattern, mark)
	if err != nil {
		return nil, err
	}
	return matches([]rune(value), parts), nil
}

// any and one are the wildcards; they are no characters.
const (
	anyRunes rune = -1 - iota
	oneRune
)

func wildcards(pattern, escape string) ([]rune, error) {
	var out []rune
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			out, escaped = append(out, r), false
		case escape != "" && string(r) == escape:
			escaped = true
		case r == '%':
			out = append(out, anyRunes)
		case r == '_':
			out = append(out, oneRune)
		default:
			out = append(out, r)
		}
	}
	if escaped {
		return nil, fmt.Errorf("%w: the pattern ends in its escape", ErrEvaluation)
	}
	return out, nil
}

// matches goes back to the last % when a character does not fit.
func matches(value, pattern []rune) bool {
	v, p, star, mark := 0, 0, -1, 0
	for v < len(value) {
		switch {
		case p < len(pattern) && pattern[p] == anyRunes:
			star, mark = p, v
			p++
		case p < len(pattern) && (pattern[p] == oneRune || pattern[p] == value[v]):
			v, p = v+1, p+1
		case star >= 0:
			mark++
			v, p = mark, star+1
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyRunes {
		p++
	}
	return p == len(pattern)
}
