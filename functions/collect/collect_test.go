package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// book is a source of pages: all calls for two lists, each with so many pages of one workload.
type book struct {
	pages int
	read  map[string]int // by scope and page
	fail  error          // of the next reading
}

func (b *book) Read(_ context.Context, c graph.Collection) (graph.Collected, error) {
	if err := b.fail; err != nil {
		b.fail = nil
		return graph.Collected{}, err
	}
	b.read[c.Scope+" "+strconv.Itoa(c.Page)]++
	got := graph.Collected{Observation: graph.Observation{Source: "book", ObservedAt: noon}}
	if c.Scope == "all" {
		got.Follow = []graph.Collection{{Source: "book", Scope: "left"}, {Source: "book", Scope: "right"}}
		return got, nil
	}
	n, _ := strconv.Atoi(c.Cursor) // an empty cursor is page 0
	id := graph.WorkloadID(fmt.Sprintf("w-%s-%d", c.Scope, n))
	got.Observation.Workloads = []graph.Workload{{ID: id}}
	got.Seen = []graph.Absence{{Kind: graph.KindWorkload, ID: string(id)}}
	if n+1 < b.pages {
		got.Next = strconv.Itoa(n + 1)
	}
	return got, nil
}

func (b *book) extra() int {
	n := 0
	for _, times := range b.read {
		n += times - 1
	}
	return n
}

// mortal is a store whose process dies at an operation.
type mortal struct {
	graph.Store
	left int // operations until death; negative: immortal
}

var errKilled = errors.New("killed")

func (m *mortal) die() error {
	if m.left == 0 {
		return errKilled
	}
	m.left--
	return nil
}

func (m *mortal) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	if err := m.die(); err != nil {
		return graph.Document{}, err
	}
	return m.Store.Read(ctx, k)
}

func (m *mortal) Write(ctx context.Context, w ...graph.Write) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.Store.Write(ctx, w...)
}

func (m *mortal) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	if err := m.die(); err != nil {
		return graph.Page{}, err
	}
	return m.Store.Query(ctx, q)
}

// desk hands messages to the stage in the order of their sessions, and keeps them until they are settled.
type desk struct {
	t      *testing.T
	book   *book
	store  *mortal
	stage  *Stage
	queue  []event.Event
	heard  map[string]int // observed workloads
	closed map[string]int // complete scopes, by scope
	gone   []graph.Absence
}

func newDesk(t *testing.T, pages int) *desk {
	d := &desk{t: t, book: &book{pages: pages, read: map[string]int{}}, store: &mortal{Store: graph.NewMemory(), left: -1}, heard: map[string]int{}, closed: map[string]int{}}
	d.stage = &Stage{Store: d.store, Sources: map[string]Source{"book": d.book}, Guard: 0.2, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}
	return d
}

func (d *desk) ask(c graph.Collection) {
	d.t.Helper()
	e, err := event.NewCollect("/test", c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.queue = append(d.queue, e)
}

// take publishes what was said.
func (d *desk) take(said []event.Event) {
	for _, e := range said {
		if e.Type == event.Collect {
			d.queue = append(d.queue, e)
			continue
		}
		var o graph.Observation
		if err := e.Into(&o); err != nil {
			d.t.Fatal(err)
		}
		for _, w := range o.Workloads {
			d.heard[string(w.ID)]++
		}
		if o.Scope != nil && o.Scope.Complete {
			d.closed[o.Scope.ID]++
			d.gone = append(d.gone, o.Absent...)
		}
	}
}

// work handles messages until none is left. Death comes at the given steps: in the middle of handling, before or after
// publishing; the message then comes again.
func (d *desk) work(r *rand.Rand, deaths map[int]bool) {
	d.t.Helper()
	for step := 0; len(d.queue) > 0; step++ {
		if step > 10_000 {
			d.t.Fatal("the desk does not come to rest")
		}
		n := 0
		if r != nil {
			n = r.IntN(len(d.queue))
			for i, e := range d.queue[:n] { // the first of a session
				if e.Session == d.queue[n].Session {
					n = i
					break
				}
			}
		}
		d.step(r, n, deaths[step])
	}
}

func (d *desk) step(r *rand.Rand, n int, dies bool) {
	how := -1
	if dies {
		if how = r.IntN(3); how == 0 {
			d.store.left = r.IntN(6)
		}
	}
	said, err := d.stage.Handle(context.Background(), d.queue[n])
	d.store.left = -1
	switch {
	case err != nil:
		if !errors.Is(err, errKilled) {
			d.t.Fatal(err)
		}
		return
	case how == 1: // before publishing
		return
	}
	d.take(said)
	if how != 2 { // after publishing, before settling
		d.queue = append(d.queue[:n:n], d.queue[n+1:]...)
	}
}

func (d *desk) whole(pages int) {
	d.t.Helper()
	for _, scope := range []string{"left", "right"} {
		for n := range pages {
			if d.heard[fmt.Sprintf("w-%s-%d", scope, n)] == 0 {
				d.t.Errorf("page %d of %s was lost", n, scope)
			}
		}
		ch, err := graph.Get[graph.Chain](context.Background(), d.store, graph.ChainKey("book "+scope))
		if err != nil || !ch.Value.Closed || !ch.Value.Read.Equal(noon) || d.closed["book "+scope] == 0 {
			d.t.Errorf("%s: %+v, closed %d times, %v", scope, ch.Value, d.closed["book "+scope], err)
		}
	}
}

func TestKilledAnywhereARunGoesOnFromItsLastPage(t *testing.T) {
	const pages = 8
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 7))
		d := newDesk(t, pages)
		d.ask(graph.Collection{Source: "book", Scope: "all", Run: "one", StartedAt: noon, Ticket: "t"})
		deaths := map[int]bool{}
		for range 1 + seed%5 {
			deaths[r.IntN(2*pages+1)] = true
		}
		d.work(r, deaths)
		d.whole(pages)
		if extra := d.book.extra(); extra > len(deaths) {
			t.Errorf("seed %d: %d pages were read twice for %d kills: %v", seed, extra, len(deaths), d.book.read)
		}
	}
}

func TestTheSameRunAskedForTwiceIsReadOnce(t *testing.T) {
	d := newDesk(t, 5)
	for _, ticket := range []string{"a", "b", "c"} {
		d.ask(graph.Collection{Source: "book", Scope: "all", Run: "one", StartedAt: noon, Ticket: ticket})
	}
	d.work(nil, nil)
	d.whole(5)
	if extra := d.book.extra(); extra != 0 {
		t.Errorf("%d pages were read twice: %v", extra, d.book.read)
	}
}

func TestANewerRunTakesOverAndTheOlderEnds(t *testing.T) {
	d := newDesk(t, 3)
	d.ask(graph.Collection{Source: "book", Scope: "left", Run: "one", StartedAt: noon.Add(-time.Minute), Ticket: "a"})
	d.step(nil, 0, false)
	d.ask(graph.Collection{Source: "book", Scope: "left", Run: "two", StartedAt: noon, Ticket: "b"})
	d.work(rand.New(rand.NewPCG(1, 1)), nil)
	if d.closed["book left"] != 1 || d.book.read["left 0"] != 2 || d.book.read["left 2"] != 1 {
		t.Errorf("closed %d times, read %v", d.closed["book left"], d.book.read)
	}
}

func TestALimitedPageKeepsItsTicket(t *testing.T) {
	d := newDesk(t, 2)
	until := noon.Add(30 * time.Minute)
	d.book.fail = &graph.Limited{Until: until, Why: "test"}
	d.ask(graph.Collection{Source: "book", Scope: "left"})
	d.step(nil, 0, false)
	if len(d.queue) != 1 || !d.queue[0].NotBefore.Equal(until) {
		t.Fatalf("%+v, want one message for %s", d.queue, until)
	}
	d.work(nil, nil)
	if d.closed["book left"] != 1 || d.book.extra() != 0 {
		t.Errorf("closed %d times, read %v", d.closed["book left"], d.book.read)
	}
}

// hold notes what the graph holds for a scope.
func (d *desk) hold(scope string, n int) {
	for i := range n {
		a := graph.Absence{Kind: graph.KindWorkload, ID: fmt.Sprintf("w-old-%d", i)}
		w, err := graph.NewWrite(graph.HeldKey("book "+scope, a), "held", graph.Any, a)
		if err == nil {
			err = d.store.Write(context.Background(), w)
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

func TestTooMuchMissingWaitsForAPerson(t *testing.T) {
	d := newDesk(t, 2)
	d.hold("left", fewest+1)
	read := func(run string) {
		d.gone = nil
		d.ask(graph.Collection{Source: "book", Scope: "left", Run: run, StartedAt: noon, Ticket: run})
		d.work(nil, nil)
	}
	read("one")
	all, err := graph.AllWithheld(context.Background(), d.store)
	if err != nil || len(d.gone) != 0 || len(all) != 1 || all[0].Missing != fewest+1 || all[0].Held != fewest+1 {
		t.Fatalf("%d are retired, %+v waits, %v", len(d.gone), all, err)
	}
	w := all[0]
	w.Approved, w.By = noon, "somebody"
	doc, err := graph.NewWrite(graph.WithheldKey(w.Scope), graph.KindWithheld, graph.Any, w)
	if err == nil {
		err = d.store.Write(context.Background(), doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	if read("two"); len(d.gone) != fewest+1 {
		t.Errorf("%d are retired after a person agreed, want %d", len(d.gone), fewest+1)
	}
}

func TestFewMissingAreRetired(t *testing.T) {
	d := newDesk(t, 2)
	d.hold("left", fewest)
	d.ask(graph.Collection{Source: "book", Scope: "left", Run: "one", StartedAt: noon, Ticket: "t"})
	if d.work(nil, nil); len(d.gone) != fewest {
		t.Errorf("%d are retired, want %d", len(d.gone), fewest)
	}
}

// shifting is a list of Azure whose rows may slip between two pages: each call shows what is there then.
type shifting struct{ shows [][]string }

func (s *shifting) Read(context.Context, graph.Collection) (graph.Collected, error) {
	now := s.shows[0]
	if len(s.shows) > 1 {
		s.shows = s.shows[1:]
	}
	got := graph.Collected{Observation: graph.Observation{Source: "azure", ObservedAt: noon}, Seen: []graph.Absence{}}
	for _, id := range now {
		got.Seen = append(got.Seen, graph.Absence{Kind: graph.KindWorkload, ID: id})
	}
	return got, nil
}

// TestARowThatSlippedBetweenPagesIsNotGone retires only what a second reading misses too.
func TestARowThatSlippedBetweenPagesIsNotGone(t *testing.T) {
	for name, c := range map[string]struct {
		shows [][]string
		gone  []string
	}{
		"slipped once":         {[][]string{{"a"}, {"a", "b"}}, nil},
		"gone":                 {[][]string{{"a"}, {"a"}}, []string{"b"}},
		"another slips, later": {[][]string{{"a"}, {"b"}}, nil},
		"all there":            {[][]string{{"a", "b"}}, nil},
	} {
		d := newDesk(t, 1)
		d.stage.Sources["azure"] = &shifting{c.shows}
		for _, id := range []string{"a", "b"} {
			a := graph.Absence{Kind: graph.KindWorkload, ID: id}
			w, err := graph.NewWrite(graph.HeldKey("azure workloads", a), "held", graph.Any, a)
			if err == nil {
				err = d.store.Write(context.Background(), w)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		d.ask(graph.Collection{Source: "azure", Scope: "workloads", Run: "first", StartedAt: noon, Ticket: "t"})
		d.work(nil, nil)
		var gone []string
		for _, a := range d.gone {
			gone = append(gone, a.ID)
		}
		if fmt.Sprint(gone) != fmt.Sprint(c.gone) {
			t.Errorf("%s: %v retired, want %v", name, gone, c.gone)
		}
	}
}
