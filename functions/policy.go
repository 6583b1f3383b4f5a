package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/feeds"
	"throughline/shared/graph"
)

// openPolicy reads policy.yaml beside host.json. A policy with errors at start is fatal.
func (h *house) openPolicy() error {
	p, err := h.readPolicy()
	h.policy.Store(p)
	h.warn(p, "")
	return err
}

// around are the facts outside the policy that it can be at odds with.
func (h *house) around(model string) decision.Surroundings {
	return decision.Surroundings{EPSSModel: model, Copilot: h.cfg.UserToken != ""}
}

// surroundings are those that a policy would have if it took effect now.
func (h *house) surroundings(ctx context.Context) (decision.Surroundings, error) {
	epss, err := model(ctx, h.store)
	return h.around(epss), err
}

// warn says once where the policy is at odds with its surroundings.
func (h *house) warn(p *decision.Policy, model string) {
	if p == nil {
		return
	}
	for _, w := range p.Warnings(h.around(model)) {
		if _, said := h.warned.LoadOrStore(w.String(), true); !said {
			h.log.Warn("policy", "problem", w.String())
		}
	}
}

// model is that of the EPSS values in force; empty when there are none.
func model(ctx context.Context, s graph.Store) (string, error) {
	heads, err := feeds.Heads(ctx, s)
	for _, head := range heads {
		if head.Feed == feeds.EPSS {
			return head.Edition.Model, err
		}
	}
	return "", err
}

// readPolicy reads the file; the error names every fault with its line, one to a line.
func (h *house) readPolicy() (*decision.Policy, error) {
	text, err := os.ReadFile(filepath.Join(h.cfg.Root, "policy.yaml"))
	if err != nil {
		return nil, fmt.Errorf("policy: %w; put policy.yaml beside host.json", err)
	}
	if h.policyText == string(text) {
		return h.policyInForce(), nil
	}
	p, problems := decision.ParsePolicy("policy.yaml", text)
	var faults []error
	for _, problem := range problems {
		if problem.Warning {
			h.log.Warn("policy", "problem", problem.String())
			continue
		}
		faults = append(faults, errors.New(problem.String()))
	}
	if len(faults) == 0 {
		h.policyText = string(text)
	}
	return p, errors.Join(faults...)
}

// policyMark notes the policy that every finding was last asked to be decided under.
type policyMark struct {
	Hash string `json:"hash"`
	// Faults are why a changed file was not taken; every error with its line.
	Faults []string `json:"faults,omitempty"`
}

var policyMarkKey = graph.StateKey("policies", "in force")

// renewPolicy takes a changed policy.yaml in, and asks for every finding to be decided again when the policy in force
// is not the one they were last decided under. A file with errors leaves the one in force.
func (h *house) renewPolicy(ctx context.Context, s graph.Store) ([]event.Event, error) {
	var faults []string
	p, err := h.readPolicy()
	if err == nil {
		h.policy.Store(p)
	} else {
		faults = strings.Split(err.Error(), "\n")
	}
	epss, err := model(ctx, s)
	if err != nil {
		return nil, err
	}
	h.warn(h.policyInForce(), epss)
	hash := h.policyInForce().Hash()
	was, err := graph.Get[policyMark](ctx, s, policyMarkKey)
	if err != nil {
		return nil, err
	}
	if was.Value.Hash == hash && strings.Join(was.Value.Faults, "\n") == strings.Join(faults, "\n") {
		return nil, nil
	}
	for _, f := range faults {
		h.log.ErrorContext(ctx, "policy refused, the one in force stays", "problem", f, "inForce", hash)
	}
	return h.notePolicy(ctx, s, was, policyMark{hash, faults})
}

// notePolicy leaves the findings to be decided again before it notes the policy, so that a crash between the two asks
// again. The first policy of all concerns nothing that was decided before.
func (h *house) notePolicy(ctx context.Context, s graph.Store, was graph.Versioned[policyMark], now policyMark) ([]event.Event, error) {
	var said []event.Event
	if was.Exists() && was.Value.Hash != now.Hash {
		change := feeds.Change{ID: "policy-" + strings.TrimPrefix(now.Hash, "sha256:"), Cause: "policy " + now.Hash}
		if err := feeds.NoteChange(ctx, s, change); err != nil {
			return nil, err
		}
		e, err := event.NewCollect("/functions/resync", graph.Collection{Source: "feeds", Scope: "changes"})
		if err != nil {
			return nil, err
		}
		said = append(said, e)
		h.log.InfoContext(ctx, "policy takes effect", "policy", now.Hash, "before", was.Value.Hash)
	}
	w, err := graph.NewWrite(policyMarkKey, "policyMark", was.ETag, now)
	if err == nil {
		err = s.Write(ctx, w)
	}
	if errors.Is(err, graph.ErrStale) {
		err = nil // another instance has noted it
	}
	return said, err
}

// feeds reads the public feeds, or their files in FEEDS_DIR; where EGRESS is closed nothing but files.
func (h *house) feeds() *feeds.Source {
	return &feeds.Source{Store: h.store, Dir: h.cfg.FeedsDir, Offline: h.cfg.Closed, Now: h.clock.Now, Log: h.log,
		Window:     func() int { return h.policyInForce().Thresholds.EPSSDays },
		Thresholds: func() []float64 { return thresholds(h.policyInForce()) }}
}
