package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"throughline/functions/api"
	"throughline/functions/dashboard"
	"throughline/infra/local/cosmosdb"
	"throughline/shared/cosmos"
	"throughline/shared/graph"
)

// asked counts the questions that pages ask their store.
type asked struct {
	graph.Store
	n atomic.Int64
}

func (a *asked) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	a.n.Add(1)
	return a.Store.Read(ctx, k)
}

func (a *asked) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	a.n.Add(1)
	return a.Store.Query(ctx, q)
}

// TestPagesAtSixtyThousand measures overview, lists, finding and picture over the store that ships, through its client, and
// counts what they ask. THROUGHLINE_LONG=1 fills it with 60,000 findings and holds the times to their goals.
func TestPagesAtSixtyThousand(t *testing.T) {
	long := os.Getenv("THROUGHLINE_LONG") != ""
	findings, rounds := 2_000, 3
	if long {
		findings, rounds = 60_000, 100
	}
	server, err := cosmosdb.Start(t.Context(), cosmosdb.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cosmos.Open(cosmos.Options{ConnectionString: server.ConnectionString(), Database: "pages"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(); _ = server.Close() })
	one := fillWorklist(t, store, findings)
	counted := &asked{Store: store}
	log := slog.New(slog.DiscardHandler)
	d := &dashboard.Dashboard{Store: counted, Guard: func(h http.Handler) http.Handler { return h }, Filter: api.ParseFilter, Limits: graph.Limits{PerMinute: 80, PerHour: 500}, Now: time.Now, Log: log}
	pages, err := d.Handler()
	if err != nil {
		t.Fatal(err)
	}
	a := &api.API{Store: counted, Access: api.Access{Local: true}, Now: time.Now, Log: log}
	answers := a.Handler()
	begun := time.Now()
	ask(t, pages, "/")
	t.Logf("first count of %d findings: %s", findings, time.Since(begun).Round(time.Millisecond))
	const list, finding, picture = 100 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond
	for _, c := range []struct {
		h     http.Handler
		path  string
		limit time.Duration
	}{
		{pages, "/", list}, {pages, "/fixes", list}, {pages, "/findings", list}, {pages, "/findings?tier=P1", list}, {pages, "/findings?risk=internet-exposed", list},
		{pages, "/findings?kind=secret_scanning&sort=due", list}, {pages, "/findings?sort=oldest&state=all", list}, {pages, "/findings?unmapped=yes", list},
		{pages, "/findings?status=assigned", list}, {pages, "/findings?q=flaw+1999", list}, {pages, "/findings?repository=" + url.QueryEscape("acme/app-7"), list},
		{pages, "/findings?tier=P2&risk=sensitive-data&kind=dependabot&sort=newest", list}, {answers, "/api/findings?limit=100&tier=P3", list},
		{pages, "/findings/" + string(one), finding}, {pages, "/repositories/acme/app-7", picture}, {answers, "/api/graph?format=svg&from=repository:acme/app-7", picture},
	} {
		var took []time.Duration
		most := int64(0)
		for range rounds {
			before, begun := counted.n.Load(), time.Now()
			ask(t, c.h, c.path)
			took = append(took, time.Since(begun))
			most = max(most, counted.n.Load()-before)
		}
		slices.Sort(took)
		p99 := took[(len(took)*99-1)/100]
		t.Logf("%-70s p50 %8s  p99 %8s  %d questions", c.path, took[len(took)/2].Round(100*time.Microsecond), p99.Round(100*time.Microsecond), most)
		if most > 5 {
			t.Errorf("%s asks %d questions, want at most 5", c.path, most)
		}
		if long && p99 > c.limit {
			t.Errorf("%s: p99 %s is over %s", c.path, p99, c.limit)
		}
	}
}

func ask(t *testing.T, h http.Handler, path string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s answers %d: %.300s", path, w.Code, w.Body)
	}
}

// fillWorklist writes so many lines of one organisation, and one repository with what its pages show. It answers a finding
// of that repository.
func fillWorklist(t *testing.T, s graph.Store, findings int) graph.FindingID {
	t.Helper()
	const org = graph.OrgID("github-org-1")
	var batch []graph.Write
	partition := ""
	flush := func() {
		if len(batch) > 0 {
			if err := s.Write(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
		}
		batch = nil
	}
	put := func(k graph.Key, kind graph.Kind, noun any) {
		w, err := graph.NewWrite(k, kind, graph.Any, noun)
		if err != nil {
			t.Fatal(err)
		}
		if where := string(k.Container) + k.Partition; where != partition || len(batch) == graph.MaxWrites {
			flush()
			partition = where
		}
		batch = append(batch, w)
	}
	put(graph.StateKey(graph.OrgsPartition, string(org)), "org", graph.Org{ID: org, Login: "acme", Installation: 7})
	home := graph.NewRepositoryID("github", 1007)
	x := graph.Exposure{Repository: home, Org: org, FullName: "acme/app-7", Images: true, Inventory: true}
	for i := range 300 {
		digest := graph.Digest(fmt.Sprintf("sha256:%064x", i/3))
		if i%3 == 0 {
			x.Artifacts = append(x.Artifacts, graph.ExposedArtifact{Digest: digest, Name: fmt.Sprint("acr.example/app-", i/3), Method: graph.AttestationRecord})
		}
		x.Workloads = append(x.Workloads, graph.ExposedWorkload{ID: graph.WorkloadID(fmt.Sprintf("w-%020x", i)), Name: fmt.Sprint("pod-", i), Kind: "Pod", Digests: []graph.Digest{digest}})
	}
	put(graph.NameKey("github", "acme/app-7"), "name", graph.Name{Repository: home, FullName: "acme/app-7", Org: org})
	put(graph.RepositoryKey(home), graph.KindRepository, graph.Repository{ID: home, Org: org, Owner: "acme", Name: "app-7"})
	put(graph.ExposureKey(home), graph.KindExposure, x.Sealed())
	var one graph.Finding
	for n := range findings {
		kind := graph.AlertKinds[n%3]
		r := graph.NewRepositoryID("github", int64(1000+n%2000))
		f := graph.Finding{ID: graph.NewAlertID(r, kind, n+1), Repository: r, Kind: kind, State: graph.Open, FirstSeen: time.Now().Add(-time.Duration(n) * time.Minute), FixKey: fmt.Sprint("fix:", n/4)}
		if n%17 == 0 {
			f.State = graph.Fixed
		}
		f.Alert = &graph.Alert{ID: f.ID, Repository: r, Kind: kind, Number: n + 1, State: f.State, Title: fmt.Sprint("Flaw ", n, " in something that has a title of usual length"), Severity: "high"}
		f.Remediation = graph.NewRemediationID(r, f.FixKey)
		tier := graph.Tiers[n%5]
		f.Decision = &graph.Decision{Version: "1", Tier: tier, Published: tier, Rule: "R1", Score: n % 1000, Due: "3d", DueAt: time.Now().AddDate(0, 0, n%60-20), Running: graph.Yes,
			Workloads: []graph.WorkloadDecision{{Workload: x.Workloads[n%300].ID, Name: x.Workloads[n%300].Name, Tier: tier, Factors: graph.Factors[:n%5]}}}
		if r == home && f.State == graph.Open && one.ID == "" {
			one = f
		}
		m := graph.Remediation{ID: f.Remediation, Repository: r, Status: []graph.Status{graph.StatusOpen, graph.StatusAssigned}[n%2], Assignees: []string{"octocat"}}
		put(graph.SummaryKey(org, f.ID), graph.KindSummary, graph.Summarise(f, graph.Exposure{Repository: r, Org: org, FullName: fmt.Sprint("acme/app-", n%2000), Images: n%7 != 0}, &m))
	}
	put(graph.FindingKey(home, one.ID), graph.KindFinding, one)
	flush()
	return one.ID
}
