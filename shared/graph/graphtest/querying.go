package graphtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"throughline/shared/graph"
)

func query(where ...graph.Where) graph.Query {
	return graph.Query{Container: graph.GraphContainer, Partition: key("").Partition, Kind: kind, Where: where}
}

// selects checks which documents conditions choose, in any order.
func (s *suite) selects(want string, where ...graph.Where) {
	s.Helper()
	got := s.ids(query(where...))
	slices.Sort(got)
	if strings.Join(got, " ") != want {
		s.Errorf("%v: got %q, want %q", where, got, want)
	}
}

func (s *suite) fill(nouns map[string]any) {
	s.Helper()
	for id, noun := range nouns {
		s.put(s.made(key(id), "", noun))
	}
}

type named string

func conditions(s *suite) {
	s.fill(map[string]any{
		"a": fields{"s": "apple", "n": 1, "b": true, "l": []any{"x", "y"}, "deep": fields{"er": fields{"n": 10}}},
		"b": fields{"s": "Apple pie", "n": 2.5, "b": false, "l": []any{"y", 7, true}, "deep": fields{"er": fields{"n": 20}}},
		"c": fields{"s": "banana", "n": -3, "b": true, "l": []any{}, "deep": fields{"er": 5}},
		"d": fields{"s": "größe 100% _[a] 'q' \"d\" \\", "n": 1e9, "deep": 4, "a b": fields{"$": 1}, "value": 1, "order": 2},
		"e": fields{},
	})
	w := func(field string, op graph.Op, value any) graph.Where {
		return graph.Where{Field: field, Op: op, Value: value}
	}
	s.selects("a b c d e")
	s.selects("a", w("s", graph.Equal, "apple"))
	s.selects("a", w("s", graph.Equal, named("apple")))
	s.selects("b c d", w("s", graph.NotEqual, "apple"))
	s.selects("d", w("s", graph.Equal, "größe 100% _[a] 'q' \"d\" \\"))
	s.selects("a", w("n", graph.Equal, 1))
	s.selects("b", w("n", graph.Equal, 2.5))
	s.selects("d", w("n", graph.Equal, int64(1_000_000_000)))
	s.selects("b c d", w("n", graph.NotEqual, 1))
	s.selects("a c", w("b", graph.Equal, true))
	s.selects("b", w("b", graph.NotEqual, true))
	s.selects("a c", w("n", graph.Less, 2.5))
	s.selects("b d", w("n", graph.AtLeast, 2.5))
	s.selects("d", w("n", graph.Greater, 2.5))
	s.selects("b", w("s", graph.Less, "apple"))
	s.selects("c d", w("s", graph.Greater, "apple"))
	s.selects("a c d", w("s", graph.AtLeast, "apple"))
	s.selects("a c", w("s", graph.In, []any{"banana", "apple", "cherry"}))
	s.selects("a c", w("s", graph.In, []named{"banana", "apple"}))
	s.selects("a c", w("n", graph.In, []any{1, "x", -3}))
	s.selects("", w("n", graph.In, []any{}))
	s.selects("a b", w("l", graph.Contains, "y"))
	s.selects("b", w("l", graph.Contains, 7))
	s.selects("b", w("l", graph.Contains, true))
	s.selects("", w("l", graph.Contains, "Y"))
	s.selects("", w("s", graph.Contains, "apple"))
	s.selects("b", w("s", graph.Prefix, "Apple"))
	s.selects("a b c d", w("s", graph.Prefix, ""))
	s.selects("d", w("s", graph.Prefix, "größe 100%"))
	s.selects("a b", w("s", graph.Search, "APPLE"))
	s.selects("c", w("s", graph.Search, "nAn"))
	s.selects("d", w("s", graph.Search, "% _[A]"))
	s.selects("a", w("deep.er.n", graph.Equal, 10))
	s.selects("b", w("deep.er.n", graph.NotEqual, 10))
	s.selects("c", w("deep.er", graph.Equal, 5))
	s.selects("d", w("a b.$", graph.Equal, 1))
	s.selects("d", w("value", graph.Equal, 1), w("order", graph.Greater, 1))
	s.selects("", w("nothing", graph.NotEqual, 1))
	s.selects("", w("nothing.at.all", graph.NotEqual, "x"))
	s.selects("", w("s.length", graph.NotEqual, 1))
	s.selects("a", w("b", graph.Equal, true), w("n", graph.Greater, 0), w("l", graph.Contains, "x"))
	s.selects("", w("b", graph.Equal, true), w("b", graph.Equal, false))
	s.selects("", w(`s"] != "x" OR c["id`, graph.NotEqual, "x"))
}

// types checks that a value of another type is no match, whatever the operator.
func types(s *suite) {
	s.fill(map[string]any{"bool": fields{"f": true}, "list": fields{"f": []any{1}}, "null": fields{"f": nil}, "number": fields{"f": 1}, "object": fields{"f": fields{"g": 1}}, "text": fields{"f": "1"}})
	for _, op := range []graph.Op{graph.NotEqual, graph.AtLeast} {
		s.selects("number", graph.Where{Field: "f", Op: op, Value: -1})
		s.selects("text", graph.Where{Field: "f", Op: op, Value: "0"})
		s.selects("bool", graph.Where{Field: "f", Op: op, Value: false})
	}
	s.selects("number", graph.Where{Field: "f", Op: graph.Less, Value: 2})
	s.selects("number text", graph.Where{Field: "f", Op: graph.In, Value: []any{1, "1"}})
	s.selects("text", graph.Where{Field: "f", Op: graph.Search, Value: ""})
	s.selects("list", graph.Where{Field: "f", Op: graph.Contains, Value: 1})
}

func kinds(s *suite) {
	other := s.made(key("b"), "", fields{"f": 1})
	other.Kind = "other"
	far, state := key("c"), key("d")
	far.Partition, state.Container = "repo:github-2", graph.StateContainer
	s.put(s.made(key("a"), "", fields{"f": 1}), other)
	s.put(s.made(far, "", fields{"f": 1}))
	s.put(s.made(state, "", fields{"f": 1}))
	s.selects("a", graph.Where{Field: "f", Op: graph.Equal, Value: 1})
	q := query()
	q.Kind = ""
	if got := s.ids(q); len(got) != 2 {
		s.Errorf("every kind: got %q", got)
	}
	q.Container = graph.WorklistContainer
	if got := s.ids(q); len(got) != 0 {
		s.Errorf("an empty partition: got %q", got)
	}
}

func orders(s *suite) {
	var texts, numbers []string
	for i, text := range []string{"", "A", "B", "a", "a b", "aa", "b", "z", "ä", "日"} {
		id := fmt.Sprint("t", i)
		texts = append(texts, id)
		s.put(s.made(key(id), "", fields{"in": fields{"text": text}, "odd": i % 2}))
	}
	for i, n := range []float64{-1e9, -2, -1.5, 0, 0.25, 1, 2, 10, 100, 9007199254740991} {
		id := fmt.Sprint("n", i)
		numbers = append(numbers, id)
		w := s.made(key(id), "", fields{"n": n})
		w.Kind = "number"
		s.put(w)
	}
	check := func(q graph.Query, want []string) {
		s.Helper()
		for _, limit := range []int{0, 1, 3, 50} {
			q.Limit = limit
			if got := s.ids(q); !slices.Equal(got, want) {
				s.Errorf("order by %s, descending %t, limit %d: got %q, want %q", q.OrderBy, q.Descending, limit, got, want)
			}
		}
	}
	byText := query()
	byText.OrderBy = "in.text"
	byNumber := graph.Query{Container: graph.GraphContainer, Partition: key("").Partition, Kind: "number", OrderBy: "n"}
	check(byText, texts)
	check(byNumber, numbers)
	byText.Where = []graph.Where{{Field: "odd", Op: graph.Equal, Value: 1}, {Field: "in.text", Op: graph.Greater, Value: "A"}}
	check(byText, []string{"t3", "t5", "t7", "t9"})
	byText.Where = nil
	slices.Reverse(texts)
	slices.Reverse(numbers)
	byText.Descending, byNumber.Descending = true, true
	check(byText, texts)
	check(byNumber, numbers)
}

// pages checks that every document comes once, whatever the size of a page, also where the order has many equals.
func pages(s *suite) {
	const all = 130
	var want []string
	for i := range all {
		want = append(want, fmt.Sprintf("p%03d", i))
		s.put(s.made(key(want[i]), "", fields{"same": i % 3, "i": i}))
	}
	for _, q := range []graph.Query{query(), {Container: graph.GraphContainer, Partition: key("").Partition, OrderBy: "same"},
		{Container: graph.GraphContainer, Partition: key("").Partition, Kind: kind, OrderBy: "same", Descending: true}, {Container: graph.GraphContainer, Partition: key("").Partition, OrderBy: "i"}} {
		for _, limit := range []int{0, 1, 7, 65, 130, 131, graph.MaxPage + 1} {
			q.Limit = limit
			got := s.ids(q)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				s.Fatalf("%+v: %d documents, want %d once each", q, len(got), all)
			}
		}
	}
	p, err := s.store.Query(s.ctx(), query())
	if err != nil || len(p.Documents) == 0 || len(p.Documents) > graph.DefaultPage || p.Cursor == "" {
		s.Fatalf("default page: %d documents, cursor %q, %v", len(p.Documents), p.Cursor, err)
	}
}

// pagesUnderWrites checks that a walk neither loses nor repeats a document that stays, while others come, change and go.
func pagesUnderWrites(s *suite) {
	for _, order := range []string{"", "i", "text"} {
		for _, descending := range []bool{false, true} {
			q := graph.Query{Container: graph.GraphContainer, Partition: fmt.Sprint("walk:", order, descending), Kind: kind, OrderBy: order, Descending: descending, Limit: 4}
			s.walkUnderWrites(q)
		}
	}
}

func (s *suite) walkUnderWrites(q graph.Query) {
	at := func(id string) graph.Key { return graph.Key{Container: q.Container, Partition: q.Partition, ID: id} }
	noun := func(i float64) fields { return fields{"i": i, "text": fmt.Sprintf("%08.2f", i)} }
	var stay []string
	for i := range 20 {
		stay = append(stay, fmt.Sprintf("stay%02d", i))
		s.put(s.made(at(stay[i]), "", noun(float64(i))), s.made(at(fmt.Sprintf("go%02d", i)), "", noun(float64(i)+0.5)))
	}
	turn := 0
	got, err := walk(s.ctx(), s.store, q, func(p graph.Page) error {
		last := p.Documents[len(p.Documents)-1].Key
		var changes []graph.Write
		if strings.HasPrefix(last.ID, "go") {
			changes = append(changes, graph.Write{Key: last, ETag: graph.Any}) // the place of the cursor itself
		}
		for _, d := range p.Documents {
			if strings.HasPrefix(d.Key.ID, "stay") {
				changes = append(changes, graph.Write{Key: d.Key, Kind: kind, ETag: d.ETag, Data: d.Data})
			}
		}
		changes = append(changes, s.made(at(fmt.Sprintf("new%02d", turn)), "", noun(float64(turn)+0.25)), graph.Write{Key: at(fmt.Sprintf("go%02d", turn)), ETag: graph.Any})
		turn++
		return s.store.Write(s.ctx(), changes...)
	})
	if err != nil {
		s.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(id string) bool { return !strings.HasPrefix(id, "stay") })
	if q.OrderBy == "" {
		slices.Sort(got)
	} else if q.Descending {
		slices.Reverse(stay)
	}
	if !slices.Equal(got, stay) {
		s.Fatalf("%+v: got %q, want %q", q, got, stay)
	}
}

func badQueries(s *suite) {
	s.put(s.made(key("a"), "", fields{"n": 1}))
	one := func(field string, op graph.Op, value any) graph.Query {
		return query(graph.Where{Field: field, Op: op, Value: value})
	}
	negative, nowhere, unplaced, orderless, strange := query(), query(), query(), query(), query()
	negative.Limit, nowhere.Container, unplaced.Partition, orderless.OrderBy, strange.Cursor = -1, "nowhere", "", "a..b", "no cursor of ours\x00"
	bad := []graph.Query{negative, nowhere, unplaced, orderless, strange, one("n", "like", 1), one("n", "", 1), one("", graph.Equal, 1), one("n.", graph.Equal, 1),
		one("n", graph.Equal, nil), one("n", graph.Equal, fields{}), one("n", graph.In, 1), one("n", graph.In, []any{nil}), one("n", graph.Prefix, 1), one("n", graph.Search, true)}
	for _, q := range bad {
		if p, err := s.store.Query(s.ctx(), q); err == nil {
			s.Errorf("%+v: got %d documents and no error", q, len(p.Documents))
		}
	}
	ended, cancel := context.WithCancel(s.ctx())
	cancel()
	if _, err := s.store.Query(ended, query()); err == nil {
		s.Error("query after the end of ctx: no error")
	}
	if err := s.store.Write(ended, s.made(key("b"), "", fields{})); err == nil {
		s.Error("write after the end of ctx: no error")
	}
}
