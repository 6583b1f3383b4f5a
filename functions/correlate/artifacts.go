package correlate

import (
	"cmp"
	"context"
	"fmt"

	"throughline/shared/graph"
)

// maxNames bounds the names and tags that an artifact keeps; the newest stay.
const maxNames = 50

// artifact ties an image: its document, the links between index and manifests, and what is declared of it.
func (t *tie) artifact(ctx context.Context, a graph.Artifact) error {
	if _, err := graph.ParseDigest(string(a.Digest)); err != nil {
		return fmt.Errorf("artifact: %w", err)
	}
	now, _, err := graph.Update(ctx, t.Store, graph.ArtifactKey(a.Digest), graph.KindArtifact, func(old graph.Versioned[graph.Artifact]) (graph.Artifact, bool, error) {
		next := mergeArtifact(old.Value, a)
		next.Loose = next.Loose || !same(next, old.Value)
		return next, !old.Exists() || !same(next, old.Value), nil
	})
	if err != nil {
		return err
	}
	t.touch(now.Touches...)
	if err := t.resolveTags(ctx, a); err != nil {
		return err
	}
	if !now.Loose {
		return nil
	}
	return t.settleArtifact(ctx, now)
}

// settleArtifact writes what follows from an artifact and owes its mapping.
func (t *tie) settleArtifact(ctx context.Context, now graph.Artifact) error {
	if err := t.link(ctx, now); err != nil {
		return err
	}
	if err := t.stack(ctx, now); err != nil {
		return err
	}
	if len(now.Manifests) > 0 {
		// Builds attest the index, workloads report a manifest.
		if err := t.inquire(ctx, now.Digest, ""); err != nil {
			return err
		}
	}
	if err := t.tagged(ctx, now); err != nil {
		return err
	}
	if err := t.declared(ctx, now); err != nil {
		return err
	}
	t.owe(debt{digests: []graph.Digest{now.Digest}, guess: now.Touches, pay: func(owners []graph.RepositoryID) error {
		return tighten(ctx, t.Store, graph.ArtifactKey(now.Digest), graph.KindArtifact, now, func(v *graph.Artifact) { v.Ties = graph.Ties{Touches: owners} })
	}})
	return nil
}

// tighten stores the result of finished work unless the noun changed again meanwhile.
func tighten[T any](ctx context.Context, s graph.Store, k graph.Key, kind graph.Kind, done T, finish func(*T)) error {
	_, _, err := graph.Update(ctx, s, k, kind, func(old graph.Versioned[T]) (T, bool, error) {
		if !same(old.Value, done) {
			return old.Value, false, nil
		}
		next := old.Value
		finish(&next)
		return next, !same(next, old.Value), nil
	})
	return err
}

// mergeArtifact adds what is new: an image's manifest never changes, its names do.
func mergeArtifact(old, a graph.Artifact) graph.Artifact {
	next := old
	next.Digest = a.Digest
	next.Names = last(union(old.Names, a.Names...), maxNames)
	next.Tags = last(union(old.Tags, a.Tags...), maxNames)
	next.Manifests = union(old.Manifests, a.Manifests...)
	next.Indexes = union(old.Indexes, a.Indexes...)
	next.MediaType = cmp.Or(a.MediaType, old.MediaType)
	next.Platform = cmp.Or(a.Platform, old.Platform)
	next.Base = cmp.Or(a.Base, old.Base)
	next.BaseName = cmp.Or(a.BaseName, old.BaseName)
	if len(a.Layers) > 0 {
		next.Layers = a.Layers
	}
	if len(a.Labels) > 0 {
		next.Labels = a.Labels
	}
	if a.PushedAt.After(old.PushedAt) {
		next.PushedAt = a.PushedAt
	}
	if a.UpdatedAt.After(old.UpdatedAt) && (!same(next, old)) {
		next.UpdatedAt = a.UpdatedAt
	}
	return next
}

func last[T any](items []T, n int) []T {
	if len(items) > n {
		return items[len(items)-n:]
	}
	return items
}

// link writes the other side of the edges between an index and its manifests.
func (t *tie) link(ctx context.Context, a graph.Artifact) error {
	for _, m := range a.Manifests {
		if err := t.relate(ctx, m, func(other *graph.Artifact) { other.Indexes = union(other.Indexes, a.Digest) }); err != nil {
			return err
		}
	}
	for _, i := range a.Indexes {
		if err := t.relate(ctx, i, func(other *graph.Artifact) { other.Manifests = union(other.Manifests, a.Digest) }); err != nil {
			return err
		}
	}
	return nil
}

func (t *tie) relate(ctx context.Context, d graph.Digest, change func(*graph.Artifact)) error {
	_, _, err := graph.Update(ctx, t.Store, graph.ArtifactKey(d), graph.KindArtifact, func(old graph.Versioned[graph.Artifact]) (graph.Artifact, bool, error) {
		next := old.Value
		next.Digest = d
		change(&next)
		return next, !same(next, old.Value), nil
	})
	return err
}

func (t *tie) declared(ctx context.Context, a graph.Artifact) error {
	if t.Catalogue == nil {
		return nil
	}
	return each(ctx, t.Catalogue.Evidence(a, t.now), t.evidence)
}

// evidence ties a repository to an artifact, on both sides.
func (t *tie) evidence(ctx context.Context, e graph.Evidence) error {
	if e.Method == graph.WorkflowRun && e.Digest == "" {
		return t.run(ctx, e)
	}
	if _, err := graph.ParseDigest(string(e.Digest)); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if err := t.weigh(ctx, &e); err != nil {
		return err
	}
	known, err := t.resolve(ctx, &e)
	if err != nil {
		return err
	}
	if !known {
		return put1(ctx, t.Store, graph.StateKey(awaitPartition(e.RepositoryName), awaitID(e)), graph.KindEvidence, e)
	}
	side, other := graph.EvidenceKeys(e)
	now, _, err := graph.Update(ctx, t.Store, side, graph.KindEvidence, mergeEvidence(e))
	if err != nil {
		return err
	}
	t.touch(now.Touches...)
	t.touch(now.Repository)
	if !now.Loose {
		return nil
	}
	if _, _, err := graph.Update(ctx, t.Store, other, graph.KindEvidence, mergeEvidence(e)); err != nil {
		return err
	}
	if err := t.known(ctx, e.Digest); err != nil {
		return err
	}
	t.owe(debt{digests: []graph.Digest{e.Digest}, guess: []graph.RepositoryID{now.Repository}, pay: func(owners []graph.RepositoryID) error {
		return tighten(ctx, t.Store, side, graph.KindEvidence, now, func(v *graph.Evidence) { v.Ties = graph.Ties{Touches: owners} })
	}})
	return nil
}

// known makes sure that the artifact of an edge has a document.
func (t *tie) known(ctx context.Context, d graph.Digest) error {
	return t.relate(ctx, d, func(*graph.Artifact) {})
}

// put1 writes a document unless it already says the same.
func put1[T any](ctx context.Context, s graph.Store, k graph.Key, kind graph.Kind, v T) error {
	_, _, err := graph.Update(ctx, s, k, kind, func(old graph.Versioned[T]) (T, bool, error) {
		return v, !old.Exists() || !same(old.Value, v), nil
	})
	return err
}

// mergeEvidence keeps the newest saying of one method; a saying that only repeats itself changes nothing.
func mergeEvidence(e graph.Evidence) func(graph.Versioned[graph.Evidence]) (graph.Evidence, bool, error) {
	return func(old graph.Versioned[graph.Evidence]) (graph.Evidence, bool, error) {
		if old.Exists() && e.SeenAt.Before(old.Value.SeenAt) {
			return old.Value, false, nil
		}
		next := e
		next.Ties = old.Value.Ties
		repeated := next
		repeated.SeenAt = old.Value.SeenAt
		if old.Exists() && same(repeated, old.Value) {
			return old.Value, false, nil
		}
		next.Loose = true
		return next, true, nil
	}
}

// resolve finds the repository behind a name. It answers false when nobody bears that name yet.
func (t *tie) resolve(ctx context.Context, e *graph.Evidence) (bool, error) {
	if e.Repository != "" {
		return true, nil
	}
	entry, err := graph.Get[graph.Name](ctx, t.Store, graph.NameKey(graph.DefaultHost, e.RepositoryName))
	if err != nil {
		return false, err
	}
	e.Repository = entry.Value.Repository
	return entry.Exists(), nil
}
