package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"throughline/functions/collect"
	"throughline/shared/event"
	"throughline/shared/feeds"
	"throughline/shared/graph"
)

// counting counts what is asked of a store, and the findings that it gives.
type counting struct {
	graph.Store
	mu                               sync.Mutex
	reads, queries, writes, findings int
}

func (c *counting) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	d, err := c.Store.Read(ctx, k)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	if err == nil && d.Kind == graph.KindFinding {
		c.findings++
	}
	return d, err
}

func (c *counting) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	p, err := c.Store.Query(ctx, q)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries++
	for _, d := range p.Documents {
		if d.Kind == graph.KindFinding {
			c.findings++
		}
	}
	return p, err
}

func (c *counting) Write(ctx context.Context, changes ...graph.Write) error {
	c.mu.Lock()
	c.writes += len(changes)
	c.mu.Unlock()
	return c.Store.Write(ctx, changes...)
}

// during counts what some work asks of the store.
func (c *counting) during(work func()) (reads, queries, writes, findings int) {
	c.reads, c.queries, c.writes, c.findings = 0, 0, 0, 0
	work()
	return c.reads, c.queries, c.writes, c.findings
}

// counted is a settled repository with some open alerts, over a store that counts.
func counted(t *testing.T, alerts int) (*pipeline, *counting) {
	store := &counting{Store: graph.NewMemory()}
	p := newPipelineOver(t, store)
	p.stages["assign"] = func(context.Context, event.Event) ([]event.Event, error) { return nil, nil } // the count ends where assign begins
	o := graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}}
	for n := range alerts {
		o.Alerts = append(o.Alerts, alertNo(1000+n))
	}
	p.observe(o)
	p.answer(digestAPI)
	return p, store
}

func TestNewAlertIsDecidedWithoutTheOthersOfItsRepository(t *testing.T) {
	var alone [4]int
	for _, others := range []int{0, 10, 120} {
		p, store := counted(t, others)
		var got [4]int
		got[0], got[1], got[2], got[3] = store.during(func() {
			p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Alerts: []graph.Alert{alertNo(88)}})
		})
		if others == 0 {
			alone = got
			if got[3] == 0 || got[3] > 2 {
				t.Errorf("%d findings were read for one new alert", got[3])
			}
		}
		if got != alone {
			t.Errorf("beside %d others: %v reads, queries, writes and findings read; alone %v", others, got, alone)
		}
	}
}

func TestExposureChangeDecidesItsRepositoryInPages(t *testing.T) {
	const alerts, page = 120, 50
	p, store := counted(t, alerts)
	decide := p.stages["prioritize"]
	pages, most := 0, 0
	p.stages["prioritize"] = func(ctx context.Context, e event.Event) (said []event.Event, err error) {
		_, _, _, findings := store.during(func() { said, err = decide(ctx, e) })
		pages, most = pages+1, max(most, findings)
		return said, err
	}
	w := running()
	w.UpdatedAt = p.now
	w.Readings = []graph.Reading{{Factor: graph.SensitiveData, Source: "mdc", Says: graph.Yes, ReadAt: p.now}}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{w}})
	if want := (alerts + page - 1) / page; pages != want {
		t.Errorf("%d messages decided %d alerts, want %d", pages, alerts, want)
	}
	// Each finding is listed, and read again under its ETag.
	if most > 2*page {
		t.Errorf("one message read %d findings, a page is %d", most, page)
	}
	for n := range alerts {
		if x, _ := p.explained(alertNo(1000 + n).ID); x.Inputs.Sensitive.Value != "yes" {
			t.Fatalf("alert %d was not decided again", 1000+n)
		}
	}
}

func TestFeedChangeReadsOnlyTheFindingsWithItsCVE(t *testing.T) {
	p, store := counted(t, 100)
	clock := func() time.Time { return p.now }
	p.stages["collect"] = (&collect.Stage{Store: store, Sources: map[string]collect.Source{"feeds": &feeds.Source{Store: store, Now: clock, Log: p.correlate.Log}}, Now: clock, Log: p.correlate.Log}).Handle
	if err := feeds.NoteChange(context.Background(), store, feeds.Change{ID: "kev-1", Cause: "kev 1", CVEs: []string{fmt.Sprint("CVE-2026-", 1007)}}); err != nil {
		t.Fatal(err)
	}
	e, err := event.NewCollect("/test", graph.Collection{Source: "feeds", Scope: "changes"})
	if err != nil {
		t.Fatal(err)
	}
	before := p.handled["prioritize"]
	_, _, _, findings := store.during(func() { p.settle([]event.Event{e}) })
	if n := p.handled["prioritize"] - before; n != 1 || findings != 1 {
		t.Errorf("%d messages and %d findings read for a change of one CVE in 100 alerts", n, findings)
	}
}
