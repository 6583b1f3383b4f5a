package correlate

import (
	"context"
	"slices"
	"strconv"
	"time"

	"throughline/shared/graph"
)

// inventoryMark tells that every scope that lists what runs was read to its end at least once.
type inventoryMark struct {
	Since time.Time `json:"since"`
}

var inventoryKey = graph.StateKey("marks", "inventory")

// inventoried tells whether the inventory of what runs is complete.
func (t *tie) inventoried(ctx context.Context) (bool, error) {
	mark, err := graph.Get[inventoryMark](ctx, t.Store, inventoryKey)
	return mark.Exists(), err
}

// page notes that a message of an inventory scope was taken in, until the first inventory is complete. Messages overtake
// each other, so the closing one alone does not tell that all were.
func (t *tie) page(ctx context.Context, sc graph.Scope) error {
	if !slices.Contains(t.Inventory, sc.ID) {
		return nil
	}
	if done, err := t.inventoried(ctx); err != nil || done {
		return err
	}
	key := graph.StateKey(takenPartition(sc), strconv.Itoa(sc.Part))
	if err := put(ctx, t.Store, key, "taken", taken{sc.Part}); err != nil {
		return err
	}
	return t.inventory(ctx)
}

// taken is the note of one message.
type taken struct {
	Part int `json:"part"`
}

func takenPartition(sc graph.Scope) string { return "taken:" + sc.ID + ":" + sc.Run }

// whole tells whether every message of a closed scope was taken in.
func (t *tie) whole(ctx context.Context, id string) (bool, error) {
	sc, err := graph.Get[graph.Scope](ctx, t.Store, graph.ScopeKey(id))
	if err != nil || !sc.Exists() {
		return false, err
	}
	notes, err := graph.ListAll[taken](ctx, t.Store, graph.Query{Container: graph.StateContainer, Partition: takenPartition(sc.Value)})
	return len(notes) >= sc.Value.Part, err
}

// inventory sets the mark once all scopes were read and taken in, and no origin is being asked for. It then brings the
// mark into every exposure; those that have it already cost one read, so that a crash half-way is made good by the next
// complete reading.
func (t *tie) inventory(ctx context.Context) error {
	done, err := t.inventoried(ctx)
	if err != nil {
		return err
	}
	if !done {
		ready, err := t.ready(ctx)
		if err != nil || !ready {
			return err
		}
	}
	return t.mark(ctx)
}

// firstInventory looks whether the first inventory waited only for what has just been answered.
func (t *tie) firstInventory(ctx context.Context) error {
	if !t.heard {
		return nil
	}
	if done, err := t.inventoried(ctx); err != nil || done {
		return err
	}
	return t.inventory(ctx)
}

func (t *tie) ready(ctx context.Context) (bool, error) {
	if len(t.Inventory) == 0 {
		return false, nil
	}
	if asking, err := t.asking(ctx); err != nil || asking {
		return false, err
	}
	for _, id := range t.Inventory {
		whole, err := t.whole(ctx, id)
		if err != nil || !whole {
			return false, err
		}
	}
	asking, err := t.asking(ctx) // a message may have asked before it was noted as taken in
	return !asking, err
}

// asking tells whether the origin of any image is still being asked for, or is answered and not mapped yet: whoever takes
// the answer in may have ended half-way. The first pages tell as long as one is.
func (t *tie) asking(ctx context.Context) (bool, error) {
	q := graph.Query{Container: graph.StateContainer, Partition: graph.InquiriesPartition, Limit: 20}
	for {
		some, next, err := graph.List[graph.Inquiry](ctx, t.Store, q)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(some, func(i graph.Inquiry) bool { return i.Unsettled(t.now) }) {
			return true, nil
		}
		if next == "" {
			return false, nil
		}
		q.Cursor = next
	}
}

func (t *tie) mark(ctx context.Context) error {
	_, _, err := graph.Update(ctx, t.Store, inventoryKey, "mark", func(old graph.Versioned[inventoryMark]) (inventoryMark, bool, error) {
		return inventoryMark{t.now}, !old.Exists(), nil
	})
	if err != nil {
		return err
	}
	return t.exposeAll(ctx)
}

// exposeAll brings the inventory mark into every repository's exposure.
func (t *tie) exposeAll(ctx context.Context) error {
	names, err := graph.Names(ctx, t.Store)
	if err != nil {
		return err
	}
	for _, n := range names {
		x, err := graph.Get[graph.Exposure](ctx, t.Store, graph.ExposureKey(n.Repository))
		if err != nil {
			return err
		}
		if !x.Value.Inventory {
			if _, _, err := t.expose(ctx, n.Repository, nil); err != nil {
				return err
			}
		}
		t.touch(n.Repository)
	}
	return nil
}
