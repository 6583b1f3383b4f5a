package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"throughline/functions/api"
	"throughline/functions/prioritize"
	"throughline/infra/local/cosmosdb"
	"throughline/shared/cosmos"
	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// TestSixtyThousandDecisions decides alerts from scratch and plans another policy over them, with the store over its wire:
// 600 alerts, or with THROUGHLINE_LONG=1 the 60,000 of the goal. Only then the times count: on a machine that does nothing
// besides.
func TestSixtyThousandDecisions(t *testing.T) {
	alerts := 600
	long := os.Getenv("THROUGHLINE_LONG") == "1"
	if long {
		alerts = 60_000
	}
	e := newScratch(t, alerts)
	decided := e.decide(t)
	plan, planned := e.plan(t)
	t.Logf("%d alerts decided in %.1f s (%.0f/s, goal 60 s for 60,000), planned in %.2f s (goal 10 s): %d change tier", alerts, decided.Seconds(), float64(alerts)/decided.Seconds(), planned.Seconds(), plan.Changed)
	if plan.Findings != alerts || plan.Changed == 0 {
		t.Errorf("the plan looked at %d findings, %d change tier", plan.Findings, plan.Changed)
	}
	if long && (decided > time.Minute || planned > 10*time.Second) {
		t.Errorf("decided in %s, want a minute; planned in %s, want 10 s", decided, planned)
	}
}

// each is how many alerts a repository has.
const each = 30

// scratch is an estate of which nothing is decided.
type scratch struct {
	store        *cosmos.Store
	policy       *decision.Policy
	repositories []graph.RepositoryID
}

func newScratch(t *testing.T, alerts int) *scratch {
	server, err := cosmosdb.Start(context.Background(), cosmosdb.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cosmos.Open(cosmos.Options{ConnectionString: server.ConnectionString(), Database: "sixty"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(); _ = server.Close() })
	e := &scratch{store: store, policy: decision.DefaultPolicy()}
	e.policy.Thresholds.EPSSLikely = 0.99
	for n := range alerts / each {
		e.repositories = append(e.repositories, graph.RepositoryID(fmt.Sprintf("github-%d", n+1)))
	}
	e.many(t, e.seed)
	return e
}

// many does something for every repository, as many at once as the host lets the function run.
func (e *scratch) many(t *testing.T, do func(n int, r graph.RepositoryID) error) {
	t.Helper()
	queue := make(chan int)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for n := range queue {
				if err := do(n, e.repositories[n]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range e.repositories {
		queue <- n
	}
	close(queue)
	group.Wait()
}

// seed writes a repository with its workload and its alerts, as correlate leaves them.
func (e *scratch) seed(n int, r graph.RepositoryID) error {
	now := time.Now().UTC()
	exposed := graph.Reading{Factor: graph.InternetExposed, Source: "configuration", Says: []graph.Answer{graph.Yes, graph.No, graph.Unknown}[n%3], ReadAt: now}
	lateral := graph.Reading{Factor: graph.LateralMovement, Source: "attack-path", Says: graph.Yes, ReadAt: now, YesAt: now}
	w := graph.ExposedWorkload{ID: graph.WorkloadID(fmt.Sprintf("w-%d", n)), Path: fmt.Sprintf("/w/%d", n), Name: "api", Kind: "Deployment", Cluster: "aks", Digests: []graph.Digest{digestAPI}, Readings: []graph.Reading{exposed, lateral}}
	x := graph.Exposure{Repository: r, Org: "github-org-1", FullName: fmt.Sprintf("shop/api-%d", n), Images: true, Inventory: true, Workloads: []graph.ExposedWorkload{w},
		Artifacts: []graph.ExposedArtifact{{Digest: digestAPI, Name: "api", Method: graph.AttestationRecord}}}
	first, err := graph.NewWrite(graph.ExposureKey(r), graph.KindExposure, graph.Any, x.Sealed())
	writes := []graph.Write{first}
	for k := range each {
		a := alertNo(n*each + k)
		a.Repository, a.Number, a.ID = r, k+1, graph.NewAlertID(r, graph.Dependabot, k+1)
		a.Dependency.CVSS = []string{"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:L/A:H"}
		a.Severity = []string{"low", "medium", "high", "critical"}[k%4]
		f := graph.Finding{ID: a.ID, Repository: r, Kind: a.Kind, State: graph.Open, Alert: &a, FixKey: a.FixKey(), CVEs: a.CVEs(), FirstSeen: a.CreatedAt, Remediation: graph.NewRemediationID(r, a.FixKey())}
		w, wrong := graph.NewWrite(graph.FindingKey(r, a.ID), graph.KindFinding, graph.Any, f)
		if writes = append(writes, w); err == nil {
			err = wrong
		}
	}
	if err == nil {
		err = e.store.Write(context.Background(), writes...)
	}
	if err != nil {
		return err
	}
	name, err := graph.NewWrite(graph.StateKey(graph.RepositoriesPartition, string(r)), "repository", graph.Any, graph.Name{Repository: r, FullName: x.FullName, Org: x.Org})
	if err != nil {
		return err
	}
	return e.store.Write(context.Background(), name)
}

// decide says of every repository that its exposure changed, and follows the pages.
func (e *scratch) decide(t *testing.T) time.Duration {
	stage := &prioritize.Stage{Store: e.store, Policy: func() *decision.Policy { return e.policy }, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	began := time.Now()
	e.many(t, func(_ int, r graph.RepositoryID) error {
		e, err := event.NewLag("/test", event.Lag{Repository: r, Exposure: true})
		for err == nil {
			var said []event.Event
			if said, err = stage.Handle(context.Background(), e); err != nil {
				return err
			}
			i := len(said) - 1
			if i < 0 || said[i].Type != e.Type {
				return nil // the last page: what else is said is for assign
			}
			e = said[i]
		}
		return err
	})
	return time.Since(began)
}

// plan asks what another policy would change.
func (e *scratch) plan(t *testing.T) (api.Plan, time.Duration) {
	other := *e.policy
	other.Thresholds.EPSSLikely = 0.10
	a := &api.API{Store: e.store, Policy: func() *decision.Policy { return e.policy }, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	began := time.Now()
	plan, err := a.PlanPolicy(context.Background(), &other)
	if err != nil {
		t.Fatal(err)
	}
	return plan, time.Since(began)
}
