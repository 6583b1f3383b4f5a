package correlate

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// ran lists what is known of a commit: the workflow runs that built it, and the images whose tags name it.
func ran(commit string) string { return "commit:" + commit }

// The kinds of documents of a commit.
const (
	kindRun    graph.Kind = "run"
	kindTagged graph.Kind = "tagged"
)

// run notes that a workflow of a repository built a commit, and ties the images whose tags name that commit. A run names
// no images itself.
func (t *tie) run(ctx context.Context, e graph.Evidence) error {
	if !fullCommit.MatchString(e.Commit) || e.Repository == "" {
		return nil
	}
	if err := put1(ctx, t.Store, graph.StateKey(ran(e.Commit), "run-"+string(e.Repository)), kindRun, e); err != nil {
		return err
	}
	images, err := graph.ListAll[graph.Absence](ctx, t.Store, graph.Query{Container: graph.StateContainer, Partition: ran(e.Commit), Kind: kindTagged})
	if err != nil {
		return err
	}
	for _, i := range images {
		if err := t.builtBy(ctx, graph.Digest(i.ID), e.Commit); err != nil {
			return err
		}
	}
	return nil
}

var (
	fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)
	inTag      = regexp.MustCompile(`(?:^|[^0-9a-z])([0-9a-f]{40})(?:$|[^0-9a-z])`)
)

// tagged ties an image to the runs that built the commits which its tags name.
func (t *tie) tagged(ctx context.Context, a graph.Artifact) error {
	for _, commit := range commitsIn(a.Tags) {
		note := graph.Absence{Kind: graph.KindArtifact, ID: string(a.Digest)}
		if err := put(ctx, t.Store, graph.StateKey(ran(commit), string(a.Digest)), kindTagged, note); err != nil {
			return err
		}
		if err := t.builtBy(ctx, a.Digest, commit); err != nil {
			return err
		}
	}
	return nil
}

func commitsIn(tags []string) []string {
	var out []string
	for _, tag := range tags {
		if m := inTag.FindStringSubmatch(tag[strings.LastIndexByte(tag, ':')+1:]); m != nil && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// builtBy says of an image that the runs of a commit built it. A fork has the commits of its origin: where several
// repositories ran one, none of them is believed.
func (t *tie) builtBy(ctx context.Context, d graph.Digest, commit string) error {
	runs, err := graph.ListAll[graph.Evidence](ctx, t.Store, graph.Query{Container: graph.StateContainer, Partition: ran(commit), Kind: kindRun})
	if err != nil {
		return err
	}
	for _, e := range runs {
		e.Digest, e.Note = d, "the tag names the commit of the run"
		if len(runs) > 1 {
			e.Refused, e.SeenAt = "several repositories ran this commit", t.now
		}
		if err := t.evidence(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
