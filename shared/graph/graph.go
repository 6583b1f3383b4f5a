// Package graph holds the nouns of Throughline, the questions asked of them, and the store that keeps them.
//
// A repository raises alerts; evidence says which artifacts it built; workloads run artifacts and carry risk factors;
// a finding joins an alert or a runtime finding with the workloads it reaches and with its decision; a remediation is
// one fix, tracked as one issue. Documents are laid out as adjacency lists, so that each question of the hot path
// reads a single partition. The package does no I/O of its own and knows no vendor.
package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Graph answers the questions of the stages and the API over a Store.
type Graph struct {
	Store Store
}

// Versioned is a noun as it stands in the store. The empty ETag means that it is not there yet.
type Versioned[T any] struct {
	Value T
	ETag  string
}

// Exists tells whether the noun was found in the store.
func (v Versioned[T]) Exists() bool { return v.ETag != "" }

// maxConflicts is how often Update tries again when somebody else wrote first.
const maxConflicts = 16

// Get reads one noun. A missing document is no error: the answer then does not exist. Neither is an id that no document
// can have: people and sources give such ids.
func Get[T any](ctx context.Context, s Store, k Key) (Versioned[T], error) {
	var v Versioned[T]
	if !k.possible() {
		return v, nil
	}
	d, err := s.Read(ctx, k)
	if errors.Is(err, ErrNotFound) {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("read %s: %w", k, err)
	}
	if err := json.Unmarshal(d.Data, &v.Value); err != nil {
		return v, fmt.Errorf("read %s: stored document does not decode: %w", k, err)
	}
	v.ETag = d.ETag
	return v, nil
}

// Update reads a noun, lets change decide what it becomes, and writes it under its ETag; when somebody else wrote
// first it reads again. change may be called several times and must not have effects; it returns false to leave the
// document alone. The result is the noun as it stands afterwards and whether it was written.
func Update[T any](ctx context.Context, s Store, k Key, kind Kind, change func(Versioned[T]) (T, bool, error)) (T, bool, error) {
	var zero T
	for try := range maxConflicts {
		if err := Pause(ctx, try); err != nil {
			return zero, false, fmt.Errorf("write %s: %w", k, err)
		}
		old, err := Get[T](ctx, s, k)
		if err != nil {
			return zero, false, err
		}
		next, changed, err := change(old)
		if err != nil || !changed {
			return old.Value, false, err
		}
		w, next, err := Replacing(k, kind, old, next)
		if err != nil {
			return zero, false, err
		}
		err = s.Write(ctx, w)
		if err == nil {
			return next, true, nil
		}
		if !errors.Is(err, ErrStale) {
			return zero, false, fmt.Errorf("write %s: %w", k, err)
		}
	}
	return zero, false, fmt.Errorf("write %s: %w after %d tries", k, ErrStale, maxConflicts)
}

// revised is a noun that counts its writes.
type revised interface{ revise() }

// longestPause bounds the mean time between two tries of Update.
const longestPause = 100 * time.Millisecond

// Replacing makes the write of what a noun becomes, which holds only while nobody else wrote it, and gives it as it will
// be stored.
func Replacing[T any](k Key, kind Kind, old Versioned[T], next T) (Write, T, error) {
	if n, ok := any(&next).(revised); ok {
		n.revise()
	}
	w, err := NewWrite(k, kind, old.ETag, next)
	return w, next, err
}

// Pause waits before another try, a random time whose mean doubles: many writers of one document must not march in step.
func Pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	mean := min(time.Millisecond<<try, longestPause)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(2 * mean)):
		return nil
	}
}

// List reads one page of nouns of one kind in one partition.
func List[T any](ctx context.Context, s Store, q Query) (items []T, cursor string, err error) {
	page, err := s.Query(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("query %s in %s/%s: %w", q.Kind, q.Container, q.Partition, err)
	}
	items = make([]T, 0, len(page.Documents))
	for _, d := range page.Documents {
		var item T
		if err := json.Unmarshal(d.Data, &item); err != nil {
			return nil, "", fmt.Errorf("query %s in %s/%s: document %q does not decode: %w", q.Kind, q.Container, q.Partition, d.Key.ID, err)
		}
		items = append(items, item)
	}
	return items, page.Cursor, nil
}

// ListAll reads every page of a query. Use it only where the partition bounds the answer.
func ListAll[T any](ctx context.Context, s Store, q Query) ([]T, error) {
	var all []T
	for {
		items, cursor, err := List[T](ctx, s, q)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if cursor == "" {
			return all, nil
		}
		q.Cursor = cursor
	}
}
