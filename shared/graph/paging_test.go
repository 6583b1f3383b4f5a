package graph_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

// Between two pages lines are deleted, come in, and change their rank. What is not touched is seen once and in order,
// whatever the order; what is touched is never seen twice unless it moved behind the page that showed it.
func TestPagingWhileTheListChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := graph.NewMemory()
		put(t, s, graph.StateKey(graph.OrgsPartition, "github-org-1"), "org", graph.Org{ID: "github-org-1"})
		f := graph.Filter{Limit: rapid.IntRange(1, 4).Draw(t, "limit"), Sort: rapid.SampledFrom(graph.Sorts[:]).Draw(t, "sort")}
		l := &changing{s: s, sort: f.Sort, places: map[graph.FindingID]string{}, touched: map[graph.FindingID]bool{}}
		for n := range rapid.IntRange(0, 20).Draw(t, "lines") {
			l.save(t, n)
		}
		next := 100
		seen := map[graph.FindingID]int{}
		var order []graph.Summary
		for pages := 0; ; pages++ {
			if pages > 60 {
				t.Fatal("the list does not end")
			}
			items, cursor, err := graph.Worklist(t.Context(), s, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				seen[i.ID]++
				if !l.touched[i.ID] {
					order = append(order, i)
				}
			}
			if f.Cursor = cursor; cursor == "" {
				break
			}
			l.change(t, &next, pages)
		}
		for id := range l.places {
			if !l.touched[id] && seen[id] != 1 {
				t.Fatalf("%s was not touched and is seen %d times", id, seen[id])
			}
		}
		for id, n := range seen {
			if n > 1 && !l.touched[id] {
				t.Fatalf("%s is seen %d times", id, n)
			}
		}
		sorted := slices.IsSortedFunc(order, func(a, b graph.Summary) int { return l.compare(a, b) })
		if !sorted {
			t.Fatalf("%s: out of order: %v", f.Sort, order)
		}
	})
}

// changing is a list with the edits that are made to it.
type changing struct {
	s       graph.Store
	sort    graph.Sort
	places  map[graph.FindingID]string
	touched map[graph.FindingID]bool
}

func (l *changing) save(t *rapid.T, n int) {
	rank := fmt.Sprintf("P%d-%03d-%04d", rapid.IntRange(0, 4).Draw(t, "tier"), rapid.IntRange(0, 9).Draw(t, "score"), n)
	line := graph.Summary{ID: graph.FindingID(fmt.Sprintf("f-%04d", n)), Org: "github-org-1", Repository: "github-1", State: graph.Open, Rank: rank,
		ByDue: fmt.Sprint(rapid.IntRange(10, 20).Draw(t, "due"), "-", rank), ByAge: fmt.Sprint(rapid.IntRange(10, 20).Draw(t, "age"), "-", rank)}
	w, err := graph.NewWrite(graph.SummaryKey(line.Org, line.ID), graph.KindSummary, graph.Any, line)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.s.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	l.places[line.ID] = line.Rank
}

// change makes one edit: a line goes, comes, or moves.
func (l *changing) change(t *rapid.T, next *int, page int) {
	old := slices.Sorted(func(yield func(graph.FindingID) bool) {
		for id := range l.places {
			if !yield(id) {
				return
			}
		}
	})
	kind := rapid.SampledFrom([]string{"none", "delete", "insert", "move"}).Draw(t, "edit")
	if kind == "insert" && page < 20 { // or the list grows for ever
		*next++
		l.touched[graph.FindingID(fmt.Sprintf("f-%04d", *next))] = true
		l.save(t, *next)
		return
	}
	if len(old) == 0 || kind == "none" || kind == "insert" || kind == "move" && page >= 20 {
		return
	}
	id := rapid.SampledFrom(old).Draw(t, "which")
	l.touched[id] = true
	if kind == "delete" {
		if err := l.s.Write(t.Context(), graph.Write{Key: graph.SummaryKey("github-org-1", id), Kind: graph.KindSummary, ETag: graph.Any}); err != nil {
			t.Fatal(err)
		}
		delete(l.places, id)
		return
	}
	var n int
	if _, err := fmt.Sscanf(string(id), "f-%04d", &n); err != nil {
		t.Fatal(err)
	}
	l.save(t, n)
}

func (l *changing) compare(a, b graph.Summary) int {
	switch l.sort {
	case graph.SortDue:
		return cmp.Compare(a.ByDue, b.ByDue)
	case graph.SortOldest:
		return cmp.Compare(a.ByAge, b.ByAge)
	case graph.SortNewest:
		return cmp.Compare(b.ByAge, a.ByAge)
	}
	return cmp.Compare(a.Rank, b.Rank)
}
