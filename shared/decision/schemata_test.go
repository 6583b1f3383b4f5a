package decision

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/go/ast/astutil"
)

// mutant is one change of the source. The first have a number and are compiled all at once, each behind a switch; changes
// of constants, which cannot be switched at run time, have number 0 and are compiled one by one.
type mutant struct {
	number     int
	file       string
	line       int
	code       string // the line of code
	old, text  string // what is replaced by what
	start, end int    // where, for number 0
}

func (m mutant) key() string { return fmt.Sprintf("%s: %s: %s → %s", m.file, m.code, m.old, m.text) }

// switchboard is compiled into the mutated package: each function gives what the source says, or, when its number is the
// one chosen by the environment, something else.
const switchboard = `package decision

import (
	"cmp"
	"os"
	"strconv"
)

var chosenMutant = func() int { n, _ := strconv.Atoi(os.Getenv("DECISION_MUTANT")); return n }()

func mutVal[T any](n int, value, other T) T {
	if chosenMutant == n {
		return other
	}
	return value
}

func mutNot(n int, v bool) bool { return v != (chosenMutant == n) }

func mutKeep(n int) bool { return chosenMutant != n }

func mutSame[T comparable](n int, a, b T) bool { return (a == b) != (chosenMutant == n) }

func mutDiffer[T comparable](n int, a, b T) bool { return (a != b) != (chosenMutant == n) }

func mutOrder[T cmp.Ordered](n int, op string, a, b T) bool {
	switch chosenMutant {
	case n:
		op = map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[op]
	case n + 1:
		op = map[string]string{"<": ">", "<=": ">", ">": "<", ">=": "<"}[op]
	}
	switch op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}

func mutBoth(n int, a, b func() bool) bool {
	if chosenMutant == n {
		return a() || b()
	}
	return a() && b()
}

func mutEither(n int, a, b func() bool) bool {
	if chosenMutant == n {
		return a() && b()
	}
	return a() || b()
}

func mutSum[T ~int | ~int64 | ~uint | ~float64](n int, op string, a, b T) T {
	if chosenMutant == n {
		op = map[string]string{"+": "-", "-": "+", "*": "+", "/": "*"}[op]
	}
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	}
	return a / b
}
`

// schemata rewrites files so that every mutant stands behind a switch.
type schemata struct {
	set     *token.FileSet
	types   map[ast.Expr]types.Type
	source  map[string][]byte
	file    string
	imports []string
	mutants []mutant
}

// newSchemata type-checks the package, because a switch must know the type of what it switches.
func newSchemata(t *testing.T, mutated []string) (*schemata, map[string][]byte) {
	t.Helper()
	s := &schemata{set: token.NewFileSet(), types: make(map[ast.Expr]types.Type), source: make(map[string][]byte)}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var trees []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if s.source[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(s.set, name, s.source[name], parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
	}
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	config := types.Config{Importer: importer.ForCompiler(s.set, "gc", exports(t))}
	if _, err := config.Check("throughline/shared/decision", s.set, trees, info); err != nil {
		t.Fatal(err)
	}
	for e, tv := range info.Types {
		s.types[e] = tv.Type
	}
	rewritten := make(map[string][]byte)
	for _, tree := range trees {
		if s.file = s.set.Position(tree.Package).Filename; !slices.Contains(mutated, s.file) {
			continue
		}
		s.imports = nil
		for _, spec := range tree.Imports {
			s.imports = append(s.imports, strings.Trim(spec.Path.Value, `"`))
		}
		astutil.Apply(tree, s.enter, s.leave)
		var out bytes.Buffer
		if err := format.Node(&out, s.set, tree); err != nil {
			t.Fatal(err)
		}
		rewritten[s.file] = out.Bytes()
	}
	return s, rewritten
}

// exports finds the compiled form of every package that this one imports.
func exports(t *testing.T) importer.Lookup {
	t.Helper()
	output, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	at := make(map[string]string)
	for line := range strings.Lines(string(output)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "=")
		at[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(at[path]) }
}

// new notes a mutant and gives its number.
func (s *schemata) new(n ast.Node, old, text string) int {
	m := s.note(n, old, text)
	m.number = len(s.mutants) + 1
	s.mutants = append(s.mutants, m)
	return m.number
}

func (s *schemata) note(n ast.Node, old, text string) mutant {
	source, at, end := s.source[s.file], s.set.Position(n.Pos()), s.set.Position(n.End())
	first := bytes.LastIndexByte(source[:at.Offset], '\n') + 1
	last := at.Offset + bytes.IndexByte(source[at.Offset:], '\n')
	return mutant{
		file: s.file, line: at.Line, code: strings.TrimSpace(string(source[first:last])), old: old, text: text,
		start: at.Offset, end: end.Offset,
	}
}

// enter keeps out of what must stay constant; literals there become mutants of their own.
func (s *schemata) enter(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.ImportSpec, *ast.FieldList, *ast.ArrayType:
		return false
	case *ast.GenDecl:
		if n.Tok == token.CONST {
			ast.Inspect(n, s.constant)
			return false
		}
	case *ast.KeyValueExpr:
		if _, named := n.Key.(*ast.Ident); !named {
			ast.Inspect(n.Key, s.constant)
		}
	}
	return c.Name() != "Key"
}

func (s *schemata) constant(n ast.Node) bool {
	if lit, ok := n.(*ast.BasicLit); ok {
		for _, other := range others(lit) {
			s.mutants = append(s.mutants, s.note(lit, lit.Value, other))
		}
	}
	return true
}

// others are the values that a literal is changed to.
func others(lit *ast.BasicLit) []string {
	switch lit.Kind {
	case token.INT:
		v, err := strconv.ParseInt(lit.Value, 0, 64)
		if err != nil {
			return nil
		}
		if v == 0 {
			return []string{"1"}
		}
		return []string{strconv.FormatInt(v+1, 10), strconv.FormatInt(v-1, 10)}
	case token.FLOAT:
		return []string{"(" + lit.Value + " + 0.0001)", "(" + lit.Value + " - 0.0001)"}
	case token.CHAR:
		return []string{"'~'"}
	case token.STRING:
		return []string{lit.Value + ` + "~"`}
	}
	return nil
}

// tierAndAnswer are the neighbours of each tier and answer.
var tierAndAnswer = map[string][]string{
	"P0": {"P1"}, "P1": {"P0", "P2"}, "P2": {"P1", "P3"}, "P3": {"P2", "P4"}, "P4": {"P3"},
	"Yes": {"No", "Unknown"}, "No": {"Yes", "Unknown"}, "Unknown": {"No", "Yes"},
}

// leave puts a switch in the place of a node, after its parts.
func (s *schemata) leave(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.BasicLit:
		s.values(c, n, n.Value, others(n))
	case *ast.Ident:
		if n.Name == "true" || n.Name == "false" {
			s.values(c, n, n.Name, []string{map[string]string{"true": "false", "false": "true"}[n.Name]})
		}
	case *ast.SelectorExpr:
		if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "graph" {
			var list []string
			for _, other := range tierAndAnswer[n.Sel.Name] {
				list = append(list, "graph."+other)
			}
			s.values(c, n, "graph."+n.Sel.Name, list)
		}
	case *ast.BinaryExpr:
		s.operation(c, n)
	case *ast.IfStmt:
		n.Cond = s.negated(n.Cond)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, clause := range n.Body.List {
				list := clause.(*ast.CaseClause).List
				for i := range list {
					list[i] = s.negated(list[i])
				}
			}
		}
	case *ast.ExprStmt:
		s.deleted(c, n)
	case *ast.IncDecStmt:
		s.deleted(c, n)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			s.deleted(c, n)
		}
	}
	return true
}

func (s *schemata) replace(c *astutil.Cursor, old ast.Expr, text string, parts ...ast.Expr) {
	call, err := parser.ParseExpr(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	fill(call, parts)
	place(call, old.Pos())
	s.types[call] = s.types[old]
	c.Replace(call)
}

// fill puts parts in the place of the names part0, part1.
func fill(call ast.Expr, parts []ast.Expr) {
	astutil.Apply(call, nil, func(c *astutil.Cursor) bool {
		if id, ok := c.Node().(*ast.Ident); ok && strings.HasPrefix(id.Name, "part") {
			if i, err := strconv.Atoi(strings.TrimPrefix(id.Name, "part")); err == nil && i < len(parts) {
				c.Replace(parts[i])
			}
		}
		return true
	})
}

// place gives a new call the position of what it replaces, so that keys and lines of mutants around it stay right.
func place(call ast.Expr, at token.Pos) {
	if c, ok := call.(*ast.CallExpr); ok {
		switch fun := c.Fun.(type) {
		case *ast.Ident:
			fun.NamePos = at
		case *ast.IndexExpr:
			if id, ok := fun.X.(*ast.Ident); ok {
				id.NamePos = at
			}
		}
	}
}

// typeName is the type of e as the file can write it; empty when it cannot.
func (s *schemata) typeName(e ast.Expr) string {
	t := s.types[e]
	if t == nil {
		return ""
	}
	foreign := false
	name := types.TypeString(types.Default(t), func(p *types.Package) string {
		if p.Path() == "throughline/shared/decision" {
			return ""
		}
		foreign = foreign || !slices.Contains(s.imports, p.Path())
		return p.Name()
	})
	if foreign || strings.HasPrefix(name, "untyped") {
		return ""
	}
	return name
}

// values puts a literal or name behind one switch for each other value.
func (s *schemata) values(c *astutil.Cursor, n ast.Expr, now string, list []string) {
	kind := s.typeName(n)
	if kind == "" || len(list) == 0 || c.Name() == "Sel" {
		return
	}
	text := now
	for _, other := range list {
		text = fmt.Sprintf("mutVal[%s](%d, %s, %s)", kind, s.new(n, now, other), text, other)
	}
	s.replace(c, n, text)
}

func (s *schemata) operation(c *astutil.Cursor, n *ast.BinaryExpr) {
	op := n.Op.String()
	kind := s.typeName(n.X)
	if kind == "" || kind == "nil" {
		kind = s.typeName(n.Y)
	}
	basic, isBasic := s.types[n.X].Underlying().(*types.Basic)
	switch n.Op {
	case token.LAND:
		s.replace(c, n, fmt.Sprintf("mutBoth(%d, func() bool { return part0 }, func() bool { return part1 })", s.new(n, op, "||")), n.X, n.Y)
	case token.LOR:
		s.replace(c, n, fmt.Sprintf("mutEither(%d, func() bool { return part0 }, func() bool { return part1 })", s.new(n, op, "&&")), n.X, n.Y)
	case token.EQL:
		if kind != "" && types.Comparable(s.types[n.X]) {
			s.replace(c, n, fmt.Sprintf("mutSame[%s](%d, part0, part1)", kind, s.new(n, op, "!=")), n.X, n.Y)
		}
	case token.NEQ:
		if kind != "" && types.Comparable(s.types[n.X]) {
			s.replace(c, n, fmt.Sprintf("mutDiffer[%s](%d, part0, part1)", kind, s.new(n, op, "==")), n.X, n.Y)
		}
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		number := s.new(n, op, map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">"}[op])
		s.new(n, op, map[string]string{"<": ">", "<=": ">", ">": "<", ">=": "<"}[op])
		s.replace(c, n, fmt.Sprintf("mutOrder[%s](%d, %q, part0, part1)", kind, number, op), n.X, n.Y)
	case token.ADD, token.SUB, token.MUL, token.QUO:
		if isBasic && basic.Info()&types.IsNumeric != 0 {
			other := map[string]string{"+": "-", "-": "+", "*": "+", "/": "*"}[op]
			s.replace(c, n, fmt.Sprintf("mutSum[%s](%d, %q, part0, part1)", kind, s.new(n, op, other), op), n.X, n.Y)
		}
	}
}

func (s *schemata) negated(cond ast.Expr) ast.Expr {
	call := &ast.CallExpr{Fun: &ast.Ident{Name: "mutNot", NamePos: cond.Pos()}, Args: []ast.Expr{
		&ast.BasicLit{Kind: token.INT, Value: strconv.Itoa(s.new(cond, "condition", "its opposite"))}, cond,
	}}
	s.types[call] = types.Typ[types.Bool]
	return call
}

// deleted lets a statement of a list be left out.
func (s *schemata) deleted(c *astutil.Cursor, n ast.Stmt) {
	if c.Index() < 0 {
		return
	}
	number := s.new(n, "statement", "nothing")
	c.Replace(&ast.IfStmt{
		If:   n.Pos(),
		Cond: &ast.CallExpr{Fun: ast.NewIdent("mutKeep"), Args: []ast.Expr{&ast.BasicLit{Kind: token.INT, Value: strconv.Itoa(number)}}},
		Body: &ast.BlockStmt{List: []ast.Stmt{n}},
	})
}
