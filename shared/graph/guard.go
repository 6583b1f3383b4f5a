package graph

import (
	"context"
	"time"
)

// KindWithheld is a retirement that waits for a person.
const KindWithheld Kind = "withheld"

// Withheld is what a complete reading of a scope did not contain and what was not retired, because it is too much of what
// the scope held. Something may be wrong with the reading: a permission was taken away, a feature switched off.
type Withheld struct {
	Scope   string    `json:"scope"`
	Run     string    `json:"run"`
	Missing int       `json:"missing"`
	Held    int       `json:"held"`
	At      time.Time `json:"at"`
	// Approved is when a person let the next reading retire so much; By is who.
	Approved time.Time `json:"approved,omitzero"`
	By       string    `json:"by,omitempty"`
}

// withheldPartition lists what waits for a person.
const withheldPartition = "withheld"

// WithheldKey names what waits for a person at one scope.
func WithheldKey(scope string) Key { return StateKey(withheldPartition, safeID(scope)) }

// AllWithheld lists what waits for a person.
func AllWithheld(ctx context.Context, s Store) ([]Withheld, error) {
	return ListAll[Withheld](ctx, s, Query{Container: StateContainer, Partition: withheldPartition, Kind: KindWithheld})
}

// approval is how long a person's word holds, and how much more it covers than was asked for.
const (
	approval = 24 * time.Hour
	leeway   = 1.1
)

// Covers tells whether a person has agreed to retire so much.
func (w Withheld) Covers(missing int, now time.Time) bool {
	return !w.Approved.IsZero() && now.Sub(w.Approved) < approval && float64(missing) <= leeway*float64(w.Missing)
}
