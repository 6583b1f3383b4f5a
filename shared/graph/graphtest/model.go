package graphtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

// entry is the noun of the model test.
type entry struct {
	N    int      `json:"n"`
	Text string   `json:"text"`
	Tags []string `json:"tags,omitempty"`
	Odd  *bool    `json:"odd,omitempty"`
}

// mirror is what a store must hold: the plainest thing that could work.
type mirror struct {
	*suite
	partition string
	entries   map[string]entry
	etags     map[string]string // as last read; empty: not there
	old       []string          // ETags that stood once
}

// model does the same random things to the store and to a map, and compares.
func model(s *suite) {
	run := 0
	rapid.Check(s.T, func(t *rapid.T) {
		run++
		m := &mirror{suite: s, partition: fmt.Sprint("model:", run), entries: map[string]entry{}, etags: map[string]string{}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0, 1:
				m.write(t)
			case 2:
				m.query(t)
			}
		}
	})
}

func (m *mirror) key(id string) graph.Key {
	return graph.Key{Container: graph.StateContainer, Partition: m.partition, ID: id}
}

func (m *mirror) write(t *rapid.T) {
	next, fresh, touched := clone(m.entries), map[string]bool{}, map[string]bool{}
	ok := true
	var changes []graph.Write
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "id")
		w := graph.Write{Key: m.key(id), Kind: kind, ETag: m.etag(t, id)}
		if w.ETag != "" && rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			w.Kind = ""
		}
		ok = ok && m.allowed(w, next, touched[id])
		if w.Kind == "" {
			delete(next, id)
		} else {
			next[id] = drawEntry(t)
			w = m.made(w.Key, w.ETag, next[id])
			fresh[id] = true
		}
		touched[id] = true
		changes = append(changes, w)
	}
	err := m.store.Write(m.ctx(), changes...)
	if ok && err != nil || !ok && !errors.Is(err, graph.ErrStale) {
		t.Fatalf("write %+v: got %v, want success %t", changes, err, ok)
	}
	if ok {
		m.entries = next
	}
	m.compare(t, ok, touched)
}

func clone(entries map[string]entry) map[string]entry {
	c := map[string]entry{}
	for id, e := range entries {
		c[id] = e
	}
	return c
}

// allowed tells whether the ETag of a change holds, given the changes before it in the batch.
func (m *mirror) allowed(w graph.Write, next map[string]entry, touched bool) bool {
	_, exists := next[w.Key.ID]
	switch w.ETag {
	case graph.Any:
		return true
	case "":
		return !exists
	}
	return exists && !touched && w.ETag == m.etags[w.Key.ID]
}

func (m *mirror) etag(t *rapid.T, id string) string {
	choices := []string{"", graph.Any}
	if now := m.etags[id]; now != "" {
		choices = append(choices, now, now)
	}
	if len(m.old) > 0 {
		choices = append(choices, m.old[len(m.old)-1])
	}
	return rapid.SampledFrom(choices).Draw(t, "etag")
}

func drawEntry(t *rapid.T) entry {
	e := entry{
		N:    rapid.IntRange(-3, 3).Draw(t, "n"),
		Text: rapid.StringOfN(rapid.SampledFrom([]rune("abAB é-")), 0, 4, -1).Draw(t, "text"),
		Tags: rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3).Draw(t, "tags"),
	}
	if rapid.Bool().Draw(t, "has odd") {
		odd := e.N%2 != 0
		e.Odd = &odd
	}
	return e
}

// compare reads every document that was touched and checks contents and ETags.
func (m *mirror) compare(t *rapid.T, written bool, touched map[string]bool) {
	for id := range touched {
		d, err := m.store.Read(m.ctx(), m.key(id))
		want, exists := m.entries[id]
		if !exists {
			if !errors.Is(err, graph.ErrNotFound) {
				t.Fatalf("read %s: %v, want ErrNotFound", id, err)
			}
			m.retire(id, "")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		m.same(d.Data, want)
		if changed := d.ETag != m.etags[id]; changed != written || slices.Contains(m.old, d.ETag) {
			t.Fatalf("%s: ETag %s became %s, written %t, used before %t", id, m.etags[id], d.ETag, written, slices.Contains(m.old, d.ETag))
		}
		m.retire(id, d.ETag)
	}
}

func (m *mirror) retire(id, etag string) {
	if was := m.etags[id]; was != "" && was != etag {
		m.old = append(m.old, was)
	}
	m.etags[id] = etag
}

// choice is a condition and what it means.
type choice struct {
	where graph.Where
	holds func(entry) bool
}

func (m *mirror) query(t *rapid.T) {
	q := graph.Query{Container: graph.StateContainer, Partition: m.partition, Kind: kind, Limit: rapid.IntRange(0, 4).Draw(t, "limit")}
	chosen := rapid.SliceOfN(rapid.Custom(drawChoice), 0, 2).Draw(t, "where")
	for _, c := range chosen {
		q.Where = append(q.Where, c.where)
	}
	q.OrderBy = rapid.SampledFrom([]string{"", "n", "text"}).Draw(t, "order")
	q.Descending = q.OrderBy != "" && rapid.Bool().Draw(t, "descending")
	got, err := walk(m.ctx(), m.store, q, func(graph.Page) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for id, e := range m.entries {
		if !slices.ContainsFunc(chosen, func(c choice) bool { return !c.holds(e) }) {
			want = append(want, id)
		}
	}
	if sorted := slices.Sorted(slices.Values(got)); !slices.Equal(sorted, slices.Sorted(slices.Values(want))) {
		t.Fatalf("%+v over %+v: got %q, want %q", q, m.entries, got, want)
	}
	if !slices.IsSortedFunc(got, func(a, b string) int { return m.order(q, a, b) }) {
		t.Fatalf("%+v over %+v: %q is not in order", q, m.entries, got)
	}
}

func (m *mirror) order(q graph.Query, a, b string) int {
	x, y := m.entries[a], m.entries[b]
	if q.Descending {
		x, y = y, x
	}
	switch q.OrderBy {
	case "n":
		return cmp.Compare(x.N, y.N)
	case "text":
		return cmp.Compare(x.Text, y.Text)
	}
	return 0
}

func drawChoice(t *rapid.T) choice {
	n := rapid.IntRange(-3, 3).Draw(t, "n")
	text := rapid.StringOfN(rapid.SampledFrom([]rune("abAB é-")), 0, 2, -1).Draw(t, "text")
	where := func(field string, op graph.Op, value any, holds func(entry) bool) choice {
		return choice{graph.Where{Field: field, Op: op, Value: value}, holds}
	}
	return rapid.SampledFrom([]choice{
		where("n", graph.Equal, n, func(e entry) bool { return e.N == n }),
		where("n", graph.NotEqual, n, func(e entry) bool { return e.N != n }),
		where("n", graph.Less, n, func(e entry) bool { return e.N < n }),
		where("n", graph.AtLeast, n, func(e entry) bool { return e.N >= n }),
		where("n", graph.Greater, n, func(e entry) bool { return e.N > n }),
		where("n", graph.In, []any{n, 0, text}, func(e entry) bool { return e.N == n || e.N == 0 }),
		where("text", graph.Greater, text, func(e entry) bool { return e.Text > text }),
		where("text", graph.Prefix, text, func(e entry) bool { return strings.HasPrefix(e.Text, text) }),
		where("text", graph.Search, text, func(e entry) bool { return strings.Contains(strings.ToLower(e.Text), strings.ToLower(text)) }),
		where("tags", graph.Contains, "y", func(e entry) bool { return slices.Contains(e.Tags, "y") }),
		where("odd", graph.NotEqual, true, func(e entry) bool { return e.Odd != nil && !*e.Odd }),
		where("odd", graph.Equal, true, func(e entry) bool { return e.Odd != nil && *e.Odd }),
	}).Draw(t, "condition")
}
