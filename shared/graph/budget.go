package graph

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// KindBudget is the kind of the documents of a budget.
const KindBudget Kind = "budget"

// BudgetPartition holds what was written through one installation lately, and who waits to write.
func BudgetPartition(installation int64) string { return fmt.Sprintf("budget:%d", installation) }

// BudgetKey names the ledger of an installation.
func BudgetKey(installation int64) Key { return StateKey(BudgetPartition(installation), "ledger") }

// QueueKey names one stretch of the line of those who wait.
func QueueKey(installation int64, stretch string) Key {
	return StateKey(BudgetPartition(installation), "line-"+stretch)
}

// Limits bound what may be written in any minute and in any hour.
type Limits struct {
	PerMinute int `json:"perMinute"`
	PerHour   int `json:"perHour"`
}

// cell is how finely writes are counted: a write weighs until the whole of its cell is out of the window.
const cell = 5 // seconds

// Ledger is what was written through an installation within the last hour, and how many wait in each stretch.
type Ledger struct {
	Cells   []Cell         `json:"cells,omitempty"` // oldest first
	Waiting map[string]int `json:"waiting,omitempty"`
}

// Cell counts the writes of a few seconds.
type Cell struct {
	At    int64 `json:"at"`              // Unix seconds
	Made  int   `json:"made,omitempty"`  // things created: they count for the minute and the hour
	Edits int   `json:"edits,omitempty"` // things changed: they count for the hour
}

func cellOf(t time.Time) int64 { return t.Unix() / cell * cell }

// used sums what weighs at a time.
func (l Ledger) used(now int64) (minute, hour int) {
	for _, c := range l.Cells {
		if c.At+cell > now-3600 {
			hour += c.Made + c.Edits
		}
		if c.At+cell > now-60 {
			minute += c.Made
		}
	}
	return minute, hour
}

// Free is how many things may be created now.
func (l Ledger) Free(now time.Time, max Limits) int {
	minute, hour := l.used(now.Unix())
	return min(max.PerMinute-minute, max.PerHour-hour)
}

// FreeEdits is how many things may be changed now.
func (l Ledger) FreeEdits(now time.Time, max Limits) int {
	_, hour := l.used(now.Unix())
	return max.PerHour - hour
}

// Spent is the ledger after one write more; what is older than an hour falls out.
func (l Ledger) Spent(now time.Time, creates bool) Ledger {
	at := cellOf(now)
	next := Ledger{Waiting: l.Waiting}
	for _, c := range l.Cells {
		if c.At+cell > now.Unix()-3600 {
			next.Cells = append(next.Cells, c)
		}
	}
	if n := len(next.Cells); n == 0 || next.Cells[n-1].At != at {
		next.Cells = append(next.Cells, Cell{At: at})
	}
	last := &next.Cells[len(next.Cells)-1]
	if creates {
		last.Made++
	} else {
		last.Edits++
	}
	return next
}

// Length is how many wait.
func (l Ledger) Length() int {
	n := 0
	for _, waiting := range l.Waiting {
		n += waiting
	}
	return n
}

// Slot is when the one who has n others before it may create, if all of them do as soon as they may.
func (l Ledger) Slot(now time.Time, n int, max Limits) time.Time {
	future := Ledger{Cells: slices.Clone(l.Cells)}
	at := now
	for {
		free := future.Free(at, max)
		if free > n {
			return at
		}
		if free > 0 {
			n -= free
			future.Cells = append(future.Cells, Cell{At: cellOf(at), Made: free})
		}
		at = future.next(at, max)
	}
}

// next is when more becomes free: when a cell leaves the window that is full.
func (l Ledger) next(now time.Time, max Limits) time.Time {
	minute, hour := l.used(now.Unix())
	earliest := now.Unix() + 3600 + cell
	for _, c := range l.Cells {
		left := int64(0)
		switch {
		case hour >= max.PerHour && c.Made+c.Edits > 0:
			left = c.At + cell + 3600
		case hour < max.PerHour && minute >= max.PerMinute && c.Made > 0:
			left = c.At + cell + 60
		}
		if left > now.Unix() && left < earliest {
			earliest = left
		}
	}
	return time.Unix(earliest, 0).UTC()
}

// Line is one stretch of the line of those who wait to create, most urgent first.
type Line struct {
	Waits []Wait `json:"waits"`
}

// Wait is one who waits.
type Wait struct {
	ID         RemediationID `json:"id"`
	Repository RepositoryID  `json:"repository"`
	Score      int           `json:"score"`
	// Turn counts the waits of a repository among equals, so that each repository has its turn.
	Turn int `json:"turn"`
	// Until is when it was told to come again. One that does not come is passed over.
	Until time.Time `json:"until"`
}

// Stretch names the stretch of a wait; stretches sort by urgency.
func Stretch(t Tier, score int) string { return fmt.Sprintf("%d-%02d", t.Rank(), (999-score)/50) }

// Place puts a wait into the line, or keeps it where it is, and tells how many are before it in this stretch.
func (l *Line) Place(w Wait) (before int, added bool) {
	at := slices.IndexFunc(l.Waits, func(have Wait) bool { return have.ID == w.ID })
	if at < 0 {
		added = true
		for _, have := range l.Waits {
			if have.Repository == w.Repository && have.Score == w.Score && have.Turn >= w.Turn {
				w.Turn = have.Turn + 1
			}
		}
		l.Waits = append(l.Waits, w)
	} else {
		w.Turn = l.Waits[at].Turn
		l.Waits[at] = w
	}
	slices.SortFunc(l.Waits, compareWaits)
	return slices.IndexFunc(l.Waits, func(have Wait) bool { return have.ID == w.ID }), added
}

func compareWaits(a, b Wait) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.ID, b.ID))
}

// Leave takes a wait out of the line.
func (l *Line) Leave(id RemediationID) bool {
	n := len(l.Waits)
	l.Waits = slices.DeleteFunc(l.Waits, func(w Wait) bool { return w.ID == id })
	return len(l.Waits) < n
}

// Sweep takes out those who did not come when they were told to, and tells how many.
func (l *Line) Sweep(now time.Time, grace time.Duration) int {
	n := len(l.Waits)
	l.Waits = slices.DeleteFunc(l.Waits, func(w Wait) bool { return now.Sub(w.Until) > grace })
	return n - len(l.Waits)
}
