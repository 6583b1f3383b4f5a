package correlate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// freshen is how far the times of an unchanged fact lag behind: seeing it again costs no write within a day.
const freshen = 24 * time.Hour

// workload ties what runs: its document, its edges to the images, and the exposure of their repositories.
func (t *tie) workload(ctx context.Context, w graph.Workload) error {
	if w.ID == "" || w.ID != graph.NewWorkloadID(w.Path) {
		return fmt.Errorf("workload %q: not the identity of path %q", w.ID, w.Path)
	}
	if t.Catalogue != nil {
		w.Readings = append(slices.Clip(w.Readings), t.Catalogue.Readings(w, t.now)...)
	}
	return t.change(ctx, w.ID, func(old graph.Versioned[graph.Workload]) graph.Workload { return mergeWorkload(old, w, t.now) })
}

// change lets a workload become what next says and writes what follows from it.
func (t *tie) change(ctx context.Context, id graph.WorkloadID, next func(graph.Versioned[graph.Workload]) graph.Workload) error {
	key := graph.WorkloadKey(id)
	var was graph.Workload
	now, _, err := graph.Update(ctx, t.Store, key, graph.KindWorkload, func(old graph.Versioned[graph.Workload]) (graph.Workload, bool, error) {
		was = old.Value
		w := next(old)
		w.Ties = old.Value.Ties
		changed := w.ID != "" && (!old.Exists() || !same(w, old.Value))
		w.Loose = w.Loose || changed
		return w, changed, nil
	})
	if err != nil {
		return err
	}
	t.touch(now.Touches...)
	if !now.Loose {
		return nil
	}
	digests, err := t.settleWorkload(ctx, was, now)
	if err != nil {
		return err
	}
	t.owe(debt{digests: digests, guess: now.Touches, pay: func(owners []graph.RepositoryID) error {
		return tighten(ctx, t.Store, key, graph.KindWorkload, now, func(v *graph.Workload) { v.Ties = graph.Ties{Touches: owners} })
	}})
	return nil
}

// mergeWorkload decides what the stored workload becomes.
func mergeWorkload(old graph.Versioned[graph.Workload], w graph.Workload, now time.Time) graph.Workload {
	stored := old.Value
	seen := cmp.Or(w.UpdatedAt, now)
	if old.Exists() && seen.Before(stored.UpdatedAt) {
		// An older row may still know a factor that the newer one does not name.
		stored.Readings = mergeReadings(stored.Readings, w.Readings)
		return stored
	}
	next := w
	next.Path = cmp.Or(stored.Path, w.Path) // the first spelling stays: sources differ in case
	next.Name = cmp.Or(w.Name, stored.Name)
	next.Kind = cmp.Or(w.Kind, stored.Kind)
	next.Cluster = cmp.Or(w.Cluster, stored.Cluster)
	next.Namespace = cmp.Or(w.Namespace, stored.Namespace)
	next.Container = cmp.Or(w.Container, stored.Container)
	next.Location = cmp.Or(w.Location, stored.Location)
	next.Owner = cmp.Or(w.Owner, stored.Owner)
	next.Scope = cmp.Or(w.Scope, stored.Scope)
	if w.Tags == nil {
		next.Tags = stored.Tags
	}
	next.Running = mergeRunning(stored.Running, w.Running, seen)
	next.Readings = mergeReadings(stored.Readings, w.Readings)
	next.UpdatedAt = seen
	if old.Exists() && seen.Sub(stored.UpdatedAt) < freshen {
		next.UpdatedAt = stored.UpdatedAt
		if !same(withoutTies(next), withoutTies(stored)) {
			next.UpdatedAt = seen
		}
	}
	return next
}

func withoutTies(w graph.Workload) graph.Workload {
	w.Ties = graph.Ties{}
	return w
}

// mergeRunning marks what is no longer reported as ended and keeps it as history. A row without images says nothing.
func mergeRunning(old, seen []graph.Running, at time.Time) []graph.Running {
	if len(seen) == 0 {
		return old
	}
	next := slices.Clone(old)
	for i, r := range next {
		if !r.Ended && !slices.ContainsFunc(seen, func(s graph.Running) bool { return matches(s, r) }) {
			next[i].Ended, next[i].LastSeen = true, at
		}
	}
	for _, s := range seen {
		i := slices.IndexFunc(next, func(r graph.Running) bool { return matches(s, r) })
		if i < 0 {
			s.FirstSeen, s.LastSeen = at, at
			next = append(next, s)
			continue
		}
		next[i].Digest = cmp.Or(s.Digest, next[i].Digest)
		if next[i].Ended || at.Sub(next[i].LastSeen) >= freshen {
			next[i].Ended, next[i].LastSeen = false, at
		}
	}
	return last(next, maxNames)
}

// matches tells whether two sightings are of the same image: by digest where both have one, else by reference.
func matches(a, b graph.Running) bool {
	if a.Digest != "" && b.Digest != "" {
		return a.Digest == b.Digest
	}
	return a.Image != "" && strings.EqualFold(a.Image, b.Image)
}

// mergeReadings keeps one reading for each factor and source: the latest word, and when it last said yes.
func mergeReadings(old, seen []graph.Reading) []graph.Reading {
	next := slices.Clone(old)
	for _, s := range seen {
		if s.Says == graph.Yes && s.YesAt.IsZero() {
			s.YesAt = s.ReadAt
		}
		i := slices.IndexFunc(next, func(r graph.Reading) bool { return r.Factor == s.Factor && r.Source == s.Source })
		if i < 0 {
			next = append(next, s)
			continue
		}
		next[i] = mergeReading(next[i], s)
	}
	slices.SortFunc(next, func(a, b graph.Reading) int {
		return cmp.Or(cmpString(string(a.Factor), string(b.Factor)), cmpString(a.Source, b.Source))
	})
	return next
}

// sameRead is how close two readings of one source lie when they belong to one run over it.
const sameRead = time.Hour

func mergeReading(old, s graph.Reading) graph.Reading {
	next := old
	together := s.ReadAt.Sub(old.ReadAt).Abs() < sameRead
	newer := s.ReadAt.After(old.ReadAt)
	switch {
	case s.Says == old.Says:
		if s.ReadAt.Sub(old.ReadAt) >= freshen {
			next.ReadAt, next.YesAt = s.ReadAt, s.YesAt
			next.Raw, next.Path = s.Raw, s.Path
		}
	case together:
		// Two rows of one run differ: one yes is enough.
		if s.Says == graph.Yes {
			next = s
		}
	case newer:
		next = s
	}
	if next.YesAt.Before(old.YesAt) {
		next.YesAt = old.YesAt
	}
	return next
}

// settleWorkload writes the edges from the images and tells which are to be mapped.
func (t *tie) settleWorkload(ctx context.Context, was, w graph.Workload) ([]graph.Digest, error) {
	if err := t.place(ctx, was, w); err != nil {
		return nil, err
	}
	var digests []graph.Digest
	for _, r := range w.Running {
		if r.Digest == "" {
			if err := t.await(ctx, w.ID, r.Image); err != nil {
				return nil, err
			}
			continue
		}
		if err := t.inquire(ctx, r.Digest, r.Image); err != nil {
			return nil, err
		}
		if w.Runs(r.Digest) || was.Loose || was.Runs(r.Digest) {
			if err := t.runner(ctx, w, r.Digest); err != nil {
				return nil, err
			}
		}
		digests = union(digests, r.Digest)
	}
	return digests, nil
}

// runner writes or removes the edge from an image to a workload.
func (t *tie) runner(ctx context.Context, w graph.Workload, d graph.Digest) error {
	key := graph.RunnerKey(d, w.ID)
	if !w.Runs(d) {
		return t.drop(ctx, key)
	}
	return t.replace(ctx, key, graph.KindRunner, graph.Any, graph.ExposedWorkload{ID: w.ID, Path: w.Path, Name: w.Name, Kind: w.Kind,
		Cluster: w.Cluster, Owner: w.Owner, Readings: w.Readings})
}

// imageName is a reference without its tag and digest.
func imageName(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref = ref[:colon]
	}
	return ref
}

// reading adds a risk factor that another row knows of a workload, of the workloads of a resource, or of those that run
// an image.
func (t *tie) reading(ctx context.Context, r graph.WorkloadReading) error {
	if t.scopeID != "" {
		a := graph.Absence{Kind: graph.KindReading, ID: readingID(r)}
		if err := put(ctx, t.Store, graph.HeldKey(t.scopeID, a), "held", a); err != nil {
			return err
		}
	}
	return t.read(ctx, r)
}

// readingID names a reading that was addressed to other workloads than those of its own row.
func readingID(r graph.WorkloadReading) string {
	to := strings.ToLower(r.Resource)
	switch {
	case r.Workload != "":
		to = string(r.Workload)
	case r.Digest != "":
		to = string(r.Digest)
	}
	return r.Reading.Source + "|" + string(r.Reading.Factor) + "|" + to
}

// read merges a reading into the workloads that it is about.
func (t *tie) read(ctx context.Context, r graph.WorkloadReading) error {
	ids, err := t.addressed(ctx, r)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := t.change(ctx, id, func(old graph.Versioned[graph.Workload]) graph.Workload {
			w := old.Value
			if old.Exists() {
				w.Readings = mergeReadings(w.Readings, []graph.Reading{r.Reading})
			}
			return w
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addressed lists the workloads that a reading is about.
func (t *tie) addressed(ctx context.Context, r graph.WorkloadReading) ([]graph.WorkloadID, error) {
	switch {
	case r.Workload != "":
		return []graph.WorkloadID{r.Workload}, nil
	case r.Digest != "":
		runners, err := graph.ListAll[graph.ExposedWorkload](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(r.Digest), Kind: graph.KindRunner})
		return idsOf(runners), err
	case r.Resource != "":
		return t.inside(ctx, r)
	}
	return nil, nil
}

func idsOf(ws []graph.ExposedWorkload) []graph.WorkloadID {
	ids := make([]graph.WorkloadID, len(ws))
	for i, w := range ws {
		ids[i] = w.ID
	}
	return ids
}

// place notes where a workload is and which scope holds it, unless that was noted before.
func (t *tie) place(ctx context.Context, was, w graph.Workload) error {
	if !was.Loose && was.ID == w.ID && was.Path == w.Path && was.Scope == w.Scope && was.Gone == w.Gone {
		return nil
	}
	if err := t.note(graph.StateKey(graph.PlacesPartition, string(w.ID)), "place", graph.Place{Workload: w.ID, Path: strings.ToLower(w.Path), Gone: w.Gone}); err != nil {
		return err
	}
	return t.hold(ctx, w.Scope, graph.Absence{Kind: graph.KindWorkload, ID: string(w.ID)}, w.Gone)
}

// hold notes that a scope holds a noun, or no longer does.
func (t *tie) hold(ctx context.Context, scope string, a graph.Absence, gone bool) error {
	switch {
	case scope == "":
		return nil
	case gone:
		return t.drop(ctx, graph.HeldKey(scope, a))
	}
	return t.note(graph.HeldKey(scope, a), "held", a)
}

// inside finds the workloads of a resource: the resource itself, or with Inside everything below it.
func (t *tie) inside(ctx context.Context, r graph.WorkloadReading) ([]graph.WorkloadID, error) {
	own := graph.NewWorkloadID(r.Resource)
	if !r.Inside {
		return []graph.WorkloadID{own}, nil
	}
	q := graph.Query{Container: graph.StateContainer, Partition: graph.PlacesPartition, Where: []graph.Where{{Field: "path", Op: graph.Prefix, Value: strings.ToLower(r.Resource) + "/"}}}
	places, err := graph.ListAll[graph.Place](ctx, t.Store, q)
	ids := []graph.WorkloadID{own}
	for _, p := range places {
		ids = append(ids, p.Workload)
	}
	return ids, err
}
