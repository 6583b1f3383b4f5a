package main

import (
	"context"
	"log/slog"
	"sync"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/feeds"
	"throughline/shared/graph"
)

// statements are the VEX documents on the shelf, read once for each edition of them.
type statements struct {
	shelf *feeds.Shelf
	log   *slog.Logger

	mu      sync.Mutex
	edition string
	held    decision.Statements
}

func (s *statements) current() decision.Statements {
	texts, edition := s.shelf.Documents()
	s.mu.Lock()
	defer s.mu.Unlock()
	if edition == s.edition {
		return s.held
	}
	read, err := decision.ReadVEX(texts...)
	if err != nil {
		// Each was checked before it was kept; what counted before counts until there is another edition.
		s.log.Error("VEX documents not taken", "edition", edition, "reason", err)
		read = s.held
	}
	s.edition, s.held = edition, read
	return read
}

// About is the newest statement about a subject that the policy trusts.
func (s *statements) About(subject decision.VEXSubject, p *decision.Policy) decision.Fact {
	return s.current().About(subject, p)
}

// Said changes when what is said of a vulnerability with these names does.
func (s *statements) Said(names []string, p *decision.Policy) string {
	return s.current().Version(names, p)
}

// Edition names the documents in force.
func (s *statements) Edition() string {
	_, edition := s.shelf.Documents()
	return edition
}

// renewVEX takes the documents of VEX_DIR in as they are now, and asks for the findings that they concern.
func renewVEX(ctx context.Context, l *feeds.Library) ([]event.Event, error) {
	changed, err := l.Renew(ctx)
	if err != nil || !changed {
		return nil, err
	}
	e, err := event.NewCollect("/functions/resync", graph.Collection{Source: "feeds", Scope: "changes"})
	return []event.Event{e}, err
}

func (h *house) library() *feeds.Library {
	return &feeds.Library{Store: h.store, Dir: h.cfg.VEXDir, Check: decision.CheckVEX, Now: h.clock.Now, Log: h.log}
}
