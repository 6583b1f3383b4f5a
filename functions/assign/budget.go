package assign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"throughline/shared/graph"
)

// Budget shares GitHub's limits on writing between all instances. Whoever may not write yet waits in a line, most
// urgent first, and is told when its turn comes: nobody holds a message to wait.
type Budget struct {
	Store  graph.Store
	Limits graph.Limits
	Now    func() time.Time
}

const (
	// late is how long after its turn one who waits is still waited for.
	late = 2 * time.Minute
	// maxRaces is how often a ledger is tried again when somebody else wrote first.
	maxRaces = 40
)

// Ask is for one write.
type Ask struct {
	ID           graph.RemediationID
	Repository   graph.RepositoryID
	Installation int64
	Tier         graph.Tier
	Score        int
}

// Create takes one creation out of the budget, or answers *graph.Limited with the time at which to ask again.
func (b *Budget) Create(ctx context.Context, a Ask) error {
	for range maxRaces {
		err := b.create(ctx, a)
		if !errors.Is(err, graph.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("budget of installation %d: %w after %d tries", a.Installation, graph.ErrStale, maxRaces)
}

func (b *Budget) create(ctx context.Context, a Ask) error {
	now := b.Now()
	stretch := graph.Stretch(a.Tier, a.Score)
	ledger, err := graph.Get[graph.Ledger](ctx, b.Store, graph.BudgetKey(a.Installation))
	if err != nil {
		return err
	}
	l := ledger.Value
	free := l.Free(now, b.Limits)
	if free > 0 && l.Length() == 0 {
		return b.write(ctx, a, ledger.ETag, l.Spent(now, true))
	}
	line, err := graph.Get[graph.Line](ctx, b.Store, graph.QueueKey(a.Installation, stretch))
	if err != nil {
		return err
	}
	l.Waiting = maps.Clone(l.Waiting)
	waits := graph.Line{Waits: slices.Clone(line.Value.Waits)}
	inLine, _ := waits.Place(graph.Wait{ID: a.ID, Repository: a.Repository, Score: a.Score, Until: now})
	before := inLine + ahead(l, stretch)
	if before < free {
		waits.Leave(a.ID)
		return b.write(ctx, a, ledger.ETag, l.Spent(now, true), stretched{stretch, line.ETag, waits})
	}
	if free > 0 {
		return b.passOver(ctx, a, ledger, now)
	}
	turn := l.Slot(now, before, b.Limits)
	waits.Place(graph.Wait{ID: a.ID, Repository: a.Repository, Score: a.Score, Until: turn})
	if err := b.write(ctx, a, ledger.ETag, l, stretched{stretch, line.ETag, waits}); err != nil {
		return err
	}
	return &graph.Limited{Until: turn, Why: fmt.Sprintf("GitHub takes %d new things an hour; %d more urgent ones come first", b.Limits.PerHour, before)}
}

// ahead counts those in more urgent stretches.
func ahead(l graph.Ledger, stretch string) int {
	n := 0
	for s, waiting := range l.Waiting {
		if s < stretch {
			n += waiting
		}
	}
	return n
}

// stretched is a changed stretch of the line.
type stretched struct {
	name, etag string
	line       graph.Line
}

// write stores ledger and stretches together.
func (b *Budget) write(ctx context.Context, a Ask, etag string, l graph.Ledger, changed ...stretched) error {
	l.Waiting = maps.Clone(l.Waiting)
	if l.Waiting == nil {
		l.Waiting = map[string]int{}
	}
	var writes []graph.Write
	for _, s := range changed {
		l.Waiting[s.name] = len(s.line.Waits)
		if len(s.line.Waits) == 0 {
			delete(l.Waiting, s.name)
		}
		w, err := graph.NewWrite(graph.QueueKey(a.Installation, s.name), graph.KindBudget, s.etag, s.line)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	w, err := graph.NewWrite(graph.BudgetKey(a.Installation), graph.KindBudget, etag, l)
	if err != nil {
		return err
	}
	return b.Store.Write(ctx, append(writes, w)...)
}

// passOver gives those before one a little time to come, and takes out of the head of the line who did not come in time.
func (b *Budget) passOver(ctx context.Context, a Ask, ledger graph.Versioned[graph.Ledger], now time.Time) error {
	names := slices.Sorted(maps.Keys(ledger.Value.Waiting))
	if len(names) == 0 || names[0] > graph.Stretch(a.Tier, a.Score) {
		return b.stay(ctx, a, ledger, now)
	}
	line, err := graph.Get[graph.Line](ctx, b.Store, graph.QueueKey(a.Installation, names[0]))
	if err != nil {
		return err
	}
	waits := graph.Line{Waits: slices.Clone(line.Value.Waits)}
	if waits.Sweep(now, late) == 0 && len(waits.Waits) == ledger.Value.Waiting[names[0]] {
		return b.stay(ctx, a, ledger, now)
	}
	if err := b.write(ctx, a, ledger.ETag, ledger.Value, stretched{names[0], line.ETag, waits}); err != nil {
		return err
	}
	return graph.ErrStale // ask again with the shorter line
}

// stay puts one into the line although something is free: those before it have been told to come and will.
func (b *Budget) stay(ctx context.Context, a Ask, ledger graph.Versioned[graph.Ledger], now time.Time) error {
	const soon = 5 * time.Second
	stretch := graph.Stretch(a.Tier, a.Score)
	line, err := graph.Get[graph.Line](ctx, b.Store, graph.QueueKey(a.Installation, stretch))
	if err != nil {
		return err
	}
	waits := graph.Line{Waits: slices.Clone(line.Value.Waits)}
	in, _ := waits.Place(graph.Wait{ID: a.ID, Repository: a.Repository, Score: a.Score, Until: now})
	turn := ledger.Value.Slot(now, in+ahead(ledger.Value, stretch), b.Limits)
	if turn.Sub(now) < soon {
		turn = now.Add(soon)
	}
	waits.Place(graph.Wait{ID: a.ID, Repository: a.Repository, Score: a.Score, Until: turn})
	if err := b.write(ctx, a, ledger.ETag, ledger.Value, stretched{stretch, line.ETag, waits}); err != nil {
		return err
	}
	return &graph.Limited{Until: turn, Why: "more urgent ones come first"}
}

// Edit takes one change out of the budget of the hour.
func (b *Budget) Edit(ctx context.Context, installation int64) error {
	var until time.Time
	_, _, err := graph.Update(ctx, b.Store, graph.BudgetKey(installation), graph.KindBudget, func(old graph.Versioned[graph.Ledger]) (graph.Ledger, bool, error) {
		now := b.Now()
		if until = (time.Time{}); old.Value.FreeEdits(now, b.Limits) < 1 {
			until = old.Value.Slot(now, 0, b.Limits)
			return old.Value, false, nil
		}
		return old.Value.Spent(now, false), true, nil
	})
	if err == nil && !until.IsZero() {
		return &graph.Limited{Until: until, Why: fmt.Sprintf("GitHub takes %d writes an hour", b.Limits.PerHour)}
	}
	return err
}

// Outlook is how many wait to be created through an installation, and when the last of them will be.
func (b *Budget) Outlook(ctx context.Context, installation int64) (waiting int, finish time.Time, err error) {
	ledger, err := graph.Get[graph.Ledger](ctx, b.Store, graph.BudgetKey(installation))
	if err != nil || ledger.Value.Length() == 0 {
		return 0, b.Now(), err
	}
	n := ledger.Value.Length()
	return n, ledger.Value.Slot(b.Now(), n-1, b.Limits), nil
}

// spend takes one write out of the budget of the repository's installation.
func (c *work) spend(ctx context.Context, p plan, creates bool) error {
	switch {
	case c.Budget == nil:
		return nil
	case creates:
		return c.Budget.Create(ctx, Ask{ID: c.remediation.ID, Repository: c.repository.ID, Installation: c.repository.Installation, Tier: p.tier, Score: p.score})
	}
	return c.Budget.Edit(ctx, c.repository.Installation)
}
