// Package resync starts what is due: a full reading of every source on a schedule, begun again when it got stuck, and the
// decisions that time alone may have changed.
//
// It is level-triggered: a run is due while the last one is older than the interval, and its first message is sent again
// until its root was read, so that a crash between noting a run and sending it loses nothing. It reads nothing itself.
package resync

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the stage signs its events.
const name = "/functions/resync"

// patience is how long the root of a run may stay unread before it is asked for again.
const patience = 30 * time.Second

// Stage is the function resync.
type Stage struct {
	Store graph.Store
	// Roots are the collections that a full run begins with.
	Roots []graph.Collection
	// Interval is the time between the beginnings of two full runs.
	Interval time.Duration
	Now      func() time.Time
	Log      *slog.Logger
}

// Run is a full run over one root.
type Run struct {
	ID        string    `json:"id"`
	StartedAt time.Time `json:"startedAt"`
	Asked     time.Time `json:"asked"` // when its first message was last sent
}

// Tick starts what is due now.
func (s *Stage) Tick(ctx context.Context) ([]event.Event, error) {
	var events []event.Event
	for _, root := range s.Roots {
		e, due, err := s.root(ctx, root, false)
		if err != nil {
			return nil, fmt.Errorf("resync %s %s: %w", root.Source, root.Scope, err)
		}
		if due {
			events = append(events, e)
		}
	}
	due, err := s.revisits(ctx)
	if err != nil {
		return nil, fmt.Errorf("resync: %w", err)
	}
	return append(events, due...), nil
}

// Start begins a full run of every root now, whatever the schedule says.
func (s *Stage) Start(ctx context.Context) ([]event.Event, error) {
	var events []event.Event
	for _, root := range s.Roots {
		e, _, err := s.root(ctx, root, true)
		if err != nil {
			return nil, fmt.Errorf("resync %s %s: %w", root.Source, root.Scope, err)
		}
		events = append(events, e)
	}
	return events, nil
}

func (s *Stage) root(ctx context.Context, root graph.Collection, now bool) (event.Event, bool, error) {
	read, err := graph.Get[graph.Scope](ctx, s.Store, graph.ScopeKey(root.Source+" "+root.Scope))
	if err != nil {
		return event.Event{}, false, err
	}
	begun := false
	run, _, err := graph.Update(ctx, s.Store, graph.RunKey(root.Source+" "+root.Scope), "run", func(old graph.Versioned[Run]) (Run, bool, error) {
		next, due := s.next(old, read.Value.Run, now)
		begun = due
		return next, due, nil
	})
	if err != nil || !begun {
		return event.Event{}, false, err
	}
	root.Run, root.StartedAt = run.ID, run.StartedAt
	s.Log.InfoContext(ctx, "run begins", "source", root.Source, "scope", root.Scope, "run", run.ID)
	e, err := event.NewCollect(name, root)
	return e, true, err
}

// next decides whether a root is asked for now; read is the run in which it was last read.
func (s *Stage) next(old graph.Versioned[Run], read string, force bool) (Run, bool) {
	now, run := s.Now(), old.Value
	switch {
	case !old.Exists() || force || now.Sub(run.StartedAt) >= s.Interval:
		return Run{ID: uuid.NewString(), StartedAt: now, Asked: now}, true
	case read != run.ID && now.Sub(run.Asked) >= patience:
		run.Asked = now
		return run, true
	}
	return run, false
}
