// Package collect reads one page of one source, says what it saw, and asks for the next page.
//
// A run over a scope is a chain of messages, each with its cursor, so that a crash costs at most one page read twice.
// What each page held is noted; when the last page was read without error the scope is complete, and only then does
// collect name what the graph holds and the scope did not. It writes nothing into the graph itself.
package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the stage signs its events.
const name = "/functions/collect"

// source is one outside system that can be read by pages.
type source interface {
	// Read reads one page. *graph.Limited asks to come back later.
	Read(ctx context.Context, c graph.Collection) (graph.Collected, error)
}

// Stage is the function collect.
type Stage struct {
	Store   graph.Store
	Sources map[string]source
	// Guard is the share of what a scope holds, 0 to 1, beyond which nothing is retired without a person; 0: no guard.
	Guard float64
	Now   func() time.Time
	Log   *slog.Logger
}

// Source lets main fill the table of sources with concrete types.
type Source = source

// Handle reads the page that the event asks for.
func (s *Stage) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	var c graph.Collection
	if err := e.Into(&c); err != nil {
		return nil, err
	}
	from, ok := s.Sources[c.Source]
	if !ok {
		return nil, event.Permanent(fmt.Errorf("collect %s %s: no such source is connected", c.Source, c.Scope))
	}
	c = begun(c, e)
	mine, err := s.claim(ctx, c)
	if err != nil || !mine {
		return nil, err
	}
	got, err := from.Read(ctx, c)
	var limited *graph.Limited
	if errors.As(err, &limited) {
		return s.wait(ctx, c, limited)
	}
	var final permanent
	if errors.As(err, &final) && final.Permanent() {
		return s.refused(ctx, c, err)
	}
	if err != nil {
		return nil, fmt.Errorf("collect %s %s page %d: %w", c.Source, c.Scope, c.Page, err)
	}
	s.report(ctx, c, got)
	return s.answer(ctx, c, got)
}

// permanent is an error of a source that no retry heals: the thing is not there, or may not be read.
type permanent interface{ Permanent() bool }

// Refusal is what a source would not let us read, for the health report.
type Refusal struct {
	Source string    `json:"source"`
	Scope  string    `json:"scope"`
	Why    string    `json:"why"`
	At     time.Time `json:"at"`
}

// refused notes that a source does not let itself be read. The scope is not complete, so nothing is retired; but who asks
// about one thing has now been answered.
func (s *Stage) refused(ctx context.Context, c graph.Collection, err error) ([]event.Event, error) {
	s.Log.WarnContext(ctx, "source refuses", "source", c.Source, "scope", c.Scope, "why", err.Error())
	w, e := graph.NewWrite(graph.RefusalKey(scopeID(c)), "refusal", graph.Any, Refusal{c.Source, c.Scope, err.Error(), s.Now()})
	if e != nil {
		return nil, e
	}
	if e := s.Store.Write(ctx, w); e != nil {
		return nil, e
	}
	if chained(c) {
		return nil, s.closed(ctx, c, err.Error())
	}
	return event.NewObserved(name, graph.Observation{Source: c.Source, ObservedAt: s.Now(),
		Scope: &graph.Scope{ID: scopeID(c), Run: c.Run, StartedAt: c.StartedAt, Complete: true}}, -1)
}

// begun gives a collection that nobody started a run of its own.
func begun(c graph.Collection, e event.Event) graph.Collection {
	if c.Run == "" {
		c.Run, c.StartedAt = e.ID, e.Time
	}
	if c.Ticket == "" {
		c.Ticket = e.ID
	}
	return c
}

// scopeID names what a run reads.
func scopeID(c graph.Collection) string { return c.Source + " " + c.Scope }

func (s *Stage) report(ctx context.Context, c graph.Collection, got graph.Collected) {
	s.Log.InfoContext(ctx, "page collected", "source", c.Source, "scope", c.Scope, "page", c.Page, "nouns", got.Observation.Len(), "more", got.Next != "")
	for why, n := range got.Skipped {
		s.Log.WarnContext(ctx, "facts skipped", "source", c.Source, "scope", c.Scope, "why", why, "count", n)
	}
}

// answer says what the page showed, closes the scope or asks for the next page, and follows what the page calls for.
func (s *Stage) answer(ctx context.Context, c graph.Collection, got graph.Collected) ([]event.Event, error) {
	if len(got.Observation.Answered) > 0 {
		return answers(c, got)
	}
	if err := s.note(ctx, c, got); err != nil {
		return nil, err
	}
	page := got.Observation
	gone := page.Absent
	page.Absent = nil
	page.Scope = &graph.Scope{ID: scopeID(c), Run: c.Run, StartedAt: c.StartedAt}
	var out []event.Event
	if page.Len() > 0 {
		events, err := event.NewObserved(name, page, c.Parts)
		if err != nil {
			return nil, err
		}
		out = append(out, events...)
		c.Parts += len(events)
	}
	next, err := s.next(ctx, c, got, gone)
	if err != nil {
		return nil, err
	}
	out = append(out, next...)
	lags, err := lagging(got.Lagging)
	if err != nil {
		return nil, err
	}
	out = append(out, lags...)
	for _, f := range got.Follow {
		f.Run, f.StartedAt = c.Run, c.StartedAt
		e, err := ticketed(f)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// digestsAtOnce is about how many nouns one message of answers holds: each of them has an image mapped.
const digestsAtOnce = 40

// answers says what was learned of the digests that were asked for together, and asks for the next page of them. The
// scope is a question, not a place: it never closes.
func answers(c graph.Collection, got graph.Collected) ([]event.Event, error) {
	var out []event.Event
	for _, part := range got.Observation.ByDigest(digestsAtOnce) {
		events, err := event.NewObserved(name, part, -1)
		if err != nil {
			return nil, err
		}
		out = append(out, events...)
	}
	follow := got.Follow
	if got.Next != "" {
		c.Cursor, c.Page = got.Next, c.Page+1
		follow = append(follow, c)
	}
	for _, f := range follow {
		e, err := event.NewCollect(name, f)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// lagging says which findings lag behind what was read.
func lagging(all []graph.Lagging) ([]event.Event, error) {
	var out []event.Event
	for _, l := range all {
		e, err := event.NewLag(name, event.Lag{Repository: l.Repository, Findings: l.Findings, Feeds: true})
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// next asks for the next page, or closes the scope.
func (s *Stage) next(ctx context.Context, c graph.Collection, got graph.Collected, gone []graph.Absence) ([]event.Event, error) {
	if got.Next != "" {
		c.Cursor, c.Page = got.Next, c.Page+1
		e, err := ticketed(c)
		return []event.Event{e}, err
	}
	missing, err := s.missing(ctx, c, got)
	if err != nil {
		return nil, err
	}
	missing, again, err := s.confirmed(ctx, c, missing)
	if err != nil {
		return nil, err
	}
	if err := s.closed(ctx, c, ""); err != nil {
		return nil, err
	}
	if got.Seen == nil && len(gone) == 0 && graph.IsDelta(c.Scope) {
		return nil, nil // nobody asks when a delta was read
	}
	said, err := event.NewObserved(name, graph.Observation{
		Source: got.Observation.Source, ObservedAt: got.Observation.ObservedAt, Absent: append(gone, missing...),
		Scope: &graph.Scope{ID: scopeID(c), Run: c.Run, StartedAt: c.StartedAt, Complete: true, Part: c.Parts},
	}, -1)
	return append(said, again...), err
}
