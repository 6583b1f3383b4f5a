package graph_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func put(t rapid.TB, s graph.Store, k graph.Key, kind graph.Kind, noun any) {
	t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, noun)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(context.Background(), w); err != nil {
		t.Fatal(err)
	}
}

// drawLine makes the n-th line of the worklist.
func drawLine(t *rapid.T, n int) graph.Summary {
	f := graph.Finding{ID: graph.FindingID(fmt.Sprintf("github-1-dependabot-%d", n+1)), Repository: rapid.SampledFrom([]graph.RepositoryID{"github-1", "github-2", "image-7"}).Draw(t, "repository"),
		Kind: rapid.SampledFrom(graph.AlertKinds[:]).Draw(t, "kind"), State: rapid.SampledFrom([]graph.AlertState{graph.Open, graph.Open, graph.Fixed}).Draw(t, "state"),
		Alert: &graph.Alert{Title: rapid.SampledFrom([]string{"Prototype pollution in lodash", "SQL injection", "Größe"}).Draw(t, "title")}, FirstSeen: noon}
	if rapid.IntRange(0, 3).Draw(t, "decided") > 0 {
		f.Decision = &graph.Decision{Published: rapid.SampledFrom(graph.Tiers[:]).Draw(t, "tier"), Score: rapid.IntRange(0, 999).Draw(t, "score"),
			Workloads: []graph.WorkloadDecision{{Factors: rapid.SliceOfNDistinct(rapid.SampledFrom(graph.Factors[:]), 0, 2, rapid.ID).Draw(t, "factors")}}}
	}
	org := rapid.SampledFrom([]graph.OrgID{"github-org-1", "github-org-2", graph.UnmappedOrg}).Draw(t, "org")
	return graph.Summarise(f, graph.Exposure{Org: org, Images: rapid.Bool().Draw(t, "images")}, &graph.Remediation{Status: rapid.SampledFrom([]graph.Status{graph.StatusOpen, graph.StatusVerified}).Draw(t, "status")})
}

func drawFilter(t *rapid.T) graph.Filter {
	f := graph.Filter{Limit: rapid.IntRange(0, 7).Draw(t, "limit"), State: rapid.SampledFrom([]graph.AlertState{"", graph.Fixed, graph.AllStates}).Draw(t, "filter state")}
	switch rapid.IntRange(0, 7).Draw(t, "by") {
	case 0:
		f.Tier = rapid.SampledFrom(graph.Tiers[:]).Draw(t, "by tier")
	case 1:
		f.Risk = rapid.SampledFrom(graph.Factors[:]).Draw(t, "by risk")
	case 2:
		f.Kind = graph.SecretScanning
	case 3:
		f.Repository = "github-2"
	case 4:
		f.Unmapped = rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "by mapping")
	case 5:
		f.Status = string(graph.StatusVerified)
	case 6:
		f.Text = rapid.SampledFrom([]string{"LODASH", "sql", "größe", "nothing"}).Draw(t, "by text")
	}
	return f
}

func chooses(f graph.Filter, s graph.Summary) bool {
	return (f.State == graph.AllStates || s.State == cmp.Or(f.State, graph.Open)) && (f.Tier == "" || s.Tier == f.Tier) && (f.Risk == "" || slices.Contains(s.Risks, f.Risk)) &&
		(f.Kind == "" || s.Kind == f.Kind) && (f.Repository == "" || s.Repository == f.Repository) && (f.Unmapped == "" || s.Unmapped == (f.Unmapped == "yes")) &&
		(f.Status == "" || s.Status == f.Status) && strings.Contains(strings.ToLower(s.Title), strings.ToLower(f.Text))
}

func TestWorklistGivesEveryChosenLineOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := graph.NewMemory()
		for _, o := range []graph.OrgID{"github-org-1", "github-org-2"} {
			put(t, s, graph.StateKey(graph.OrgsPartition, string(o)), "org", graph.Org{ID: o})
		}
		f := drawFilter(t)
		var want []graph.Summary
		for n := range rapid.IntRange(0, 25).Draw(t, "lines") {
			line := drawLine(t, n)
			if err := graph.SaveSummary(t.Context(), s, line); err != nil {
				t.Fatal(err)
			}
			if chooses(f, line) {
				want = append(want, line)
			}
		}
		slices.SortFunc(want, func(a, b graph.Summary) int { return cmp.Compare(a.Rank, b.Rank) })
		got := walkWorklist(t, s, f, len(want)+1)
		if !slices.EqualFunc(got, want, func(a, b graph.Summary) bool { return a.ID == b.ID }) {
			t.Fatalf("%+v: got %d lines, want %d: %v, %v", f, len(got), len(want), got, want)
		}
	})
}

func walkWorklist(t *rapid.T, s graph.Store, f graph.Filter, maxPages int) []graph.Summary {
	var all []graph.Summary
	for range maxPages {
		items, cursor, err := graph.Worklist(t.Context(), s, f)
		if err != nil {
			t.Fatal(err)
		}
		if f.Limit > 0 && len(items) > f.Limit {
			t.Fatalf("%d lines on a page of %d", len(items), f.Limit)
		}
		all = append(all, items...)
		if cursor == "" {
			return all
		}
		f.Cursor = cursor
	}
	t.Fatalf("%+v: the list does not end", f)
	return nil
}

func TestRankPutsTheUrgentFirst(t *testing.T) {
	rank := func(tier graph.Tier, score int, due, seen time.Time, id graph.FindingID) string {
		f := graph.Finding{ID: id, Repository: "github-1", Alert: &graph.Alert{}, FirstSeen: seen}
		if tier != "" {
			f.Decision = &graph.Decision{Published: tier, Score: score, DueAt: due}
		}
		return graph.Summarise(f, graph.Exposure{}, nil).Rank
	}
	var none time.Time
	later := noon.Add(time.Second)
	order := []string{
		rank(graph.P0, 0, none, none, "z"), rank(graph.P1, 999, later, later, "z"), rank(graph.P1, 100, noon, later, "z"), rank(graph.P1, 100, later, noon, "z"), rank(graph.P1, 100, later, later, "a"),
		rank(graph.P1, 100, later, later, "b"), rank(graph.P1, 100, later, none, "a"), rank(graph.P1, 100, none, noon, "a"), rank(graph.P1, 99, noon, noon, "a"), rank(graph.P1, 9, noon, noon, "a"),
		rank(graph.P1, 0, noon, noon, "a"), rank(graph.P4, 999, noon, noon, "a"), rank("", 0, none, noon, "a"), rank("", 0, none, none, "a"),
	}
	if !slices.IsSorted(order) || len(slices.Compact(slices.Clone(order))) != len(order) {
		t.Errorf("not in order:\n%s", strings.Join(order, "\n"))
	}
}

func TestSaveSummaryWritesOnlyWhatChanged(t *testing.T) {
	s := graph.NewMemory()
	line := graph.Summary{ID: "a", Org: "github-org-1", CVEs: []string{"CVE-1"}, FirstSeen: noon}
	for range 3 {
		if err := graph.SaveSummary(t.Context(), s, line); err != nil {
			t.Fatal(err)
		}
	}
	if s.Writes() != 1 {
		t.Errorf("%d writes of one line", s.Writes())
	}
	line.Score = 7
	if err := graph.SaveSummary(t.Context(), s, line); err != nil || s.Writes() != 2 {
		t.Errorf("%d writes, %v", s.Writes(), err)
	}
	line.Org = ""
	if err := graph.SaveSummary(t.Context(), s, line); err == nil {
		t.Error("a line without an owner has no place, and yet no error")
	}
}

func TestSummariseShowsThePath(t *testing.T) {
	x := graph.Exposure{Org: "o", FullName: "acme/shop", Images: true,
		Artifacts: []graph.ExposedArtifact{{Digest: "d1", Name: "reg/shop"}, {Digest: "d2", Name: "reg/other"}, {Digest: "d3", Name: "reg/shop"}},
		Workloads: []graph.ExposedWorkload{{ID: "w1", Digests: []graph.Digest{"d1", "d3"}}, {ID: "w9", Digests: []graph.Digest{"d2"}}}}
	f := graph.Finding{ID: "f", Repository: "github-1", Runtime: &graph.RuntimeFinding{Title: "Update openssl", Severity: "high"}, Known: []graph.FindingID{"a"},
		Decision: &graph.Decision{Running: graph.Yes, Version: "v", Workloads: []graph.WorkloadDecision{{Workload: "w1", Name: "shop", Factors: []graph.Factor{graph.SensitiveData, graph.InternetExposed}},
			{Workload: "w2", Name: "b", Factors: []graph.Factor{graph.InternetExposed}}, {Workload: "w3", Name: "c"}, {Workload: "w4", Name: "d"}, {}}}}
	s := graph.Summarise(f, x, &graph.Remediation{Status: graph.StatusOpen, Assignees: []string{"ann"}, Issue: &graph.Issue{Number: 7, URL: "u"}})
	if s.Title != "Update openssl" || s.Severity != "high" || s.FullName != "acme/shop" || s.Unmapped || !s.Known || s.Running != graph.Yes || s.Issue != 7 || s.Status != "open" {
		t.Errorf("%+v", s)
	}
	if fmt.Sprint(s.Workloads) != "[shop b c]" || s.WorkloadsAll != 4 || fmt.Sprint(s.Artifacts) != "[reg/shop]" || fmt.Sprint(s.Risks) != "[internet-exposed sensitive-data]" {
		t.Errorf("workloads %v of %d, artifacts %v, risks %v", s.Workloads, s.WorkloadsAll, s.Artifacts, s.Risks)
	}
	x.Images = false
	if s := graph.Summarise(f, x, nil); !s.Unmapped {
		t.Error("a repository without an image is mapped")
	}
}
