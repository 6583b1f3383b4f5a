package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"throughline/infra/local/cosmosdb"
	"throughline/shared/cosmos"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// operations is what one message costs on Service Bus: it is sent, received and completed.
const operations = 3

// costs counts what events cost: the request units that the stand-in charges for, and the messages.
type costs struct {
	*pipeline
	server   *cosmosdb.Server
	messages int
}

func newCosts(t testing.TB) *costs {
	t.Helper()
	server, err := cosmosdb.Start(context.Background(), cosmosdb.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cosmos.Open(cosmos.Options{ConnectionString: server.ConnectionString(), Database: fmt.Sprint("cost", databases.Add(1))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(); _ = server.Close() })
	c := &costs{pipeline: newPipelineOver(t, store), server: server}
	c.said = func(event.Event) { c.messages++ }
	c.stages["assign"] = func(context.Context, event.Event) ([]event.Event, error) { return nil, nil } // the budget ends where assign begins
	return c
}

var databases atomic.Int32

// of says what an observation costs, in request units and Service Bus operations.
func (c *costs) of(o graph.Observation) (units float64, ops int) {
	before := c.server.Charge()
	c.messages = 0
	c.observe(o)
	return c.server.Charge() - before, c.messages * operations
}

// settled is a repository with an image that runs, and n open alerts beside.
func (c *costs) settled(n int) {
	o := graph.Observation{Source: "test", ObservedAt: c.now, Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}}
	for i := range n {
		o.Alerts = append(o.Alerts, alertNo(1000+i))
	}
	c.observe(o)
	c.answer(digestAPI)
}

// alertNo is an alert of its own package and advisory.
func alertNo(n int) graph.Alert {
	a := log4shell()
	d := *a.Dependency
	d.Package, d.GHSA, d.CVEs = fmt.Sprint("org.example:lib-", n), fmt.Sprint("GHSA-", n), []string{fmt.Sprint("CVE-2026-", n)}
	a.Number, a.ID, a.Dependency = n, graph.NewAlertID(a.Repository, a.Kind, n), &d
	return a
}

// TestAlertStaysWithinItsBudget holds what an alert costs that changes nothing in exposure, from correlate to assign: nine
// Service Bus operations, and request units that do not grow with the alerts of its repository.
func TestAlertStaysWithinItsBudget(t *testing.T) {
	var alone float64
	for _, others := range []int{0, 60} {
		c := newCosts(t)
		c.settled(others)
		o := graph.Observation{Source: "test", ObservedAt: c.now, Alerts: []graph.Alert{alertNo(88)}}
		units, ops := c.of(o)
		again, opsAgain := c.of(o)
		t.Logf("beside %d others: %.1f RU and %d operations for a new alert, %.1f and %d for the same again", others, units, ops, again, opsAgain)
		if ops > 9 || opsAgain > operations {
			t.Errorf("%d and %d Service Bus operations, want at most 9 and %d", ops, opsAgain, operations)
		}
		if others == 0 {
			alone = units
		}
		if units > alertUnits || units > 1.1*alone || again > 2 {
			t.Errorf("%.1f RU for a new alert, %.1f without others, %.1f for the same again", units, alone, again)
		}
	}
}

// alertUnits is what a new alert may cost. The goal is 18: its finding is written twice, by correlate and by prioritize.
const alertUnits = 28

// BenchmarkCost prints what each kind of event costs until assign begins.
func BenchmarkCost(b *testing.B) {
	at := func(c *costs) graph.Observation { return graph.Observation{Source: "test", ObservedAt: c.now} }
	for _, event := range []struct {
		name string
		say  func(c *costs, n int) graph.Observation
	}{
		{"alert", func(c *costs, n int) graph.Observation {
			o := at(c)
			o.Alerts = []graph.Alert{alertNo(5000 + n)}
			return o
		}},
		{"alert unchanged", func(c *costs, _ int) graph.Observation {
			o := at(c)
			o.Alerts = []graph.Alert{alertNo(1000)}
			return o
		}},
		{"workload unchanged", func(c *costs, _ int) graph.Observation {
			o := at(c)
			o.Workloads = []graph.Workload{running()}
			return o
		}},
		{"verified evidence repeated", func(c *costs, _ int) graph.Observation {
			o := at(c)
			o.Evidence = []graph.Evidence{built()}
			return o
		}},
	} {
		b.Run(event.name, func(b *testing.B) {
			c := newCosts(b)
			c.settled(50)
			units, ops, n := 0.0, 0, 0
			for b.Loop() {
				u, o := c.of(event.say(c, n))
				units, ops, n = units+u, ops+o, n+1
			}
			b.ReportMetric(units/float64(n), "RU/event")
			b.ReportMetric(float64(ops)/float64(n), "busops/event")
		})
	}
}
