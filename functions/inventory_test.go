package main

import (
	"context"
	"testing"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// TestFirstInventoryWaitsForEveryMapping ends the process after each write of the last answer about an image, lets the
// inventory be closed by others meanwhile, and delivers the answer again. A decision on the half-written mapping must
// neither be published, and then held against the whole one, nor open an issue.
func TestFirstInventoryWaitsForEveryMapping(t *testing.T) {
	for writes := 1; brokenInventory(t, writes); writes++ {
	}
}

// brokenInventory breaks the answer after some writes; false when it is whole before.
func brokenInventory(t *testing.T, writes int) bool {
	p := newPipeline(t)
	p.correlate.Inventory = []string{"azure workloads", "azure findings"}
	closing := func(id string) {
		p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Scope: &graph.Scope{ID: id, Run: "r", StartedAt: p.now, Complete: true}})
	}
	seen := graph.RuntimeFinding{ID: "runtime-11111111-1111-1111-1111-111111111111", Assessment: "/x", Title: "Update zlib", Digest: digestAPI, Image: "acr.example/shop/api", Software: "zlib",
		FixedIn: "2", CVEs: []graph.CVE{{ID: "CVE-2026-1", Severity: "High"}}, Severity: "High", State: graph.Open, UpdatedAt: p.now, FirstSeen: p.now}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}, RuntimeFindings: []graph.RuntimeFinding{seen}})
	closing("registry image:acr.example/shop/api@" + string(digestAPI))
	closing("azure workloads")
	answer, err := event.NewObserved("/test", graph.Observation{Source: "github", ObservedAt: p.now, Evidence: []graph.Evidence{built()}, Answered: []graph.Digest{digestAPI}}, -1)
	if err != nil {
		t.Fatal(err)
	}
	p.correlate.Store = &breaking{Store: p.store, left: writes}
	_, err = p.correlate.Handle(context.Background(), answer[0])
	p.correlate.Store = p.store
	closing("azure findings")
	p.settle(answer)
	if s := p.summary("github-4711-dependabot-88"); s.Rule != "R9" || s.Tier != graph.P4 || len(p.tracker.issues) != 0 {
		t.Errorf("broken after %d writes: %s by %s, %d issues; want P4 by R9 and none", writes-1, s.Tier, s.Rule, len(p.tracker.issues))
	}
	if err == nil && writes < 8 {
		t.Errorf("only %d writes", writes)
	}
	return err != nil
}
