package collect

import (
	"context"
	"errors"

	"throughline/shared/graph"
)

// fewest is how many may always be missing: the share of a small scope says nothing.
const fewest = 20

// guarded lets what is missing be retired unless it is more than the guard's share of what the scope held: then a person
// is asked, and the next reading after the answer retires it.
func (s *Stage) guarded(ctx context.Context, c graph.Collection, missing []graph.Absence, held int) ([]graph.Absence, error) {
	key := graph.WithheldKey(scopeID(c))
	before, err := graph.Get[graph.Withheld](ctx, s.Store, key)
	if err != nil {
		return nil, err
	}
	if s.Guard <= 0 || len(missing) <= fewest || float64(len(missing)) <= s.Guard*float64(held) || before.Value.Covers(len(missing), s.Now()) {
		return missing, s.release(ctx, before)
	}
	s.Log.WarnContext(ctx, "retirement withheld", "scope", scopeID(c), "missing", len(missing), "held", held)
	w, err := graph.NewWrite(key, graph.KindWithheld, graph.Any, graph.Withheld{Scope: scopeID(c), Run: c.Run, Missing: len(missing), Held: held, At: s.Now()})
	if err != nil {
		return nil, err
	}
	return nil, s.Store.Write(ctx, w)
}

// release drops the question that no longer stands. An answer stays while it covers: this message may come once more.
func (s *Stage) release(ctx context.Context, asked graph.Versioned[graph.Withheld]) error {
	if !asked.Exists() || asked.Value.Covers(0, s.Now()) {
		return nil
	}
	err := s.Store.Write(ctx, graph.Write{Key: graph.WithheldKey(asked.Value.Scope), Kind: graph.KindWithheld, ETag: asked.ETag})
	if errors.Is(err, graph.ErrStale) || errors.Is(err, graph.ErrNotFound) {
		return nil
	}
	return err
}
