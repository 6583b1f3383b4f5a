package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	sitter "github.com/tree-sitter/go-tree-sitter"
)

// functions are those that Bicep has by itself.
var functions = strings.Fields(`array base64 base64ToJson base64ToString bool buildUri cidrHost cidrSubnet coalesce concat contains
createArray createObject dataUri dataUriToString dateTimeAdd dateTimeFromEpoch dateTimeToEpoch deployer deployment empty endsWith
environment extensionResourceId fail filter first flatten format getSecret groupBy guid indexOf int intersection items join json
last lastIndexOf length listAccountSas listKeys listServiceSas loadFileAsBase64 loadJsonContent loadTextContent loadYamlContent
managementGroup managementGroupResourceId map mapValues max min newGuid objectKeys padLeft parseCidr pickZones range readEnvironmentVariable
reduce reference replace resourceGroup resourceId shallowMerge skip sort split startsWith string subscription subscriptionResourceId
substring take tenant tenantResourceId toLogicalZone toLower toObject toPhysicalZone toUpper trim union uniqueString uri uriComponent
uriComponentToString utcNow allowed description discriminator export maxLength maxValue metadata minLength minValue sealed secure
batchSize onlyIfNotExists retryOn waitUntil any nameof`)

// loaders read a file beside the template.
var loaders = []string{"loadJsonContent", "loadTextContent", "loadFileAsBase64", "loadYamlContent"}

// names checks that every name is declared, and every declaration used.
func (c *checker) names(s *source) {
	for _, n := range named(s.root) {
		v := visit{checker: c, s: s}
		switch n.Kind() {
		case "target_scope_assignment", "import_functionality":
		case "metadata_declaration", "output_declaration", "resource_declaration", "module_declaration", "variable_declaration", "type_declaration", "parameter_declaration":
			v.all(after(n, child(n, "identifier")))
		case "user_defined_function":
			v.function(n)
		default:
			v.node(n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.symbols)) {
		if y := s.symbols[name]; !y.used {
			s.fault(y.at, name, "is declared and not used", "use it, or drop the "+y.kind)
		}
	}
}

func after(n, name *sitter.Node) []*sitter.Node {
	var all []*sitter.Node
	for _, c := range named(n) {
		if name == nil || c.Id() != name.Id() {
			all = append(all, c)
		}
	}
	return all
}

// visit walks expressions with the names of the loops and lambdas around them.
type visit struct {
	*checker
	s     *source
	local []string
}

func (v visit) all(nodes []*sitter.Node) {
	for _, n := range nodes {
		v.node(n)
	}
}

func (v visit) node(n *sitter.Node) {
	switch n.Kind() {
	case "identifier":
		v.name(n)
	case "object_property":
		v.property(n)
	case "call_expression":
		v.call(n)
	case "lambda_expression":
		v.lambda(n)
	case "for_statement":
		v.loop(n)
	case "member_expression":
		v.member(n)
	case "resource_expression":
		v.node(n.ChildByFieldName("object"))
		v.name(n.ChildByFieldName("resource"))
	case "primitive_type", "property_identifier", "parameterized_type":
	default:
		v.all(named(n))
	}
}

func (v visit) name(n *sitter.Node) {
	name := v.s.of(n)
	if slices.Contains(v.local, name) {
		return
	}
	// In an array, where commas are optional, the grammar reads a call as a name and a parenthesis.
	if end := int(n.EndByte()); end < len(v.s.text) && v.s.text[end] == '(' {
		v.builtin(n)
		return
	}
	if y := v.s.symbols[name]; y != nil {
		y.used = true
		return
	}
	if slices.Contains([]string{"az", "sys", "string", "int", "bool", "object", "array"}, name) {
		return
	}
	v.s.fault(n, name, "is not declared", suggest(name, append(slices.Collect(maps.Keys(v.s.symbols)), v.local...), "declare it, or drop it"))
}

func (v visit) property(n *sitter.Node) {
	parts := named(n)
	if r := child(n, "resource_declaration"); r != nil {
		v.all(after(r, child(r, "identifier")))
		return
	}
	if parts[0].Kind() == "string" {
		v.node(parts[0]) // the key may be interpolated
	}
	v.all(parts[1:])
}

func (v visit) call(n *sitter.Node) {
	f, args := n.ChildByFieldName("function"), n.ChildByFieldName("arguments")
	switch f.Kind() {
	case "identifier":
		v.builtin(f)
	case "member_expression":
		v.node(f.ChildByFieldName("object"))
	}
	v.all(named(args))
	if name := v.s.of(f); slices.Contains(loaders, name) && len(named(args)) > 0 {
		if file, literal := v.s.literal(named(args)[0]); literal && !v.exists(v.s, file) {
			v.s.fault(named(args)[0], name, fmt.Sprintf("the file %q is not there", file), "give a path relative to this file")
		}
	}
}

func (v visit) builtin(f *sitter.Node) {
	name := v.s.of(f)
	if y := v.s.symbols[name]; y != nil && y.kind == "function" {
		y.used = true
		return
	}
	if !slices.Contains(functions, name) {
		v.s.fault(f, name, "is no function", suggest(name, slices.Clone(functions), "look up its name"))
	}
}

func (v visit) lambda(n *sitter.Node) {
	parts := named(n)
	v.local = append(slices.Clone(v.local), v.bound(parts[0])...)
	v.all(parts[1:])
}

// bound lists the names that a loop or a lambda brings.
func (v visit) bound(n *sitter.Node) []string {
	switch n.Kind() {
	case "identifier", "loop_variable", "loop_enumerator":
		return []string{v.s.of(n)}
	}
	var all []string
	for _, c := range named(n) {
		all = append(all, v.bound(c)...)
	}
	return all
}

func (v visit) loop(n *sitter.Node) {
	parts := named(n)
	bound := child(n, "for_loop_parameters")
	if bound == nil {
		bound = n.ChildByFieldName("initializer")
	}
	if bound == nil {
		v.all(parts)
		return
	}
	rest := after(n, bound)
	v.node(rest[0]) // what it goes over stands outside
	v.local = append(slices.Clone(v.local), v.bound(bound)...)
	v.all(rest[1:])
}

func (v visit) function(n *sitter.Node) {
	for _, p := range named(child(n, "parameters")) {
		v.local = append(v.local, v.s.of(child(p, "identifier")))
	}
	parts := named(n)
	v.node(parts[len(parts)-1])
}

// member checks what is read of a resource and of a module's outputs.
func (v visit) member(n *sitter.Node) {
	v.node(n.ChildByFieldName("object"))
	names, y := v.chain(n)
	switch {
	case y == nil || len(names) == 0:
	case y.module != nil:
		v.output(n, names, y.module)
	case y.resource != nil:
		v.read(n, names, y.resource)
	}
}

// chain gives the names read one after the other, and the symbol they begin with.
func (v visit) chain(n *sitter.Node) ([]string, *symbol) {
	var names []string
	for n != nil {
		switch n.Kind() {
		case "member_expression":
			names = append([]string{v.s.of(n.ChildByFieldName("property"))}, names...)
		case "identifier":
			if slices.Contains(v.local, v.s.of(n)) {
				return nil, nil
			}
			return names, v.s.symbols[v.s.of(n)]
		case "subscript_expression": // an item of a looped resource; indexes further in end the chain
			if o := n.ChildByFieldName("object"); o == nil || o.Kind() != "identifier" {
				return nil, nil
			}
		default:
			return nil, nil
		}
		n = n.ChildByFieldName("object")
	}
	return nil, nil
}

func (v visit) output(n *sitter.Node, names []string, m *module) {
	used := v.target(v.s, m)
	if used == nil || names[0] != "outputs" || len(names) != 2 {
		return
	}
	if _, ok := used.symbols["output "+names[1]]; !ok {
		var outputs []string
		for name := range used.symbols {
			if o, is := strings.CutPrefix(name, "output "); is {
				outputs = append(outputs, o)
			}
		}
		v.s.fault(n, m.name+".outputs."+names[1], "is no output of "+used.name, suggest(names[1], outputs, "add the output there"))
	}
}

// read checks a property that is read of a resource; the last name of the chain only, those before it had their turn.
func (v visit) read(n *sitter.Node, names []string, r *resource) {
	t, err := v.data.resource(r.kind)
	if err != nil || t == nil {
		return
	}
	at := v.resolved(t.Body, t)
	for i, name := range names {
		if at.Kind != "ObjectType" || at.AdditionalProperties != nil {
			return
		}
		p, ok := at.Properties[name]
		if !ok {
			if i == len(names)-1 {
				v.s.fault(n, r.name+"."+strings.Join(names, "."), "is no property of "+or(at.Name, r.kind), suggest(name, slices.Collect(maps.Keys(at.Properties)), "look up its name"))
			}
			return
		}
		at = v.resolved(p.Type, at)
	}
}
