package main

import (
	"fmt"
	"strings"
	"unsafe"

	bicep "github.com/tree-sitter-grammars/tree-sitter-bicep/bindings/go"
	sitter "github.com/tree-sitter/go-tree-sitter"
)

// fault is one thing that is wrong, where, and how to mend it.
type fault struct {
	File      string
	Line, Col int
	Path      string // of the symbol or property
	Text      string
	Mend      string
}

// String gives the line that is printed.
func (f fault) String() string {
	return fmt.Sprintf("%s:%d:%d: error: %s: %s; %s", f.File, f.Line, f.Col, f.Path, f.Text, f.Mend)
}

// source is one parsed template.
type source struct {
	name string
	text []byte
	root *sitter.Node

	targetScope string
	symbols     map[string]*symbol
	resources   []*resource
	modules     []*module
	faults      []fault
}

// parse reads one template. A template with a syntax error has faults and no symbols.
func parse(name string, text []byte) (*source, error) {
	parser := sitter.NewParser()
	defer parser.Close()
	if err := parser.SetLanguage(sitter.NewLanguage(unsafe.Pointer(bicep.Language()))); err != nil {
		return nil, fmt.Errorf("grammar: %w", err)
	}
	s := &source{name: name, text: text, targetScope: "resourceGroup", symbols: map[string]*symbol{}}
	s.root = parser.Parse(text, nil).RootNode()
	if s.root.HasError() {
		s.openQuote()
		s.syntax(s.root)
		if len(s.faults) == 0 {
			s.fault(s.root, "syntax", "is not understood", "write the plain style of this folder")
		}
	}
	return s, nil
}

// openQuote names the first line on which a quote stays open: the grammar notices it only at the next quote.
func (s *source) openQuote() {
	block := false
	for i, line := range strings.Split(string(s.text), "\n") {
		if strings.Count(line, "'''")%2 == 1 {
			block = !block
			continue
		}
		if block {
			continue
		}
		quotes := strings.Split(strings.ReplaceAll(line, `\'`, ""), "'")
		comment := false
		for j, part := range quotes {
			comment = comment || j%2 == 0 && strings.Contains(part, "//")
		}
		if len(quotes)%2 == 0 && !comment {
			s.faults = append(s.faults, fault{s.name, i + 1, strings.LastIndex(line, "'") + 1, "syntax", "a quote is not closed", "look for an unclosed quote on this line"})
			return
		}
	}
}

// syntax reports every node that the grammar refuses.
func (s *source) syntax(n *sitter.Node) {
	switch {
	case n.IsMissing():
		s.fault(n, "syntax", fmt.Sprintf("%q is missing", n.Kind()), "insert it")
	case n.IsError():
		s.fault(n, "syntax", fmt.Sprintf("%q is not understood here", short(s.of(n))), "look for an unclosed quote, bracket or brace, or a form outside the plain style")
	default:
		for _, c := range children(n) {
			s.syntax(c)
		}
	}
}

func (s *source) fault(n *sitter.Node, path, text, mend string) {
	at := n.StartPosition()
	s.faults = append(s.faults, fault{s.name, int(at.Row) + 1, int(at.Column) + 1, path, text, mend})
}

func (s *source) of(n *sitter.Node) string { return n.Utf8Text(s.text) }

// literal is the value of a string without interpolation.
func (s *source) literal(n *sitter.Node) (string, bool) {
	if n == nil || n.Kind() != "string" {
		return "", false
	}
	for _, c := range children(n) {
		if c.Kind() == "interpolation" {
			return "", false
		}
	}
	text := s.of(n)
	if strings.HasPrefix(text, "'''") {
		return strings.TrimSuffix(strings.TrimPrefix(text, "'''"), "'''"), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "'"), "'")
	return unescape.Replace(text), true
}

var unescape = strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\$`, "$")

func short(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

func children(n *sitter.Node) []*sitter.Node {
	var all []*sitter.Node
	for i := range n.ChildCount() {
		all = append(all, n.Child(i))
	}
	return all
}

// named lists the named children, without comments.
func named(n *sitter.Node) []*sitter.Node {
	var all []*sitter.Node
	for i := range n.NamedChildCount() {
		if c := n.NamedChild(i); c.Kind() != "comment" && c.Kind() != "diagnostic_comment" {
			all = append(all, c)
		}
	}
	return all
}

func child(n *sitter.Node, kind string) *sitter.Node {
	for _, c := range named(n) {
		if c.Kind() == kind {
			return c
		}
	}
	return nil
}

// body finds the object of a declaration: directly, in a condition, in a loop, or in a condition in a loop.
func body(n *sitter.Node) *sitter.Node {
	for _, c := range named(n) {
		switch c.Kind() {
		case "object":
			return c
		case "if_statement", "for_statement":
			return body(c)
		}
	}
	return nil
}

// entry is one property of an object as it is written.
type entry struct {
	key   *sitter.Node
	name  string
	plain bool // the key is literal
	value *sitter.Node
}

// entries lists the properties of an object; nested resources are not properties.
func (s *source) entries(object *sitter.Node) []entry {
	var all []entry
	for _, p := range named(object) {
		parts := named(p)
		if p.Kind() != "object_property" || len(parts) < 2 {
			continue
		}
		e := entry{key: parts[0], name: s.of(parts[0]), plain: true, value: parts[len(parts)-1]}
		if parts[0].Kind() == "string" {
			e.name, e.plain = s.literal(parts[0])
		}
		all = append(all, e)
	}
	return all
}

func (s *source) entry(object *sitter.Node, name string) (entry, bool) {
	if object == nil {
		return entry{}, false
	}
	for _, e := range s.entries(object) {
		if e.plain && e.name == name {
			return e, true
		}
	}
	return entry{}, false
}
