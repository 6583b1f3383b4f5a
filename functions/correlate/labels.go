package correlate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"throughline/shared/graph"
)

// judge weighs the evidence of an image's own labels against the images that it may be built on.
type judge interface {
	// JudgeLabels gives the evidence of the labels of a, refused where a base has the same; IsBase tells whether an
	// artifact was built on another.
	JudgeLabels(a graph.Artifact, bases []graph.Artifact) []graph.Evidence
	IsBase(a, base graph.Artifact) bool
	// Hint names the repositories that an image could come from by its name alone.
	Hint(a graph.Artifact, repositories []graph.Repository) []graph.Evidence
}

// stack enters an image into the list of its relatives and judges anew the labels of those that are built on it.
func (t *tie) stack(ctx context.Context, a graph.Artifact) error {
	if t.Labels == nil || len(a.Layers) == 0 {
		return nil
	}
	bare := graph.Artifact{Digest: a.Digest, Base: a.Base, BaseName: a.BaseName, Indexes: a.Indexes, Layers: a.Layers, Labels: a.Labels, UpdatedAt: a.UpdatedAt}
	if len(a.Names) > 0 {
		bare.Names = a.Names[len(a.Names)-1:]
	}
	g := graph.Graph{Store: t.Store}
	if err := g.Stack(ctx, bare); err != nil {
		return err
	}
	above, err := g.BuiltOn(ctx, []graph.Artifact{bare})
	if err != nil {
		return err
	}
	for _, r := range above {
		if !t.Labels.IsBase(r, bare) {
			continue
		}
		if err := t.rejudge(ctx, r.Digest); err != nil {
			return fmt.Errorf("judge the labels of %s again: %w", r.Digest.Short(), err)
		}
	}
	return nil
}

// rejudge takes the label evidence of an image in again.
func (t *tie) rejudge(ctx context.Context, d graph.Digest) error {
	es, err := graph.ListAll[graph.Evidence](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(d), Kind: graph.KindEvidence,
		Where: []graph.Where{{Field: "method", Op: graph.Equal, Value: string(graph.ImageLabel)}}})
	if err != nil {
		return err
	}
	for _, e := range es {
		e.Ties = graph.Ties{}
		if err := t.evidence(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// weigh refuses label evidence that the image has from its base.
func (t *tie) weigh(ctx context.Context, e *graph.Evidence) error {
	if t.Labels == nil || e.Method != graph.ImageLabel {
		return nil
	}
	a, err := graph.Get[graph.Artifact](ctx, t.Store, graph.ArtifactKey(e.Digest))
	if err != nil {
		return err
	}
	bases, err := graph.Graph{Store: t.Store}.Bases(ctx, a.Value)
	if err != nil {
		return err
	}
	for _, j := range t.Labels.JudgeLabels(a.Value, bases) {
		if e.Refused == "" && j.Refused != "" {
			e.Refused, e.Commit = j.Refused, j.Commit
		}
	}
	return nil
}

// hint notes which repositories bear the name of an image that nothing else tells of. A hint is shown and maps nothing.
func (t *tie) hint(ctx context.Context, d graph.Digest) error {
	if _, err := graph.ParseDigest(string(d)); err != nil || t.Labels == nil {
		return nil // it was about a tag
	}
	o, err := t.origin(ctx, d)
	if err != nil || slices.ContainsFunc(o.evidence, graph.Evidence.Counts) {
		return err
	}
	repositories, err := t.repositories(ctx)
	if err != nil {
		return err
	}
	self := graph.Artifact{Digest: d, UpdatedAt: o.members[0].UpdatedAt, Names: o.members[0].Names}
	return each(ctx, t.Labels.Hint(self, repositories), t.evidence)
}

// names keeps the list of repositories for a while: it is asked for with every image that nobody claims.
type names struct {
	mu   sync.Mutex
	list []graph.Repository
	read time.Time
}

// namesAge is how old the list of repositories may be for a hint.
const namesAge = time.Minute

func (s *Stage) repositories(ctx context.Context) ([]graph.Repository, error) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if age := s.Now().Sub(s.names.read); age >= 0 && age < namesAge && len(s.names.list) > 0 {
		return s.names.list, nil
	}
	all, err := graph.Names(ctx, s.Store)
	if err != nil {
		return nil, err
	}
	s.names.list, s.names.read = nil, s.Now()
	for _, n := range all {
		owner, name, _ := strings.Cut(n.FullName, "/")
		s.names.list = append(s.names.list, graph.Repository{ID: n.Repository, Owner: owner, Name: name, Deleted: n.Deleted})
	}
	return s.names.list, nil
}

// waitsFor lists the workloads that name an image by tag.
func waitsFor(image string) string { return "tag:" + strings.ToLower(image) }

// await notes that a workload waits for the digest of a tag.
func (t *tie) await(ctx context.Context, w graph.WorkloadID, image string) error {
	if err := t.ask(ctx, image, []string{"registry image:" + image}, false); err != nil {
		return err
	}
	return put(ctx, t.Store, graph.StateKey(waitsFor(image), string(w)), "wait", graph.Absence{Kind: graph.KindWorkload, ID: string(w)})
}

// resolveTags tells the workloads that wait for one of an image's tags what they run.
func (t *tie) resolveTags(ctx context.Context, a graph.Artifact) error {
	for _, tag := range a.Tags {
		waiting, err := graph.ListAll[graph.Absence](ctx, t.Store, graph.Query{Container: graph.StateContainer, Partition: waitsFor(tag)})
		if err != nil {
			return err
		}
		for _, w := range waiting {
			if err := t.running(ctx, graph.WorkloadID(w.ID), tag, a.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}

// running sets the digest behind a tag that a workload runs. When the tag has moved the older image has ended.
func (t *tie) running(ctx context.Context, id graph.WorkloadID, tag string, d graph.Digest) error {
	return t.change(ctx, id, func(old graph.Versioned[graph.Workload]) graph.Workload {
		w := old.Value
		if !old.Exists() {
			return w
		}
		w.Running = slices.Clone(w.Running)
		i := slices.IndexFunc(w.Running, func(r graph.Running) bool { return !r.Ended && strings.EqualFold(r.Image, tag) })
		switch {
		case i < 0 || w.Running[i].Digest == d:
			return w
		case w.Running[i].Digest == "":
			w.Running[i].Digest = d
			return w
		}
		w.Running[i].Ended, w.Running[i].LastSeen = true, t.now
		w.Running = append(w.Running, graph.Running{Digest: d, Image: w.Running[i].Image, FirstSeen: t.now, LastSeen: t.now})
		return w
	})
}
