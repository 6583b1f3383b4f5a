package correlate

import (
	"context"
	"slices"
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

// inventory sets the mark once all scopes have been read. It then brings the mark into every exposure; those that have
// it already cost one read, so that a crash half-way is made good by the next complete reading.
func (t *tie) inventory(ctx context.Context, scope string) error {
	if !slices.Contains(t.Inventory, scope) {
		return nil
	}
	for _, id := range t.Inventory {
		sc, err := graph.Get[graph.Scope](ctx, t.Store, graph.StateKey("scopes", id))
		if err != nil || !sc.Exists() {
			return err
		}
	}
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
