package resync

import (
	"context"
	"fmt"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// most is how many findings one tick asks for; the others come with the next.
const most = 1000

// again is how long an answer may take before the same is asked for once more.
const again = 30 * time.Minute

// oldest is the longest that the hours are looked through after a standstill.
const oldest = 60 * 24 * time.Hour

// watch is how far the hours with something due have been worked off.
type watch struct {
	From time.Time `json:"from"` // the first hour that may still hold something
}

var watchKey = graph.StateKey("due", "watch")

// revisits asks for decisions that time alone may have changed: the end of a hold, of an acceptance, of the age up to
// which evidence counts. A note stays until the decision that it is about has moved on.
func (s *Stage) revisits(ctx context.Context) ([]event.Event, error) {
	at, err := graph.Get[watch](ctx, s.Store, watchKey)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	from := now.Truncate(time.Hour)
	if at.Exists() && at.Value.From.Before(from) {
		from = at.Value.From
	}
	if from.Before(now.Add(-oldest)) {
		from = now.Add(-oldest).Truncate(time.Hour)
	}
	var events []event.Event
	worked := from
	for hour := from; !hour.After(now) && len(events) < most; hour = hour.Add(time.Hour) {
		said, left, err := s.hour(ctx, hour)
		if err != nil {
			return nil, err
		}
		events = append(events, said...)
		if !left && worked.Equal(hour) && hour.Add(time.Hour).Before(now) {
			worked = hour.Add(time.Hour)
		}
	}
	return events, s.watched(ctx, at, worked)
}

func (s *Stage) watched(ctx context.Context, at graph.Versioned[watch], from time.Time) error {
	if at.Exists() && at.Value.From.Equal(from) {
		return nil
	}
	w, err := graph.NewWrite(watchKey, "watch", graph.Any, watch{from})
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, w)
}

// hour works off what is due in one hour; left tells whether something stays.
func (s *Stage) hour(ctx context.Context, hour time.Time) (said []event.Event, left bool, err error) {
	notes, err := graph.ListAll[graph.Revisit](ctx, s.Store, graph.Query{Container: graph.StateContainer, Partition: graph.RevisitPartition(hour), Kind: graph.KindRevisit})
	if err != nil {
		return nil, false, err
	}
	for _, n := range notes {
		if n.At.After(s.Now()) || !n.Asked.IsZero() && s.Now().Sub(n.Asked) < again || len(said) >= most {
			left = true
			continue
		}
		waits, err := s.waits(ctx, n)
		if err != nil {
			return nil, false, err
		}
		if !waits {
			if err := s.Store.Write(ctx, graph.Write{Key: n.Key(), Kind: graph.KindRevisit, ETag: graph.Any}); err != nil {
				return nil, false, err
			}
			continue
		}
		left = true
		e, err := s.ask(ctx, n)
		if err != nil {
			return nil, false, err
		}
		said = append(said, e)
	}
	return said, left, nil
}

// waits tells whether the decision still is the one that the note is about.
func (s *Stage) waits(ctx context.Context, n graph.Revisit) (bool, error) {
	if n.Finding == "" {
		x, err := graph.Get[graph.Exposure](ctx, s.Store, graph.ExposureKey(n.Repository))
		return x.Exists() && x.Value.Revisit.Equal(n.At), err
	}
	f, err := graph.Get[graph.Finding](ctx, s.Store, graph.FindingKey(n.Repository, n.Finding))
	d := f.Value.Decision
	return f.Exists() && f.Value.State == graph.Open && d != nil && d.Revisit.Equal(n.At), err
}

// ask says that the note's findings lag, and notes when it did.
func (s *Stage) ask(ctx context.Context, n graph.Revisit) (event.Event, error) {
	l := event.Lag{Repository: n.Repository, Exposure: n.Finding == ""}
	if n.Finding != "" {
		l.Findings = []graph.FindingID{n.Finding}
	}
	n.Asked = s.Now()
	if err := n.Note(ctx, s.Store); err != nil {
		return event.Event{}, fmt.Errorf("revisit %s: %w", n.Key(), err)
	}
	return event.NewLag(name, l)
}
