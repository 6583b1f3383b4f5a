package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

var planNoon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// office is the API over a memory store with decided findings.
type office struct {
	t      testing.TB
	api    *API
	store  *graph.Memory
	policy *decision.Policy
	now    time.Time
	said   []event.Event
	server *httptest.Server
}

func newOffice(t testing.TB) *office {
	o := &office{t: t, store: graph.NewMemory(), policy: decision.DefaultPolicy(), now: planNoon}
	o.api = &API{Store: o.store, Access: Access{Local: true}, Policy: func() *decision.Policy { return o.policy }, Now: func() time.Time { return o.now }, Log: slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, events []event.Event) error { o.said = append(o.said, events...); return nil }}
	o.server = httptest.NewServer(o.api.Handler())
	t.Cleanup(o.server.Close)
	o.put(graph.PolicyKey(o.policy.Hash()), graph.KindPolicy, o.policy)
	return o
}

func (o *office) put(k graph.Key, kind graph.Kind, v any) {
	o.t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, v)
	if err == nil {
		err = o.store.Write(context.Background(), w)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// inputs are those of a flaw whose EPSS alone makes it likely.
func inputs(epss string, internet graph.Answer) decision.Inputs {
	f := func(v string) decision.Fact { return decision.Fact{Value: v, Source: "test", At: planNoon} }
	return decision.Inputs{Kind: decision.Vuln, At: planNoon, KEV: f("no"), EPSS: f(epss), Severity: f("high"), Automatable: f("no"), Impact: f("partial"), Exploitation: f("none"),
		Internet: f(string(internet)), Sensitive: f("no"), Critical: f("no"), Lateral: f("no"), Running: f("yes"), Workloads: f("1")}
}

// decided writes a finding as prioritize leaves it.
func (o *office) decided(r graph.RepositoryID, n int, in decision.Inputs) graph.FindingID {
	o.t.Helper()
	id := graph.NewAlertID(r, graph.Dependabot, n)
	in.Finding = string(id)
	x := decision.Explain(in, o.policy)
	raw, err := json.Marshal(x)
	if err != nil {
		o.t.Fatal(err)
	}
	a := graph.Alert{ID: id, Kind: graph.Dependabot, Repository: r, Number: n, State: graph.Open, Title: "flaw", Severity: "high",
		Dependency: &graph.Dependency{Ecosystem: "npm", Package: fmt.Sprintf("p%d", n), FixedIn: "2"}}
	f := graph.Finding{ID: id, Repository: r, Kind: a.Kind, State: graph.Open, Alert: &a, FixKey: a.FixKey(), FirstSeen: planNoon,
		Decision: &graph.Decision{Version: "v", Tier: x.Tier, Published: x.Tier, Rule: x.Rule, Score: x.Score, Due: x.Due, Since: planNoon, DecidedAt: planNoon,
			History:   []graph.TierSpan{{At: planNoon.AddDate(0, 0, -30), Tier: x.Tier}},
			Workloads: []graph.WorkloadDecision{{Workload: "w-1", Name: "api", Tier: x.Tier, Rule: x.Rule, Score: x.Score, Due: x.Due, Explanation: raw}}}}
	f.Remediation = graph.NewRemediationID(r, f.FixKey)
	o.put(graph.FindingKey(r, id), graph.KindFinding, f)
	o.put(graph.StateKey(graph.RepositoriesPartition, string(r)), "name", graph.Name{Repository: r, FullName: "shop/" + string(r), Org: "github-org-1"})
	return id
}

// issue gives the fix of a finding an open issue.
func (o *office) issue(r graph.RepositoryID, n, number int) {
	a := graph.Alert{Kind: graph.Dependabot, Number: n, Dependency: &graph.Dependency{Ecosystem: "npm", Package: fmt.Sprintf("p%d", n)}}
	id := graph.NewRemediationID(r, a.FixKey())
	o.put(graph.RemediationKey(r, id), graph.KindRemediation, graph.Remediation{ID: id, Repository: r, Issue: &graph.Issue{Number: number, State: "open"}})
}

// ask posts a body and gives the status and the answer.
func (o *office) ask(method, path, body string) (int, map[string]any) {
	o.t.Helper()
	req, err := http.NewRequest(method, o.server.URL+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer
}

func (o *office) plan(policy string) Plan {
	o.t.Helper()
	p, problems := decision.ParsePolicy("policy.yaml", []byte(policy))
	if p == nil {
		o.t.Fatalf("%v", problems)
	}
	plan, err := o.api.PlanPolicy(context.Background(), p)
	if err != nil {
		o.t.Fatal(err)
	}
	return plan
}

func TestPlanTellsWhatAPolicyChangesAndChangesNothing(t *testing.T) {
	o := newOffice(t)
	likely := o.decided("github-1", 1, inputs("0.2", graph.No))  // R7: P2
	quiet := o.decided("github-1", 2, inputs("0.05", graph.No))  // P3
	other := o.decided("github-2", 1, inputs("0.01", graph.Yes)) // P2 by the table
	o.issue("github-1", 1, 7)
	o.issue("github-2", 1, 8)
	writes := o.store.Writes()

	if p := o.plan("version: 1\n"); p.Changed+p.Open+p.Change+p.Close != 0 || p.Findings != 3 || p.Policy != p.InForce {
		t.Errorf("the policy in force changes something: %+v", p)
	}
	p := o.plan("version: 1\nthresholds: {epss_likely: 0.04, epss_possible: 0.02}\n")
	if p.Changed != 1 || len(p.Tiers) != 1 || p.Tiers[0] != (TierPlan{quiet, "github-1", graph.P3, graph.P2, "R7"}) {
		t.Errorf("a lower threshold: %+v", p.Tiers)
	}
	if p.Open != 1 || p.Close != 0 || p.Issues[0].Action != "open" {
		t.Errorf("issues %+v", p.Issues)
	}
	if p.Before[graph.P3] != 1 || p.After[graph.P3] != 0 || p.After[graph.P2] != 3 {
		t.Errorf("before %v, after %v", p.Before, p.After)
	}
	// A drop waits for the quiet days, so the issue stays until then; without a hold it would close after one day.
	p = o.plan("version: 1\nrules_off: [R7]\nfloor: none\n")
	if p.Changed != 0 || p.Close != 0 {
		t.Errorf("what is held changes at once: %+v", p)
	}
	p = o.plan("version: 1\ntiers: {P2: {due: 60d, actions: [nothing]}}\n")
	if p.Close != 2 || p.Changed != 0 || !slices.ContainsFunc(p.Issues, func(i IssuePlan) bool { return i.Issue == 7 && i.Action == "close" }) {
		t.Errorf("P2 opens no issues any more: %+v", p.Issues)
	}
	p = o.plan("version: 1\ntiers: {P2: {due: 30d, actions: [issue]}}\n")
	if p.Change != 2 || p.Open != 0 {
		t.Errorf("P2 is due earlier: %+v", p.Issues)
	}
	if n := o.store.Writes() - writes; n != 0 || len(o.said) != 0 {
		t.Errorf("planning wrote %d documents and said %d events", n, len(o.said))
	}
	_, _ = likely, other
}

func TestPlanTellsThatTheGuardWouldHoldIssuesBack(t *testing.T) {
	o := newOffice(t)
	for n := range 5 {
		o.decided("github-1", n+1, inputs("0.05", graph.No))
	}
	p := o.plan("version: 1\nguard: 4\nthresholds: {epss_likely: 0.04, epss_possible: 0.02}\n")
	if p.Open != 5 || !p.Waits {
		t.Errorf("%d issues past a guard of 4, waits %t", p.Open, p.Waits)
	}
}

func TestPlanNamesEveryErrorWithItsLine(t *testing.T) {
	o := newOffice(t)
	status, answer := o.ask("POST", "/api/plan?name=mine.yaml", "version: 1\nthreshold: {}\nguard: many\n")
	detail, _ := answer["detail"].(string)
	lines := strings.Split(detail, "\n")
	if status != http.StatusUnprocessableEntity || len(lines) != 2 || !strings.HasPrefix(lines[0], "mine.yaml:2:") || !strings.HasPrefix(lines[1], "mine.yaml:3:") {
		t.Errorf("status %d: %q", status, detail)
	}
	if status, answer := o.ask("POST", "/api/plan", "version: 1\n"); status != http.StatusOK || answer["findings"] != 0.0 {
		t.Errorf("status %d: %v", status, answer)
	}
}

// big is an estate of so many decided findings, thirty to a repository.
func big(t testing.TB, n int) *office {
	o := newOffice(t)
	for r := range n / 30 {
		for k := range 30 {
			o.decided(graph.RepositoryID(fmt.Sprintf("github-%d", r+1)), k+1, inputs([]string{"0.01", "0.05", "0.2"}[k%3], graph.Yes))
		}
	}
	return o
}

func TestManyFindingsArePlannedInTime(t *testing.T) {
	n := 3_000
	if os.Getenv("THROUGHLINE_LONG") != "" {
		n = 60_000
	}
	o := big(t, n)
	p := o.plan("version: 1\nthresholds: {epss_likely: 0.04, epss_possible: 0.02}\n")
	// Ten seconds for 60,000; ten times that here, because other tests run beside.
	if limit := time.Duration(n) * time.Second / 600; p.Took > limit || p.Findings != n {
		t.Errorf("%d findings took %s, more than %s", p.Findings, p.Took, limit)
	}
	t.Logf("%d findings in %s", p.Findings, p.Took)
}

func BenchmarkPlan60000(b *testing.B) {
	o := big(b, 60_000)
	b.ResetTimer()
	for range b.N {
		p := o.plan("version: 1\nthresholds: {epss_likely: 0.04, epss_possible: 0.02}\n")
		b.ReportMetric(p.Took.Seconds(), "s/60000")
	}
}
