package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "throughline/"

// The walls: what each package may import of this module, and which outside packages a floor must not touch. Imports
// run downward only. The first prefix that fits decides; tests may also start rooms of infra/local.
var floors = []struct {
	prefix string
	may    []string
	not    []string
}{
	{"functions/ingest", []string{"functions/ingest", "shared/event", "shared/github", "shared/graph"}, sdks},
	{"functions/api", []string{"shared/event", "shared/graph", "shared/decision"}, sdks},
	{"functions/dashboard", []string{"shared/event", "shared/graph", "shared/decision"}, sdks},
	{"functions/", []string{"shared/event", "shared/graph", "shared/decision"}, sdks},
	{"functions", []string{"functions/", "shared/"}, nil},
	{"shared/graph/graphtest", []string{"shared/graph"}, nil},
	{"shared/graph", nil, sdks},
	{"shared/event", []string{"shared/graph"}, nil},
	{"shared/bus", []string{"shared/graph", "shared/event"}, nil},
	{"shared/telemetry", []string{"shared/event"}, sdks},
	{"shared/customhandler", []string{"shared/event"}, sdks},
	{"shared/github", []string{"shared/graph", "shared/github"}, azure},
	{"shared/provenance", []string{"shared/graph", "shared/provenance"}, nil},
	{"shared/decision", []string{"shared/graph"}, sdks},
	{"shared/", []string{"shared/graph"}, nil},
	{"infra/local", []string{"infra/local/"}, nil},
	{"infra/bicepcheck", []string{"infra/bicepcheck"}, nil},
}

var (
	azure = []string{"github.com/Azure/"}
	sdks  = append([]string{"github.com/google/go-github"}, azure...)
)

// What a stage must not touch besides the SDKs: it is told everything it needs.
var stageMustNot = []string{"os", "os/exec"}

func TestFloors(t *testing.T) {
	checked := 0
	walk(t, func(path, dir string, test bool, imports []string) {
		for _, f := range floors {
			if dir != f.prefix && !strings.HasPrefix(dir, strings.TrimSuffix(f.prefix, "/")+"/") {
				continue
			}
			checked++
			for _, i := range imports {
				if why := refuse(f.may, f.not, dir, i, test); why != "" {
					t.Errorf("%s imports %s: %s", path, i, why)
				}
			}
			return
		}
		t.Errorf("%s: no floor says what %s may import", path, dir)
	})
	if checked < 50 {
		t.Fatalf("only %d files were checked", checked)
	}
}

func refuse(may, not []string, dir, imported string, test bool) string {
	own, inside := strings.CutPrefix(imported, module)
	if !inside {
		return outside(not, dir, imported, test)
	}
	if own == dir || test && (strings.HasPrefix(own, "infra/local/") || own == "shared/graph/graphtest") {
		return ""
	}
	for _, m := range may {
		if own == m || strings.HasPrefix(own, strings.TrimSuffix(m, "/")+"/") {
			return ""
		}
	}
	return "not on a floor below"
}

func outside(not []string, dir, imported string, test bool) string {
	if test {
		return ""
	}
	if stage, ok := strings.CutPrefix(dir, "functions/"); ok && stage != "" && slices.Contains(stageMustNot, imported) {
		return "a stage is told what it needs"
	}
	for _, n := range not {
		if strings.HasPrefix(imported, n) {
			return "an SDK does not belong on this floor"
		}
	}
	return ""
}

// TestSigstoreStaysInItsRoom holds that what checks signatures is imported by one package, and that one by main alone: it
// brings as many packages as all the rest.
func TestSigstoreStaysInItsRoom(t *testing.T) {
	const room = "shared/provenance/attestation"
	walk(t, func(path, dir string, test bool, imports []string) {
		for _, i := range imports {
			outside := strings.HasPrefix(i, "github.com/sigstore/") || strings.HasPrefix(i, "github.com/theupdateframework/")
			if outside && dir != room || i == module+room && dir != "functions" {
				t.Errorf("%s imports %s", path, i)
			}
		}
	})
}

// TestFloorsSeeFaults breaks the walls on purpose.
func TestFloorsSeeFaults(t *testing.T) {
	for _, c := range []struct{ dir, imported string }{
		{"functions/assign", module + "shared/github"},
		{"functions/assign", module + "functions/correlate"},
		{"functions/assign", "github.com/google/go-github/v66/github"},
		{"functions/correlate", "os"},
		{"shared/graph", module + "shared/event"},
		{"infra/local/demo", module + "shared/graph"},
	} {
		var got string
		for _, f := range floors {
			if c.dir == f.prefix || strings.HasPrefix(c.dir, strings.TrimSuffix(f.prefix, "/")+"/") {
				got = refuse(f.may, f.not, c.dir, c.imported, false)
				break
			}
		}
		if got == "" {
			t.Errorf("%s may import %s", c.dir, c.imported)
		}
	}
}

// The tour in the package comment of main names packages; each must exist.
func TestTourNamesPackagesThatExist(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, word := range strings.Fields(file.Doc.Text()) {
		word = strings.Trim(word, ".,;:()")
		if !strings.HasPrefix(word, "shared/") && !strings.HasPrefix(word, "functions/") {
			continue
		}
		named++
		if info, err := os.Stat(filepath.Join("..", word)); err != nil || !info.IsDir() {
			t.Errorf("the tour names %s, which is no folder", word)
		}
	}
	if named < 10 {
		t.Errorf("the tour names only %d packages", named)
	}
}

// walk parses the imports of every Go file of the module.
func walk(t *testing.T, visit func(path, dir string, test bool, imports []string)) {
	t.Helper()
	root := ".."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(root, path, d.Name())
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, i := range file.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, name)
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		visit(path, filepath.ToSlash(dir), strings.HasSuffix(path, "_test.go"), imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// skipDir leaves out hidden folders, what is built, and modules of their own.
func skipDir(root, path, name string) error {
	if path == root {
		return nil
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	if strings.HasPrefix(name, ".") || name == "dist" || name == "testdata" || err == nil {
		return fs.SkipDir
	}
	return nil
}
