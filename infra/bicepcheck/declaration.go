package main

import (
	"fmt"
	"slices"
	"strings"

	sitter "github.com/tree-sitter/go-tree-sitter"
)

// symbol is one declared name of a template.
type symbol struct {
	kind    string // parameter, variable, resource, module, function, type, output
	at      *sitter.Node
	value   *sitter.Node // of a variable, or the default of a parameter
	typed   string       // of a parameter
	allowed []string     // of a parameter
	limits  map[string]string
	used    bool

	resource *resource
	module   *module
}

// needed tells whether whoever uses the template must give the parameter.
func (y *symbol) needed() bool {
	return y.kind == "parameter" && y.value == nil && !strings.HasSuffix(y.typed, "?")
}

// resource is one declared resource, nested ones too.
type resource struct {
	name     string
	at       *sitter.Node
	typeAt   *sitter.Node
	kind     string // Type@version, joined with that of the parent
	existing bool
	looped   bool
	body     *sitter.Node
	within   *resource // the resource it is nested in
}

// module is one use of another template.
type module struct {
	name   string
	at     *sitter.Node
	pathAt *sitter.Node
	path   string
	looped bool
	body   *sitter.Node
}

// declare collects what a template declares.
func (c *checker) declare(s *source) {
	var decorators *sitter.Node
	for _, n := range named(s.root) {
		s.declaration(n, decorators)
		decorators = nil
		if n.Kind() == "decorators" {
			decorators = n
		}
	}
	slices.SortStableFunc(s.resources, func(a, b *resource) int { return int(a.at.StartByte()) - int(b.at.StartByte()) })
}

func (s *source) declaration(n, decorators *sitter.Node) {
	switch n.Kind() {
	case "target_scope_assignment":
		s.targetScope, _ = s.literal(child(n, "string"))
		if !slices.Contains([]string{"resourceGroup", "subscription", "managementGroup", "tenant"}, s.targetScope) {
			s.fault(n, "targetScope", fmt.Sprintf("%q is no scope", s.targetScope), "write resourceGroup, subscription, managementGroup or tenant")
		}
	case "parameter_declaration":
		s.parameter(n, decorators)
	case "variable_declaration":
		parts := named(n)
		s.add(n, &symbol{kind: "variable", value: parts[len(parts)-1]})
	case "resource_declaration":
		s.declareResource(n, nil)
	case "module_declaration":
		at := child(n, "string")
		m := &module{name: s.of(child(n, "identifier")), at: child(n, "identifier"), pathAt: at, looped: child(n, "for_statement") != nil, body: body(n)}
		m.path, _ = s.literal(at)
		s.modules = append(s.modules, m)
		s.add(n, &symbol{kind: "module", module: m, used: true})
	case "user_defined_function":
		s.add(n, &symbol{kind: "function"})
	case "type_declaration":
		s.add(n, &symbol{kind: "type"})
	case "output_declaration":
		s.add(n, &symbol{kind: "output", used: true})
	case "import_statement", "import_with_statement", "import_functionality", "using_statement":
		s.fault(n, "import", "is not followed", "declare what it brings in this file")
	}
}

// add declares a name; outputs live in a space of their own.
func (s *source) add(n *sitter.Node, y *symbol) {
	y.at = child(n, "identifier")
	name := s.of(y.at)
	if y.kind == "output" {
		name = "output " + name
	}
	if _, twice := s.symbols[name]; twice {
		s.fault(y.at, name, "is declared twice", "rename one of them")
		return
	}
	s.symbols[name] = y
}

func (s *source) parameter(n, decorators *sitter.Node) {
	parts := named(n)
	y := &symbol{kind: "parameter", typed: s.of(parts[1]), limits: map[string]string{}}
	if len(parts) > 2 {
		y.value = parts[2]
	}
	for _, d := range decoratorCalls(decorators) {
		name, args := s.call(d)
		switch {
		case len(args) != 1:
		case name == "allowed":
			for _, v := range named(args[0]) {
				text, ok := s.literal(v)
				if !ok {
					text = s.of(v)
				}
				y.allowed = append(y.allowed, text)
			}
		default:
			y.limits[name] = s.of(args[0])
		}
	}
	s.add(n, y)
	if y.value != nil {
		if text := s.misfit(y, y.value); text != "" {
			s.fault(y.value, s.of(y.at), "the default "+text, "give a default that the declaration allows")
		}
	}
}

func decoratorCalls(n *sitter.Node) []*sitter.Node {
	if n == nil {
		return nil
	}
	var all []*sitter.Node
	for _, d := range named(n) {
		if call := child(d, "call_expression"); call != nil {
			all = append(all, call)
		}
	}
	return all
}

// call splits a call into its function's name and its arguments.
func (s *source) call(n *sitter.Node) (string, []*sitter.Node) {
	f, args := n.ChildByFieldName("function"), n.ChildByFieldName("arguments")
	if f == nil || args == nil {
		return "", nil
	}
	return s.of(f), named(args)
}

// declareResource adds a resource and those nested in its body; a nested type is relative to that of its parent.
func (s *source) declareResource(n *sitter.Node, within *resource) {
	at := child(n, "string")
	r := &resource{at: child(n, "identifier"), typeAt: at, looped: child(n, "for_statement") != nil, body: body(n), within: within}
	r.name = s.of(r.at)
	kind, literal := s.literal(at)
	if !literal {
		s.fault(at, r.name, "its type is not literal", "write 'Provider/type@version'")
	}
	r.kind = kind
	if within != nil {
		parent, version, _ := strings.Cut(within.kind, "@")
		own, ownVersion, has := strings.Cut(kind, "@")
		if has {
			version = ownVersion
		}
		r.kind = parent + "/" + own + "@" + version
	}
	for _, c := range children(n) {
		r.existing = r.existing || c.Kind() == "existing"
	}
	s.resources = append(s.resources, r)
	s.add(n, &symbol{kind: "resource", resource: r, used: !r.existing})
	if r.body == nil {
		return
	}
	for _, p := range named(r.body) {
		if nested := child(p, "resource_declaration"); nested != nil {
			s.declareResource(nested, r)
		}
	}
}
