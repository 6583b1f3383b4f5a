package cosmos_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"throughline/shared/cosmos"
	"throughline/shared/graph"
)

// mention finds the fields that the product's queries name.
var mention = regexp.MustCompile(`(?:Field: |OrderBy: |OrderBy = |where\()"([\w.]+)"`)

// TestIndexedPaths checks that every field that a query of the product chooses or orders by is indexed somewhere:
// Cosmos DB refuses an order by a path that is not.
func TestIndexedPaths(t *testing.T) {
	var indexed []string
	for _, c := range []graph.Container{graph.GraphContainer, graph.WorklistContainer, graph.StateContainer} {
		for _, p := range cosmos.IndexedPaths(c) {
			indexed = append(indexed, strings.TrimSuffix(strings.TrimSuffix(p, "/?"), "/[]"))
		}
	}
	named := 0
	for _, root := range []string{"../../functions", "../graph", "../bus"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "graphtest" {
				return fs.SkipDir
			}
			if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			text, err := os.ReadFile(path)
			for _, m := range mention.FindAllStringSubmatch(string(text), -1) {
				named++
				if want := "/data/" + strings.ReplaceAll(m[1], ".", "/"); !slices.Contains(indexed, want) {
					t.Errorf("%s asks for %s, which no container indexes", path, m[1])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if named < 5 {
		t.Errorf("only %d fields found in queries: the test no longer sees them", named)
	}
}
