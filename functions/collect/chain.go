package collect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// chained tells whether the pages of a scope are claimed one by one. What is one thing has one page, and whoever asks for
// it wants an answer; so does who asks about images.
func chained(c graph.Collection) bool {
	return !graph.OfOneThing(scopeID(c)) && !strings.HasPrefix(c.Scope, "inquiries:") && !strings.HasPrefix(c.Scope, "images:")
}

// claim takes the page into this message's hand; mine is false when it is in another's, or behind us. So a message that
// was sent twice, and a second run beside the first, cost no page.
func (s *Stage) claim(ctx context.Context, c graph.Collection) (mine bool, err error) {
	if !chained(c) {
		return true, nil
	}
	_, _, err = graph.Update(ctx, s.Store, graph.ChainKey(scopeID(c)), graph.KindChain, func(old graph.Versioned[graph.Chain]) (graph.Chain, bool, error) {
		var next graph.Chain
		next, mine = old.Value.Claimed(c, s.Now())
		next.Scope = scopeID(c)
		return next, mine && next != old.Value, nil
	})
	if err != nil {
		return false, fmt.Errorf("claim %s page %d: %w", scopeID(c), c.Page, err)
	}
	return mine, nil
}

// move notes what became of the claimed page, as long as it is ours.
func (s *Stage) move(ctx context.Context, c graph.Collection, change func(*graph.Chain)) error {
	if !chained(c) {
		return nil
	}
	_, _, err := graph.Update(ctx, s.Store, graph.ChainKey(scopeID(c)), graph.KindChain, func(old graph.Versioned[graph.Chain]) (graph.Chain, bool, error) {
		next := old.Value
		if next.Run != c.Run || next.Page != c.Page || next.Ticket != c.Ticket {
			return next, false, nil
		}
		change(&next)
		return next, next != old.Value, nil
	})
	return err
}

// wait asks for the same page again when the source lets us.
func (s *Stage) wait(ctx context.Context, c graph.Collection, limited *graph.Limited) ([]event.Event, error) {
	s.Log.InfoContext(ctx, "collect waits", "source", c.Source, "scope", c.Scope, "until", limited.Until, "why", limited.Why)
	if err := s.move(ctx, c, func(ch *graph.Chain) { ch.At = limited.Until }); err != nil {
		return nil, err
	}
	e, err := event.NewCollect(name, c)
	return []event.Event{e.Again(limited.Until)}, err
}

// closed notes that a run over a scope has ended; why is empty when it was read to its end.
func (s *Stage) closed(ctx context.Context, c graph.Collection, why string) error {
	return s.move(ctx, c, func(ch *graph.Chain) {
		ch.Closed, ch.Why = true, why
		if why == "" && ch.Read.Before(c.StartedAt) {
			ch.Read = c.StartedAt
		}
		ch.At = later(ch.At, s.Now())
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ticketed asks for a page by a message of its own.
func ticketed(c graph.Collection) (event.Event, error) {
	c.Ticket = uuid.NewString()
	return event.NewCollect(name, c)
}
