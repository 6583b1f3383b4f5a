package correlate

import (
	"context"
	"fmt"
	"slices"

	"throughline/shared/graph"
)

// origin is what the graph knows of where a digest comes from and where it runs.
type origin struct {
	digest   graph.Digest
	members  []graph.Artifact
	evidence []graph.Evidence // best first
	open     bool             // sources are still being asked
	runners  []graph.ExposedWorkload
}

// owner is the repository that built the image: the best evidence that counts, the newest among equals. Without any, the
// image stands for its own repository.
func (o origin) owner() graph.Evidence {
	for _, e := range o.evidence {
		if e.Counts() && !o.open {
			return e
		}
	}
	return graph.Evidence{Digest: o.digest, Repository: graph.Unmapped(o.digest)}
}

// claimants are all repositories that any evidence names.
func (o origin) claimants() []graph.RepositoryID {
	var rs []graph.RepositoryID
	for _, e := range o.evidence {
		rs = union(rs, e.Repository)
	}
	return rs
}

// origin reads the evidence of a digest's family and the workloads that run the digest itself.
func (t *tie) origin(ctx context.Context, d graph.Digest) (origin, error) {
	o := origin{digest: d}
	members, err := t.family(ctx, d)
	if err != nil {
		return o, err
	}
	o.members = members
	for _, m := range members {
		es, err := graph.ListAll[graph.Evidence](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(m.Digest), Kind: graph.KindEvidence})
		if err != nil {
			return o, err
		}
		o.evidence = append(o.evidence, es...)
		open, err := t.open(ctx, m.Digest)
		if err != nil {
			return o, err
		}
		o.open = o.open || open
	}
	graph.SortEvidence(o.evidence)
	o.runners, err = graph.ListAll[graph.ExposedWorkload](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(d), Kind: graph.KindRunner})
	slices.SortFunc(o.runners, func(a, b graph.ExposedWorkload) int { return cmpString(string(a.ID), string(b.ID)) })
	return o, err
}

// exposeDigest brings the exposure of every repository that a digest's family concerns up to date.
func (t *tie) exposeDigest(ctx context.Context, d graph.Digest) ([]graph.RepositoryID, error) {
	members, err := t.family(ctx, d)
	if err != nil {
		return nil, err
	}
	var all []graph.RepositoryID
	for _, m := range members {
		o, err := t.origin(ctx, m.Digest)
		if err != nil {
			return nil, err
		}
		for _, r := range o.claimants() {
			if _, _, err := t.expose(ctx, r, []graph.Digest{m.Digest}); err != nil {
				return nil, err
			}
			all = union(all, r)
		}
		if err := t.rehome(ctx, o); err != nil {
			return nil, err
		}
		if err := t.list(ctx, m.Digest); err != nil {
			return nil, err
		}
	}
	t.touch(all...)
	return all, nil
}

// list keeps the line of an image in the list of all images. The line is read before the facts are, so that of two
// writers the one with the older facts reads again.
func (t *tie) list(ctx context.Context, d graph.Digest) error {
	key := graph.StateKey(graph.ArtifactsPartition, string(d))
	_, _, err := graph.Update(ctx, t.Store, key, "artifactLine", func(old graph.Versioned[graph.ArtifactLine]) (graph.ArtifactLine, bool, error) {
		o, err := t.origin(ctx, d)
		if err != nil {
			return old.Value, false, err
		}
		line := lineOf(o)
		return line, !old.Exists() || line != old.Value, nil
	})
	return err
}

func lineOf(o origin) graph.ArtifactLine {
	best := o.owner()
	line := graph.ArtifactLine{Digest: o.digest, Name: nameOf(o), Workloads: len(o.runners), Method: best.Method, Base: o.members[0].BaseName}
	if best.Repository.Mapped() {
		line.Repository = best.Repository
	}
	return line
}

// nameOf is the newest name that a member of the family has.
func nameOf(o origin) string {
	for _, m := range o.members {
		if len(m.Names) > 0 {
			return m.Names[len(m.Names)-1]
		}
	}
	return ""
}

// expose recomputes a repository's exposure for the given digests; with none, only its head. The exposure is read
// before the facts are, so that a concurrent change makes one of the two writers read again.
func (t *tie) expose(ctx context.Context, r graph.RepositoryID, digests []graph.Digest) (graph.Exposure, bool, error) {
	x, changed, err := graph.Update(ctx, t.Store, graph.ExposureKey(r), graph.KindExposure, func(old graph.Versioned[graph.Exposure]) (graph.Exposure, bool, error) {
		next := old.Value
		next.Repository = r
		if err := t.head(ctx, &next); err != nil {
			return next, false, err
		}
		for _, d := range digests {
			if err := t.exposed(ctx, &next, d); err != nil {
				return next, false, err
			}
		}
		next = next.Sealed()
		return next, !old.Exists() || next.Version != old.Value.Version, nil
	})
	if err != nil {
		return x, changed, fmt.Errorf("exposure of %s: %w", r, err)
	}
	return x, changed, nil
}

// head copies the attributes that lists and issues show, and the inventory mark.
func (t *tie) head(ctx context.Context, x *graph.Exposure) error {
	r, err := graph.Get[graph.Repository](ctx, t.Store, graph.RepositoryKey(x.Repository))
	if err != nil {
		return err
	}
	x.Org, x.Public, x.Archived, x.Deleted = r.Value.Org, r.Value.Public(), r.Value.Archived, r.Value.Deleted
	if r.Value.Name != "" {
		x.FullName = r.Value.FullName()
	}
	if !x.Repository.Mapped() {
		x.Org, x.Public = graph.UnmappedOrg, false
	}
	x.Inventory, err = t.inventoried(ctx)
	x.Provisional = len(t.Inventory) > 0 && !x.Inventory
	return err
}

// exposed replaces what the exposure says of one digest.
func (t *tie) exposed(ctx context.Context, x *graph.Exposure, d graph.Digest) error {
	o, err := t.origin(ctx, d)
	if err != nil {
		return err
	}
	forget(x, d)
	best := o.owner()
	if best.Repository != x.Repository {
		return nil
	}
	x.Images = true
	if len(o.runners) == 0 {
		return nil
	}
	x.Artifacts = append(x.Artifacts, exposedArtifact(o, best))
	slices.SortFunc(x.Artifacts, func(a, b graph.ExposedArtifact) int { return cmpString(string(a.Digest), string(b.Digest)) })
	for _, w := range o.runners {
		remember(x, w, d)
	}
	return nil
}

func exposedArtifact(o origin, best graph.Evidence) graph.ExposedArtifact {
	return graph.ExposedArtifact{Digest: o.digest, Name: nameOf(o), Method: best.Method, Commit: best.Commit, Contexts: best.Contexts, Platform: o.members[0].Platform, Indexes: o.members[0].Indexes}
}

// forget takes a digest out of the exposure, with the workloads that ran nothing else of the repository.
func forget(x *graph.Exposure, d graph.Digest) {
	x.Artifacts = slices.DeleteFunc(slices.Clone(x.Artifacts), func(a graph.ExposedArtifact) bool { return a.Digest == d })
	var rest []graph.ExposedWorkload
	for _, w := range x.Workloads {
		w.Digests = slices.DeleteFunc(slices.Clone(w.Digests), func(have graph.Digest) bool { return have == d })
		if len(w.Digests) > 0 {
			rest = append(rest, w)
		}
	}
	x.Workloads = rest
}

// remember puts a workload that runs the digest into the exposure.
func remember(x *graph.Exposure, w graph.ExposedWorkload, d graph.Digest) {
	i, found := slices.BinarySearchFunc(x.Workloads, w.ID, func(have graph.ExposedWorkload, id graph.WorkloadID) int {
		return cmpString(string(have.ID), string(id))
	})
	if !found {
		w.Digests = []graph.Digest{d}
		x.Workloads = slices.Insert(x.Workloads, i, w)
		return
	}
	w.Digests = union(x.Workloads[i].Digests, d)
	slices.Sort(w.Digests)
	x.Workloads[i] = w
}
