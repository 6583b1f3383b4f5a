package graph_test

import (
	"context"
	"testing"

	"throughline/shared/graph"
)

func save(t *testing.T, s graph.Store, line graph.Summary) (stands bool) {
	t.Helper()
	stands, err := graph.ShowFinding(context.Background(), s, line)
	if err != nil {
		t.Fatal(err)
	}
	return stands
}

func line(t *testing.T, s graph.Store, id graph.FindingID) graph.Versioned[graph.Summary] {
	t.Helper()
	got, err := graph.Get[graph.Summary](context.Background(), s, graph.SummaryKey("github-org-1", id))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// The stages write the line of a finding at once, each with what it has read; whatever the order, the newest stays.
func TestShowFinding_the_newest_stays(t *testing.T) {
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
			save(t, s, lines[(first+i)%len(lines)])
		}
		if v := line(t, s, "github-1-dependabot-1").Value; v.Tier != graph.P1 || v.Issue != 8 || v.Rank != lines[1].Rank {
			t.Errorf("begun with line %d: tier %s issue %d rank %s", first, v.Tier, v.Issue, v.Rank)
		}
	}
}

// A runtime finding moves to another repository and back; who still holds its former home has no say, and leaves nothing.
func TestShowFinding_a_former_home_has_no_say(t *testing.T) {
	x := graph.Exposure{Org: "github-org-1"}
	at := func(r graph.RepositoryID, revision int64, issue int) graph.Summary {
		f := graph.Finding{ID: "runtime-1", Repository: r, Kind: graph.RuntimeKind, State: graph.Open, Runtime: &graph.RuntimeFinding{Title: "flaw"}, Remediation: graph.RemediationID(r) + "-fix-1", Revision: revision}
		return graph.Summarise(f, x, &graph.Remediation{Revision: 5, Issue: &graph.Issue{Number: issue}})
	}
	s := graph.NewMemory()
	if save(t, s, at("github-1", 1000, 3)) || line(t, s, "runtime-1").Exists() {
		t.Error("a line stands for a finding that is not there")
	}
	put(t, s, graph.FindingKey("github-2", "runtime-1"), graph.KindFinding, graph.Finding{ID: "runtime-1"})
	if !save(t, s, at("github-2", 2000, 4)) || save(t, s, at("github-1", 1001, 3)) {
		t.Error("the finding is in github-2")
	}
	if v := line(t, s, "runtime-1").Value; v.Repository != "github-2" || v.Issue != 4 {
		t.Errorf("line of %s with issue %d", v.Repository, v.Issue)
	}
}
