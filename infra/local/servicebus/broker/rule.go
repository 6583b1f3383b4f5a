package broker

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"throughline/infra/local/servicebus/filter"
)

// Rule of a subscription: which messages it takes, and how it changes them.
type Rule struct {
	Name    string `json:"name"`
	Filter  Filter `json:"filter"`
	Action  Action `json:"action,omitzero"`
	Created int64  `json:"created,omitempty"`

	condition *filter.Condition
	change    *filter.Action
}

// Filter decides about a message. A filter of a type that is not among the four matches nothing and is kept as
// the XML it came in.
type Filter struct {
	Type        string            `json:"type"`
	Expression  string            `json:"expression,omitempty"`  // of a SqlFilter
	Parameters  []Parameter       `json:"parameters,omitempty"`  // of a SqlFilter
	Correlation map[string]string `json:"correlation,omitempty"` // of a CorrelationFilter: system property to value
	Properties  []Parameter       `json:"properties,omitempty"`  // of a CorrelationFilter
	XML         string            `json:"xml,omitempty"`
}

// Types of filters and actions.
const (
	TrueFilter        = "TrueFilter"
	FalseFilter       = "FalseFilter"
	SQLFilter         = "SqlFilter"
	CorrelationFilter = "CorrelationFilter"
	SQLAction         = "SqlRuleAction"
)

// Action changes the messages that a rule takes; the zero Action changes nothing.
type Action struct {
	Type       string      `json:"type,omitempty"`
	Expression string      `json:"expression,omitempty"`
	Parameters []Parameter `json:"parameters,omitempty"`
	XML        string      `json:"xml,omitempty"`
}

// Parameter is a named value as the administration writes it.
type Parameter struct {
	Name string `json:"name"`
	Type string `json:"type"` // string, int, long, double, boolean, dateTime
	Text string `json:"text"`
}

// DefaultRule matches every message.
func DefaultRule() Rule {
	return Rule{Name: "$Default", Filter: Filter{Type: TrueFilter, Expression: "1=1"}}
}

func (p Parameter) value() (any, error) {
	switch p.Type {
	case "string", "guid":
		return p.Text, nil
	case "int", "long", "short":
		return strconv.ParseInt(p.Text, 10, 64)
	case "double", "float", "decimal":
		return strconv.ParseFloat(p.Text, 64)
	case "boolean":
		return strconv.ParseBool(p.Text)
	case "dateTime":
		return time.Parse(time.RFC3339Nano, p.Text)
	}
	return nil, fmt.Errorf("the type %s of the parameter %s is not known", p.Type, p.Name)
}

func values(list []Parameter) (map[string]any, error) {
	m := make(map[string]any, len(list))
	for _, p := range list {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		m[p.Name] = v
	}
	return m, nil
}

// compile reads the expressions of the rule, and tells what is wrong with them.
func (r *Rule) compile() error {
	var err error
	if !ruleForm.MatchString(r.Name) {
		return fmt.Errorf("the name %q is no name of a rule", r.Name)
	}
	switch r.Filter.Type {
	case SQLFilter:
		if r.condition, err = filter.Parse(r.Filter.Expression); err != nil {
			return fmt.Errorf("rule %s: filter %q: %w", r.Name, r.Filter.Expression, err)
		}
	case "":
		return fmt.Errorf("rule %s has no filter", r.Name)
	}
	if r.Action.Type == SQLAction {
		if r.change, err = filter.ParseAction(r.Action.Expression); err != nil {
			return fmt.Errorf("rule %s: action %q: %w", r.Name, r.Action.Expression, err)
		}
	}
	for _, list := range [][]Parameter{r.Filter.Parameters, r.Filter.Properties, r.Action.Parameters} {
		if _, err := values(list); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
	}
	return nil
}

var ruleForm = regexp.MustCompile(`^[A-Za-z0-9$_.-][A-Za-z0-9 $_.-]{0,49}$`)

func compileAll(rules []Rule) error {
	for i := range rules {
		if err := rules[i].compile(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rule) matches(m *letter) (bool, error) {
	switch r.Filter.Type {
	case TrueFilter:
		return true, nil
	case SQLFilter:
		v, err := values(r.Filter.Parameters)
		if err != nil {
			return false, err
		}
		return r.condition.Match(m, v)
	case CorrelationFilter:
		return r.Filter.correlates(m)
	}
	return false, nil
}

func (f *Filter) correlates(m *letter) (bool, error) {
	for name, want := range f.Correlation {
		if got, _ := m.Property("sys", name); !filter.Equal(got, want) {
			return false, nil
		}
	}
	want, err := values(f.Properties)
	if err != nil {
		return false, err
	}
	for name, v := range want {
		if got, _ := m.Property("user", name); !filter.Equal(got, v) {
			return false, nil
		}
	}
	return true, nil
}

// selected are the copies of a message that a subscription takes: one for all rules without an action, and one
// for each rule with one.
func (e *Entity) selected(in Incoming) ([]Incoming, error) {
	var out []Incoming
	var m *letter
	plain := false
	for i := range e.rules {
		r := &e.rules[i]
		if r.Filter.Type == TrueFilter && r.change == nil {
			plain = true
			continue
		}
		if m == nil {
			var err error
			if m, err = open(in); err != nil {
				return nil, err
			}
		}
		ok, err := r.matches(m)
		if err != nil {
			return nil, err
		}
		if ok && r.change == nil {
			plain = true
		} else if ok {
			changed, err := r.changed(in)
			if err != nil {
				return nil, err
			}
			out = append(out, changed)
		}
	}
	if plain {
		out = append([]Incoming{in}, out...)
	}
	return out, nil
}

func (r *Rule) changed(in Incoming) (Incoming, error) {
	m, err := open(in)
	if err != nil {
		return in, err
	}
	v, err := values(r.Action.Parameters)
	if err != nil {
		return in, err
	}
	if err := r.change.Run(m, v); err != nil {
		return in, err
	}
	return m.close(in)
}

// AddRule adds a rule to a subscription, or with replace changes one.
func (b *Broker) AddRule(path string, r Rule, replace bool) (Rule, error) {
	if err := r.compile(); err != nil {
		return r, err
	}
	err := b.change(func(t *transaction) error {
		e, at, err := b.rule(path, r.Name)
		switch {
		case err == nil && !replace:
			return fmt.Errorf("rule %s: %w", r.Name, ErrExists)
		case err != nil && (replace || e == nil):
			return err
		}
		rules := append([]Rule(nil), e.rules...)
		if r.Created = now(); replace {
			r.Created = rules[at].Created
			rules[at] = r
		} else {
			rules = append(rules, r)
		}
		e.rules = rules
		return t.entity(e)
	})
	return r, err
}

// DeleteRule takes a rule away from a subscription.
func (b *Broker) DeleteRule(path, name string) error {
	return b.change(func(t *transaction) error {
		e, at, err := b.rule(path, name)
		if err != nil {
			return err
		}
		e.rules = append(append([]Rule(nil), e.rules[:at]...), e.rules[at+1:]...)
		return t.entity(e)
	})
}

// rule finds a rule; the entity is nil when there is no such subscription.
func (b *Broker) rule(path, name string) (*Entity, int, error) {
	e := b.entities[pathKey(path)]
	if e == nil || e.desc.Kind != KindSubscription {
		return nil, 0, fmt.Errorf("%s: %w", path, ErrNoEntity)
	}
	for i := range e.rules {
		if pathKey(e.rules[i].Name) == pathKey(name) {
			return e, i, nil
		}
	}
	return e, 0, fmt.Errorf("rule %s: %w", name, ErrNoEntity)
}

var errProperty = errors.New("this property cannot be set")
