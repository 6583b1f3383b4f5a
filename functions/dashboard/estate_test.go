package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	digest   = graph.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	orphan   = graph.Digest("sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
	home     = graph.RepositoryID("github-4711")
	org      = graph.OrgID("github-org-1")
	runsHere = graph.WorkloadID("w-aaaaaaaaaaaaaaaaaaaa")
)

// estate is a small organisation in a store; say is applied to every text that comes from outside.
type estate struct {
	t     *testing.T
	store graph.Store
	say   func(string) string
}

func newEstate(t *testing.T, say func(string) string) estate {
	t.Helper()
	e := estate{t, graph.NewMemory(), say}
	e.put(graph.StateKey(graph.OrgsPartition, string(org)), "org", graph.Org{ID: org, Login: say("acme"), Installation: 7})
	e.put(graph.StateKey(graph.RepositoriesPartition, string(home)), "name", graph.Name{Repository: home, FullName: "acme/api", Org: org})
	e.put(graph.NameKey("github", "acme/api"), "name", graph.Name{Repository: home, FullName: "acme/api", Org: org})
	e.put(graph.RepositoryKey(home), graph.KindRepository, graph.Repository{ID: home, Org: org, Owner: "acme", Name: "api", Visibility: say("private"), URL: "https://github.example/acme/api"})
	reading := graph.Reading{Factor: graph.InternetExposed, Source: say("configuration"), Says: graph.Yes, Raw: say("ingress external"), Path: say("/subscriptions/1"), ReadAt: noon.Add(-time.Hour)}
	runner := graph.ExposedWorkload{ID: runsHere, Path: say("/subscriptions/1/api"), Name: say("api"), Kind: say("ContainerApp"), Digests: []graph.Digest{digest}, Readings: []graph.Reading{reading}}
	exposure := graph.Exposure{Repository: home, Org: org, FullName: "acme/api", Images: true, Workloads: []graph.ExposedWorkload{runner},
		Artifacts: []graph.ExposedArtifact{{Digest: digest, Name: say("registry.example/api"), Method: graph.VerifiedAttestation, Commit: say("0123456789abcdef")}}}.Sealed()
	e.put(graph.ExposureKey(home), graph.KindExposure, exposure)
	e.put(graph.ArtifactKey(digest), graph.KindArtifact, graph.Artifact{Digest: digest, Names: []string{say("registry.example/api")}, Tags: []string{say("registry.example/api:1")}})
	evidence := graph.Evidence{Digest: digest, Method: graph.VerifiedAttestation, Repository: home, RepositoryName: say("acme/api"), Commit: say("0123456789abcdef"), Note: say("signed"), SeenAt: noon}
	refused := graph.Evidence{Digest: digest, Method: graph.ImageLabel, Repository: "github-9", RepositoryName: say("acme/base"), Refused: say("label inherited"), SeenAt: noon}
	for _, one := range []graph.Evidence{evidence, refused} {
		a, r := graph.EvidenceKeys(one)
		e.put(a, graph.KindEvidence, one)
		e.put(r, graph.KindEvidence, one)
	}
	e.put(graph.RunnerKey(digest, runsHere), graph.KindRunner, runner)
	e.put(graph.WorkloadKey(runsHere), graph.KindWorkload, graph.Workload{ID: runsHere, Path: say("/subscriptions/1/api"), Name: say("api"), Kind: say("ContainerApp"), Owner: say("team api"),
		Running: []graph.Running{{Digest: digest, Image: say("registry.example/api:1"), FirstSeen: noon, LastSeen: noon}}, Readings: []graph.Reading{reading}})
	e.findings(exposure)
	e.operations()
	return e
}

func (e estate) put(k graph.Key, kind graph.Kind, noun any) {
	e.t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, noun)
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.store.Write(context.Background(), w); err != nil {
		e.t.Fatal(err)
	}
}

// findings are one of each kind, decided by the public rule.
func (e estate) findings(x graph.Exposure) {
	for n := 1; n <= 60; n++ {
		kind := graph.AlertKinds[n%3]
		a := graph.Alert{ID: graph.NewAlertID(home, kind, n), Kind: kind, Repository: home, Number: n, State: graph.Open, Title: e.say(fmt.Sprintf("Flaw %d", n)), Severity: "high", URL: "https://github.example/acme/api/1"}
		in := decision.Inputs{Kind: decision.Vuln, Workload: string(runsHere), CVE: e.say("CVE-2026-1"), At: noon, Severity: decision.Fact{Value: "high", Source: e.say("GitHub")},
			EPSS: decision.Fact{Value: "0.4", Source: e.say("GitHub"), At: noon.Add(-time.Hour)}, Internet: decision.Fact{Value: "yes", Source: e.say("configuration"), Path: e.say("/subscriptions/1"), At: noon},
			Running: decision.Fact{Value: "yes", Source: "inventory"}, Workloads: decision.Fact{Value: "1"}, Place: decision.Place{Name: e.say("api"), Subscription: e.say("prod")}}
		switch kind {
		case graph.CodeScanning:
			a.Code, in.Kind, in.EPSS = &graph.Code{Tool: e.say("CodeQL"), Rule: e.say("go/sql-injection"), Path: e.say("main.go"), Line: 3}, decision.Code, decision.Fact{}
		case graph.SecretScanning:
			a.Secret, in = &graph.Secret{Type: e.say("token"), TypeName: e.say("Token"), Validity: "active"}, decision.Inputs{Kind: decision.Secret, Validity: decision.Fact{Value: "active", Source: e.say("GitHub")}, At: noon}
		default:
			a.Dependency = &graph.Dependency{Ecosystem: e.say("go"), Package: e.say("example.org/x"), Manifest: e.say("go.mod"), FixedIn: e.say("1.2.3"), CVEs: []string{"CVE-2026-1"}}
		}
		e.finding(a, in, x)
	}
}

func (e estate) finding(a graph.Alert, in decision.Inputs, x graph.Exposure) {
	why := decision.Explain(in, decision.DefaultPolicy())
	raw, err := json.Marshal(why)
	if err != nil {
		e.t.Fatal(err)
	}
	d := &graph.Decision{Version: "1", Tier: why.Tier, Published: why.Tier, Rule: why.Rule, Score: why.Score, Due: why.Due, DueAt: noon.AddDate(0, 0, a.Number%9-3), Running: graph.Yes,
		Workloads: []graph.WorkloadDecision{{Workload: runsHere, Name: e.say("api"), Tier: why.Tier, Rule: why.Rule, Score: why.Score, Factors: []graph.Factor{graph.InternetExposed}, Explanation: raw}},
		History:   []graph.TierSpan{{At: noon.Add(-time.Hour), Tier: why.Tier, By: e.say("throughline"), Reason: e.say("first")}}}
	f := graph.Finding{ID: a.ID, Repository: home, Kind: a.Kind, State: graph.Open, Alert: &a, FixKey: fmt.Sprint("fix:", a.Number/2), CVEs: []string{e.say("CVE-2026-1")}, Decision: d, FirstSeen: noon.Add(-48 * time.Hour)}
	f.Remediation = graph.NewRemediationID(home, f.FixKey)
	f.Matches = []graph.RuntimeMatch{{ID: "runtime-1", Digest: digest, CVEs: []string{e.say("CVE-2026-1")}}}
	m := graph.Remediation{ID: f.Remediation, Repository: home, FixKey: f.FixKey, Status: graph.StatusAssigned, Tier: why.Tier, Findings: []graph.FindingID{f.ID}, Assignees: []string{e.say("octocat")},
		Timeline: []graph.Entry{{At: noon, Actor: e.say("throughline"), What: e.say("issue opened"), Why: e.say("P1")}}, PullRequests: []graph.PullRequest{{Number: 9, State: "open", Title: e.say("Fix it"), Author: e.say("octocat"), UpdatedAt: noon}}}
	if a.Number/2%4 != 2 {
		m.Issue = &graph.Issue{Repository: home, Number: a.Number, URL: "https://github.example/acme/api/issues/1", State: "open"}
	} else {
		m.Held = e.say("MODE is approve")
	}
	e.put(graph.FindingKey(home, f.ID), graph.KindFinding, f)
	e.put(graph.RemediationKey(home, m.ID), graph.KindRemediation, m)
	if err := graph.SaveSummary(context.Background(), e.store, graph.Summarise(f, x, &m)); err != nil {
		e.t.Fatal(err)
	}
}

func (e estate) operations() {
	e.put(graph.BudgetKey(7), graph.KindBudget, graph.Ledger{Cells: []graph.Cell{{At: noon.Unix(), Made: 3}}, Waiting: map[string]int{"0-01": 2}})
	e.put(graph.ActionKey("a1"), graph.KindAction, graph.Action{ID: "a1", At: noon, Who: e.say("olga"), What: "resync", On: "everything", Why: e.say("new App"), Status: 200})
	e.put(graph.ActionKey("a2"), graph.KindAction, graph.Action{ID: "a2", At: noon, Who: e.say("olga"), What: e.say("replay"), On: e.say("p1"), Why: e.say("mended"), Status: 409, Said: e.say("no")})
	answer, err := json.Marshal(map[string]any{"findings": 60, "changed": 1, "open": 1, "waits": true, "warnings": []string{e.say("line 3")}, "before": map[string]int{"P0": 20}, "after": map[string]int{"P0": 21},
		"tiers":  []map[string]any{{"finding": "github-4711-dependabot-1", "from": "P1", "to": "P0", "rule": e.say("R2")}},
		"issues": []map[string]any{{"action": e.say("open"), "issue": 3, "url": "https://github.example/acme/api/issues/3", "to": "P0", "remediation": e.say("github-4711-fix-1")}}})
	if err != nil {
		e.t.Fatal(err)
	}
	e.put(graph.ActionKey("a3"), graph.KindAction, graph.Action{ID: "a3", At: noon, Who: e.say("olga"), What: "plan", On: "everything", Status: 200, Answer: answer})
	gone := graph.NewAlertID(home, graph.Dependabot, 900)
	e.put(graph.SummaryKey(org, gone), graph.KindSummary, graph.Summary{ID: gone, Org: org, Repository: home, FullName: "acme/api", Kind: graph.Dependabot, State: graph.Fixed, Title: e.say("Mended"), Tier: graph.P1, Rank: "P1-900",
		ByDue: "1", ByAge: "1", Remediation: "github-4711-fix-900", Status: "verified", FirstSeen: noon.AddDate(0, 0, -20), Closed: noon.AddDate(0, 0, -9), Verified: noon.AddDate(0, 0, -8), Rolled: 3, RollsOut: 4})
	e.put(graph.StateKey(graph.ArtifactsPartition, string(digest)), "line", graph.ArtifactLine{Digest: digest, Name: e.say("registry.example/api"), Repository: home, Method: graph.VerifiedAttestation, Workloads: 1})
	e.put(graph.StateKey(graph.ArtifactsPartition, string(orphan)), "line", graph.ArtifactLine{Digest: orphan, Name: e.say("registry.example/orphan"), Workloads: 1})
	e.put(graph.ArtifactKey(orphan), graph.KindArtifact, graph.Artifact{Digest: orphan, Names: []string{e.say("registry.example/orphan")}})
	e.put(graph.StateKey("inquiries", string(orphan)), "inquiry", graph.Inquiry{About: string(orphan), Left: []string{e.say("registry image:orphan")}, At: noon})
	e.put(graph.RefusalKey("azure all"), "refusal", graph.Refusal{Source: e.say("azure"), Scope: e.say("all"), Why: e.say("403"), At: noon})
	e.put(graph.ScopeKey("github all"), "scope", graph.Scope{ID: e.say("github all"), Run: e.say("run-1"), StartedAt: noon, Complete: true, Part: 4})
	e.put(graph.RunKey("azure all"), "run", graph.Run{ID: e.say("run-2"), StartedAt: noon, Asked: noon})
	e.put(graph.CampaignKey("c1"), graph.KindCampaign, graph.Campaign{ID: "c1", Name: e.say("Injections"), Description: e.say("All of them"), Ends: noon.AddDate(0, 0, 20), Manager: e.say("octocat"), Query: e.say("kind=code_scanning"),
		By: e.say("olga"), At: noon.Add(-time.Hour), State: graph.CampaignOpen, Login: e.say("acme"), Number: 3, Progress: graph.Progress{Open: 5, InProgress: 2, Done: 3, At: noon}})
	e.put(graph.CampaignKey("c2"), graph.KindCampaign, graph.Campaign{ID: "c2", Name: e.say("Before the audit"), Description: e.say("Everything at P0"), Ends: noon.AddDate(0, 0, -1), Query: "tier=P0", By: e.say("olga"), At: noon.Add(-2 * time.Hour),
		State: graph.CampaignOpen, Fixes: []graph.RemediationID{"github-4711-fix-900", graph.NewRemediationID(home, "fix:1")}, Beyond: 4})
	e.put(graph.CampaignKey("c3"), graph.KindCampaign, graph.Campaign{ID: "c3", Name: e.say("Refused"), Description: e.say("d"), Ends: noon.AddDate(0, 0, 9), By: e.say("olga"), At: noon.Add(-3 * time.Hour), State: graph.CampaignRefused, Login: "acme", Why: e.say("GitHub answers 403")})
	e.put(graph.StateKey("healing", "2026-11-23"), graph.KindHealing, graph.Healing{Day: e.say("2026-11-23"), Deliveries: []string{"a", "b"}, Events: map[string]int{e.say("issues"): 2}, LongestStale: 421.4, Last: noon})
	e.put(graph.StateKey("parked", "p1"), "parked", map[string]any{"id": "p1", "queue": e.say("correlate"), "messageId": e.say("m1"), "reason": e.say("cannot be decoded"),
		"deliveryCount": 1, "at": noon, "body": []byte(e.say("{}")), "waiting": true})
}

// counting counts the questions that a page asks its store.
type counting struct {
	graph.Store
	asked atomic.Int64
}

func (c *counting) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	c.asked.Add(1)
	return c.Store.Read(ctx, k)
}

func (c *counting) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	c.asked.Add(1)
	return c.Store.Query(ctx, q)
}

// filter reads the filters that these tests use.
func filter(q url.Values) (graph.Filter, error) {
	if t := q.Get("tier"); t != "" && graph.Tier(t).Rank() == len(graph.Tiers) {
		return graph.Filter{}, fmt.Errorf("tier: %q is not one of them", t)
	}
	return graph.Filter{Tier: graph.Tier(q.Get("tier")), Kind: graph.AlertKind(q.Get("kind")), Status: q.Get("status"), Text: q.Get("q"), Cursor: q.Get("cursor")}, nil
}

func (e estate) handler() http.Handler {
	e.t.Helper()
	d := &Dashboard{Store: e.store, Guard: func(next http.Handler) http.Handler { return next }, Filter: filter, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
		Health: func(context.Context) (any, bool) { return map[string]any{"mode": e.say("auto"), "store": "ok"}, true }, Limits: graph.Limits{PerMinute: 80, PerHour: 500},
		Readiness: func(context.Context) ([]graph.Readiness, error) {
			return []graph.Readiness{{Part: e.say("github"), Account: e.say("acme"), Name: e.say("Dependabot alerts"), State: graph.ReadyMissing, For: e.say("the alerts"), Why: e.say("403"), Mend: e.say("grant it")},
				{Part: "azure", Name: "Azure", State: graph.ReadyOK, Since: noon}}, nil
		},
		Dead:   func(context.Context) (map[string]int, error) { return map[string]int{"assign": 2}, nil },
		Caller: func(*http.Request) (string, bool) { return e.say("olga"), true }}
	h, err := d.Handler()
	if err != nil {
		e.t.Fatal(err)
	}
	return h
}

func plain(s string) string { return s }

// addresses are one of every page.
func addresses() []string {
	return []string{"/", "/findings", "/findings?tier=P0", "/findings?q=nothing", "/findings/github-4711-dependabot-1", "/findings/github-4711-code_scanning-3", "/findings/github-4711-secret_scanning-2",
		"/findings/github-4711-dependabot-4", "/repositories/acme/api", "/artifacts/" + string(digest), "/artifacts/" + string(orphan), "/workloads/" + string(runsHere),
		"/fixes", "/fixes?status=assigned", "/campaigns", "/campaigns?filter=tier%3DP1", "/coverage", "/runs", "/parked", "/readiness", "/runs?action=a1", "/parked?action=a2", "/plan", "/plan?action=a3", "/actions", "/findings?sort=due", "/nowhere", "/findings?tier=P7"}
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, strings.NewReader("")))
	return w
}
