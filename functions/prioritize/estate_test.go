package prioritize

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	shop = graph.RepositoryID("github-1")
	org  = graph.OrgID("github-org-1")
)

// estate is a repository with its way into production, and the stage that decides its findings.
type estate struct {
	t      testing.TB
	store  *graph.Memory
	stage  *Stage
	policy *decision.Policy
	feeds  *feeds
	now    time.Time
}

func newEstate(t testing.TB) *estate {
	e := &estate{t: t, store: graph.NewMemory(), policy: decision.DefaultPolicy(), now: noon, feeds: &feeds{kev: map[string]time.Time{}}}
	e.stage = &Stage{Store: e.store, Policy: func() *decision.Policy { return e.policy }, Feeds: e.feeds, Now: func() time.Time { return e.now }, Log: slog.New(slog.DiscardHandler)}
	return e
}

// feeds is a KEV catalogue that tests can write. With fresh they have their editions of all three feeds.
type feeds struct {
	kev   map[string]time.Time
	fresh *decision.Feeds
	say   func(in *decision.Inputs) // what they say besides
	ready int
	now   bool
}

func (f *feeds) Ready(_ context.Context, now bool) error { f.ready++; f.now = now; return nil }

func (f *feeds) Describe(cves []string, in *decision.Inputs) {
	in.Feeds.KEV = decision.Feed{Version: "2026.11.20", Date: noon.AddDate(0, 0, -4)}
	in.KEV = decision.Fact{Value: "no", Source: "CISA KEV 2026.11.20", At: noon.AddDate(0, 0, -4)}
	if !f.Listed(cves).IsZero() {
		in.KEV.Value = "yes"
	}
	if f.fresh != nil {
		in.Feeds = *f.fresh
	}
	if f.say != nil {
		f.say(in)
	}
}

func (f *feeds) Version(cves []string, _ *decision.Policy) string {
	if l := f.Listed(cves); !l.IsZero() {
		return l.String()
	}
	return ""
}

func (f *feeds) Listed(cves []string) time.Time {
	for _, c := range cves {
		if at := f.kev[c]; !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

func (e *estate) put(k graph.Key, kind graph.Kind, v any) {
	e.t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, v)
	if err == nil {
		err = e.store.Write(context.Background(), w)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// workload is what runs, exposed to the internet or not.
func workload(exposed graph.Answer, readAt time.Time) graph.ExposedWorkload {
	r := graph.Reading{Factor: graph.InternetExposed, Source: "configuration", Says: exposed, ReadAt: readAt}
	if exposed == graph.Yes {
		r.YesAt = readAt
	}
	return graph.ExposedWorkload{ID: "w-1", Path: "/x", Name: "api", Kind: "Deployment", Cluster: "aks", Digests: []graph.Digest{"sha256:a"}, Readings: []graph.Reading{r}}
}

// expose writes the exposure of a repository, as correlate does.
func (e *estate) expose(r graph.RepositoryID, ws ...graph.ExposedWorkload) {
	e.t.Helper()
	old, err := graph.Get[graph.Exposure](context.Background(), e.store, graph.ExposureKey(r))
	if err != nil {
		e.t.Fatal(err)
	}
	x := graph.Exposure{Repository: r, Org: org, FullName: "shop/api", Images: true, Inventory: true, Workloads: ws, Version: old.Value.Version, Number: old.Value.Number, Decided: old.Value.Decided, Revisit: old.Value.Revisit}
	if len(ws) > 0 {
		x.Artifacts = []graph.ExposedArtifact{{Digest: "sha256:a", Name: "api", Method: graph.AttestationRecord}}
	}
	e.put(graph.ExposureKey(r), graph.KindExposure, x.Sealed())
}

// alert writes a finding that was never decided.
func (e *estate) alert(r graph.RepositoryID, n int, cve string) graph.FindingID {
	e.t.Helper()
	id := graph.NewAlertID(r, graph.Dependabot, n)
	epss := 0.2
	a := graph.Alert{ID: id, Kind: graph.Dependabot, Repository: r, Number: n, State: graph.Open, Title: "flaw", Severity: "high", CreatedAt: noon, UpdatedAt: noon,
		Dependency: &graph.Dependency{Ecosystem: "npm", Package: fmt.Sprintf("p%d", n), CVEs: []string{cve}, EPSS: &epss, FixedIn: "2", CVSS: []string{"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H"}}}
	f := graph.Finding{ID: id, Repository: r, Kind: graph.Dependabot, State: graph.Open, Alert: &a, FixKey: a.FixKey(), CVEs: a.CVEs(), FirstSeen: noon}
	f.Remediation = graph.NewRemediationID(r, f.FixKey)
	e.put(graph.FindingKey(r, id), graph.KindFinding, f)
	return id
}

func (e *estate) say(l event.Lag) []event.Event {
	e.t.Helper()
	if l.Repository == "" {
		l.Repository = shop
	}
	m, err := event.NewLag("/test", l)
	if err != nil {
		e.t.Fatal(err)
	}
	said, err := e.stage.Handle(context.Background(), m)
	if err != nil {
		e.t.Fatal(err)
	}
	return said
}

func (e *estate) finding(id graph.FindingID) graph.Finding {
	e.t.Helper()
	f, err := graph.Get[graph.Finding](context.Background(), e.store, graph.FindingKey(shop, id))
	if err != nil || !f.Exists() {
		e.t.Fatalf("finding %s: %v", id, err)
	}
	return f.Value
}

func (e *estate) explanation(id graph.FindingID) decision.Explanation {
	e.t.Helper()
	var x decision.Explanation
	if err := json.Unmarshal(e.finding(id).Decision.Workloads[0].Explanation, &x); err != nil {
		e.t.Fatal(err)
	}
	return x
}

// day is a day of the test's calendar.
func day(n int) time.Time { return noon.AddDate(0, 0, n) }
