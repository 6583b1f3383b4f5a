package prioritize

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"throughline/shared/graph"
)

// maxConflicts is how often renew tries again when somebody else wrote first.
const maxConflicts = 16

// renew decides a finding and writes it under its ETag, in one write with the record of the decision that it replaces.
func (r *round) renew(ctx context.Context, id graph.FindingID) (now graph.Finding, was *graph.Decision, changed bool, err error) {
	key := graph.FindingKey(r.exposure.Repository, id)
	for try := range maxConflicts {
		old, err := graph.Get[graph.Finding](ctx, r.Store, key)
		if err != nil || !old.Exists() {
			return graph.Finding{}, nil, false, err
		}
		if err := r.catchUp(ctx, old.Value); err != nil {
			return graph.Finding{}, nil, false, err
		}
		was = old.Value.Decision
		now, changed, err = r.decide(ctx, old.Value)
		if err != nil || !changed {
			return now, was, false, err
		}
		now.Revision++
		err = r.write(ctx, old, now)
		if !errors.Is(err, graph.ErrStale) {
			return now, was, true, err
		}
		pause(ctx, try)
	}
	return now, was, false, fmt.Errorf("write %s: %w after %d tries", key, graph.ErrStale, maxConflicts)
}

// catchUp reads the exposure again when somebody has decided the finding on a newer one: two rounds over a repository
// may overlap, and the older must not have the last word.
func (r *round) catchUp(ctx context.Context, f graph.Finding) error {
	if f.Based.Number <= r.exposure.Number {
		return nil
	}
	x, err := graph.Get[graph.Exposure](ctx, r.Store, graph.ExposureKey(r.exposure.Repository))
	if err == nil && x.Exists() {
		r.exposure, r.scopes = x.Value, nil
	}
	return err
}

// pause lets the other writer finish.
func pause(ctx context.Context, try int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(rand.IntN(1+min(try, 6)*5)) * time.Millisecond):
	}
}

// write notes when the finding must be looked at again, and then writes it.
func (r *round) write(ctx context.Context, old graph.Versioned[graph.Finding], next graph.Finding) error {
	if d := next.Decision; d != nil && !d.Revisit.IsZero() && (old.Value.Decision == nil || !old.Value.Decision.Revisit.Equal(d.Revisit)) {
		if err := (graph.Revisit{Repository: next.Repository, Finding: next.ID, At: d.Revisit}).Note(ctx, r.Store); err != nil {
			return err
		}
	}
	writes, after, err := r.record(old.Value, next.Decision)
	if err == nil && next.Decision != nil && next.Decision != old.Value.Decision {
		*next.Decision, err = next.Decision.Chained(after)
	}
	if err != nil {
		return err
	}
	w, err := graph.NewWrite(graph.FindingKey(next.Repository, next.ID), graph.KindFinding, old.ETag, next)
	if err != nil {
		return err
	}
	return r.Store.Write(ctx, append(writes, w)...)
}

// record keeps the decision that is replaced by one that says something else, and drops the oldest beyond those kept. It
// gives the hash of the record that the new decision follows.
func (r *round) record(old graph.Finding, is *graph.Decision) (writes []graph.Write, after string, err error) {
	was := old.Decision
	if was == nil || is == nil {
		return nil, "", nil
	}
	is.Past = was.Past
	if was.Version == is.Version {
		is.Since = was.Since
		return nil, was.After, nil
	}
	packed, err := graph.NewRecord(old.ID, *was, r.now)
	if err != nil {
		return nil, "", err
	}
	if after, err = packed.Link(); err != nil {
		return nil, "", err
	}
	w, err := graph.NewWrite(graph.RecordKey(old.Repository, old.ID, was.Since), graph.KindRecord, graph.Any, packed)
	if err != nil {
		return nil, "", err
	}
	writes = []graph.Write{w}
	is.Past = append(was.Past[:len(was.Past):len(was.Past)], was.Since)
	if len(is.Past) > graph.MaxRecords {
		writes = append(writes, graph.Write{Key: graph.RecordKey(old.Repository, old.ID, is.Past[0]), Kind: graph.KindRecord, ETag: graph.Any})
		is.Past = is.Past[1:]
	}
	return writes, after, nil
}

// prepare takes newer editions of the feeds in, and keeps the policy for replay.
func (r *round) prepare(ctx context.Context, feedsChanged bool) error {
	if r.Feeds != nil {
		if err := r.Feeds.Ready(ctx, feedsChanged); err != nil {
			return err
		}
	}
	r.keeping.Lock()
	defer r.keeping.Unlock()
	if r.kept == r.hash {
		return nil
	}
	w, err := graph.NewWrite(graph.PolicyKey(r.hash), graph.KindPolicy, "", r.policy)
	if err != nil {
		return err
	}
	if err := r.Store.Write(ctx, w); err != nil && !errors.Is(err, graph.ErrStale) {
		return err
	}
	r.kept = r.hash
	return nil
}
