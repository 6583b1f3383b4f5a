package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	sitter "github.com/tree-sitter/go-tree-sitter"
)

// scopeBits are the bits of a resource type's scope.
var scopeBits = map[string]int{"tenant": 1, "managementGroup": 2, "subscription": 4, "resourceGroup": 8}

const extension = 16

// bicepWords are allowed in the body of a resource and are no properties.
var bicepWords = []string{"parent", "scope", "dependsOn"}

// resource checks one declaration against its type.
func (c *checker) resource(s *source, r *resource) {
	t, err := c.data.resource(r.kind)
	if err != nil {
		c.broken = err
		return
	}
	if t == nil {
		c.unknownType(s, r)
		return
	}
	if r.body == nil {
		s.fault(r.at, r.name, "has no body", "write an object")
		return
	}
	c.place(s, r, t)
	c.lineage(s, r)
	if _, ok := s.entry(r.body, "name"); !ok {
		s.fault(r.body, r.name+".name", "is required and missing", "add name")
	}
	if !r.existing {
		c.content(s, r, t)
	}
}

func (c *checker) unknownType(s *source, r *resource) {
	kind, version, has := strings.Cut(strings.ToLower(r.kind), "@")
	versions := slices.Sorted(slices.Values(c.data.kinds[kind]))
	switch {
	case !has:
		s.fault(r.typeAt, r.name, fmt.Sprintf("%q has no API version", r.kind), "write Type@version")
	case len(versions) > 0:
		s.fault(r.typeAt, r.name, fmt.Sprintf("%q has no API version %s in the type data", r.kind[:len(kind)], version), "pin "+versions[len(versions)-1])
	default:
		mend := suggest(kind, slices.Collect(maps.Keys(c.data.kinds)), "look up the type")
		s.fault(r.typeAt, r.name, fmt.Sprintf("%q is no resource type", r.kind), mend)
	}
}

// place compares the scopes of the type with the scope of the template.
func (c *checker) place(s *source, r *resource, t *node) {
	scope, scoped := s.entry(r.body, "scope")
	_, child := s.entry(r.body, "parent")
	if t.ScopeType == 0 || child || r.within != nil || r.existing && scoped {
		return
	}
	if scoped {
		if t.ScopeType&extension == 0 && !(s.of(scope.value) == "tenant()" && t.ScopeType&1 != 0) {
			s.fault(scope.key, r.name+".scope", "this type cannot be deployed onto another resource", "drop it, or move the resource into a module with that scope")
		}
		return
	}
	if t.ScopeType&(scopeBits[s.targetScope]|extension) == 0 {
		s.fault(r.typeAt, r.name, fmt.Sprintf("is not deployed at the scope %s of this file", s.targetScope), "move it into a module with targetScope "+scopeNames(t.ScopeType))
	}
}

func scopeNames(bits int) string {
	var all []string
	for _, name := range []string{"tenant", "managementGroup", "subscription", "resourceGroup"} {
		if bits&scopeBits[name] != 0 {
			all = append(all, name)
		}
	}
	return strings.Join(all, " or ")
}

// lineage checks the parent of a child resource, and that its name has as many segments as its type.
func (c *checker) lineage(s *source, r *resource) {
	kind, _, _ := strings.Cut(r.kind, "@")
	parent, given := s.entry(r.body, "parent")
	if given && r.within != nil {
		s.fault(parent.key, r.name+".parent", "a nested resource has its parent around it", "drop it")
	}
	if y := s.symbols[s.head(parent.value)]; given && y != nil && y.resource != nil {
		want, _, _ := strings.Cut(y.resource.kind, "@")
		if i := strings.LastIndex(kind, "/"); !strings.EqualFold(kind[:i], want) {
			s.fault(parent.value, r.name+".parent", fmt.Sprintf("a %s is no child of a %s", kind, want), "name a "+kind[:i])
		}
	}
	name, ok := s.entry(r.body, "name")
	if !ok || name.value.Kind() != "string" {
		return
	}
	slashes := 0
	for _, p := range children(name.value) {
		if p.Kind() == "string_content" {
			slashes += strings.Count(s.of(p), "/")
		}
	}
	want := strings.Count(kind, "/") - 1
	if given || r.within != nil {
		want = 0
	}
	if slashes != want {
		s.fault(name.value, r.name+".name", fmt.Sprintf("has %d segments, its type needs %d", slashes+1, want+1), "name the parent with parent: and give the last segment only")
	}
}

// head is the symbol that an expression begins with.
func (s *source) head(n *sitter.Node) string {
	for n != nil && n.Kind() != "identifier" {
		next := n.ChildByFieldName("object")
		if n.Kind() == "resource_expression" {
			return s.of(n.ChildByFieldName("resource"))
		}
		n = next
	}
	if n == nil {
		return ""
	}
	return s.of(n)
}

// content walks the body together with the type.
func (c *checker) content(s *source, r *resource, t *node) {
	w := walk{checker: c, s: s}
	b := c.resolved(t.Body, t)
	root := *b
	if b.Kind == "DiscriminatedObjectType" {
		root.BaseProperties = withWords(b.BaseProperties)
		w.discriminated(r.body, &root, r.name)
		return
	}
	w.object(r.body, &root, withWords(b.Properties), r.name)
}

// withWords adds Bicep's own words to the properties of a root, and leaves the name to its own check.
func withWords(known map[string]property) map[string]property {
	all := maps.Clone(known)
	if all == nil {
		all = map[string]property{}
	}
	for _, word := range bicepWords {
		all[word] = property{Type: reference{anything}}
	}
	if p, ok := all["name"]; ok {
		p.Flags &^= required
		all["name"] = p
	}
	return all
}
