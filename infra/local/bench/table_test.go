package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestInTurns(t *testing.T) {
	var order []string
	work := task[string]{"work", 10, func(_ context.Context, server string, n int) error {
		order = append(order, server)
		return nil
	}}
	r, err := inTurns(context.Background(), 2, []string{"a", "b"}, map[string]string{"a": "a", "b": "b"}, []task[string]{work})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "a", "b", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("turns %v, want %v", order, want)
	}
	if n := len(r["work"]["a"]); n != 2 {
		t.Errorf("%d rounds are counted, want 2: the first one warms up", n)
	}
	broken := errors.New("broken")
	work.do = func(context.Context, string, int) error { return broken }
	if _, err := inTurns(context.Background(), 1, []string{"a"}, map[string]string{"a": "a"}, []task[string]{work}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestRatiosAreThoseOfTheRounds(t *testing.T) {
	r := results{}
	for i, rate := range []float64{100, 200, 400} {
		r.add("send", "ours", rate)
		r.add("send", "theirs", []float64{50, 50, 800}[i])
	}
	if got := r.ratio("send", "ours", "theirs"); !slices.Equal(got, []float64{0.5, 2, 4}) {
		t.Errorf("got %v", got)
	}
	if got := r.rate("send", "ours"); math.Abs(got-200) > 1e-9 {
		t.Errorf("median %v", got)
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		goal  goal
		ratio float64
		want  string
	}{
		{goal{}, 0.1, ""}, {goal{low: 1.5}, 1.5, "met"}, {goal{low: 1.5}, 1.49, "missed"},
		{goal{0.9, 1.1}, 1.1, "met"}, {goal{0.9, 1.1}, 1.2, "missed"}, {goal{0.9, 1.1}, 0.8, "missed"},
	} {
		if got := c.goal.verdict(c.ratio); got != c.want {
			t.Errorf("%v at %v: %q, want %q", c.goal, c.ratio, got, c.want)
		}
	}
}

func TestShareDoesEachOnceAndTellsWhatFailed(t *testing.T) {
	done := make([]int, 100)
	if err := share(8, len(done), func(i int) error { done[i]++; return nil }); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(done, func(n int) bool { return n != 1 }); i >= 0 {
		t.Errorf("operation %d was done %d times", i, done[i])
	}
	broken := errors.New("broken")
	if err := share(4, 10, func(int) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
