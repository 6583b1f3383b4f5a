package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// safety is what no text may claim: an absence of evidence is no evidence.
var safety = regexp.MustCompile(`(?i)\b(isolated|safe|safely|harmless|secure|risk[- ]free|no risk|not (exploitable|vulnerable|reachable|at risk)|unexploitable)\b`)

// TestNoTextClaimsSafety reads every text that can reach a person: the strings of the code, the pages, the API's own
// description and the policy.
func TestNoTextClaimsSafety(t *testing.T) {
	if !safety.MatchString("The workload is isolated.") || !safety.MatchString("not exploitable") || safety.MatchString("no evidence of exposure") {
		t.Fatal("the test does not see what it looks for")
	}
	read := 0
	for _, root := range []string{".", "../shared"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			for _, text := range textsIn(t, name) {
				read++
				if claim := safety.FindString(text); claim != "" {
					t.Errorf("%s says %q: %.200q", name, claim, text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 1000 {
		t.Errorf("only %d texts were read", read)
	}
}

// textsIn are the strings of a Go file that is no test, and the whole of a page, a description or a policy.
func textsIn(t *testing.T, name string) []string {
	switch {
	case strings.HasSuffix(name, "_test.go"):
	case strings.HasSuffix(name, ".go"):
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				texts = append(texts, l.Value)
			}
			_, imports := n.(*ast.ImportSpec)
			return !imports
		})
		return texts
	case strings.HasSuffix(name, ".html"), strings.HasSuffix(name, "openapi.json"), strings.HasSuffix(name, "policy.yaml"):
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return []string{string(text)}
	}
	return nil
}
