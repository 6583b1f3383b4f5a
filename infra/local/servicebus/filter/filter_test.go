package filter

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// bag is a message with nothing but properties; sys ones are named "sys.<name>".
type bag map[string]any

func (b bag) key(scope, name string) string {
	if scope == "sys" {
		return "sys." + strings.ToLower(name)
	}
	return name
}

func (b bag) Property(scope, name string) (any, bool) { v, ok := b[b.key(scope, name)]; return v, ok }

func (b bag) SetProperty(scope, name string, v any) error { b[b.key(scope, name)] = v; return nil }

func (b bag) RemoveProperty(scope, name string) { delete(b, b.key(scope, name)) }

func order() bag {
	return bag{"color": "red", "size": int64(7), "price": 2.5, "gift": true, "since": time.Unix(100, 0), "none": nil, "sys.label": "a_b"}
}

func TestConditions(t *testing.T) {
	for sql, want := range map[string]bool{
		"1=1":                                      true,
		"1=0":                                      false,
		"color = 'red'":                            true,
		"COLOR = 'red'":                            false, // names of properties are compared with case here
		"color='blue' OR size>5":                   true,
		"color='red' AND NOT size=7":               false,
		"size BETWEEN":                             false,
		"size * 2 - 4 = 10":                        true,
		"-size = -7":                               true,
		"size % 4 = 3 AND size / 2 = 3":            true,
		"price >= 2.5 AND price < 3":               true,
		"size <> 8":                                true,
		"absent = 1":                               false,
		"NOT absent = 1":                           false, // unknown stays unknown
		"absent = 1 OR color = 'red'":              true,
		"absent IS NULL":                           true,
		"none IS NULL AND NOT EXISTS(absent)":      true,
		"EXISTS(none)":                             true,
		"color IS NOT NULL":                        true,
		"color IN ('blue', 'red')":                 true,
		"color NOT IN ('blue')":                    true,
		"absent NOT IN ('blue')":                   false,
		"color LIKE 'r_d'":                         true,
		"color LIKE '%e%'":                         true,
		"color NOT LIKE 'b%'":                      true,
		"sys.Label LIKE 'a!_b' ESCAPE '!'":         true,
		"sys.Label LIKE 'a!_c' ESCAPE '!'":         false,
		"user.color = 'red' AND [color] = 'red'":   true,
		`"color" = 'red'`:                          true,
		"p('color') = 'red'":                       true,
		"gift = TRUE":                              true,
		"gift":                                     true,
		"size = @n":                                true,
		"color = 7":                                false,
		"color <> 7":                               true,
		"'it''s' = 'it''s'":                        true,
		"(color = 'red' OR absent=1) AND (size=7)": true,
		"since < @later":                           true,
		"1e2 = 100":                                true,
	} {
		t.Run(sql, func(t *testing.T) {
			c, err := Parse(sql)
			if strings.HasSuffix(sql, "BETWEEN") {
				if err == nil {
					t.Error("parsed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Match(order(), map[string]any{"@n": int64(7), "@later": time.Unix(200, 0)})
			if err != nil || got != want {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestEvaluationErrors(t *testing.T) {
	for _, sql := range []string{"color * 2 = 1", "size / 0 = 1", "@absent = 1", "color LIKE 'a!' ESCAPE '!'"} {
		c, err := Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Match(order(), nil); !errors.Is(err, ErrEvaluation) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, sql := range []string{"", "color =", "color = 'red", "(1=1", "1=1)", "other.color = 1", "color LIKE", "color NOT 1", "a IN ()", "SET a = 1", "a ! b", strings.Repeat("(", 500), strings.Repeat("-", 500) + "1"} {
		if _, err := Parse(sql); err == nil {
			t.Errorf("%q was parsed", sql)
		}
	}
}

func TestActions(t *testing.T) {
	a, err := ParseAction("SET color = 'blue'; SET size = size + 1; SET sys.Label = color; REMOVE gift; SET fresh = @x")
	if err != nil {
		t.Fatal(err)
	}
	m := order()
	if err := a.Run(m, map[string]any{"@x": "new"}); err != nil {
		t.Fatal(err)
	}
	if m["color"] != "blue" || m["size"] != int64(8) || m["sys.label"] != "blue" || m["fresh"] != "new" {
		t.Errorf("got %v", m)
	}
	if _, ok := m["gift"]; ok {
		t.Error("gift was not removed")
	}
	if _, err := ParseAction("color = 'blue'"); err == nil {
		t.Error("an action without SET was parsed")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"color = 'red' AND size > 5", "a LIKE '%b_' ESCAPE '!'", "NOT (a IN (1,2.5,'x')) OR EXISTS([b c])", "-a*@p%3 <> 1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if c, err := Parse(sql); err == nil {
			_, _ = c.Match(order(), nil)
		}
		if a, err := ParseAction(sql); err == nil {
			_ = a.Run(order(), nil)
		}
	})
}
