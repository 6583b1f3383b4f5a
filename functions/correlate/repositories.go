package correlate

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"throughline/shared/graph"
)

func cmpString(a, b string) int { return cmp.Compare(a, b) }

// repository ties a repository: its document, its name, its organisation and the head of its exposure.
func (t *tie) repository(ctx context.Context, r graph.Repository) error {
	if !r.ID.Valid() {
		return fmt.Errorf("repository %q: not an identity", r.ID)
	}
	var was graph.Repository
	now, _, err := graph.Update(ctx, t.Store, graph.RepositoryKey(r.ID), graph.KindRepository, func(old graph.Versioned[graph.Repository]) (graph.Repository, bool, error) {
		was = old.Value
		next, changed := mergeRepository(old, r, t.source == api)
		return next, changed, nil
	})
	if err != nil {
		return err
	}
	if !r.Partial {
		t.touch(r.ID)
	}
	if !now.Loose {
		return nil
	}
	t.touch(r.ID)
	if err := t.settleRepository(ctx, was, now); err != nil {
		return err
	}
	return t.tightenRepository(ctx, now)
}

// api is the source of observations that were read from GitHub's API.
const api = "github"

// mergeRepository decides what the stored repository becomes. A partial reading only fills gaps and never undoes.
func mergeRepository(old graph.Versioned[graph.Repository], r graph.Repository, read bool) (graph.Repository, bool) {
	if !old.Exists() {
		r.Ties = graph.Ties{Loose: true}
		return r, true
	}
	stored := old.Value
	if r.UpdatedAt.Before(stored.UpdatedAt) || r.Partial && !stored.Partial {
		return stored, false
	}
	next := r
	fillRepository(&next, stored)
	// A delivery from before the deletion may arrive after it; what the API answers is there.
	next.Deleted = next.Deleted || stored.Deleted && !read && !r.UpdatedAt.After(stored.UpdatedAt)
	next.Ties = stored.Ties
	if same(next, stored) {
		return stored, false
	}
	next.Loose = true
	return next, true
}

// fillRepository keeps what the newer reading does not say.
func fillRepository(next *graph.Repository, old graph.Repository) {
	next.Org = cmp.Or(next.Org, old.Org)
	next.Owner = cmp.Or(next.Owner, old.Owner)
	next.Name = cmp.Or(next.Name, old.Name)
	next.Visibility = cmp.Or(next.Visibility, old.Visibility)
	next.DefaultBranch = cmp.Or(next.DefaultBranch, old.DefaultBranch)
	next.URL = cmp.Or(next.URL, old.URL)
	next.Installation = cmp.Or(next.Installation, old.Installation)
	if next.Topics == nil {
		next.Topics = old.Topics
	}
	if next.Properties == nil {
		next.Properties = old.Properties
	}
	if next.UpdatedAt.IsZero() {
		next.UpdatedAt = old.UpdatedAt
	}
	next.Partial = next.Partial && old.Partial
}

// settleRepository writes the documents that follow from a repository.
func (t *tie) settleRepository(ctx context.Context, was, now graph.Repository) error {
	if err := t.name(ctx, now); err != nil {
		return err
	}
	if was.Org != "" && was.Org != now.Org {
		// A transferred repository lists its findings under its new owner; prioritize writes them there.
		if err := t.leaveOrg(ctx, was, now); err != nil {
			return err
		}
	}
	if _, _, err := t.expose(ctx, now.ID, nil); err != nil {
		return err
	}
	return t.awaited(ctx, now)
}

// name notes who bears the name, the list of repositories, and the organisation.
func (t *tie) name(ctx context.Context, r graph.Repository) error {
	entry := graph.Name{Repository: r.ID, FullName: r.FullName(), Org: r.Org, Deleted: r.Deleted}
	if !r.Deleted {
		if err := put(ctx, t.Store, graph.NameKey(r.ID.Host(), r.FullName()), "name", entry); err != nil {
			return err
		}
	}
	if err := put(ctx, t.Store, graph.StateKey(graph.RepositoriesPartition, string(r.ID)), "repository", entry); err != nil {
		return err
	}
	if r.Org == "" {
		return nil
	}
	_, _, err := graph.Update(ctx, t.Store, graph.StateKey(graph.OrgsPartition, string(r.Org)), "org", func(old graph.Versioned[graph.Org]) (graph.Org, bool, error) {
		next := graph.Org{ID: r.Org, Login: r.Owner, Installation: cmp.Or(r.Installation, old.Value.Installation)}
		return next, !old.Exists() || old.Value != next, nil
	})
	return err
}

// put writes a document unless it already says the same.
func put[T comparable](ctx context.Context, s graph.Store, k graph.Key, kind graph.Kind, v T) error {
	_, _, err := graph.Update(ctx, s, k, kind, func(old graph.Versioned[T]) (T, bool, error) {
		return v, !old.Exists() || old.Value != v, nil
	})
	return err
}

// leaveOrg removes the summaries from the worklist of the former owner.
func (t *tie) leaveOrg(ctx context.Context, was, now graph.Repository) error {
	q := graph.Query{Container: graph.WorklistContainer, Partition: string(was.Org), Kind: graph.KindSummary,
		Where: []graph.Where{{Field: "repository", Op: graph.Equal, Value: string(now.ID)}}}
	summaries, err := graph.ListAll[graph.Summary](ctx, t.Store, q)
	if err != nil {
		return err
	}
	for _, s := range summaries {
		if err := t.drop(ctx, graph.SummaryKey(was.Org, s.ID)); err != nil {
			return err
		}
	}
	return nil
}

// awaited ties evidence that named the repository before we knew it.
func (t *tie) awaited(ctx context.Context, r graph.Repository) error {
	partition := awaitPartition(r.FullName())
	waiting, err := graph.ListAll[graph.Evidence](ctx, t.Store, graph.Query{Container: graph.StateContainer, Partition: partition})
	if err != nil {
		return err
	}
	for _, e := range waiting {
		if err := t.evidence(ctx, e); err != nil {
			return err
		}
		if err := t.drop(ctx, graph.StateKey(partition, awaitID(e))); err != nil {
			return err
		}
	}
	return nil
}

func awaitPartition(fullName string) string { return "awaits:" + strings.ToLower(fullName) }

func awaitID(e graph.Evidence) string { return string(e.Digest) + "-" + string(e.Method) }

// drop deletes a document; one that is gone already is fine.
func (t *tie) drop(ctx context.Context, k graph.Key) error {
	d, err := t.Store.Read(ctx, k)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = t.Store.Write(ctx, graph.Write{Key: k, Kind: d.Kind, ETag: graph.Any})
	if isGone(err) {
		return nil
	}
	return err
}

// tightenRepository clears the mark of unfinished work unless the repository changed again meanwhile.
func (t *tie) tightenRepository(ctx context.Context, done graph.Repository) error {
	_, _, err := graph.Update(ctx, t.Store, graph.RepositoryKey(done.ID), graph.KindRepository, func(old graph.Versioned[graph.Repository]) (graph.Repository, bool, error) {
		if !same(old.Value, done) {
			return old.Value, false, nil
		}
		done.Loose = false
		return done, true, nil
	})
	return err
}
