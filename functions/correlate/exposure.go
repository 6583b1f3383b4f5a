package correlate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"throughline/shared/graph"
)

// origin is what the graph knows of where a digest comes from and where it runs.
type origin struct {
	digest   graph.Digest
	members  []graph.Artifact
	evidence []graph.Evidence // of the whole family, best first
	open     bool             // sources are still being asked
	runners  []graph.ExposedWorkload
	findings []graph.Versioned[graph.RuntimeFinding]
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

// origin reads where one digest comes from.
func (t *tie) origin(ctx context.Context, d graph.Digest) (origin, error) {
	all, err := t.origins(ctx, d)
	if err != nil {
		return origin{digest: d}, err
	}
	return all[0], nil
}

// origins reads the partitions of a digest's family, one question for each member, and tells of every member where it
// comes from; that of the digest itself is the first.
func (t *tie) origins(ctx context.Context, d graph.Digest) ([]origin, error) {
	all := []origin{{digest: d}}
	var members []graph.Artifact
	var evidence []graph.Evidence
	open := false
	for i := 0; i < len(all); i++ {
		o := &all[i]
		self, es, err := t.partition(ctx, o)
		if err != nil {
			return nil, err
		}
		members, evidence = append(members, self), append(evidence, es...)
		asking, err := t.open(ctx, o.digest)
		if err != nil {
			return nil, err
		}
		open = open || asking
		for _, next := range slices.Concat(self.Indexes, self.Manifests) {
			if !slices.ContainsFunc(all, func(o origin) bool { return o.digest == next }) {
				all = append(all, origin{digest: next})
			}
		}
	}
	graph.SortEvidence(evidence)
	for i := range all {
		own := slices.Concat(members[i:i+1], members[:i], members[i+1:])
		all[i].members, all[i].evidence, all[i].open = own, evidence, open
	}
	return all, nil
}

// partition reads all that is stored beside an artifact.
func (t *tie) partition(ctx context.Context, o *origin) (self graph.Artifact, evidence []graph.Evidence, err error) {
	q := graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(o.digest)}
	for {
		page, err := t.Store.Query(ctx, q)
		if err != nil {
			return self, nil, err
		}
		for _, d := range page.Documents {
			switch d.Kind {
			case graph.KindArtifact:
				err = json.Unmarshal(d.Data, &self)
			case graph.KindEvidence:
				evidence, err = decoded(evidence, d)
			case graph.KindRunner:
				o.runners, err = decoded(o.runners, d)
			case graph.KindRuntimeFinding:
				f := graph.Versioned[graph.RuntimeFinding]{ETag: d.ETag}
				err = json.Unmarshal(d.Data, &f.Value)
				o.findings = append(o.findings, f)
			}
			if err != nil {
				return self, nil, fmt.Errorf("read %s: %w", d.Key, err)
			}
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	self.Digest = o.digest
	slices.SortFunc(o.runners, func(a, b graph.ExposedWorkload) int { return cmpString(string(a.ID), string(b.ID)) })
	return self, evidence, nil
}

func decoded[T any](have []T, d graph.Document) ([]T, error) {
	var v T
	err := json.Unmarshal(d.Data, &v)
	return append(have, v), err
}

// exposeDigest brings the exposure of every repository that a digest's family concerns up to date, and the lines of its
// members in the list of images. Exposures and lines are read before the facts are, so that of two writers the one with
// the older facts writes in vain and reads again. guess are repositories that it probably concerns.
func (t *tie) exposeDigest(ctx context.Context, d graph.Digest, guess ...graph.RepositoryID) error {
	for try := range maxConflicts {
		if err := graph.Pause(ctx, try); err != nil {
			return err
		}
		w := &mapping{tie: t, exposures: map[graph.RepositoryID]graph.Versioned[graph.Exposure]{}, lines: map[graph.Digest]graph.Versioned[graph.ArtifactLine]{}}
		origins, err := w.read(ctx, d, guess)
		if err != nil {
			return err
		}
		if err = w.write(ctx, origins); stale(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, o := range origins {
			if err := t.rehome(ctx, o); err != nil {
				return err
			}
			t.mapped[o.digest] = o.claimants()
		}
		t.touch(origins[0].claimants()...)
		return nil
	}
	return fmt.Errorf("%w after %d tries", graph.ErrStale, maxConflicts)
}

// maxConflicts is how often a mapping is tried while others write the same documents.
const maxConflicts = 24

// mapping is what is written of a family, as it was before its facts were read.
type mapping struct {
	*tie
	exposures map[graph.RepositoryID]graph.Versioned[graph.Exposure]
	lines     map[graph.Digest]graph.Versioned[graph.ArtifactLine]
}

// read reads documents and then facts, until the facts concern no document that was not read.
func (w *mapping) read(ctx context.Context, d graph.Digest, guess []graph.RepositoryID) ([]origin, error) {
	if err := w.documents(ctx, []graph.Digest{d}, guess); err != nil {
		return nil, err
	}
	for {
		origins, err := w.origins(ctx, d)
		if err != nil {
			return nil, err
		}
		var ds []graph.Digest
		for _, o := range origins {
			ds = append(ds, o.digest)
		}
		before := len(w.exposures) + len(w.lines)
		if err := w.documents(ctx, ds, origins[0].claimants()); err != nil {
			return nil, err
		}
		if len(w.exposures)+len(w.lines) == before {
			return origins, nil
		}
	}
}

// documents reads what was not read yet.
func (w *mapping) documents(ctx context.Context, ds []graph.Digest, rs []graph.RepositoryID) (err error) {
	for _, d := range ds {
		if _, read := w.lines[d]; !read {
			if w.lines[d], err = graph.Get[graph.ArtifactLine](ctx, w.Store, lineKey(d)); err != nil {
				return err
			}
		}
	}
	for _, r := range rs {
		if _, read := w.exposures[r]; !read {
			if w.exposures[r], err = graph.Get[graph.Exposure](ctx, w.Store, graph.ExposureKey(r)); err != nil {
				return err
			}
		}
	}
	return nil
}

func lineKey(d graph.Digest) graph.Key { return graph.StateKey(graph.ArtifactsPartition, string(d)) }

// write writes what the facts change.
func (w *mapping) write(ctx context.Context, origins []origin) error {
	for _, r := range origins[0].claimants() {
		old := w.exposures[r]
		next := old.Value
		next.Repository = r
		if err := w.head(ctx, &next); err != nil {
			return err
		}
		for _, o := range origins {
			exposed(&next, o)
		}
		next = next.Sealed()
		if old.Exists() && next.Version == old.Value.Version {
			continue
		}
		if err := w.replace(ctx, graph.ExposureKey(r), graph.KindExposure, old.ETag, next); err != nil {
			return fmt.Errorf("exposure of %s: %w", r, err)
		}
	}
	for _, o := range origins {
		old, line := w.lines[o.digest], lineOf(o)
		if old.Exists() && line == old.Value {
			continue
		}
		if err := w.replace(ctx, lineKey(o.digest), "artifactLine", old.ETag, line); err != nil {
			return fmt.Errorf("line of %s: %w", o.digest.Short(), err)
		}
	}
	return nil
}

// replace writes a noun where nobody else has written since it was read.
func (t *tie) replace(ctx context.Context, k graph.Key, kind graph.Kind, etag string, noun any) error {
	w, err := graph.NewWrite(k, kind, etag, noun)
	if err != nil {
		return err
	}
	return t.Store.Write(ctx, w)
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
			o, err := t.origin(ctx, d)
			if err != nil {
				return next, false, err
			}
			exposed(&next, o)
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
	if !x.Inventory { // the mark is never taken back
		x.Inventory, err = t.inventoried(ctx)
	}
	x.Provisional = len(t.Inventory) > 0 && !x.Inventory
	return err
}

// exposed replaces what the exposure says of one digest.
func exposed(x *graph.Exposure, o origin) {
	forget(x, o.digest)
	best := o.owner()
	if best.Repository != x.Repository {
		return
	}
	x.Images = true
	if len(o.runners) == 0 {
		return
	}
	x.Artifacts = append(x.Artifacts, exposedArtifact(o, best))
	slices.SortFunc(x.Artifacts, func(a, b graph.ExposedArtifact) int { return cmpString(string(a.Digest), string(b.Digest)) })
	for _, w := range o.runners {
		remember(x, w, o.digest)
	}
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
