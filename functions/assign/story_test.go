package assign

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// The world of the rendering tests: every text in it can be replaced by one value.

var (
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	digest = graph.Digest("sha256:" + strings.Repeat("ab", 32))
	commit = strings.Repeat("c0ffee", 6) + "c0ff"
)

const repositoryID graph.RepositoryID = "github-4711"

// words puts its value in place of every word, or leaves the words when it has none.
type words struct {
	value   string
	replace bool
}

func (w words) of(s string) string {
	if w.replace {
		return w.value
	}
	return s
}

// scene is one remediation with all that an issue could tell of it.
func scene(t *testing.T, kind graph.AlertKind, public bool, w words) *work {
	t.Helper()
	visibility := "private"
	if public {
		visibility = "public"
	}
	c := &work{Stage: &Stage{Mode: Auto, Marker: Marker{Key: []byte("0123456789abcdef")}, Log: slog.New(slog.DiscardHandler)}, policy: decision.DefaultPolicy(), now: noon}
	c.repository = graph.Repository{ID: repositoryID, Org: "github-org-1", Owner: "shop", Name: "api", Visibility: visibility, URL: "https://github.com/shop/api", DefaultBranch: "main"}
	c.home = c.repository
	place := graph.ExposedWorkload{ID: "w-1", Path: "/subscriptions/s-1/x", Name: w.of("payments-api"), Kind: w.of("Pod"), Cluster: w.of("aks-prod"), Owner: w.of("team payments"), Digests: []graph.Digest{digest}}
	c.exposure = graph.Exposure{Repository: repositoryID, Org: "github-org-1", FullName: "shop/api", Public: public, Images: true, Inventory: true, Workloads: []graph.ExposedWorkload{place},
		Artifacts: []graph.ExposedArtifact{{Digest: digest, Name: w.of("acr.example/shop/api"), Method: graph.AttestationRecord, Commit: commit}}}
	c.evidence = map[graph.Digest]graph.Evidence{digest: {Digest: digest, Workflow: w.of(".github/workflows/build.yml"), Run: w.of("https://github.com/shop/api/actions/runs/77")}}
	f := finding(kind, w)
	f.Decision = decided(t, f, w)
	c.findings = []graph.Finding{f}
	c.remediation = graph.Remediation{ID: graph.NewRemediationID(repositoryID, f.FixKey), Repository: repositoryID, Owned: "Assigned to the code owners by " + code(w.of(".github/CODEOWNERS")) + "."}
	if f.Runtime != nil {
		known := finding(graph.Dependabot, words{})
		c.kin = map[string][]graph.Finding{f.Runtime.CVEs[0].ID: {known}}
	}
	return c
}

func finding(kind graph.AlertKind, w words) graph.Finding {
	at := noon.Add(-96 * time.Hour)
	f := graph.Finding{Repository: repositoryID, Kind: kind, State: graph.Open, FirstSeen: at}
	if kind == graph.RuntimeKind {
		f.ID = "runtime-11111111-1111-1111-1111-111111111111"
		f.Runtime = &graph.RuntimeFinding{ID: f.ID, Assessment: "/subscriptions/s-1/providers/Microsoft.Security/assessments/a-1", Title: w.of("Update openssl"), Digest: digest, Software: w.of("openssl"),
			FixedIn: w.of("3.0.7"), Severity: w.of("High"), State: graph.Open, CVEs: []graph.CVE{{ID: w.of("CVE-2022-3602"), Severity: w.of("High")}, {ID: w.of("CVE-2022-3786") + "b", Severity: w.of("High")}}}
		f.FixKey = f.Runtime.FixKey()
		f.CVEs = []string{f.Runtime.CVEs[0].ID, f.Runtime.CVEs[1].ID}
		return f
	}
	a := graph.Alert{ID: graph.NewAlertID(repositoryID, kind, 88), Kind: kind, Repository: repositoryID, Number: 88, State: graph.Open, Title: w.of("Injection in the search"), Severity: w.of("critical"),
		URL: w.of("https://github.com/shop/api/security/" + strings.ReplaceAll(string(kind), "_", "-") + "/88"), CreatedAt: at, UpdatedAt: at}
	switch kind {
	case graph.Dependabot:
		a.Dependency = &graph.Dependency{Ecosystem: "maven", Package: w.of("org.apache.logging.log4j:log4j-core"), Manifest: w.of("pom.xml"), Scope: "runtime", GHSA: w.of("GHSA-jfh8-c2jp-5v3q"),
			CVEs: []string{w.of("CVE-2021-44228")}, FixedIn: w.of("2.15.0")}
		f.Matches = []graph.RuntimeMatch{{ID: "runtime-1", Digest: digest, CVEs: a.Dependency.CVEs}}
	case graph.CodeScanning:
		a.Code = &graph.Code{Tool: w.of("CodeQL"), Rule: w.of("js/sql-injection"), SecurityLevel: "critical", Tags: []string{"security"}, Path: w.of("src/search.js"), Line: 12, Message: w.of("untrusted")}
	case graph.SecretScanning:
		a.Secret = &graph.Secret{Type: w.of("aws_access_key"), TypeName: w.of("AWS Access Key"), Validity: "active"}
	}
	f.ID, f.Alert, f.FixKey, f.CVEs = a.ID, &a, a.FixKey(), a.CVEs()
	return f
}

// decided explains the finding by the public rule, on a workload that no source says much about.
func decided(t *testing.T, f graph.Finding, w words) *graph.Decision {
	t.Helper()
	in := decision.Inputs{Finding: string(f.ID), Workload: "w-1", At: noon, Detected: f.FirstSeen, Kind: decision.Vuln, Severity: decision.Fact{Value: "critical"}}
	switch f.Kind {
	case graph.CodeScanning:
		in.Kind = decision.Code
	case graph.SecretScanning:
		in.Kind, in.Validity = decision.Secret, decision.Fact{Value: "active"}
	default:
		in.CVE = w.of("CVE-2021-44228")
		in.ExploitKit = decision.Fact{Value: "yes", Source: "Defender for Cloud"}
	}
	in.Place = decision.Place{Name: w.of("payments-api"), Cluster: w.of("aks-prod"), Repository: w.of("shop/api"), Subscription: w.of("s-1")}
	in.Running, in.Workloads = decision.Fact{Value: "yes", Source: "images"}, decision.Fact{Value: "1"}
	in.Critical = decision.Fact{Value: "yes", Source: w.of("Defender for Cloud")}
	e := decision.Explain(in, decision.DefaultPolicy())
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return &graph.Decision{Version: "v", Tier: e.Tier, Published: e.Tier, Rule: e.Rule, Score: e.Score, Due: e.Due, DueAt: noon.Add(72 * time.Hour), Running: graph.Yes,
		Workloads: []graph.WorkloadDecision{{Workload: "w-1", Name: w.of("payments-api"), Tier: e.Tier, Rule: e.Rule, Factors: []graph.Factor{graph.CriticalResource}, Explanation: raw}}}
}
