package graph

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// KindChain is how far the reading of one scope has come.
const KindChain Kind = "chain"

// ChainsPartition lists the chains of all scopes.
const ChainsPartition = "chains"

// Chain is how far the reading of one scope has come. It lets one message at a time read a page, however often the same
// page was asked for, and tells where a run stands.
type Chain struct {
	Scope string `json:"scope"` // source and scope
	// Run and StartedAt tell the newest run.
	Run       string    `json:"run"`
	StartedAt time.Time `json:"startedAt"`
	// Page is the one that is being read, by the message with the Ticket.
	Page   int    `json:"page"`
	Ticket string `json:"ticket"`
	// At is when it last moved, or until when the source wants to be left alone.
	At time.Time `json:"at"`
	// Closed is set when the run ended: at the last page, or because the source refuses (Why).
	Closed bool   `json:"closed,omitempty"`
	Why    string `json:"why,omitempty"`
	// Read is when the newest run began that was read to its end: what happened before is known.
	Read time.Time `json:"read,omitzero"`
}

// ChainKey names the chain of a scope.
func ChainKey(scope string) Key { return StateKey(ChainsPartition, safeID(scope)) }

// Chains lists how far every scope has been read.
func Chains(ctx context.Context, s Store) ([]Chain, error) {
	return ListAll[Chain](ctx, s, Query{Container: StateContainer, Partition: ChainsPartition, Kind: KindChain})
}

// stalled is how long a chain may stand still before nobody waits for it any more.
const stalled = time.Hour

// UnderWay tells whether the chain is being read at a time.
func (c Chain) UnderWay(now time.Time) bool { return !c.Closed && now.Sub(c.At) < stalled }

// Claimed is the chain in the hand of a message; mine is false when another message reads that page, has read it, or a
// newer run has begun.
func (c Chain) Claimed(want Collection, now time.Time) (next Chain, mine bool) {
	same := c.Run == want.Run
	switch {
	case c.Run == "", !same && !want.StartedAt.Before(c.StartedAt):
	case !same, want.Page < c.Page:
		return c, false
	case want.Page == c.Page:
		return c, want.Ticket == c.Ticket
	case c.Closed:
		return c, false
	}
	next = c
	next.Run, next.StartedAt, next.Page, next.Ticket, next.At, next.Closed, next.Why = want.Run, want.StartedAt, want.Page, want.Ticket, now, false, ""
	return next, true
}

// IsDelta tells whether a scope holds only what changed since a time: it is never complete.
func IsDelta(scope string) bool { return scope == "delta" || strings.HasPrefix(scope, "delta:") }

// ParseScope takes the id of a scope, `<source> <scope>`, apart.
func ParseScope(id string) (Collection, error) {
	source, scope, ok := strings.Cut(id, " ")
	if !ok || source == "" || scope == "" {
		return Collection{}, fmt.Errorf("scope %q: want <source> <scope>", id)
	}
	return Collection{Source: source, Scope: scope}, nil
}
