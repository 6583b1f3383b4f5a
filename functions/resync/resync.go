// Package resync starts what is due: a full reading of every source on a schedule, what changed since the last reading
// every few minutes, and the decisions that time alone may have changed.
//
// It is level-triggered: a run is due while the last one is older than the interval, and its first message is sent again
// until somebody took it, so that a crash between noting a run and sending it loses nothing. A run that is under way is
// joined, not doubled. It reads nothing itself.
package resync

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the stage signs its events.
const name = "/functions/resync"

// patience is how long the first message of a run may stay untaken before it is sent again.
const patience = 2 * time.Minute

// Stage is the function resync.
type Stage struct {
	Store graph.Store
	// Roots are the collections that a full run begins with.
	Roots []graph.Collection
	// Deltas are the collections that find what changed since a time; a delta for each list of alerts comes with them.
	Deltas []graph.Collection
	// Interval is the time between the beginnings of two full runs; each run adds up to a tenth of it.
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
	chains, err := s.chains(ctx)
	if err != nil {
		return nil, err
	}
	events, err := s.begin(ctx, chains, false)
	if err != nil {
		return nil, err
	}
	deltas, err := s.deltas(chains)
	if err != nil {
		return nil, err
	}
	due, err := s.revisits(ctx)
	if err != nil {
		return nil, fmt.Errorf("resync: %w", err)
	}
	silent, err := s.silent(ctx)
	if err != nil {
		return nil, fmt.Errorf("resync: %w", err)
	}
	return slices.Concat(events, deltas, due, silent), nil
}

// answersAtOnce is how many images one message closes.
const answersAtOnce = 40

// silent ends the waiting for sources that do not answer where an image comes from: it is mapped by what the others said.
func (s *Stage) silent(ctx context.Context) ([]event.Event, error) {
	overdue, err := graph.Overdue(ctx, s.Store, s.Now())
	if err != nil {
		return nil, err
	}
	about := map[string][]graph.Digest{}
	for _, i := range overdue {
		left := i.Left
		if len(left) == 0 {
			left = []string{name} // answered, and the handling of the last answer never ended
		}
		for _, scope := range left {
			source, _, _ := strings.Cut(scope, " ")
			about[source] = append(about[source], graph.Digest(i.About))
		}
	}
	var events []event.Event
	for _, source := range slices.Sorted(maps.Keys(about)) {
		s.Log.WarnContext(ctx, "source is silent", "source", source, "images", len(about[source]))
		for _, part := range (graph.Observation{Source: source, ObservedAt: s.Now(), Answered: about[source]}).ByDigest(answersAtOnce) {
			said, err := event.NewObserved(name, part, -1)
			if err != nil {
				return nil, err
			}
			events = append(events, said...)
		}
	}
	return events, nil
}

// Start begins a full run of every root now, whatever the schedule says. A root that is being read gives nothing: the
// run under way is the one that was asked for.
func (s *Stage) Start(ctx context.Context) ([]event.Event, error) {
	chains, err := s.chains(ctx)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, chains, true)
}

func (s *Stage) chains(ctx context.Context) ([]graph.Chain, error) {
	chains, err := graph.Chains(ctx, s.Store)
	if err != nil {
		return nil, fmt.Errorf("resync: %w", err)
	}
	return chains, nil
}

func (s *Stage) begin(ctx context.Context, chains []graph.Chain, now bool) ([]event.Event, error) {
	var events []event.Event
	for _, root := range s.Roots {
		e, due, err := s.root(ctx, root, chains, now)
		if err != nil {
			return nil, fmt.Errorf("resync %s %s: %w", root.Source, root.Scope, err)
		}
		if due {
			events = append(events, e)
		}
	}
	return events, nil
}

func (s *Stage) root(ctx context.Context, root graph.Collection, chains []graph.Chain, now bool) (event.Event, bool, error) {
	begun := false
	run, _, err := graph.Update(ctx, s.Store, graph.RunKey(root.Source+" "+root.Scope), "run", func(old graph.Versioned[Run]) (Run, bool, error) {
		next, due := s.next(old, stateOf(old.Value.ID, chains, s.Now()), now)
		begun = due
		return next, due, nil
	})
	if err != nil || !begun {
		return event.Event{}, false, err
	}
	root.Run, root.StartedAt, root.Ticket = run.ID, run.StartedAt, uuid.NewString()
	s.Log.InfoContext(ctx, "run begins", "source", root.Source, "scope", root.Scope, "run", run.ID)
	e, err := event.NewCollect(name, root)
	return e, true, err
}

// state is how a run stands.
type state int

const (
	untaken  state = iota // nobody has taken its first message yet
	underWay              // a chain of it is being read
	ended
)

func stateOf(run string, chains []graph.Chain, now time.Time) state {
	found := untaken
	for _, c := range chains {
		switch {
		case c.Run != run:
		case c.UnderWay(now):
			return underWay
		default:
			found = ended
		}
	}
	return found
}

// next decides whether a root is asked for now.
func (s *Stage) next(old graph.Versioned[Run], at state, force bool) (Run, bool) {
	now, run := s.Now(), old.Value
	due := force || now.Sub(run.StartedAt) >= s.Interval+jitter(run.ID, s.Interval)
	switch {
	case !old.Exists(), due && at == ended:
		return Run{ID: uuid.NewString(), StartedAt: now, Asked: now}, true
	case at == untaken && now.Sub(run.Asked) >= patience:
		run.Asked = now
		return run, true
	}
	return run, false
}

// jitter spreads the runs of many deployments: up to a tenth of the interval, the same for the same run.
func jitter(run string, interval time.Duration) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(run))
	return interval / 10 * time.Duration(h.Sum32()%1000) / 1000
}
