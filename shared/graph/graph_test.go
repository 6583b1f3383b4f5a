package graph_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"throughline/shared/graph"
)

type number struct {
	N int `json:"n"`
}

var numberKey = graph.StateKey("p", "n")

// rival is a store in which somebody else writes first, some times.
type rival struct {
	*graph.Memory
	wins int
}

// Write lets the rival win.
func (r *rival) Write(ctx context.Context, changes ...graph.Write) error {
	if r.wins > 0 {
		r.wins--
		w, err := graph.NewWrite(changes[0].Key, "number", graph.Any, number{100 * r.wins})
		if err != nil {
			return err
		}
		if err := r.Memory.Write(ctx, w); err != nil {
			return err
		}
	}
	return r.Memory.Write(ctx, changes...)
}

// broken is a store that is away.
type broken struct{ *graph.Memory }

var errAway = errors.New("away")

// Read fails.
func (broken) Read(context.Context, graph.Key) (graph.Document, error) {
	return graph.Document{}, errAway
}

// Query fails.
func (broken) Query(context.Context, graph.Query) (graph.Page, error) {
	return graph.Page{}, errAway
}

func add(n int) func(graph.Versioned[number]) (number, bool, error) {
	return func(old graph.Versioned[number]) (number, bool, error) {
		return number{old.Value.N + n}, n != 0, nil
	}
}

func TestUpdate(t *testing.T) {
	s := graph.NewMemory()
	got, written, err := graph.Update(t.Context(), s, numberKey, "number", add(3))
	if err != nil || !written || got.N != 3 {
		t.Fatalf("create: %v %t %v", got, written, err)
	}
	if got, written, err = graph.Update(t.Context(), s, numberKey, "number", add(4)); err != nil || !written || got.N != 7 {
		t.Fatalf("change: %v %t %v", got, written, err)
	}
	before := s.Writes()
	if got, written, err = graph.Update(t.Context(), s, numberKey, "number", add(0)); err != nil || written || got.N != 7 || s.Writes() != before {
		t.Fatalf("leave alone: %v %t %v", got, written, err)
	}
	cause := errors.New("no")
	_, written, err = graph.Update(t.Context(), s, numberKey, "number", func(graph.Versioned[number]) (number, bool, error) { return number{}, true, cause })
	if !errors.Is(err, cause) || written || s.Writes() != before {
		t.Fatalf("refuse: %t %v", written, err)
	}
}

func TestUpdateReadsAgainAfterARival(t *testing.T) {
	s := &rival{graph.NewMemory(), 3}
	got, written, err := graph.Update(t.Context(), s, numberKey, "number", add(1))
	if err != nil || !written || got.N != 1 {
		t.Errorf("%v %t %v, want one more than the rival's last", got, written, err)
	}
	s.wins = 1000
	if _, written, err := graph.Update(t.Context(), s, numberKey, "number", add(1)); !errors.Is(err, graph.ErrStale) || written {
		t.Errorf("against a rival who always wins: %t %v, want ErrStale", written, err)
	}
}

func TestUpdateEndsWithTheContext(t *testing.T) {
	s := &rival{graph.NewMemory(), 1000}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, _, err := graph.Update(ctx, s, numberKey, "number", func(graph.Versioned[number]) (number, bool, error) {
		if calls++; calls == 2 {
			cancel()
		}
		return number{}, true, nil
	})
	if !errors.Is(err, context.Canceled) || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestGet(t *testing.T) {
	s := graph.NewMemory()
	for _, k := range []graph.Key{numberKey, graph.StateKey("p", ""), graph.StateKey("p", strings.Repeat("x", 1000)), graph.StateKey("p", "\xff")} {
		if v, err := graph.Get[number](t.Context(), s, k); err != nil || v.Exists() {
			t.Errorf("%q: %+v, %v, want nothing", k.ID, v, err)
		}
	}
	if err := s.Write(t.Context(), graph.Write{Key: numberKey, ETag: graph.Any, Data: []byte(`{"n":"text"}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := graph.Get[number](t.Context(), s, numberKey); err == nil || !strings.Contains(err.Error(), numberKey.String()) {
		t.Errorf("a document that does not decode: %v", err)
	}
	if _, _, err := graph.List[number](t.Context(), s, graph.Query{Container: graph.StateContainer, Partition: "p"}); err == nil {
		t.Error("a page with a document that does not decode: no error")
	}
	if _, err := graph.Get[number](t.Context(), broken{s}, numberKey); !errors.Is(err, errAway) {
		t.Errorf("a store that is away: %v", err)
	}
}

func TestListAllReadsEveryPage(t *testing.T) {
	s := graph.NewMemory()
	const all = 2*graph.DefaultPage + 7
	for i := range all {
		w, err := graph.NewWrite(graph.StateKey("p", fmt.Sprint(i)), "number", "", number{i})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	q := graph.Query{Container: graph.StateContainer, Partition: "p", Kind: "number", OrderBy: "n", Descending: true}
	items, err := graph.ListAll[number](t.Context(), s, q)
	if err != nil || len(items) != all || items[0].N != all-1 || items[all-1].N != 0 {
		t.Errorf("%d items, %v", len(items), err)
	}
	if _, err := graph.ListAll[number](t.Context(), broken{s}, q); !errors.Is(err, errAway) {
		t.Errorf("a store that is away: %v", err)
	}
}

func TestNewWriteRefusesWhatDoesNotEncode(t *testing.T) {
	if _, err := graph.NewWrite(numberKey, "number", "", func() {}); err == nil || !strings.Contains(err.Error(), numberKey.String()) {
		t.Error(err)
	}
}

func TestVersionIsOfTheContent(t *testing.T) {
	a, b := graph.Finding{ID: "a", CVEs: []string{"CVE-1"}}, graph.Finding{ID: "a", CVEs: []string{"CVE-1"}}
	if graph.Version(a) != graph.Version(b) || graph.Version(a) == graph.Version(a, b) {
		t.Error("equal content, other version")
	}
	b.CVEs = append(b.CVEs, "CVE-2")
	if graph.Version(a) == graph.Version(b) {
		t.Error("other content, equal version")
	}
	if graph.Version(map[string]int{"a": 1, "b": 2}) != graph.Version(map[string]int{"b": 2, "a": 1}) {
		t.Error("the order of a map counts")
	}
}
