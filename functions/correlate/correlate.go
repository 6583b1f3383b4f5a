// Package correlate ties observations into the mapping graph and reports the findings that lag behind it.
//
// Newest wins: a noun is written only when the source's own clock says that it is newer, so observations may come in
// any order and any number of times. Handling the same observation twice changes nothing the second time, but still
// reports what lags, so that a crash between writing and publishing loses nothing. The package decides nothing about
// urgency and talks to nobody but the store.
package correlate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the stage signs its events.
const name = "/functions/correlate"

// catalogue is what the operators declare by hand.
type catalogue interface {
	// Evidence gives the declared repositories of an artifact.
	Evidence(a graph.Artifact, now time.Time) []graph.Evidence
	// Readings gives the declared risk factors of a workload.
	Readings(w graph.Workload, now time.Time) []graph.Reading
}

// Stage is the function correlate.
type Stage struct {
	Store     graph.Store
	Catalogue catalogue // nil: nothing is declared
	Labels    judge     // nil: labels are taken as they are
	// Inventory are the ids of the scopes that together list everything that runs.
	Inventory []string
	Now       func() time.Time
	Log       *slog.Logger

	names names
}

// Handle ties one observation into the graph and answers what lags behind it.
func (s *Stage) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	var o graph.Observation
	if err := e.Into(&o); err != nil {
		return nil, err
	}
	t := &tie{Stage: s, now: s.Now(), cause: e.ID, lags: map[graph.RepositoryID]*event.Lag{}, asked: map[string]bool{}, settled: map[graph.Digest]bool{},
		mapped: map[graph.Digest][]graph.RepositoryID{}, kin: map[string]bool{}}
	t.source = o.Source
	if o.Scope != nil {
		t.scopeID = o.Scope.ID
	}
	if err := t.observation(ctx, o); err != nil {
		return nil, fmt.Errorf("correlate %s: %w", e.Subject, err)
	}
	return t.events(ctx)
}

// tie is the handling of one observation.
type tie struct {
	*Stage
	now     time.Time
	cause   string                                // the event's id
	source  string                                // of the observation
	scopeID string                                // of the run that observed; empty for a webhook
	asked   map[string]bool                       // digests and names that this handling has asked about
	joined  string                                // scope of the round of inquiries that this handling takes part in
	heard   bool                                  // the last answer about an image came
	settled map[graph.Digest]bool                 // digests whose origin has just been settled
	mapped  map[graph.Digest][]graph.RepositoryID // whom the digests concern that this handling has mapped
	debts   []debt
	notes   []graph.Write   // of the state container, to be written together
	kin     map[string]bool // repositories and vulnerabilities whose kin lags already
	lags    map[graph.RepositoryID]*event.Lag
	touched []graph.RepositoryID // whose exposure must be looked at
	follow  []graph.Collection
}

func (t *tie) observation(ctx context.Context, o graph.Observation) error {
	return first(
		func() error {
			if len(o.Workloads)+len(o.RuntimeFindings)+len(o.Artifacts) == 0 {
				return nil
			}
			return t.askAgain(ctx)
		},
		func() error { return each(ctx, o.Repositories, t.repository) },
		func() error { return each(ctx, o.Artifacts, t.artifact) },
		func() error { return each(ctx, o.Evidence, t.evidence) },
		func() error { return each(ctx, o.Workloads, t.workload) },
		func() error { return t.settle(ctx) },
		func() error { return each(ctx, o.Readings, t.reading) },
		func() error { return each(ctx, o.RuntimeFindings, t.runtimeFinding) },
		func() error { return t.settle(ctx) },
		func() error { return each(ctx, o.Alerts, t.alert) },
		func() error { return each(ctx, o.Issues, t.issue) },
		func() error { return each(ctx, o.PullRequests, t.pullRequest) },
		func() error { return each(ctx, o.Commands, t.command) },
		func() error { return t.absences(ctx, o) },
		func() error { return t.settle(ctx) },
		func() error {
			return each(ctx, o.Answered, func(ctx context.Context, d graph.Digest) error { return t.answered(ctx, o.Source+" digest:"+string(d)) })
		},
		func() error { return t.scope(ctx, o.Scope) },
		func() error { return t.firstInventory(ctx) },
		func() error { return t.rejoin(ctx) },
	)
}

// first runs the steps in order until one fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func each[T any](ctx context.Context, items []T, do func(context.Context, T) error) error {
	for _, item := range items {
		if err := do(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

// touch notes repositories whose exposure may lag.
func (t *tie) touch(rs ...graph.RepositoryID) {
	for _, r := range rs {
		if r != "" && !slices.Contains(t.touched, r) {
			t.touched = append(t.touched, r)
		}
	}
}

// lag notes a finding that lags.
func (t *tie) lag(r graph.RepositoryID, f graph.FindingID) {
	l := t.lagOf(r)
	if !slices.Contains(l.Findings, f) {
		l.Findings = append(l.Findings, f)
	}
}

func (t *tie) lagOf(r graph.RepositoryID) *event.Lag {
	if t.lags[r] == nil {
		t.lags[r] = &event.Lag{Repository: r}
	}
	return t.lags[r]
}

// maxFindings bounds the findings that one message names.
const maxFindings = 100

// events says what lags: findings that were observed, exposures that moved, and what is still to be read.
func (t *tie) events(ctx context.Context) ([]event.Event, error) {
	events, err := t.moved(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range together(sorted(t.lags)) {
		e, err := event.NewLag(name, l)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	for _, c := range gathered(t.follow) {
		e, err := event.NewCollect(name, c)
		if err != nil {
			return nil, err
		}
		if t.joined == c.Source+" "+c.Scope {
			e.NotBefore = t.now.Add(t.gathering())
		}
		events = append(events, e)
	}
	return events, nil
}

// gathering is how long a round of inquiries stays open for others to join.
const gathering = 500 * time.Millisecond

// gathering is longer while a list is read: its pages follow each other, and nobody waits for a single image.
func (t *tie) gathering() time.Duration {
	if t.scopeID == "" || graph.OfOneThing(t.scopeID) {
		return gathering
	}
	return 4 * gathering
}

func sorted(lags map[graph.RepositoryID]*event.Lag) []*event.Lag {
	var all []*event.Lag
	for _, l := range lags {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *event.Lag) int { return cmpString(string(a.Repository), string(b.Repository)) })
	return all
}

// settling is how long a movement of exposure waits for more of its kind while the first inventory is being taken: every
// image that is mapped moves one, and each walk looks at all findings of a repository.
const settling = 4 * time.Second

// moved says whose exposure moved. It goes with what else lags in the repository, or waits for more of its kind.
func (t *tie) moved(ctx context.Context) ([]event.Event, error) {
	var events []event.Event
	for _, r := range t.touched {
		x, err := graph.Get[graph.Exposure](ctx, t.Store, graph.ExposureKey(r))
		if err != nil {
			return nil, err
		}
		switch {
		case !x.Exists() || !x.Value.Lags():
		case x.Value.Provisional:
			e, err := t.movedLater(ctx, r)
			if err != nil {
				return nil, err
			}
			events = append(events, e...)
		default:
			t.lagOf(r).Exposure, t.lagOf(r).Moved = true, true
		}
	}
	return events, nil
}

// movedLater asks for a walk over a repository's findings, unless one that was asked for a moment ago is still to come.
func (t *tie) movedLater(ctx context.Context, r graph.RepositoryID) ([]event.Event, error) {
	asks := false
	_, _, err := graph.Update(ctx, t.Store, graph.ExposureKey(r), graph.KindExposure, func(old graph.Versioned[graph.Exposure]) (graph.Exposure, bool, error) {
		next := old.Value
		mine := next.AskedBy == t.cause // this event was handled before, and perhaps never said so
		recent := t.now.Sub(next.Asked) < settling-clocks
		asks = old.Exists() && (mine || !recent)
		next.Asked, next.AskedBy = t.now, t.cause
		return next, asks && !mine, nil
	})
	if err != nil || !asks {
		return nil, err
	}
	e, err := event.NewLag(name, event.Lag{Repository: r, Exposure: true, Moved: true})
	e.NotBefore = t.now.Add(settling)
	return []event.Event{e}, err
}

// clocks is how far the clocks of two machines may differ.
const clocks = 3 * time.Second

// together puts the lags of many repositories into few messages. A moved exposure is a walk of its own.
func together(lags []*event.Lag) []event.Lag {
	var out []event.Lag
	open, left := -1, 0 // the message that takes more, and how many findings more
	for _, l := range lags {
		for _, part := range parts(*l) {
			n := len(part.Findings) + len(part.Remediations)
			switch {
			case part.Exposure:
				out = append(out, part)
			case open >= 0 && n <= left:
				out[open].Others, left = append(out[open].Others, part), left-n
			default:
				out = append(out, part)
				open, left = len(out)-1, maxFindings-n
			}
		}
	}
	return out
}

func parts(l event.Lag) []event.Lag {
	var out []event.Lag
	for len(l.Findings) > maxFindings {
		head := l
		head.Findings, head.Exposure, head.Moved = l.Findings[:maxFindings], false, false
		out = append(out, head)
		l.Findings = l.Findings[maxFindings:]
	}
	return append(out, l)
}

// scope notes when a scope was last read to its end, and sets the inventory mark when the first complete inventory was
// taken in.
func (t *tie) scope(ctx context.Context, sc *graph.Scope) error {
	switch {
	case sc == nil:
		return nil
	case !sc.Complete:
		return t.page(ctx, *sc)
	case graph.OfOneThing(sc.ID):
		return t.answered(ctx, sc.ID)
	}
	_, _, err := graph.Update(ctx, t.Store, graph.ScopeKey(sc.ID), "scope", func(old graph.Versioned[graph.Scope]) (graph.Scope, bool, error) {
		return *sc, old.Value.StartedAt.Before(sc.StartedAt), nil
	})
	if err != nil {
		return fmt.Errorf("note scope %s: %w", sc.ID, err)
	}
	if !slices.Contains(t.Inventory, sc.ID) {
		return nil
	}
	return t.inventory(ctx)
}
