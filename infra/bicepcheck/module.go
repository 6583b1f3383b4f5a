package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	sitter "github.com/tree-sitter/go-tree-sitter"
)

// moduleWords are the properties of a module.
var moduleWords = []string{"name", "params", "scope", "dependsOn"}

// target is the template that a module uses; nil when it is not there.
func (c *checker) target(s *source, m *module) *source {
	return c.sources[path.Join(path.Dir(s.name), m.path)]
}

// module checks one use of another template: its path, its scope and its parameters.
func (c *checker) module(s *source, m *module) {
	used := c.target(s, m)
	if used == nil {
		s.fault(m.pathAt, m.name, fmt.Sprintf("the template %q is not there", m.path), suggest(m.path, slices.Collect(maps.Keys(c.sources)), "give a path relative to this file"))
		return
	}
	if m.body == nil {
		s.fault(m.at, m.name, "has no body", "write an object")
		return
	}
	for _, e := range s.entries(m.body) {
		if !slices.Contains(moduleWords, e.name) {
			s.fault(e.key, join(m.name, e.name), "is no property of a module", suggest(e.name, slices.Clone(moduleWords), "drop it"))
		}
	}
	if _, ok := s.entry(m.body, "name"); !ok {
		s.fault(m.body, m.name+".name", "is required and missing", "add name")
	}
	c.moduleScope(s, m, used)
	c.arguments(s, m, used)
}

func (c *checker) moduleScope(s *source, m *module, used *source) {
	got, at := s.targetScope, m.at
	if e, ok := s.entry(m.body, "scope"); ok {
		got, at = s.scopeOf(e.value), e.value
	}
	if got != "" && got != used.targetScope {
		s.fault(at, m.name+".scope", fmt.Sprintf("is %s, and %s has targetScope %s", got, used.name, used.targetScope), "give a scope of that kind")
	}
}

// scopeOf tells what an expression for a scope stands for; empty when that is not known.
func (s *source) scopeOf(n *sitter.Node) string {
	if n.Kind() == "call_expression" {
		name, _ := s.call(n)
		if scopeBits[name] != 0 {
			return name
		}
	}
	if y := s.symbols[s.head(n)]; n.Kind() != "call_expression" && y != nil && y.resource != nil {
		kind, _, _ := strings.Cut(strings.ToLower(y.resource.kind), "@")
		switch kind {
		case "microsoft.resources/resourcegroups":
			return "resourceGroup"
		case "microsoft.management/managementgroups":
			return "managementGroup"
		}
	}
	return ""
}

func (c *checker) arguments(s *source, m *module, used *source) {
	at, given := m.body, map[string]bool{}
	if e, ok := s.entry(m.body, "params"); ok && e.value.Kind() == "object" {
		at = e.value
		for _, a := range s.entries(e.value) {
			given[a.name] = true
			y := used.symbols[a.name]
			if y == nil || y.kind != "parameter" {
				s.fault(a.key, m.name+".params."+a.name, "is no parameter of "+used.name, suggest(a.name, used.params(), "drop it"))
			} else if text := s.misfit(y, a.value); text != "" {
				s.fault(a.value, m.name+".params."+a.name, text, "give what "+used.name+" declares")
			}
		}
	}
	for _, name := range used.params() {
		if used.symbols[name].needed() && !given[name] {
			s.fault(at, m.name+".params."+name, "is required and missing", "add "+name)
		}
	}
}

func (s *source) params() []string {
	var all []string
	for name, y := range s.symbols {
		if y.kind == "parameter" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// misfit says how a value differs from what a parameter declares; empty when it fits or is only known later. A name that
// stands for a parameter is compared by its type.
func (s *source) misfit(y *symbol, v *sitter.Node) string {
	got, text := literalKind(v), s.of(v)
	if l, ok := s.literal(v); ok {
		text = l
	} else if got == "string" {
		return kindMisfit(y, "string")
	}
	if v.Kind() == "identifier" {
		if other := s.symbols[text]; other != nil && other.kind == "parameter" {
			return typeMisfit(y, other)
		}
	}
	if got == "" {
		return ""
	}
	return y.misfit(got, text)
}

func typeMisfit(y, other *symbol) string {
	want, got := strings.TrimSuffix(y.typed, "?"), strings.TrimSuffix(other.typed, "?")
	if primitives[want] != "" && primitives[got] != "" && primitives[want] != primitives[got] {
		return "is a parameter of type " + got + ", not " + want
	}
	return ""
}

// primitives are Bicep's types and the kind of literal that each takes.
var primitives = map[string]string{"string": "string", "int": "number", "bool": "boolean", "array": "array", "object": "object"}

func kindMisfit(y *symbol, got string) string {
	want := primitives[strings.TrimSuffix(y.typed, "?")]
	if strings.HasSuffix(y.typed, "[]") {
		want = "array"
	}
	if want != "" && want != got {
		return "is " + article(got) + ", the parameter wants " + article(want)
	}
	return ""
}

// misfit compares a literal with type, allowed values and limits.
func (y *symbol) misfit(kind, text string) string {
	if wrong := kindMisfit(y, kind); wrong != "" {
		return wrong
	}
	if len(y.allowed) > 0 && !slices.Contains(y.allowed, text) && (kind == "string" || kind == "number") {
		return fmt.Sprintf("%q is not one of %s", text, strings.Join(y.allowed, ", "))
	}
	n := utf8.RuneCountInString(text)
	low, high := "minLength", "maxLength"
	switch kind {
	case "number":
		number, err := strconv.Atoi(text)
		if err != nil {
			return "is no whole number"
		}
		n, low, high = number, "minValue", "maxValue"
	case "string":
	default:
		return ""
	}
	if limit, err := strconv.Atoi(y.limits[low]); err == nil && n < limit {
		return fmt.Sprintf("is below the %s of %d", low, limit)
	}
	if limit, err := strconv.Atoi(y.limits[high]); err == nil && n > limit {
		return fmt.Sprintf("is above the %s of %d", high, limit)
	}
	return ""
}
