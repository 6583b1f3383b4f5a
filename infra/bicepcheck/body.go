package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	sitter "github.com/tree-sitter/go-tree-sitter"
)

// walk compares one value with its type, and goes into objects, arrays, loops, conditions and variables. What only the
// deployment knows is left alone.
type walk struct {
	*checker
	s     *source
	depth int // of followed variables
}

func (c *checker) resolved(r reference, from *node) *node {
	n, err := c.data.resolve(r, from.file)
	if err != nil {
		c.broken = err
		return &node{Kind: "AnyType"}
	}
	return n
}

func (w walk) value(v *sitter.Node, t *node, path string) {
	switch v.Kind() {
	case "parenthesized_expression":
		if inner := named(v); len(inner) == 1 {
			w.value(inner[0], t, path)
		}
		return
	case "ternary_expression":
		w.value(v.ChildByFieldName("consequence"), t, path)
		w.value(v.ChildByFieldName("alternative"), t, path)
		return
	case "identifier":
		w.variable(v, t, path)
		return
	}
	switch t.Kind {
	case "ObjectType":
		w.object(v, t, t.Properties, path)
	case "DiscriminatedObjectType":
		w.discriminated(v, t, path)
	case "ArrayType":
		w.array(v, t, path)
	case "UnionType", "StringLiteralType":
		w.enum(v, w.literals(t), path)
	case "StringType":
		w.text(v, t, path)
	case "IntegerType":
		w.integer(v, t, path)
	case "BooleanType":
		w.plain(v, "boolean", path)
	}
}

// variable follows a name to the value it stands for.
func (w walk) variable(v *sitter.Node, t *node, path string) {
	y := w.s.symbols[w.s.of(v)]
	if y == nil || w.depth > 8 {
		return
	}
	w.depth++
	switch {
	case y.kind == "variable":
		w.value(y.value, t, path)
	case y.kind == "parameter" && (t.Kind == "UnionType" || t.Kind == "StringLiteralType"):
		known := w.literals(t)
		for _, a := range y.allowed {
			if len(known) > 0 && !slices.Contains(known, a) {
				w.s.fault(y.at, path, fmt.Sprintf("parameter %s allows %q, which is not one of %s", w.s.of(y.at), a, strings.Join(known, ", ")), suggest(a, known, "drop it from @allowed"))
			}
		}
	}
}

// literalKind names the kind of a literal; empty when the value is computed.
func literalKind(v *sitter.Node) string {
	switch v.Kind() {
	case "string", "number", "boolean", "object", "array":
		return v.Kind()
	case "for_statement":
		return "array"
	case "unary_expression":
		if a := v.ChildByFieldName("argument"); a != nil && a.Kind() == "number" {
			return "number"
		}
	}
	return ""
}

// plain tells whether a literal is of the kind that the type wants; a computed value may be.
func (w walk) plain(v *sitter.Node, want, path string) bool {
	got := literalKind(v)
	if got != "" && got != want {
		w.s.fault(v, path, "is "+article(got)+", the type wants "+article(want), "give "+article(want))
		return false
	}
	return got == want
}

func article(kind string) string {
	if strings.ContainsAny(kind[:1], "aeio") {
		return "an " + kind
	}
	return "a " + kind
}

func (w walk) object(v *sitter.Node, t *node, known map[string]property, path string) {
	if !w.plain(v, "object", path) {
		return
	}
	given := map[string]bool{}
	for _, e := range w.s.entries(v) {
		if !e.plain {
			continue
		}
		at := join(path, e.name)
		if given[e.name] {
			w.s.fault(e.key, at, "is given twice", "drop one of them")
		}
		given[e.name] = true
		p, ok := known[e.name]
		switch {
		case !ok && t.AdditionalProperties != nil:
			w.value(e.value, w.resolved(*t.AdditionalProperties, t), at)
		case !ok:
			w.s.fault(e.key, at, "is no property of "+or(t.Name, "this object"), suggest(e.name, slices.Collect(maps.Keys(known)), "drop it"))
		case p.Flags&readOnly != 0:
			w.s.fault(e.key, at, "is read-only", "drop it")
		default:
			w.value(e.value, w.resolved(p.Type, t), at)
		}
	}
	w.missing(v, known, given, path)
}

func (w walk) missing(v *sitter.Node, known map[string]property, given map[string]bool, path string) {
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if p := known[name]; p.Flags&required != 0 && p.Flags&readOnly == 0 && !given[name] {
			w.s.fault(v, join(path, name), "is required and missing", "add "+name)
		}
	}
}

// discriminated chooses the form of an object by one of its properties.
func (w walk) discriminated(v *sitter.Node, t *node, path string) {
	if !w.plain(v, "object", path) {
		return
	}
	forms := map[string]reference{}
	if err := json.Unmarshal(t.Elements, &forms); err != nil {
		w.broken = fmt.Errorf("type data: %s: %w", t.file, err)
		return
	}
	names := slices.Sorted(maps.Keys(forms))
	e, given := w.s.entry(v, t.Discriminator)
	if !given {
		w.s.fault(v, join(path, t.Discriminator), "is required and missing", "add it: "+strings.Join(names, ", "))
		return
	}
	chosen, literal := w.s.literal(e.value)
	if !literal {
		w.s.fault(e.value, join(path, t.Discriminator), "chooses the form of this object and is not literal", "write one of "+strings.Join(names, ", "))
		return
	}
	form, ok := forms[chosen]
	if !ok {
		w.s.fault(e.value, join(path, t.Discriminator), fmt.Sprintf("%q is not one of %s", chosen, strings.Join(names, ", ")), suggest(chosen, names, "choose one of them"))
		return
	}
	f := w.resolved(form, t)
	known := maps.Clone(t.BaseProperties)
	if known == nil {
		known = map[string]property{}
	}
	if f.Kind == "DiscriminatedObjectType" {
		inner := *f
		inner.BaseProperties = known
		maps.Copy(known, f.BaseProperties)
		w.discriminated(v, &inner, path)
		return
	}
	maps.Copy(known, w.local(f, t))
	w.object(v, &node{Kind: "ObjectType", Name: f.Name, AdditionalProperties: f.AdditionalProperties, file: t.file}, known, path)
}

// local makes the references of a form readable from the file of the type that holds it.
func (w walk) local(f, t *node) map[string]property {
	all := map[string]property{}
	for name, p := range f.Properties {
		if f.file != t.file && strings.HasPrefix(p.Type.Ref, "#/") {
			p.Type.Ref = f.file + p.Type.Ref
		}
		all[name] = p
	}
	return all
}

func (w walk) array(v *sitter.Node, t *node, path string) {
	item := w.resolved(t.ItemType, t)
	if v.Kind() == "for_statement" {
		if b := loopBody(v); b != nil {
			w.value(b, item, path+"[]")
		}
		return
	}
	if !w.plain(v, "array", path) {
		return
	}
	items := named(v)
	w.length(v, len(items), t, path, "items")
	for i, one := range items {
		w.value(one, item, fmt.Sprintf("%s[%d]", path, i))
	}
}

func loopBody(v *sitter.Node) *sitter.Node {
	b := v.ChildByFieldName("body")
	if b != nil && b.Kind() == "if_statement" {
		return body(b)
	}
	return b
}

func (w walk) literals(t *node) []string {
	if t.Kind == "StringLiteralType" {
		return []string{t.Value}
	}
	var elements []reference
	if err := json.Unmarshal(t.Elements, &elements); err != nil {
		w.broken = fmt.Errorf("type data: %s: %w", t.file, err)
		return nil
	}
	var all []string
	for _, r := range elements {
		if e := w.resolved(r, t); e.Kind == "StringLiteralType" {
			all = append(all, e.Value)
		}
	}
	return all
}

// enum compares with the known values. An open enum is taken as closed: a template here has no reason to leave it.
func (w walk) enum(v *sitter.Node, known []string, path string) {
	if len(known) == 0 || !w.plain(v, "string", path) {
		return
	}
	if got, literal := w.s.literal(v); literal && !slices.Contains(known, got) {
		w.s.fault(v, path, fmt.Sprintf("%q is not one of %s", got, strings.Join(known, ", ")), suggest(got, known, "choose one of them"))
	}
}

func (w walk) text(v *sitter.Node, t *node, path string) {
	if !w.plain(v, "string", path) {
		return
	}
	got, literal := w.s.literal(v)
	if !literal {
		return
	}
	w.length(v, utf8.RuneCountInString(got), t, path, "characters")
	if t.Pattern == "" {
		return
	}
	// A pattern that only other engines read (look-ahead) is not checked.
	if p, err := regexp.Compile(t.Pattern); err == nil && !p.MatchString(got) {
		w.s.fault(v, path, fmt.Sprintf("%q does not match %s", got, t.Pattern), "write it as the pattern says")
	}
}

func (w walk) length(v *sitter.Node, n int, t *node, path, what string) {
	if t.MinLength != nil && n < *t.MinLength {
		w.s.fault(v, path, fmt.Sprintf("has %d %s, at least %d are needed", n, what, *t.MinLength), "make it longer")
	}
	if t.MaxLength != nil && n > *t.MaxLength {
		w.s.fault(v, path, fmt.Sprintf("has %d %s, at most %d are allowed", n, what, *t.MaxLength), "make it shorter")
	}
}

func (w walk) integer(v *sitter.Node, t *node, path string) {
	if !w.plain(v, "number", path) {
		return
	}
	n, err := strconv.Atoi(strings.ReplaceAll(w.s.of(v), " ", ""))
	if err != nil {
		return
	}
	if t.MinValue != nil && n < *t.MinValue || t.MaxValue != nil && n > *t.MaxValue {
		w.s.fault(v, path, fmt.Sprintf("%d is outside %s..%s", n, bound(t.MinValue), bound(t.MaxValue)), "choose a number inside")
	}
}

func bound(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
