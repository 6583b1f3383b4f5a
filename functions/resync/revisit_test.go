package resync

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// clockwork is a stage without roots, whose clock a test turns.
type clockwork struct {
	t     *testing.T
	store *graph.Memory
	stage *Stage
	now   time.Time
}

func newClockwork(t *testing.T) *clockwork {
	c := &clockwork{t: t, store: graph.NewMemory(), now: noon}
	c.stage = &Stage{Store: c.store, Interval: time.Hour, Now: func() time.Time { return c.now }, Log: slog.New(slog.DiscardHandler)}
	return c
}

func (c *clockwork) put(k graph.Key, kind graph.Kind, v any) {
	c.t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, v)
	if err == nil {
		err = c.store.Write(context.Background(), w)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// held writes a finding that is to be looked at again, with its note.
func (c *clockwork) held(n int, at time.Time) graph.FindingID {
	c.t.Helper()
	id := graph.NewAlertID("github-1", graph.Dependabot, n)
	c.put(graph.FindingKey("github-1", id), graph.KindFinding, graph.Finding{ID: id, Repository: "github-1", State: graph.Open, Decision: &graph.Decision{Revisit: at}})
	if err := (graph.Revisit{Repository: "github-1", Finding: id, At: at}).Note(context.Background(), c.store); err != nil {
		c.t.Fatal(err)
	}
	return id
}

// tick gives the lags that were said.
func (c *clockwork) tick() []event.Lag {
	c.t.Helper()
	events, err := c.stage.Tick(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	var lags []event.Lag
	for _, e := range events {
		var l event.Lag
		if err := e.Into(&l); err != nil || e.Type != event.Correlated {
			c.t.Fatalf("%s: %v", e.Type, err)
		}
		lags = append(lags, l)
	}
	return lags
}

func TestRevisitIsAskedForWhenItsTimeHasComeAndUntilItWasDone(t *testing.T) {
	c := newClockwork(t)
	id := c.held(1, noon.Add(3*time.Hour+10*time.Minute))
	c.tick()
	c.now = noon.Add(3*time.Hour + 9*time.Minute)
	if lags := c.tick(); len(lags) != 0 {
		t.Errorf("a minute too early: %+v", lags)
	}
	c.now = noon.Add(3*time.Hour + 10*time.Minute)
	if lags := c.tick(); len(lags) != 1 || lags[0].Repository != "github-1" || lags[0].Findings[0] != id || lags[0].Exposure {
		t.Fatalf("at its time: %+v", lags)
	}
	c.now = c.now.Add(5 * time.Minute)
	if lags := c.tick(); len(lags) != 0 {
		t.Errorf("asked again at once: %+v", lags)
	}
	c.now = c.now.Add(time.Hour)
	if lags := c.tick(); len(lags) != 1 {
		t.Errorf("the answer was lost, and nobody asks again: %+v", lags)
	}
	c.put(graph.FindingKey("github-1", id), graph.KindFinding, graph.Finding{ID: id, Repository: "github-1", State: graph.Open, Decision: &graph.Decision{}})
	c.now = c.now.Add(time.Hour)
	if lags := c.tick(); len(lags) != 0 {
		t.Errorf("done, and asked again: %+v", lags)
	}
	left, err := graph.ListAll[graph.Revisit](context.Background(), c.store, graph.Query{Container: graph.StateContainer, Partition: graph.RevisitPartition(noon.Add(3 * time.Hour))})
	if err != nil || len(left) != 0 {
		t.Errorf("notes left: %+v, %v", left, err)
	}
	c.tick()
	at, err := graph.Get[watch](context.Background(), c.store, watchKey)
	if err != nil || at.Value.From.Before(c.now.Add(-2*time.Hour)) {
		t.Errorf("the hours that are done are looked through for ever: %s, %v", at.Value.From, err)
	}
}

func TestRevisitSurvivesAStandstill(t *testing.T) {
	c := newClockwork(t)
	c.tick()
	for n := range 3 {
		c.held(n+1, noon.Add(time.Duration(n+1)*24*time.Hour))
	}
	c.now = noon.AddDate(0, 0, 10)
	if lags := c.tick(); len(lags) != 3 {
		t.Errorf("after ten days without a tick %d are asked for, want 3", len(lags))
	}
}

func TestRevisitOfARepositoryLooksAtItsExposure(t *testing.T) {
	c := newClockwork(t)
	c.tick()
	at := noon.Add(time.Hour)
	c.put(graph.ExposureKey("github-1"), graph.KindExposure, graph.Exposure{Repository: "github-1", Revisit: at})
	for _, r := range []graph.RepositoryID{"github-1", "github-2"} {
		if err := (graph.Revisit{Repository: r, At: at}).Note(context.Background(), c.store); err != nil {
			t.Fatal(err)
		}
	}
	c.now = at
	if lags := c.tick(); len(lags) != 1 || !lags[0].Exposure || lags[0].Repository != "github-1" {
		t.Errorf("%+v, want the exposure of github-1 alone: the other has none", lags)
	}
}

func TestOneTickAsksForAtMost(t *testing.T) {
	c := newClockwork(t)
	c.tick()
	for n := range most + 5 {
		c.held(n+1, noon.Add(time.Minute))
	}
	c.now = noon.Add(2 * time.Minute)
	first := c.tick()
	second := c.tick()
	if len(first) != most || len(second) != 5 {
		t.Errorf("%d, then %d; want %d, then 5", len(first), len(second), most)
	}
	seen := map[string]bool{}
	for _, l := range append(first, second...) {
		seen[fmt.Sprint(l.Findings)] = true
	}
	if len(seen) != most+5 {
		t.Errorf("%d findings were asked for, want %d", len(seen), most+5)
	}
}

func TestQuietTickWritesNothing(t *testing.T) {
	c := newClockwork(t)
	c.tick()
	before := c.store.Writes()
	c.now = noon.Add(5 * time.Minute)
	c.tick()
	if n := c.store.Writes() - before; n != 0 {
		t.Errorf("%d writes", n)
	}
}
