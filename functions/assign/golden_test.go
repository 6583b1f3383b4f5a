package assign

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

var update = flag.Bool("update", false, "renew the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), renew with -update:\n%s", name, diff)
	}
}

// internals are names of the running system and of where a secret lies.
var internals = []string{"payments-api", "aks-prod", "acr.example", "s-1", string(digest[:19]), "src/search.js", "js/sql-injection", "AWS", "aws_access_key"}

func TestIssueOfEachKind(t *testing.T) {
	for _, kind := range kinds {
		for _, public := range []bool{false, true} {
			name := string(kind)
			if public {
				name += "-public"
			}
			t.Run(name, func(t *testing.T) {
				c := scene(t, kind, public, words{})
				title, texts, labels := everything(c)
				all := fmt.Sprintf("%s\n%v\n\n%s\n=== comment when verified\n%s\n=== comment when accepted\n%s\n=== comment when reopened\n%s", title, labels, texts["body"], texts["verified"], texts["accepted"], texts["reopened"])
				golden(t, name+".md", strings.ReplaceAll(all, shortPolicy(c.policy), "sha256:…"))
				for _, secret := range internals {
					if public && strings.Contains(all, secret) {
						t.Errorf("a public issue tells %q", secret)
					}
				}
			})
		}
	}
}

func TestLongIssueSaysThatItWasCut(t *testing.T) {
	c := scene(t, graph.Dependabot, false, words{})
	base := c.findings[0]
	for i := range 3000 {
		f := base
		a, d := *base.Alert, *base.Alert.Dependency
		a.Number, a.ID = 1000+i, graph.NewAlertID(repositoryID, graph.Dependabot, 1000+i)
		d.CVEs = []string{fmt.Sprintf("CVE-2026-%d%s", i, strings.Repeat("9", 150))}
		a.Dependency, f.Alert, f.ID, f.CVEs = &d, &a, a.ID, d.CVEs
		f.Matches = nil
		c.findings = append(c.findings, f)
	}
	for i := range 200 {
		w := c.exposure.Workloads[0]
		w.ID, w.Name = graph.WorkloadID(fmt.Sprint("w-", i)), strings.Repeat("n", 190)
		w.Cluster = strings.Repeat("c", 190)
		c.exposure.Workloads = append(c.exposure.Workloads, w)
		d := c.findings[0].Decision.Workloads[0]
		d.Workload = w.ID
		c.findings[0].Decision.Workloads = append(c.findings[0].Decision.Workloads, d)
	}
	body := c.plan().draft.Body
	if n := utf8.RuneCountInString(body); n > maxBody {
		t.Errorf("%d characters, want at most %d", n, maxBody)
	}
	if !strings.Contains(body, "more findings.") || !strings.Contains(body, "more vulnerabilities.") {
		t.Error("the tables do not say how much is missing")
	}
	long := cut(strings.Repeat("one line of many\n", 5000), maxBody)
	if n := utf8.RuneCountInString(long); n > maxBody || !strings.HasSuffix(long, "Throughline shows all of it.\n") || !strings.HasPrefix(strings.TrimRight(long[:17], ""), "one line of many\n") {
		t.Errorf("cut to %d characters without saying so: …%q", n, long[len(long)-80:])
	}
}
