package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCalls: the table of calls on the operator's page names each call that the clients make, no other, and what permits
// it is granted.
func TestCalls(t *testing.T) {
	roles := section(t, read(t, "infra/README.md"), "Roles")
	granted := append(all(`(?m)^\| ([^|]+?) \| (?:-|[0-9a-f-]{36}) \|`, roles), all(`(?m)^\| ((?:organization )?\w+: (?:read|write)) \|`, roles)...)
	documented, used := map[string]bool{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (GitHub|Azure Resource Manager|container registry) (.*) \\| [^|]+ \\| ([^|]+) \\|$").FindAllStringSubmatch(roles, -1) {
		for _, call := range all("`([^`]+)`", row[2]) {
			documented[strings.TrimPrefix(call, "/")] = true
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (?:GitHub|Azure Resource|container|Service Bus:|Cosmos DB:).* \| [^|]+ \| ([^|]+) \|$`).FindAllStringSubmatch(roles, -1) {
		for permission := range strings.SplitSeq(row[1], ", ") {
			if permission != "none" && !slices.Contains(granted, permission) {
				t.Errorf("%s is needed and not granted; granted: %q", permission, granted)
			}
			used[permission] = true
		}
	}
	delete(documented, "orgs/*") // said beside its row
	made := append(calls(t, "shared/github/client"), calls(t, "shared/defender")...)
	made = append(made, calls(t, "shared/provenance")...)
	same(t, "calls that are documented", slices.Collect(maps.Keys(documented)), slices.Compact(slices.Sorted(slices.Values(made))))
	for _, permission := range granted {
		hosts := regexp.MustCompile(`^(Storage|Key Vault|Monitoring)`).MatchString(permission)
		if !used[permission] && !hosts && !strings.Contains(roles[strings.Index(roles, "Events alone"):], permission) {
			t.Errorf("%s is granted, and no call needs it", permission)
		}
	}
}

// calls reads the paths that a package asks for. Every part that is not a constant is a *.
func calls(t *testing.T, dir string) (found []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no code in %s: %v", dir, err)
	}
	constants := map[string]string{}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		ast.Inspect(file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
				if text, ok := literal(v.Values[0]); ok {
					constants[v.Names[0].Name] = text
				}
			}
			return true
		})
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text := template(e, constants)
			for _, form := range addresses {
				if m := form.FindStringSubmatch(text); m != nil {
					found = append(found, normal(m[1]))
					return false
				}
			}
			return true
		})
	}
	return found
}

// addresses are the forms of an address in the code: those that path() makes, those of Azure, and constants.
var addresses = []*regexp.Regexp{
	regexp.MustCompile(`^(PATH/.*)$`),
	regexp.MustCompile(`^/?(providers/Microsoft\.ResourceGraph/.*|\*/governanceAssignments.*)$`),
	regexp.MustCompile(`(oauth2/exchange)$`),
	regexp.MustCompile(`^(app|app/installations.*|installation/repositories.*|graphql)$`),
}

// normal takes away the query, writes every variable part as one *, and the alerts of an organisation as those of a repository.
func normal(text string) string {
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "PATH/"), "?")
	for strings.Contains(text, "**") {
		text = strings.ReplaceAll(text, "**", "*")
	}
	text = regexp.MustCompile(`\*?\.\.\.\*?`).ReplaceAllString(text, "*")
	text = regexp.MustCompile(`(\w)\*$`).ReplaceAllString(text, "$1")
	return strings.Replace(text, "orgs/*/*/alerts", "repos/*/*/*/alerts", 1)
}

// template writes an expression as text.
func template(e ast.Expr, constants map[string]string) string {
	switch e := e.(type) {
	case *ast.BasicLit, *ast.Ident:
		if text, ok := literal(e); ok {
			return text
		}
		if name, ok := e.(*ast.Ident); ok && constants[name.Name] != "" {
			return constants[name.Name]
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return template(e.X, constants) + template(e.Y, constants)
		}
	case *ast.CallExpr:
		if name, ok := e.Fun.(*ast.Ident); ok && name.Name == "path" && len(e.Args) > 1 {
			parts := []string{"PATH"}
			for _, a := range e.Args {
				parts = append(parts, template(a, constants))
			}
			return strings.Join(parts, "/")
		}
	}
	return "*"
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}
