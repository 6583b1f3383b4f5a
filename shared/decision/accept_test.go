package decision

import (
	"encoding/json"
	"testing"
	"time"

	"throughline/shared/graph"
)

// decided is an open finding with a decision over workloads of which each would have one of the tiers without R0.
func decided(shown graph.Tier, without ...graph.Tier) graph.Finding {
	d := &graph.Decision{Tier: shown}
	for i, t := range without {
		raw, _ := json.Marshal(map[string]any{"without_r0": t}) // a map of texts always encodes
		d.Workloads = append(d.Workloads, graph.WorkloadDecision{Workload: graph.WorkloadID("w-" + string(rune('1'+i))), Explanation: raw})
	}
	return graph.Finding{ID: "f-1", State: graph.Open, Decision: d}
}

func TestAcceptTakesTheTierWithoutR0(t *testing.T) {
	given := graph.Acceptance{By: "ann", Reason: "behind a gateway", At: epoch, Until: epoch.AddDate(0, 0, 10)}
	for name, c := range map[string]struct {
		finding graph.Finding
		want    graph.Tier
	}{
		"one workload":                      {decided(graph.P2, graph.P2), graph.P2},
		"accepted before":                   {decided(graph.P4, graph.P1), graph.P1},
		"the most urgent of several":        {decided(graph.P1, graph.P2, graph.P1, graph.P3), graph.P1},
		"the first counts, whatever showed": {decided(graph.P0, graph.P3), graph.P3},
		"no workload":                       {decided(graph.P3), graph.P3},
	} {
		got, err := Accept(c.finding, given, DefaultPolicy())
		want := given
		want.Tier = c.want
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAcceptRefuses(t *testing.T) {
	given := graph.Acceptance{By: "ann", Reason: "behind a gateway", At: epoch, Until: epoch.AddDate(0, 0, 10)}
	closed, undecided, broken := decided(graph.P2, graph.P2), decided(graph.P2, graph.P2), decided(graph.P2, graph.P2)
	closed.State, undecided.Decision, broken.Decision.Workloads[0].Explanation = graph.Fixed, nil, json.RawMessage("{")
	for name, c := range map[string]struct {
		finding graph.Finding
		given   graph.Acceptance
		want    string
	}{
		"closed":    {closed, given, "finding f-1 is fixed: only an open, decided finding can be accepted"},
		"undecided": {undecided, given, "finding f-1 is open: only an open, decided finding can be accepted"},
		"damaged":   {broken, given, "explanation of workload w-1: unexpected end of JSON input"},
		"too long":  {decided(graph.P4, graph.P0), graph.Acceptance{By: "ann", Reason: "x", At: epoch, Until: epoch.AddDate(0, 0, 20)}, "P0 may be accepted for at most 14 days, until 2026-09-15"},
		"nameless":  {decided(graph.P2, graph.P2), graph.Acceptance{Reason: "x", At: epoch, Until: given.Until}, "an acceptance needs somebody's name"},
	} {
		if _, err := Accept(c.finding, c.given, DefaultPolicy()); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if tier, err := bareTier(broken.Decision); tier != "" || err == nil {
		t.Errorf("a damaged explanation has the tier %q", tier)
	}
}

func TestParseUntil(t *testing.T) {
	for s, want := range map[string]string{"2026-12-31": "2026-12-31T23:59:59Z", "2026-12-31T10:00:00+02:00": "2026-12-31T08:00:00Z"} {
		if got, err := ParseUntil(s); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "tomorrow", "2026-13-01", "31.12.2026"} {
		if _, err := ParseUntil(s); err == nil || err.Error() != "until: "+quoted(s)+" is not a day like 2026-12-31" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func quoted(s string) string { return `"` + s + `"` }
