package decision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mutatedFiles are those that decide. The reader of policy files and the wording are compared word for word elsewhere.
var mutatedFiles = []string{
	"acceptance.go", "clock.go", "cvss.go", "decision.go", "evidence.go", "explain.go", "facts.go", "guard.go",
	"inputs.go", "order.go", "policy.go", "policycheck.go", "publish.go", "rules.go", "score.go", "table.go", "vex.go",
}

// equivalent lists mutants that change nothing a caller can see, with the reason. The key is file, line of code, change.
var equivalent = map[string]string{}

// mutant is one change of the source: the bytes from start to end become text.
type mutant struct {
	file       string
	start, end int
	line       int
	code, text string // the line of code, and what takes the place of the bytes
	old        string
}

func (m mutant) key() string { return fmt.Sprintf("%s: %s: %s → %s", m.file, m.code, m.old, m.text) }

// Every change of a constant, a comparison or a branch makes some other test fail. The run takes long: each mutant is
// compiled and tested by itself. MUTANTS=rules.go,table.go restricts it to some files.
func TestMutantsAreKilled(t *testing.T) {
	if !long {
		t.Skip("SKIPPED: compiles the package once for each mutant; set THROUGHLINE_LONG=1")
	}
	files := mutatedFiles
	if only := os.Getenv("MUTANTS"); only != "" {
		files = strings.Split(only, ",")
	}
	count := make(map[fate]int)
	for _, file := range files {
		for _, m := range mutantsOf(t, file) {
			if _, known := equivalent[m.key()]; known {
				count[alike]++
				continue
			}
			f := m.try(t)
			count[f]++
			if f == survives {
				t.Errorf("survives at line %d: %q", m.line, m.key())
			}
		}
	}
	t.Logf("%d mutants killed, %d do not compile, %d are equivalent, %d survive", count[killed], count[broken], count[alike], count[survives])
	if count[killed] == 0 {
		t.Error("no mutant was killed")
	}
}

type fate int

const (
	killed fate = iota
	broken
	alike
	survives
)

// try runs all other tests on the mutated source, which takes the place of the file without being written over it.
func (m mutant) try(t *testing.T) fate {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "mutant.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", m.overlay(t, dir), "-o", binary, ".")
	if output, err := build.CombinedOutput(); err != nil {
		if !strings.Contains(string(output), m.file+":") {
			t.Fatalf("the package does not build, whatever the mutant:\n%s", output)
		}
		return broken
	}
	// Most mutants fall to the examples, which are quick.
	for _, run := range []string{"Vectors|Examples|Table|ParsePolicy|Stories", "."} {
		test := exec.Command(binary, "-test.run", run, "-test.skip", "TestMutantsAreKilled", "-test.failfast", "-test.timeout=60s")
		test.Env = append(os.Environ(), "THROUGHLINE_LONG=")
		if err := test.Run(); err != nil {
			return killed
		}
	}
	return survives
}

// overlay tells the compiler to read the mutated text in place of the file.
func (m mutant) overlay(t *testing.T, dir string) string {
	t.Helper()
	source, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	there, name := filepath.Join(dir, m.file), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{here: there}})
	if err != nil {
		t.Fatal(err)
	}
	for to, data := range map[string][]byte{there: slices.Concat(source[:m.start], []byte(m.text), source[m.end:]), name: text} {
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func mutantsOf(t *testing.T, file string) []mutant {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	g := &mutator{file: file, source: source, set: set}
	ast.Inspect(tree, g.visit)
	return g.found
}

type mutator struct {
	file   string
	source []byte
	set    *token.FileSet
	found  []mutant
}

func (g *mutator) add(from, to token.Pos, text string) {
	start, end := g.set.Position(from).Offset, g.set.Position(to).Offset
	first := bytes.LastIndexByte(g.source[:start], '\n') + 1
	last := start + bytes.IndexByte(g.source[start:], '\n')
	g.found = append(g.found, mutant{
		file: g.file, start: start, end: end, line: g.set.Position(from).Line,
		code: strings.TrimSpace(string(g.source[first:last])), old: string(g.source[start:end]), text: text,
	})
}

var swaps = map[token.Token][]string{
	token.EQL: {"!="}, token.NEQ: {"=="}, token.LSS: {"<=", ">"}, token.LEQ: {"<", ">"}, token.GTR: {">=", "<"},
	token.GEQ: {">", "<"}, token.LAND: {"||"}, token.LOR: {"&&"}, token.ADD: {"-"}, token.SUB: {"+"}, token.MUL: {"+"},
	token.QUO: {"*"}, token.OR: {"&"}, token.AND: {"|"}, token.SHL: {">>"},
}

func (g *mutator) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec, *ast.Field:
		return false
	case *ast.BasicLit:
		g.literal(n)
	case *ast.BinaryExpr:
		for _, op := range swaps[n.Op] {
			g.add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), op)
		}
	case *ast.IfStmt:
		g.add(n.Cond.Pos(), n.Cond.End(), "!("+g.text(n.Cond)+")")
	case *ast.SelectorExpr:
		g.tier(n)
	case *ast.Ident:
		if other, found := map[string]string{"true": "false", "false": "true"}[n.Name]; found {
			g.add(n.Pos(), n.End(), other)
		}
	case *ast.ExprStmt:
		g.add(n.Pos(), n.End(), "_ = 0")
	case *ast.IncDecStmt:
		g.add(n.TokPos, n.End(), map[token.Token]string{token.INC: "--", token.DEC: "++"}[n.Tok])
	case *ast.AssignStmt:
		if n.Tok == token.ASSIGN || n.Tok == token.OR_ASSIGN || n.Tok == token.ADD_ASSIGN {
			g.add(n.Pos(), n.End(), "_ = 0")
		}
	}
	return true
}

func (g *mutator) text(n ast.Node) string {
	return string(g.source[g.set.Position(n.Pos()).Offset:g.set.Position(n.End()).Offset])
}

func (g *mutator) literal(n *ast.BasicLit) {
	switch n.Kind {
	case token.INT:
		if v, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			g.add(n.Pos(), n.End(), strconv.FormatInt(v+1, 10))
			if v > 0 {
				g.add(n.Pos(), n.End(), strconv.FormatInt(v-1, 10))
			}
		}
	case token.FLOAT:
		g.add(n.Pos(), n.End(), "("+n.Value+" + 0.0001)")
		g.add(n.Pos(), n.End(), "("+n.Value+" - 0.0001)")
	case token.CHAR:
		g.add(n.Pos(), n.End(), "'~'")
	case token.STRING:
		g.add(n.Pos(), n.End(), n.Value+`+"~"`)
	}
}

// tier moves a tier one step.
func (g *mutator) tier(n *ast.SelectorExpr) {
	pkg, ok := n.X.(*ast.Ident)
	if !ok || pkg.Name != "graph" {
		return
	}
	next := map[string][]string{
		"P0": {"P1"}, "P1": {"P0", "P2"}, "P2": {"P1", "P3"}, "P3": {"P2", "P4"}, "P4": {"P3"},
		"Yes": {"No", "Unknown"}, "No": {"Yes", "Unknown"}, "Unknown": {"No", "Yes"},
	}
	for _, other := range next[n.Sel.Name] {
		g.add(n.Sel.Pos(), n.Sel.End(), other)
	}
}
