package decision

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxPolicyBytes is ten times the policy as shipped; the parser's cost on deep nesting grows with the square.
const maxPolicyBytes = 16 << 10

// Problem is one fault of a policy file. Line and column, from 1, are those of the offending value.
type Problem struct {
	File         string
	Line, Column int
	// Warning does not keep the policy from being loaded.
	Warning bool
	Path    string
	Text    string
}

// String is the problem on one line, file:line:column: error|warning: path: text.
func (p Problem) String() string {
	level := "error"
	if p.Warning {
		level = "warning"
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s: %s", p.File, p.Line, p.Column, level, p.Path, p.Text)
}

// SortProblems puts problems in the order of the file.
func SortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}

// ParsePolicy reads a policy file; name is what problems call it. Keys that are absent take their defaults. Every problem
// is reported, in the order of the file. With an error among them the policy is nil and the one in force stays; warnings
// come beside a policy. What depends on the surroundings is asked of Policy.Warnings.
func ParsePolicy(name string, text []byte) (*Policy, []Problem) {
	r := &policyReader{file: name, at: make(map[string]position), refused: make(map[string]bool)}
	p := DefaultPolicy()
	if body := r.parse(text); body != nil {
		r.policy(body, p)
	}
	r.check(p)
	SortProblems(r.problems)
	if slices.ContainsFunc(r.problems, func(p Problem) bool { return !p.Warning }) {
		return nil, r.problems
	}
	p.file, p.at = name, r.at
	return p, r.problems
}

type position struct{ line, column int }

// policyReader walks the syntax tree, fills in a policy and remembers where each value stands.
type policyReader struct {
	file     string
	at       map[string]position
	problems []Problem
	// refused holds the paths whose value has the wrong type; what it would have been is not checked further.
	refused map[string]bool
}

// where is the position of a path, or of the nearest one above it that the file has.
func (r *policyReader) where(path string) position {
	for path != "" {
		if at, found := r.at[path]; found {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return position{1, 1}
}

func (r *policyReader) report(at position, warning bool, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Column: at.column, Warning: warning, Path: path, Text: fmt.Sprintf(format, args...),
	})
}

// fail reports an error about the value of a path.
func (r *policyReader) fail(path, format string, args ...any) {
	if r.refused[path] {
		return
	}
	r.report(r.where(path), false, path, format, args...)
}

func (r *policyReader) warn(path, format string, args ...any) {
	r.report(r.where(path), true, path, format, args...)
}

func (r *policyReader) reject(at position, format string, args ...any) ast.Node {
	r.report(at, false, "yaml", format, args...)
	return nil
}

// parse is the body of the one document. Where there is none it says so and gives nil.
func (r *policyReader) parse(text []byte) ast.Node {
	top := position{1, 1}
	switch {
	case len(text) > maxPolicyBytes:
		return r.reject(top, "%d bytes, at most %d", len(text), maxPolicyBytes)
	case !utf8.Valid(text):
		return r.reject(top, "not UTF-8")
	}
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, text := top, err.Error()
		if syntax := (*yaml.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Token != nil {
			at, text = locateToken(syntax.Token), syntax.Message
		}
		return r.reject(at, "%s", plain(text))
	}
	return r.single(file)
}

func (r *policyReader) single(file *ast.File) ast.Node {
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return r.reject(locate(doc.Body), "more than one document")
		}
		body = doc.Body
	}
	if body == nil {
		r.report(position{1, 1}, true, "yaml", "the file says nothing; every default holds")
	}
	return body
}

// plain keeps a message on one line.
func plain(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// field is one key of a mapping and how its value is read.
type field struct {
	key  string
	read func(path string, n ast.Node)
}

// mapping reads every key of n, which must be one of the fields.
func (r *policyReader) mapping(path string, n ast.Node, fields ...field) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		r.mistyped(path, "a mapping", n)
		return
	}
	first := make(map[string]int)
	for _, entry := range m.Values {
		key := keyName(entry.Key.GetToken().Value)
		inner := join(path, key)
		at := locate(entry.Key)
		if line, again := first[key]; again {
			r.report(at, false, inner, "given twice, first on line %d", line)
			continue
		}
		first[key] = at.line
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			r.report(at, false, inner, "unknown key%s", suggest(key, fields))
			continue
		}
		r.at[inner] = locate(entry.Value)
		fields[i].read(inner, entry.Value)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// keyName is a name as it can stand in a message: quoted when it would break the line.
func keyName(key string) string {
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` || key == "" {
		return quoted
	}
	return key
}

func (r *policyReader) mistyped(path, want string, n ast.Node) {
	r.refused[path] = true
	if path == "" {
		path = "yaml"
	}
	r.report(locate(n), false, path, "expected %s, got %s", want, describe(n))
}

// whole reads a whole number. The bound keeps sums of weights from overflowing.
func (r *policyReader) whole(to *int) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		const bound = 1_000_000_000
		if i, ok := n.(*ast.IntegerNode); ok {
			// The parser gives a signed or an unsigned number.
			if v, err := strconv.Atoi(fmt.Sprint(i.Value)); err == nil && -bound <= v && v <= bound {
				*to = v
				return
			}
		}
		r.mistyped(path, "a whole number", n)
	}
}

func (r *policyReader) number(to *float64) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		switch v := n.(type) {
		case *ast.FloatNode:
			*to = v.Value
		case *ast.IntegerNode:
			i := 0
			r.whole(&i)(path, n)
			*to = float64(i)
		default:
			r.mistyped(path, "a number", n)
		}
	}
}

func (r *policyReader) text(to *string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		if s, ok := n.(*ast.StringNode); ok {
			*to = s.Value
			return
		}
		r.mistyped(path, "text", n)
	}
}

// raw reads any scalar as it is written, for values that are checked by their form.
func (r *policyReader) raw(to *string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		switch n.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			*to = n.GetToken().Value
		default:
			r.mistyped(path, "text", n)
		}
	}
}

func (r *policyReader) texts(to *[]string) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		list := []string{}
		r.list(path, n, func(path string, n ast.Node) {
			var s string
			r.text(&s)(path, n)
			list = append(list, s)
		})
		*to = list
	}
}

func (r *policyReader) wholes(to *[]int) func(string, ast.Node) {
	return func(path string, n ast.Node) {
		list := []int{}
		r.list(path, n, func(path string, n ast.Node) {
			i := 0
			r.whole(&i)(path, n)
			list = append(list, i)
		})
		*to = list
	}
}

func (r *policyReader) list(path string, n ast.Node, each func(string, ast.Node)) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.mistyped(path, "a list", n)
		return
	}
	for i, item := range s.Values {
		inner := fmt.Sprintf("%s[%d]", path, i)
		r.at[inner] = locate(item)
		each(inner, item)
	}
}

// locate is where a value begins: a block mapping begins with its first key, not with the colon of the syntax tree.
func locate(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return locate(m.Values[0].Key)
	}
	return locateToken(n.GetToken())
}

func locateToken(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{t.Position.Line, t.Position.Column}
}

// describe says what stands where something else was expected.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return strconv.Quote(n.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.LiteralNode:
		return "a block of text"
	}
	return "an anchor, alias or tag"
}

// suggest names the key that was probably meant.
func suggest(key string, fields []field) string {
	best, distance := "", 3
	for _, f := range fields {
		if d := editDistance(key, f.key); d < distance && d < len(f.key) {
			best, distance = f.key, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// editDistance counts single-character edits between two keys.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
