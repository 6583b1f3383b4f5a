package decision

import (
	"strings"
	"testing"

	"throughline/shared/graph"
)

func TestHandOver(t *testing.T) {
	p, problems := ParsePolicy("policy.yaml", []byte("tiers:\n  P1: {actions: [issue, copilot]}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	code := func(tool, path string) graph.Finding {
		return graph.Finding{Kind: graph.CodeScanning, State: graph.Open, Decision: &graph.Decision{Published: graph.P1}, Alert: &graph.Alert{Code: &graph.Code{Tool: tool, Path: path}}}
	}
	dependency := func(manifest string) graph.Finding {
		return graph.Finding{Kind: graph.Dependabot, State: graph.Open, Decision: &graph.Decision{Published: graph.P1}, Alert: &graph.Alert{Dependency: &graph.Dependency{Manifest: manifest, FixedIn: "2"}}}
	}
	secret := code(trustedScanner, "src/a.go")
	secret.Kind, secret.Alert = graph.SecretScanning, &graph.Alert{Secret: &graph.Secret{}}
	urgent, closed, runtime := dependency("go.mod"), dependency("go.mod"), dependency("go.mod")
	urgent.Decision = &graph.Decision{Published: graph.P0}
	closed.State = graph.Fixed
	runtime.Alert, runtime.Runtime = nil, &graph.RuntimeFinding{FixedIn: "2"}
	for name, c := range map[string]struct {
		findings []graph.Finding
		why      string
	}{
		"code":                       {[]graph.Finding{code(trustedScanner, "src/a.go")}, ""},
		"a dependency":               {[]graph.Finding{dependency("services/x/package-lock.json")}, ""},
		"a closed secret besides":    {[]graph.Finding{dependency("go.mod"), {Kind: graph.SecretScanning, State: graph.Fixed}}, ""},
		"nothing open":               {[]graph.Finding{closed}, "nothing of it is open"},
		"a secret":                   {[]graph.Finding{secret}, "never given"},
		"a secret among others":      {[]graph.Finding{dependency("go.mod"), secret}, "never given"},
		"another tool":               {[]graph.Finding{code("Anything", "src/a.go")}, "another tool"},
		"a tier that does not ask":   {[]graph.Finding{urgent}, "does not ask for copilot at P0"},
		"seen running only":          {[]graph.Finding{runtime}, "no alert"},
		"a workflow":                 {[]graph.Finding{code(trustedScanner, ".github/workflows/build.yml")}, "steers"},
		"a workflow, another case":   {[]graph.Finding{dependency(".GitHub/workflows/build.yml")}, "steers"},
		"a workflow of windows":      {[]graph.Finding{dependency(`.github\workflows\build.yml`)}, "steers"},
		"instructions":               {[]graph.Finding{code(trustedScanner, "docs/AGENTS.md")}, "steers"},
		"instructions of a folder":   {[]graph.Finding{code(trustedScanner, "docs/go.instructions.md")}, "steers"},
		"owners":                     {[]graph.Finding{code(trustedScanner, "CODEOWNERS")}, "steers"},
		"a way out and in":           {[]graph.Finding{code(trustedScanner, "src/../.github/x.yml")}, "steers"},
		"a letter that looks like g": {[]graph.Finding{code(trustedScanner, ".ｇithub/x.yml")}, "steers"},
		"a hidden letter":            {[]graph.Finding{code(trustedScanner, ".git\u200bhub/x.yml")}, "steers"},
	} {
		if why := p.HandOver(c.findings); why != c.why && (c.why == "" || !strings.Contains(why, c.why)) {
			t.Errorf("%s: %q, want %q", name, why, c.why)
		}
	}
}
