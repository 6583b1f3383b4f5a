package decision

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// equivalent lists mutants that change nothing a caller can see, by their key, with the reason.
var equivalent = map[string]string{
	`facts.go: f.automatable, f.total = graph.No, graph.No: graph.No → graph.Unknown`:                                 "without a threat unknown counts as no",
	`facts.go: f.automatable, f.total = graph.No, graph.No: statement → nothing`:                                      "without a threat unknown counts as no",
	`facts.go: if n, err := strconv.ParseFloat(v, 64); err == nil {: 64 → 63`:                                         "every size but 32 means 64",
	`facts.go: if n, err := strconv.ParseFloat(v, 64); err == nil {: 64 → 65`:                                         "every size but 32 means 64",
	`facts.go: if v != "" {: "" → "" + "~"`:                                                                           "an empty text is no number either; only the error would cost an allocation",
	`inputs.go: n, err := strconv.ParseFloat(v, 64): 64 → 63`:                                                         "every size but 32 means 64",
	`inputs.go: n, err := strconv.ParseFloat(v, 64): 64 → 65`:                                                         "every size but 32 means 64",
	`order.go: return -1: 1 → 2`:                                                                                      "only the sign of a comparison counts",
	`order.go: return 1: 1 → 2`:                                                                                       "only the sign of a comparison counts",
	`order.go: return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]: "0123456789" → "0123456789" + "~"`:           "the text holds digits only",
	`order.go: x, y := strings.TrimLeft(m, "0"), strings.TrimLeft(n, "0"): "0" → "0" + "~"`:                           "the text holds digits only",
	`policycheck.go: return math.MaxInt - 1: 1 → 2`:                                                                   "any number above all days will do",
	`policycheck.go: whole, part, _ := strings.Cut(strconv.FormatFloat(v, 'f', -1, 64), "."): 1 → 2`:                  "every negative precision means the shortest",
	`policyfile.go: i := 0: 0 → 1`:                                                                                    "a value of the wrong type is refused whatever it is",
	`policyfile.go: if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {: > → >=`:            "a mapping without keys is in flow style",
	`policyfile.go: if syntax := (*yaml.SyntaxError)(nil); errors.As(err, &syntax) && syntax.Token != nil {: && → ||`: "every error of the parser is a syntax error with a token",
	`policyfile.go: if t == nil || t.Position == nil {: || → &&`:                                                      "the parser gives every node a token with a position",
	`policyfile.go: path = path[:max(0, strings.LastIndexAny(path, ".["))]: ".[" → ".[" + "~"`:                        "no path has such a letter",
	`policyfile.go: return position{1, 1}: 1 → 0`:                                                                     "the parser gives every node a token with a position",
	`policyfile.go: return position{1, 1}: 1 → 2`:                                                                     "the parser gives every node a token with a position",
	`policyfile.go: row := make([]int, len(b)+1): 1 → 2`:                                                              "the last element is not read",
}

// Every change of a constant, a comparison, a branch or a statement makes some other test fail.
// MUTANTS=rules.go,table.go restricts the run to some files.
func TestMutantsAreKilled(t *testing.T) {
	if !long {
		t.Skip("SKIPPED: runs the tests once for each mutant; set THROUGHLINE_LONG=1")
	}
	files := []string{
		"acceptance.go", "clock.go", "cvss.go", "decision.go", "evidence.go", "explain.go", "facts.go", "guard.go", "inputs.go",
		"order.go", "policy.go", "policycheck.go", "policyfile.go", "product.go", "publish.go", "rules.go", "score.go", "table.go", "vex.go", "wording.go",
	}
	if only := os.Getenv("MUTANTS"); only != "" {
		files = strings.Split(only, ",")
	}
	s, rewritten := newSchemata(t, files)
	rewritten["switchboard.go"] = []byte(switchboard)
	all := build(t, rewritten)
	if all.binary == "" {
		t.Fatalf("the package with all its switches does not compile:\n%s", all.output)
	}
	if survives, output := all.run(0); !survives {
		t.Fatalf("the tests fail without any mutant:\n%s", output)
	}
	count := make(map[string]int)
	for _, m := range s.mutants {
		f := fate(t, m, all)
		count[f]++
		if f == "survives" {
			t.Errorf("survives at line %d: %q", m.line, m.key())
		}
	}
	t.Logf("%d mutants: %v", len(s.mutants), count)
	if count["killed"] == 0 {
		t.Error("no mutant was killed")
	}
}

func fate(t *testing.T, m mutant, all built) string {
	t.Helper()
	_, known := equivalent[m.key()]
	survives := false
	switch {
	case known:
		return "equivalent"
	case m.number > 0:
		survives, _ = all.run(m.number)
	default:
		source, err := os.ReadFile(m.file)
		if err != nil {
			t.Fatal(err)
		}
		b := build(t, map[string][]byte{m.file: slices.Concat(source[:m.start], []byte(m.text), source[m.end:])})
		if b.binary == "" && !strings.Contains(b.output, m.file+":") {
			t.Fatalf("the package does not build, whatever the mutant:\n%s", b.output)
		}
		if b.binary == "" {
			return "does not compile"
		}
		survives, _ = b.run(0)
	}
	if survives {
		return "survives"
	}
	return "killed"
}

// built is the package's tests with some files replaced; the binary is empty when it does not compile.
type built struct{ binary, output string }

// build lets the compiler read other texts in the place of files, without writing over them.
func build(t *testing.T, files map[string][]byte) built {
	t.Helper()
	dir := t.TempDir()
	replace := make(map[string]string)
	for name, text := range files {
		here, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		replace[here] = filepath.Join(dir, name)
		if err := os.WriteFile(replace[here], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", name, "-o", binary, ".").CombinedOutput()
	if err != nil {
		return built{"", string(output)}
	}
	return built{binary, ""}
}

// run tells whether all other tests pass. Most mutants fall to the examples, which are quick. Switches allocate, so the
// test of allocations is left out.
func (b built) run(number int) (survives bool, output string) {
	for _, tests := range []string{"Vectors|Examples|Table|ParsePolicy|Stories", "."} {
		test := exec.Command(b.binary, "-test.run", tests, "-test.skip", "TestMutantsAreKilled|TestDecideAllocatesLittle",
			"-test.failfast", "-test.timeout=120s", "-rapid.nofailfile")
		test.Env = append(os.Environ(), "THROUGHLINE_LONG=", "DECISION_MUTANT="+strconv.Itoa(number))
		if text, err := test.CombinedOutput(); err != nil {
			return false, string(text)
		}
	}
	return true, ""
}
