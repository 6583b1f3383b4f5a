package decision

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

func TestCompare(t *testing.T) {
	// Most urgent first; each differs from the one before in what the rule names next.
	ranked := []Decision{
		{Finding: "a-dependabot-10", Tier: graph.P0, Score: 801},
		{Finding: "a-dependabot-9", Tier: graph.P1, Score: 700},
		{Finding: "a-dependabot-8", Tier: graph.P1, Score: 650, DueAt: onDay(3)},
		{Finding: "a-dependabot-7", Tier: graph.P1, Score: 650, DueAt: onDay(4), Detected: onDay(1)},
		{Finding: "a-dependabot-6", Tier: graph.P1, Score: 650, DueAt: onDay(4), Detected: onDay(2)},
		{Finding: "a-dependabot-9", Tier: graph.P1, Score: 650, DueAt: onDay(4), Workload: "w-1"},
		{Finding: "a-dependabot-9", Tier: graph.P1, Score: 650, DueAt: onDay(4), Workload: "w-2"},
		{Finding: "a-dependabot-10", Tier: graph.P1, Score: 650, DueAt: onDay(4)},
		{Finding: "a-secret-2", Tier: graph.P1, Score: 650, DueAt: onDay(4)},
		{Finding: "a-dependabot-1", Tier: graph.P1, Score: 650},
	}
	for i := range ranked {
		for j := range ranked {
			got := Compare(ranked[i], ranked[j])
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%d and %d: %d", i, j, got)
			}
		}
	}
	shuffled := slices.Clone(ranked)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, Compare)
	if diff := cmp.Diff(ranked, shuffled); diff != "" {
		t.Error(diff)
	}
}

func TestCompareIDs(t *testing.T) {
	ordered := []string{"", "a", "a-02", "a-2", "a-10", "a-10-1", "a-99999999999999999999", "a-100000000000000000000", "a-b", "b"}
	for i := range ordered {
		for j := range ordered {
			if got := compareIDs(ordered[i], ordered[j]); (got < 0) != (i < j) {
				t.Errorf("%q and %q: %d", ordered[i], ordered[j], got)
			}
		}
	}
}

// The issue has the most urgent tier, the highest score, the earliest date, and the triage that any of its alerts needs.
func TestMostUrgent(t *testing.T) {
	if got := MostUrgent(nil); got.Tier != "" {
		t.Errorf("of nothing: %+v", got)
	}
	got := MostUrgent([]Decision{
		{Finding: "1", Tier: graph.P2, Score: 480, Due: "60d", DueAt: onDay(1)},
		{Finding: "2", Tier: graph.P0, Score: 930, Due: "3d", DueAt: onDay(3), Rule: "R2"},
		{Finding: "3", Tier: graph.P0, Score: 900, Due: "3d+triage", Triage: true, Rule: "R1"},
	})
	want := Decision{Finding: "2", Tier: graph.P0, Score: 930, Due: "3d+triage", DueAt: onDay(1), Rule: "R2", Triage: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiffersFromDefender(t *testing.T) {
	for _, c := range []struct {
		level     string
		inContext bool
		tier      graph.Tier
		want      bool
	}{
		{"Critical", true, graph.P3, true}, {"critical", true, graph.P4, true}, {"Critical", true, graph.P2, false},
		{"Critical", false, graph.P4, false}, {"Low", true, graph.P0, true}, {"Low", false, graph.P0, false},
		{"Low", true, graph.P1, false}, {"Medium", true, graph.P0, false}, {"High", true, graph.P4, false}, {"", true, graph.P0, false},
	} {
		if got := DiffersFromDefender(c.level, c.inContext, c.tier); got != c.want {
			t.Errorf("%+v", c)
		}
	}
}
