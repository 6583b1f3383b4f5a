package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

// sameFacts are the sayings of a webhook, of a full reading and of older messages about the same few facts.
func sameFacts() []graph.Observation {
	beside, full := shop(), shop()
	beside.Partial = true
	read := log4shell()
	hook := log4shell()
	hook.Partial = true
	bare := *hook.Dependency
	bare.EPSS, bare.Scope = nil, "" // a webhook leaves out what the list tells
	hook.Dependency = &bare
	older := log4shell()
	older.UpdatedAt, older.Severity, older.Title = at.Add(-time.Hour), "low", "Log4j"
	found := graph.RuntimeFinding{ID: "runtime-11111111-1111-1111-1111-111111111111", Assessment: "/x", Title: "Update log4j", Digest: digestAPI, Software: "log4j", FixedIn: "2.15.0",
		CVEs: []graph.CVE{{ID: "CVE-2021-44228", Severity: "Critical"}}, Severity: "Critical", State: graph.Open, UpdatedAt: at, FirstSeen: at}
	return []graph.Observation{
		{Source: "github-webhook", Repositories: []graph.Repository{beside}, Alerts: []graph.Alert{hook}},
		{Source: "github", Repositories: []graph.Repository{beside}, Alerts: []graph.Alert{read}},
		{Source: "github-webhook", Repositories: []graph.Repository{beside}, Alerts: []graph.Alert{older}},
		{Source: "github", Repositories: []graph.Repository{full}},
		{Source: "github", Evidence: []graph.Evidence{built()}},
		{Source: "resource-graph", Workloads: []graph.Workload{running()}},
		{Source: "resource-graph", RuntimeFindings: []graph.RuntimeFinding{found}},
	}
}

// TestAnyOrderOfTheSameFactsEndsTheSame says the same facts by webhook and by reading, in any order and any number of
// times: graph and worklist are the same at the end, there is one issue, and hearing everything again does nothing more.
func TestAnyOrderOfTheSameFactsEndsTheSame(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 7))
	var want string
	for n := range 60 {
		p := newPipeline(t)
		say := func() {
			var all []graph.Observation
			for _, o := range sameFacts() {
				for range 1 + dice.IntN(3) {
					all = append(all, o)
				}
			}
			dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			for _, o := range all {
				o.ObservedAt = p.now
				p.observe(o)
			}
			p.answer(digestAPI)
			p.wait(time.Hour)
		}
		say()
		got := p.told()
		if n == 0 {
			want = got
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d, order %d ends otherwise (-first +this):\n%s", seed, n, diff)
		}
		if len(p.tracker.issues) != 1 {
			t.Fatalf("seed %d, order %d: %d issues, want one", seed, n, len(p.tracker.issues))
		}
		edits := p.tracker.edits
		say()
		if again := p.told(); again != got || len(p.tracker.issues) != 1 || p.tracker.edits != edits {
			t.Fatalf("seed %d, order %d: heard again, %d issues, %d edits more\n%s", seed, n, len(p.tracker.issues), p.tracker.edits-edits, gocmp.Diff(got, again))
		}
	}
}

// told is what the graph and the worklist say in the end, without when they learned it.
func (p *pipeline) told() string {
	p.t.Helper()
	ctx := context.Background()
	x, err := graph.Get[graph.Exposure](ctx, p.store, graph.ExposureKey("github-4711"))
	if err != nil {
		p.t.Fatal(err)
	}
	items, _, err := graph.Worklist(ctx, p.store, graph.Filter{State: graph.AllStates, Limit: 200})
	if err != nil {
		p.t.Fatal(err)
	}
	type line struct {
		ID                           graph.FindingID
		State, Tier, Rule, Title     string
		Running, FullName            string
		Workloads                    []string
		Risks                        []graph.Factor
		Known, Unmapped, HasAnyIssue bool
		Score                        int
	}
	var lines []any
	for _, s := range items {
		f, err := graph.Get[graph.Finding](ctx, p.store, graph.FindingKey(s.Repository, s.ID))
		if err != nil {
			p.t.Fatal(err)
		}
		lines = append(lines, line{s.ID, string(s.State), string(s.Tier), s.Rule, s.Title, string(s.Running), s.FullName, s.Workloads, s.Risks, s.Known, s.Unmapped, s.Issue > 0, s.Score}, f.Value.Alert)
	}
	raw, err := json.MarshalIndent([]any{x.Value.Artifacts, x.Value.Workloads, x.Value.FullName, lines}, "", " ")
	if err != nil {
		p.t.Fatal(err)
	}
	return string(raw)
}
