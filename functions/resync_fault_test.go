package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"throughline/functions/collect"
	"throughline/functions/correlate"
	"throughline/functions/prioritize"
	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// TestFaultyReadingsNeverCloseWhatIsOpen reads an organisation whose lists fail, shift, repeat and come in another order
// while alerts are raised and fixed and some webhooks arrive late or twice. Nothing that is open may ever be closed in
// the graph, and after one undisturbed reading the graph is the truth.
func TestFaultyReadingsNeverCloseWhatIsOpen(t *testing.T) {
	runs := uint64(10)
	if os.Getenv("THROUGHLINE_LONG") != "" {
		runs = 200
	}
	for seed := range runs {
		w := newShaky(t, seed)
		for range 3 {
			w.read("faulty")
		}
		w.calm = true
		w.read("calm")
		w.equal(seed)
	}
}

// shaky is an organisation behind a bad line.
type shaky struct {
	t        *testing.T
	r        *rand.Rand
	now      time.Time
	calm     bool
	truth    map[graph.FindingID]graph.Alert
	order    []graph.FindingID
	store    graph.Store
	collect  *collect.Stage
	correl   *correlate.Stage
	decide   *prioritize.Stage
	runs     int
	webhooks []graph.Alert // on their way
}

const shakyRepository = graph.RepositoryID("github-1")

var errLine = errors.New("the line broke off")

// forbidden is an answer that no retry heals.
type forbidden struct{ error }

func (forbidden) Permanent() bool { return true }

func newShaky(t *testing.T, seed uint64) *shaky {
	w := &shaky{t: t, r: rand.New(rand.NewPCG(seed, 41)), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), truth: map[graph.FindingID]graph.Alert{}, store: graph.NewMemory()}
	clock := func() time.Time { return w.now }
	log := slog.New(slog.DiscardHandler)
	w.collect = &collect.Stage{Store: w.store, Sources: map[string]collect.Source{"github": w}, Now: clock, Log: log}
	w.correl = &correlate.Stage{Store: w.store, Now: clock, Log: log}
	policy := decision.DefaultPolicy()
	w.decide = &prioritize.Stage{Store: w.store, Policy: func() *decision.Policy { return policy }, Now: clock, Log: log}
	for range 30 + w.r.IntN(30) {
		w.raise()
	}
	return w
}

func (w *shaky) raise() {
	n := len(w.order) + 1
	id := graph.NewAlertID(shakyRepository, graph.Dependabot, n)
	w.truth[id] = graph.Alert{ID: id, Repository: shakyRepository, Kind: graph.Dependabot, Number: n, State: graph.Open, CreatedAt: w.now, UpdatedAt: w.now,
		Dependency: &graph.Dependency{Ecosystem: "npm", Package: "p" + strconv.Itoa(n)}}
	w.order = append(w.order, id)
}

// happen lets the world go on between two requests.
func (w *shaky) happen() {
	w.now = w.now.Add(time.Second)
	if w.calm {
		return
	}
	switch w.r.IntN(6) {
	case 0:
		w.raise()
	case 1:
		id := w.order[w.r.IntN(len(w.order))]
		if a := w.truth[id]; a.State == graph.Open {
			a.State, a.UpdatedAt, a.ClosedAt = graph.Fixed, w.now, w.now
			w.truth[id] = a
		}
	}
	if w.r.IntN(4) == 0 {
		w.webhooks = append(w.webhooks, w.truth[w.order[w.r.IntN(len(w.order))]])
	}
}

// Read answers as GitHub does, when it does.
func (w *shaky) Read(_ context.Context, c graph.Collection) (graph.Collected, error) {
	w.happen()
	if !w.calm {
		switch w.r.IntN(12) {
		case 0:
			return graph.Collected{}, errLine
		case 1:
			return graph.Collected{}, &graph.Limited{Until: w.now.Add(time.Minute), Why: "test"}
		case 2:
			return graph.Collected{}, forbidden{errLine}
		}
	}
	got := graph.Collected{Observation: graph.Observation{Source: "github", ObservedAt: w.now}}
	if id, one := strings.CutPrefix(c.Scope, "alert:"); one {
		got.Observation.Alerts = []graph.Alert{w.truth[graph.FindingID(id)]}
		return got, nil
	}
	w.list(c, &got)
	return got, nil
}

// list gives a page of open alerts by its place, so that what is fixed meanwhile shifts the others out of sight.
func (w *shaky) list(c graph.Collection, got *graph.Collected) {
	const size = 7
	var open []graph.Alert
	for _, id := range w.order {
		if a := w.truth[id]; a.State == graph.Open {
			open = append(open, a)
		}
	}
	from, _ := strconv.Atoi(c.Cursor) // an empty cursor is the beginning
	from = min(from, len(open))
	page := append([]graph.Alert{}, open[from:min(from+size, len(open))]...)
	if !w.calm && len(page) > 0 {
		page = append(page, page[w.r.IntN(len(page))])
		w.r.Shuffle(len(page), func(i, j int) { page[i], page[j] = page[j], page[i] })
	}
	got.Observation.Repositories = w.repositories()
	got.Observation.Alerts, got.Seen = page, []graph.Absence{}
	for _, a := range page {
		got.Seen = append(got.Seen, graph.Absence{Kind: graph.KindFinding, ID: string(a.ID)})
	}
	if from+size < len(open) {
		got.Next = strconv.Itoa(from + size)
	}
}

func (w *shaky) repositories() []graph.Repository {
	return []graph.Repository{{ID: shakyRepository, Org: "github-org-9", Owner: "acme", Name: "app", UpdatedAt: w.now.Add(-time.Hour)}}
}

// read runs one full reading until nothing is left to do.
func (w *shaky) read(name string) {
	w.t.Helper()
	w.runs++
	w.now = w.now.Add(6 * time.Hour)
	c := graph.Collection{Source: "github", Scope: "dependabot:acme", Run: fmt.Sprint(name, w.runs), StartedAt: w.now, Ticket: "t"}
	e, err := event.NewCollect("/test", c)
	if err != nil {
		w.t.Fatal(err)
	}
	queue := []event.Event{e}
	for step := 0; len(queue) > 0 || len(w.webhooks) > 0; step++ {
		if step > 20_000 {
			w.t.Fatal("the reading does not end")
		}
		if len(w.webhooks) > 0 && (len(queue) == 0 || w.r.IntN(3) == 0) {
			queue = append(queue, w.webhook())
		}
		n := w.r.IntN(len(queue))
		said, err := w.handle(queue[n])
		w.judge()
		if err != nil {
			continue // it comes again
		}
		if w.r.IntN(10) > 0 { // or it was not settled, and comes again
			queue = append(queue[:n:n], queue[n+1:]...)
		}
		queue = append(queue, said...)
	}
}

func (w *shaky) webhook() event.Event {
	n := w.r.IntN(len(w.webhooks))
	a := w.webhooks[n]
	if w.r.IntN(3) > 0 || w.calm {
		w.webhooks = append(w.webhooks[:n:n], w.webhooks[n+1:]...)
	}
	events, err := event.NewObserved("/test", graph.Observation{Source: "github-webhook", ObservedAt: w.now, Repositories: w.repositories(), Alerts: []graph.Alert{a}}, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	return events[0]
}

func (w *shaky) handle(e event.Event) ([]event.Event, error) {
	switch e.Type {
	case event.Collect:
		return w.collect.Handle(context.Background(), e)
	case event.Observed:
		return w.correl.Handle(context.Background(), e)
	case event.Correlated:
		_, err := w.decide.Handle(context.Background(), e)
		return nil, err
	}
	return nil, nil
}

// judge looks for what is closed although it is open.
func (w *shaky) judge() {
	w.t.Helper()
	for _, f := range w.findings() {
		if f.State != graph.Open && w.truth[f.ID].State == graph.Open {
			w.t.Fatalf("%s is %s in the graph and open on GitHub", f.ID, f.State)
		}
	}
}

func (w *shaky) findings() []graph.Finding {
	all, err := graph.ListAll[graph.Finding](context.Background(), w.store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(shakyRepository), Kind: graph.KindFinding})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *shaky) equal(seed uint64) {
	w.t.Helper()
	seen := map[graph.FindingID]graph.AlertState{}
	for _, f := range w.findings() {
		seen[f.ID] = f.State
	}
	for _, id := range w.order {
		truth := w.truth[id].State
		if got, there := seen[id]; got != truth && (there || truth == graph.Open) {
			w.t.Errorf("seed %d: %s is %s, want %s", seed, id, cmp.Or(got, "missing"), truth)
		}
	}
}
