package dashboard

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"throughline/shared/graph"
)

// TestLargeEstateIsShownAtOnce measures the pages that do not rest on an ordered query, which is the store's own affair, at
// 60,000 findings; it takes a while and runs with THROUGHLINE_LONG=1.
func TestLargeEstateIsShownAtOnce(t *testing.T) {
	if os.Getenv("THROUGHLINE_LONG") == "" {
		t.Skip("long: set THROUGHLINE_LONG=1")
	}
	e := newEstate(t, plain)
	for n := range 60_000 {
		id := graph.NewAlertID(home, graph.Dependabot, 1000+n)
		s := graph.Summary{ID: id, Org: org, Repository: home, FullName: "acme/api", Kind: graph.Dependabot, State: graph.Open, Title: fmt.Sprint("Flaw ", n), Tier: graph.Tiers[n%5], Rule: "R1", Running: graph.Yes,
			Rank: fmt.Sprintf("%s-%06d", graph.Tiers[n%5], n), Remediation: graph.NewRemediationID(home, fmt.Sprint(n/3)), Risks: []graph.Factor{graph.InternetExposed}}
		e.put(graph.SummaryKey(org, id), graph.KindSummary, s)
	}
	h := e.handler()
	began := time.Now()
	get(t, h, "/")
	t.Logf("first count of 60,000: %s", time.Since(began))
	for path, limit := range map[string]time.Duration{"/": 100 * time.Millisecond, "/fixes": 100 * time.Millisecond,
		"/findings/github-4711-dependabot-1": 50 * time.Millisecond, "/repositories/acme/api": 200 * time.Millisecond} {
		var took []time.Duration
		for range 100 {
			began := time.Now()
			get(t, h, path)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("%s: p50 %s, p99 %s", path, took[50], took[98])
		if took[98] > limit {
			t.Errorf("%s: p99 %s is over %s", path, took[98], limit)
		}
	}
}
