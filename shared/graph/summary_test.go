package graph_test

import (
	"context"
	"testing"

	"throughline/shared/graph"
)

// The stages write the line of a finding at once, each with what it has read; whatever the order, the newest stays.
func TestSaveSummary_the_newest_stays(t *testing.T) {
	finding := func(revision int64, tier graph.Tier) graph.Finding {
		return graph.Finding{ID: "github-1-dependabot-1", Repository: "github-1", Kind: graph.Dependabot, State: graph.Open, Alert: &graph.Alert{Title: "flaw"},
			Remediation: "github-1-fix-1", Revision: revision, Decision: &graph.Decision{Published: tier}}
	}
	remediation := func(revision int64, issue int) *graph.Remediation {
		return &graph.Remediation{Revision: revision, Status: graph.StatusOpen, Issue: &graph.Issue{Number: issue}}
	}
	x := graph.Exposure{Org: "github-org-1", FullName: "shop/api"}
	lines := []graph.Summary{
		graph.Summarise(finding(1, graph.P2), x, nil),
		graph.Summarise(finding(2, graph.P1), x, nil),
		graph.Summarise(finding(1, graph.P2), x, remediation(1, 7)),
		graph.Summarise(finding(2, graph.P1), x, remediation(2, 8)),
	}
	for first := range lines {
		s := graph.NewMemory()
		for i := range lines {
			if err := graph.SaveSummary(context.Background(), s, lines[(first+i)%len(lines)]); err != nil {
				t.Fatal(err)
			}
		}
		got, err := graph.Get[graph.Summary](context.Background(), s, graph.SummaryKey(x.Org, "github-1-dependabot-1"))
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Value; v.Tier != graph.P1 || v.Issue != 8 || v.Rank != lines[1].Rank {
			t.Errorf("begun with line %d: tier %s issue %d rank %s", first, v.Tier, v.Issue, v.Rank)
		}
	}
}

// A finding that moved to another repository, or to another fix, takes nothing over from the line of before.
func TestSaveSummary_another_home_begins_anew(t *testing.T) {
	x := graph.Exposure{Org: "github-org-1"}
	f := graph.Finding{ID: "runtime-1", Repository: "github-1", Kind: graph.RuntimeKind, State: graph.Open, Runtime: &graph.RuntimeFinding{Title: "flaw"}, Remediation: "github-1-fix-1", Revision: 9}
	moved := f
	moved.Repository, moved.Remediation, moved.Revision = "github-2", "github-2-fix-1", 1
	refixed := moved
	refixed.Remediation, refixed.Revision = "github-2-fix-2", 2
	s := graph.NewMemory()
	for _, line := range []graph.Summary{
		graph.Summarise(f, x, &graph.Remediation{Revision: 5, Issue: &graph.Issue{Number: 3}}), graph.Summarise(moved, x, &graph.Remediation{Revision: 4, Issue: &graph.Issue{Number: 4}}), graph.Summarise(refixed, x, nil),
	} {
		if err := graph.SaveSummary(context.Background(), s, line); err != nil {
			t.Fatal(err)
		}
	}
	got, err := graph.Get[graph.Summary](context.Background(), s, graph.SummaryKey(x.Org, "runtime-1"))
	if err != nil || got.Value.Repository != "github-2" || got.Value.Revision != 2 || got.Value.Issue != 0 {
		t.Errorf("%v %+v", err, got.Value)
	}
}
