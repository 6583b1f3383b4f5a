package graph

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// KindRecord is a decision of the past, in its finding's partition; KindPolicy and KindRevisit are in the state container.
const (
	KindRecord  Kind = "record"
	KindPolicy  Kind = "policy"
	KindRevisit Kind = "revisit"
)

// Record is a decision that was replaced, kept so that it can be replayed.
type Record struct {
	Finding FindingID `json:"finding"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	// Packed is the Decision as JSON, compressed.
	Packed []byte `json:"packed"`
}

// MaxRecords is how many past decisions of a finding are kept.
const MaxRecords = 50

// RecordKey names the record of a decision that was first given at a time.
func RecordKey(r RepositoryID, f FindingID, since time.Time) Key {
	return Key{GraphContainer, RepositoryPartition(r), string(f) + "-since-" + since.UTC().Format("20060102T150405.000000000")}
}

// NewRecord packs a decision that was replaced at a time.
func NewRecord(f FindingID, d Decision, until time.Time) (Record, error) {
	d.Past, d.History, d.Reached = nil, nil, nil
	raw, err := json.Marshal(d)
	if err != nil {
		return Record{}, fmt.Errorf("record of %s: %w", f, err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err = z.Write(raw); err == nil {
		err = z.Close()
	}
	return Record{Finding: f, Since: d.Since, Until: until, Packed: packed.Bytes()}, err
}

// largestDecision bounds what a record unpacks to.
const largestDecision = 64 << 20

// Decision unpacks the decision.
func (r Record) Decision() (Decision, error) {
	var d Decision
	z, err := gzip.NewReader(bytes.NewReader(r.Packed))
	if err != nil {
		return d, fmt.Errorf("record of %s: %w", r.Finding, err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, largestDecision))
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		return d, fmt.Errorf("record of %s: %w", r.Finding, err)
	}
	return d, nil
}

// DecidedAt finds the decision of a finding that stood at a time, and until when it stood: zero for the one that stands
// now. ErrNotFound when nothing was decided then, or it is too long ago.
func (g Graph) DecidedAt(ctx context.Context, f Finding, at time.Time) (Decision, time.Time, error) {
	if d := f.Decision; d != nil && !at.Before(d.Since) {
		return *d, time.Time{}, nil
	}
	if f.Decision != nil {
		for i := len(f.Decision.Past) - 1; i >= 0; i-- {
			since := f.Decision.Past[i]
			if at.Before(since) {
				continue
			}
			r, err := Get[Record](ctx, g.Store, RecordKey(f.Repository, f.ID, since))
			if err != nil || !r.Exists() {
				break
			}
			d, err := r.Value.Decision()
			return d, r.Value.Until, err
		}
	}
	return Decision{}, time.Time{}, fmt.Errorf("decision of %s at %s: %w", f.ID, at.Format(time.RFC3339), ErrNotFound)
}

// PolicyKey names the policy with a hash, kept for replay.
func PolicyKey(hash string) Key {
	return StateKey("policies", strings.TrimPrefix(hash, "sha256:"))
}

// Revisit asks for a look at a time at which time alone may change something: the hold of a finding, its acceptance, or
// the age of a repository's evidence.
type Revisit struct {
	Repository RepositoryID `json:"repository"`
	Finding    FindingID    `json:"finding,omitempty"` // empty: every finding of the repository
	At         time.Time    `json:"at"`
	Asked      time.Time    `json:"asked,omitzero"`
}

// RevisitPartition holds what is due in an hour.
func RevisitPartition(at time.Time) string { return "due:" + at.UTC().Format("2006010215") }

// Key names the note; noting it twice is noting it once.
func (r Revisit) Key() Key {
	what := string(r.Finding)
	if what == "" {
		what = string(r.Repository)
	}
	return StateKey(RevisitPartition(r.At), what)
}

// Note writes it down.
func (r Revisit) Note(ctx context.Context, s Store) error {
	w, err := NewWrite(r.Key(), KindRevisit, Any, r)
	if err != nil {
		return err
	}
	return s.Write(ctx, w)
}
