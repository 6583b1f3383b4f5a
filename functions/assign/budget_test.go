package assign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"throughline/shared/graph"
)

// window counts writes within any span of time, as GitHub does.
type window struct {
	span time.Duration
	max  int
	at   []time.Time
}

func (w *window) write(t *testing.T, now time.Time) {
	t.Helper()
	w.at = append(w.at, now)
	from, _ := slices.BinarySearchFunc(w.at, now.Add(-w.span), func(a, b time.Time) int { return a.Compare(b) })
	if n := len(w.at) - from; n > w.max {
		t.Fatalf("%d writes within %s, GitHub takes %d", n, w.span, w.max)
	}
}

// TestBudgetOfThousands opens issues of 50 repositories on a fast clock, messages coming when they were told to: 1,500 of
// them, or 5,000 in the long run.
func TestBudgetOfThousands(t *testing.T) {
	all := 1500
	if os.Getenv("THROUGHLINE_LONG") != "" {
		all = 5000
	}
	now := noon
	b := &Budget{Store: graph.NewMemory(), Limits: graph.Limits{PerMinute: 80, PerHour: 500}, Now: func() time.Time { return now }}
	random := rand.New(rand.NewPCG(1, 2))
	type message struct {
		Ask
		at time.Time
	}
	var queue []message
	waiting := map[graph.RemediationID]Ask{}
	for i := range all {
		a := Ask{ID: graph.RemediationID(fmt.Sprintf("r-%d", i)), Repository: graph.RepositoryID(fmt.Sprintf("github-%d", 1+random.IntN(50))), Installation: 7,
			Tier: graph.Tiers[random.IntN(3)], Score: random.IntN(40) * 25}
		queue = append(queue, message{a, now})
	}
	minute, hour := &window{span: time.Minute, max: 80}, &window{span: time.Hour, max: 500}
	var predicted time.Duration
	var lastWrite time.Time
	asks, done, disorder := 0, 0, 0
	for len(queue) > 0 {
		// A binary heap would do; sorting nearly sorted messages is fast enough here.
		slices.SortStableFunc(queue, func(x, y message) int { return x.at.Compare(y.at) })
		due := 0
		now = maxTime(now, queue[0].at)
		for due < len(queue) && !queue[due].at.After(now) {
			due++
		}
		batch := slices.Clone(queue[:due])
		queue = queue[due:]
		var least Ask
		for _, m := range batch {
			asks++
			err := b.Create(context.Background(), m.Ask)
			var wait *graph.Limited
			if errors.As(err, &wait) {
				if !wait.Until.After(now) {
					t.Fatalf("told to come at %s, now is %s", wait.Until, now)
				}
				waiting[m.ID] = m.Ask
				queue = append(queue, message{m.Ask, wait.Until})
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			delete(waiting, m.ID)
			minute.write(t, now)
			hour.write(t, now)
			done++
			lastWrite = now
			least = later(least, m.Ask)
		}
		// Those who asked for the first time at the very beginning did not know of each other.
		if now.After(noon) && least.ID != "" && moreUrgent(waiting, least) {
			disorder++
		}
		if predicted == 0 && len(waiting) > 0 && now.Equal(noon) {
			_, finish, err := b.Outlook(context.Background(), 7)
			if err != nil {
				t.Fatal(err)
			}
			predicted = finish.Sub(noon)
		}
	}
	took := lastWrite.Sub(noon)
	best := graph.Ledger{}.Slot(noon, all-1, graph.Limits{PerMinute: 80, PerHour: 500}).Sub(noon)
	t.Logf("%d issues in %s, at best %s, predicted %s, %d asks, %d out of order", done, took, best, predicted, asks, disorder)
	if done != all {
		t.Errorf("%d issues, want %d", done, all)
	}
	// GitHub would take 500 in each hour before the last, and the last 500 at 80 a minute.
	if ideal := time.Duration(all/500-1)*time.Hour + 6*time.Minute; took > ideal*100/95 {
		t.Errorf("took %s, want at most %s: 95 %% of the budget", took, ideal*100/95)
	}
	if off := (took - predicted).Abs(); off > took/10 {
		t.Errorf("predicted %s, took %s", predicted, took)
	}
	if disorder > 0 {
		t.Errorf("%d issues were opened while a more urgent one waited", disorder)
	}
	if asks > 6*all {
		t.Errorf("%d asks for %d issues", asks, all)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func urgency(a, b Ask) int {
	return cmp.Or(cmp.Compare(a.Tier.Rank(), b.Tier.Rank()), cmp.Compare(b.Score, a.Score))
}

// later is the less urgent of two.
func later(a, b Ask) Ask {
	if a.ID == "" || urgency(a, b) < 0 {
		return b
	}
	return a
}

// moreUrgent tells whether somebody who waits should have come before.
func moreUrgent(waiting map[graph.RemediationID]Ask, a Ask) bool {
	for _, w := range waiting {
		if urgency(w, a) < 0 {
			return true
		}
	}
	return false
}

func TestBudgetGivesEachRepositoryItsTurn(t *testing.T) {
	now := noon
	b := &Budget{Store: graph.NewMemory(), Limits: graph.Limits{PerMinute: 2, PerHour: 100}, Now: func() time.Time { return now }}
	ask := func(id, repository string) Ask {
		return Ask{ID: graph.RemediationID(id), Repository: graph.RepositoryID(repository), Tier: graph.P1, Score: 500}
	}
	for i := range 2 {
		if err := b.Create(context.Background(), ask(fmt.Sprint("first-", i), "github-9")); err != nil {
			t.Fatal(err)
		}
	}
	turns := map[graph.RemediationID]time.Time{}
	for _, a := range []Ask{ask("a1", "github-1"), ask("a2", "github-1"), ask("a3", "github-1"), ask("a4", "github-1"), ask("b1", "github-2")} {
		var wait *graph.Limited
		if err := b.Create(context.Background(), a); !errors.As(err, &wait) {
			t.Fatalf("%s: %v, want to wait", a.ID, err)
		}
		turns[a.ID] = wait.Until
	}
	if !turns["b1"].Before(turns["a4"]) {
		t.Errorf("the second repository waits until %s, behind the fourth issue of the first at %s", turns["b1"], turns["a4"])
	}
}

func TestBudgetPassesOverWhoDoesNotCome(t *testing.T) {
	now := noon
	b := &Budget{Store: graph.NewMemory(), Limits: graph.Limits{PerMinute: 1, PerHour: 100}, Now: func() time.Time { return now }}
	ask := func(id string, tier graph.Tier) error {
		return b.Create(context.Background(), Ask{ID: graph.RemediationID(id), Repository: "github-1", Tier: tier, Score: 1})
	}
	if err := ask("first", graph.P0); err != nil {
		t.Fatal(err)
	}
	var wait *graph.Limited
	if err := ask("gone", graph.P0); !errors.As(err, &wait) {
		t.Fatal(err)
	}
	now = wait.Until.Add(time.Second)
	if err := ask("late", graph.P2); !errors.As(err, &wait) {
		t.Fatalf("a less urgent one goes first: %v", err)
	}
	now = now.Add(late + time.Minute)
	if err := ask("late", graph.P2); err != nil {
		t.Errorf("still waits for one that never comes: %v", err)
	}
}

func TestBudgetUnderConcurrency(t *testing.T) {
	b := &Budget{Store: graph.NewMemory(), Limits: graph.Limits{PerMinute: 20, PerHour: 100}, Now: func() time.Time { return noon }}
	var mu sync.Mutex
	var wg sync.WaitGroup
	granted := 0
	for i := range 40 {
		wg.Go(func() {
			err := b.Create(context.Background(), Ask{ID: graph.RemediationID(fmt.Sprint("r", i)), Repository: "github-1", Tier: graph.P1, Score: i})
			var wait *graph.Limited
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				granted++
			case !errors.As(err, &wait):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted != 20 {
		t.Errorf("%d granted at once, want 20", granted)
	}
}

func TestEditsCountForTheHour(t *testing.T) {
	now := noon
	b := &Budget{Store: graph.NewMemory(), Limits: graph.Limits{PerMinute: 2, PerHour: 5}, Now: func() time.Time { return now }}
	for range 5 {
		if err := b.Edit(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
	}
	var wait *graph.Limited
	if err := b.Edit(context.Background(), 1); !errors.As(err, &wait) || wait.Until.Sub(now) < time.Hour {
		t.Errorf("the sixth edit: %v", err)
	}
	if err := b.Create(context.Background(), Ask{ID: "r", Repository: "github-1", Installation: 1, Tier: graph.P0}); !errors.As(err, &wait) {
		t.Errorf("a creation beyond the hour: %v", err)
	}
	now = wait.Until
	if err := b.Create(context.Background(), Ask{ID: "r", Repository: "github-1", Installation: 1, Tier: graph.P0}); err != nil {
		t.Errorf("after the hour: %v", err)
	}
}
