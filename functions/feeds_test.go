package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"throughline/functions/collect"
	"throughline/functions/prioritize"
	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/feeds"
	"throughline/shared/graph"
)

// withFeeds connects the sample feeds to a pipeline.
func withFeeds(p *pipeline) {
	clock, log := func() time.Time { return p.now }, slog.New(slog.DiscardHandler)
	policy := decision.DefaultPolicy()
	source := &feeds.Source{Store: p.store, Dir: "../shared/feeds/testdata/sample", Now: clock, Log: log, Window: func() int { return 30 }, Thresholds: func() []float64 { return thresholds(policy) }}
	p.stages["collect"] = (&collect.Stage{Store: p.store, Sources: map[string]collect.Source{"feeds": source}, Now: clock, Log: log}).Handle
	p.stages["prioritize"] = (&prioritize.Stage{Store: p.store, Policy: func() *decision.Policy { return policy }, Feeds: intelligence{&feeds.Shelf{Store: p.store, Now: clock}}, Now: clock, Log: log}).Handle
}

func (p *pipeline) collectFeeds() {
	p.t.Helper()
	e, err := event.NewCollect("/test", graph.Collection{Source: "feeds", Scope: "all"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.settle([]event.Event{e})
}

func TestFeedReachesOnlyTheFindingsWithItsCVE(t *testing.T) {
	p := newPipeline(t)
	other := log4shell()
	dependency := *other.Dependency
	dependency.Package, dependency.CVEs, dependency.GHSA = "left-pad", []string{"CVE-2030-1234"}, "GHSA-2222-3333-4444"
	other.ID, other.Number, other.Dependency = "github-4711-dependabot-89", 89, &dependency
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell(), other}})
	withFeeds(p)
	p.now = p.now.Add(time.Hour)
	before := p.handled["prioritize"]
	p.collectFeeds()
	if n := p.handled["prioritize"] - before; n == 0 {
		t.Fatal("the feeds reached nothing")
	}
	x, at := p.explained("github-4711-dependabot-88")
	if x.Inputs.KEV.Value != "yes" || x.Data.KEV != "2026.11.20" || x.Data.EPSS != "2026-11-20/v4" || x.Data.Vulnrichment == "" || !at.Equal(p.now) {
		t.Errorf("decided at %s with %+v, %+v", at, x.Inputs.KEV, x.Data)
	}
	if _, at := p.explained("github-4711-dependabot-89"); !at.Before(p.now) {
		t.Errorf("the finding of which the feeds know nothing was decided again at %s", at)
	}
	handled := p.handled["prioritize"]
	p.now = p.now.Add(time.Hour)
	p.collectFeeds()
	if p.handled["prioritize"] != handled {
		t.Errorf("unchanged feeds caused %d messages", p.handled["prioritize"]-handled)
	}
}

// explained is the explanation of a finding's first workload and when it was decided.
func (p *pipeline) explained(id graph.FindingID) (decision.Explanation, time.Time) {
	p.t.Helper()
	f, err := graph.Get[graph.Finding](context.Background(), p.store, graph.FindingKey("github-4711", id))
	if err != nil || f.Value.Decision == nil {
		p.t.Fatalf("finding %s: %v", id, err)
	}
	var x decision.Explanation
	if err := json.Unmarshal(f.Value.Decision.Workloads[0].Explanation, &x); err != nil {
		p.t.Fatal(err)
	}
	return x, f.Value.Decision.DecidedAt
}
