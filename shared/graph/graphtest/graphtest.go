// Package graphtest is the suite that every graph.Store passes.
//
// It asks only for what the interface promises, so it knows no store. A store that passes may stand in for any other.
package graphtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

// Run runs the suite. open gives an empty store and cleans it up with t.
func Run(t *testing.T, open func(t *testing.T) graph.Store) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"reading", reading}, {"creating", creating}, {"replacing", replacing}, {"deleting", deleting},
		{"batches", batches}, {"sequence in a batch", sequence}, {"refusals", refusals}, {"names", names},
		{"contents", contents}, {"large documents", large}, {"counters", counters},
		{"conditions", conditions}, {"types never mix", types}, {"kinds and places", kinds}, {"orders", orders},
		{"pages", pages}, {"pages while others write", pagesUnderWrites}, {"bad queries", badQueries}, {"model", model},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(&suite{T: t, store: open(t)}) })
	}
}

// suite is one test with its own store.
type suite struct {
	*testing.T
	store graph.Store
}

func (s *suite) ctx() context.Context { return s.Context() }

// key names a document of the partition that most tests use.
func key(id string) graph.Key {
	return graph.Key{Container: graph.GraphContainer, Partition: "repo:github-1", ID: id}
}

const kind graph.Kind = "thing"

// fields is a noun that a test spells out.
type fields map[string]any

func (s *suite) made(k graph.Key, etag string, noun any) graph.Write {
	s.Helper()
	w, err := graph.NewWrite(k, kind, etag, noun)
	if err != nil {
		s.Fatal(err)
	}
	return w
}

// put writes and expects success.
func (s *suite) put(changes ...graph.Write) {
	s.Helper()
	if err := s.store.Write(s.ctx(), changes...); err != nil {
		s.Fatalf("write: %v", err)
	}
}

// stale writes and expects ErrStale.
func (s *suite) stale(what string, changes ...graph.Write) {
	s.Helper()
	if err := s.store.Write(s.ctx(), changes...); !errors.Is(err, graph.ErrStale) {
		s.Fatalf("%s: got %v, want ErrStale", what, err)
	}
}

// refused writes and expects an error that is not about ETags.
func (s *suite) refused(what string, changes ...graph.Write) {
	s.Helper()
	err := s.store.Write(s.ctx(), changes...)
	if err == nil || errors.Is(err, graph.ErrStale) || errors.Is(err, graph.ErrNotFound) {
		s.Fatalf("%s: got %v, want a refusal", what, err)
	}
}

func (s *suite) get(k graph.Key) graph.Document {
	s.Helper()
	d, err := s.store.Read(s.ctx(), k)
	if err != nil {
		s.Fatalf("read %s: %v", k, err)
	}
	if d.ETag == "" || d.ETag == graph.Any {
		s.Fatalf("read %s: ETag %q", k, d.ETag)
	}
	return d
}

func (s *suite) missing(k graph.Key) {
	s.Helper()
	if d, err := s.store.Read(s.ctx(), k); !errors.Is(err, graph.ErrNotFound) {
		s.Fatalf("read %s: got %s and %v, want ErrNotFound", k, d.Data, err)
	}
}

// holds checks what a document says, as JSON values.
func (s *suite) holds(k graph.Key, want any) {
	s.Helper()
	s.same(s.get(k).Data, want)
}

func (s *suite) same(data json.RawMessage, want any) {
	s.Helper()
	raw, err := json.Marshal(want)
	if err != nil {
		s.Fatal(err)
	}
	if diff := cmp.Diff(plain(s.T, raw), plain(s.T, data)); diff != "" {
		s.Fatalf("document (-want +got):\n%s", diff)
	}
}

func plain(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%.200s: %v", raw, err)
	}
	return v
}

// ids reads every page of a query and gives the ids in the order they came.
func (s *suite) ids(q graph.Query) []string {
	s.Helper()
	ids, err := walk(s.ctx(), s.store, q, func(graph.Page) error { return nil })
	if err != nil {
		s.Fatal(err)
	}
	return ids
}

// maxPages bounds a walk: a store whose cursor does not move must not hang the tests.
const maxPages = 10_000

func walk(ctx context.Context, store graph.Store, q graph.Query, each func(graph.Page) error) ([]string, error) {
	var ids []string
	for range maxPages {
		p, err := store.Query(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(p.Documents) > q.PageSize() {
			return nil, fmt.Errorf("a page of %d documents, limit %d", len(p.Documents), q.PageSize())
		}
		for _, d := range p.Documents {
			if d.Key.Container != q.Container || d.Key.Partition != q.Partition || d.ETag == "" {
				return nil, fmt.Errorf("document %+v in a page of %s/%s", d, q.Container, q.Partition)
			}
			ids = append(ids, d.Key.ID)
		}
		if p.Cursor == "" {
			return ids, nil
		}
		q.Cursor = p.Cursor
		if err := each(p); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the query does not end after %d pages", maxPages)
}
