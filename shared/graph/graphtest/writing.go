package graphtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"throughline/shared/graph"
)

func reading(s *suite) {
	s.missing(key("a"))
	s.put(s.made(key("a"), "", fields{"n": 1}))
	first := s.get(key("a"))
	if first.Key != key("a") || first.Kind != kind {
		s.Fatalf("read %+v", first)
	}
	s.same(first.Data, fields{"n": 1})
	if again := s.get(key("a")); again.ETag != first.ETag {
		s.Fatalf("ETag %q became %q without a write", first.ETag, again.ETag)
	}
	copy(first.Data, "*****")
	s.holds(key("a"), fields{"n": 1})
	for _, k := range []graph.Key{{Container: graph.StateContainer, Partition: key("a").Partition, ID: "a"}, {Container: graph.GraphContainer, Partition: "repo:github-2", ID: "a"}, key("A")} {
		s.missing(k)
	}
	ended, cancel := context.WithCancel(s.ctx())
	cancel()
	if _, err := s.store.Read(ended, key("a")); !errors.Is(err, context.Canceled) {
		s.Fatalf("read after the end of ctx: %v", err)
	}
}

func creating(s *suite) {
	s.put(s.made(key("a"), "", fields{"n": 1}))
	s.stale("create what is there", s.made(key("a"), "", fields{"n": 2}))
	s.stale("replace what is not there", s.made(key("b"), s.get(key("a")).ETag, fields{"n": 2}))
	s.holds(key("a"), fields{"n": 1})
	s.missing(key("b"))
	s.put(s.made(key("b"), graph.Any, fields{"n": 3}))
	s.holds(key("b"), fields{"n": 3})
}

func replacing(s *suite) {
	s.put(s.made(key("a"), "", fields{"n": 1, "gone": true}))
	first := s.get(key("a"))
	s.put(s.made(key("a"), first.ETag, fields{"n": 2}))
	second := s.get(key("a"))
	s.same(second.Data, fields{"n": 2})
	if second.ETag == first.ETag {
		s.Fatalf("ETag %q did not change", first.ETag)
	}
	s.stale("replace at an old ETag", s.made(key("a"), first.ETag, fields{"n": 3}))
	s.put(s.made(key("a"), graph.Any, fields{"n": 4}))
	s.stale("replace at the ETag before Any", s.made(key("a"), second.ETag, fields{"n": 5}))
	s.put(s.made(key("a"), graph.Any, fields{"n": 4}))
	s.holds(key("a"), fields{"n": 4})
	w := s.made(key("a"), graph.Any, fields{"n": 6})
	w.Kind = "other"
	s.put(w)
	if got := s.get(key("a")).Kind; got != "other" {
		s.Fatalf("kind %q", got)
	}
}

func deleting(s *suite) {
	s.put(s.made(key("a"), "", fields{"n": 1}))
	old := s.get(key("a")).ETag
	s.put(s.made(key("a"), old, fields{"n": 2}))
	s.stale("delete at an old ETag", graph.Write{Key: key("a"), ETag: old})
	s.put(graph.Write{Key: key("a"), ETag: s.get(key("a")).ETag})
	s.missing(key("a"))
	s.stale("delete at an ETag what is gone", graph.Write{Key: key("a"), ETag: old})
	s.put(graph.Write{Key: key("a"), ETag: graph.Any})
	s.put(s.made(key("a"), "", fields{"n": 1}))
	if s.get(key("a")).ETag == old {
		s.Fatal("a document made again has an ETag that stood before")
	}
	s.stale("replace at the ETag of an earlier life", s.made(key("a"), old, fields{"n": 2}))
	s.put(graph.Write{Key: key("a"), ETag: graph.Any})
	s.missing(key("a"))
}

func batches(s *suite) {
	s.put()
	s.put(s.made(key("a"), "", fields{"n": 1}), s.made(key("b"), "", fields{"n": 1}), s.made(key("c"), "", fields{"n": 1}))
	a, b := s.get(key("a")), s.get(key("b"))
	if a.ETag == b.ETag {
		s.Log("documents of one batch share an ETag")
	}
	s.put(s.made(key("a"), a.ETag, fields{"n": 2}), graph.Write{Key: key("b"), ETag: b.ETag}, s.made(key("c"), graph.Any, fields{"n": 2}),
		s.made(key("d"), "", fields{"n": 2}), graph.Write{Key: key("e"), ETag: graph.Any})
	s.holds(key("a"), fields{"n": 2})
	s.missing(key("b"))
	s.holds(key("c"), fields{"n": 2})
	s.holds(key("d"), fields{"n": 2})

	for what, bad := range map[string]graph.Write{
		"an old ETag":            s.made(key("a"), a.ETag, fields{"n": 9}),
		"a create of what is":    s.made(key("d"), "", fields{"n": 9}),
		"a replace of what isnt": s.made(key("x"), a.ETag, fields{"n": 9}),
		"a delete of what isnt":  {Key: key("x"), ETag: a.ETag},
		"a delete at an old tag": {Key: key("a"), ETag: a.ETag},
	} {
		was := s.get(key("a")).ETag
		s.stale(what, s.made(key("new"), "", fields{"n": 9}), s.made(key("c"), graph.Any, fields{"n": 9}), bad, s.made(key("late"), graph.Any, fields{"n": 9}))
		s.missing(key("new"))
		s.missing(key("late"))
		s.holds(key("c"), fields{"n": 2})
		if s.get(key("a")).ETag != was {
			s.Fatalf("%s: a failed batch changed a document", what)
		}
	}
}

// sequence checks that the changes of a batch apply in their order, also to one document.
func sequence(s *suite) {
	s.stale("create twice", s.made(key("a"), "", fields{"n": 1}), s.made(key("a"), "", fields{"n": 2}))
	s.missing(key("a"))
	s.put(s.made(key("a"), "", fields{"n": 1}), s.made(key("a"), graph.Any, fields{"n": 2}))
	s.holds(key("a"), fields{"n": 2})
	etag := s.get(key("a")).ETag
	s.stale("replace twice at one ETag", s.made(key("a"), etag, fields{"n": 3}), s.made(key("a"), etag, fields{"n": 4}))
	s.holds(key("a"), fields{"n": 2})
	s.put(graph.Write{Key: key("a"), ETag: etag}, s.made(key("a"), "", fields{"n": 5}))
	s.holds(key("a"), fields{"n": 5})
	var most []graph.Write
	for i := range graph.MaxWrites {
		most = append(most, s.made(key(fmt.Sprintf("m%03d", i)), "", fields{"n": i}))
	}
	s.put(most...)
	s.holds(key("m099"), fields{"n": 99})
}

func refusals(s *suite) {
	here, there, elsewhere := key("a"), key("a"), key("a")
	there.Partition, elsewhere.Container = "repo:github-2", graph.StateContainer
	s.refused("two partitions", s.made(here, "", fields{}), s.made(there, "", fields{}))
	s.refused("two containers", s.made(here, "", fields{}), s.made(elsewhere, "", fields{}))
	var many []graph.Write
	for i := range graph.MaxWrites + 1 {
		many = append(many, s.made(key(fmt.Sprint("m", i)), "", fields{}))
	}
	s.refused("101 changes", many...)
	s.refused("delete without ETag", graph.Write{Key: here})
	s.refused("no JSON", graph.Write{Key: here, ETag: graph.Any, Data: json.RawMessage(`{"n":`)})
	s.refused("no data", graph.Write{Key: here, ETag: graph.Any, Data: json.RawMessage{}})
	s.refused("no JSON in a batch", s.made(key("b"), graph.Any, fields{}), graph.Write{Key: here, ETag: graph.Any, Data: json.RawMessage(`{}{}`)})
	s.refused("too large", s.made(here, "", strings.Repeat("x", graph.MaxDocument)))
	s.refused("too large together", s.made(here, "", strings.Repeat("x", 1_100_000)), s.made(key("b"), "", strings.Repeat("x", 1_100_000)))
	for _, k := range []graph.Key{{}, {Container: "nowhere", Partition: "p", ID: "a"}, {Container: graph.GraphContainer, ID: "a"}, key(""),
		key(strings.Repeat("x", graph.MaxID+1)), key("\xff"), {Container: graph.GraphContainer, Partition: strings.Repeat("p", graph.MaxPartition+1), ID: "a"}} {
		s.refused("key "+k.String(), s.made(k, graph.Any, fields{}))
		if _, err := s.store.Read(s.ctx(), k); err == nil || errors.Is(err, graph.ErrNotFound) {
			s.Fatalf("read %q: %v", k, err)
		}
	}
	if ids := s.ids(graph.Query{Container: here.Container, Partition: here.Partition}); len(ids) > 0 {
		s.Fatalf("refused writes left %q", ids)
	}
}

// names checks that an id may hold any text, and that similar ids stay apart.
func names(s *suite) {
	ids := []string{"a", "A", "a.b", "a..b", ".", "..", "...", "a b", " a", "a ", "a  ", "a:b", "sha256:ab|c-d", "a/b", "/a", "a\\b", "a#b", "a?b=c&d", "a%b", "a%20b",
		"a+b", "a~b", "a~20b", "~", "~~", "a\"b", "'a'", "{a}", "[a]", "<a>", "a\nb", "a\tb", "a\x00b", "a\x7fb", "größe", "日本語", "🚀", "e\u0301", "é", strings.Repeat("ü", graph.MaxID)}
	var batch []graph.Write
	for i, id := range ids {
		s.put(s.made(key(id), "", fields{"i": i}))
		batch = append(batch, s.made(key(id), graph.Any, fields{"i": i, "again": true}))
	}
	for i, id := range ids {
		s.holds(key(id), fields{"i": i})
		batch[i].ETag = s.get(key(id)).ETag
	}
	s.put(batch...)
	found := map[string]bool{}
	for _, id := range s.ids(graph.Query{Container: graph.GraphContainer, Partition: key("").Partition, Limit: 7}) {
		found[id] = true
	}
	for i, id := range ids {
		s.holds(key(id), fields{"i": i, "again": true})
		if !found[id] || len(found) != len(ids) {
			s.Fatalf("%d of %d ids listed, %q is %t", len(found), len(ids), id, found[id])
		}
	}
	for _, p := range []string{"a/b", "a#b?c", "größe 日本語", "\"p\"", strings.Repeat("p", graph.MaxPartition)} {
		for _, c := range []graph.Container{graph.GraphContainer, graph.WorklistContainer, graph.StateContainer} {
			k := graph.Key{Container: c, Partition: p, ID: "a/b"}
			s.put(s.made(k, "", fields{"p": p}))
			s.holds(k, fields{"p": p})
			s.put(graph.Write{Key: k, ETag: s.get(k).ETag})
			s.missing(k)
		}
	}
	var deletes []graph.Write
	for _, id := range ids {
		deletes = append(deletes, graph.Write{Key: key(id), ETag: s.get(key(id)).ETag})
	}
	s.put(deletes...)
	if left := s.ids(graph.Query{Container: graph.GraphContainer, Partition: key("").Partition}); len(left) > 0 {
		s.Fatalf("left after deleting all: %q", left)
	}
}

// contents checks that a noun comes back as it went in.
func contents(s *suite) {
	nouns := []any{
		fields{}, fields{"id": "mine", "pk": "mine", "org": 1, "kind": false, "v": "x", "data": fields{"data": 1}, "_etag": "x", "ttl": 1},
		fields{"null": nil, "empty": "", "zero": 0, "list": []any{}, "deep": fields{"a": []any{1, "b", nil, fields{"c": []any{[]any{}}}}}},
		fields{"": "empty name", "a.b": "dot", "a b": 1, "größe": 2, "quote\"": "back\\slash"},
		fields{"text": "<b>&\u2028 \u0000 \\ \" / 日本語 🚀 e\u0301", "number": -1.5e-7, "large": 9007199254740991},
		[]any{1, "two"}, "text", 3, true, nil,
	}
	for i, noun := range nouns {
		k := key(fmt.Sprint("n", i))
		s.put(s.made(k, "", noun))
		s.holds(k, noun)
	}
	p, err := s.store.Query(s.ctx(), graph.Query{Container: graph.GraphContainer, Partition: key("").Partition, Kind: kind})
	if err != nil || len(p.Documents) != len(nouns) {
		s.Fatalf("%d documents, %v", len(p.Documents), err)
	}
	for _, d := range p.Documents {
		if read := s.get(d.Key); read.ETag != d.ETag || read.Kind != d.Kind {
			s.Fatalf("query gives ETag %s and kind %s, read %s and %s", d.ETag, d.Kind, read.ETag, read.Kind)
		}
		s.put(graph.Write{Key: d.Key, ETag: d.ETag})
	}
}

// large checks documents of 1.5 MB, alone and on pages.
func large(s *suite) {
	for i := range 6 {
		s.put(s.made(key(fmt.Sprint("big", i)), "", fields{"n": i, "text": strings.Repeat(fmt.Sprintf("%010d", i), 150_000)}))
	}
	s.holds(key("big3"), fields{"n": 3, "text": strings.Repeat("0000000003", 150_000)})
	q := graph.Query{Container: graph.GraphContainer, Partition: key("").Partition, Kind: kind, OrderBy: "n"}
	if got, want := fmt.Sprint(s.ids(q)), "[big0 big1 big2 big3 big4 big5]"; got != want {
		s.Fatalf("got %s, want %s", got, want)
	}
}

type count struct {
	N int `json:"n"`
}

// counters checks that nothing is lost when many write one document. graph.Update gives up after many conflicts, as it
// should; the message then comes again, so here the writer tries again.
func counters(s *suite) {
	const writers, each = 4, 15
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if err := increment(s.ctx(), s.store); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	s.holds(key("counter"), count{writers * each})
}

func increment(ctx context.Context, store graph.Store) error {
	for {
		_, written, err := graph.Update(ctx, store, key("counter"), kind, func(old graph.Versioned[count]) (count, bool, error) {
			return count{old.Value.N + 1}, true, nil
		})
		if err == nil && !written {
			return errors.New("an update that changes was not written")
		}
		if !errors.Is(err, graph.ErrStale) {
			return err
		}
	}
}
