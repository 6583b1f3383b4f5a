package correlate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// inquiry notes that it was asked where a digest comes from. Until every source has answered, the digest maps to no
// repository: nobody must get an issue on the strength of the first, perhaps wrong, hint.
type inquiry struct {
	Digest graph.Digest `json:"digest"`
	Left   []string     `json:"left"` // scopes that have not answered
	By     string       `json:"by"`   // the event that asked; delivered again it asks again
	At     time.Time    `json:"at"`
}

// inquiryPatience is how long a source may be silent before the others decide without it.
const inquiryPatience = 10 * time.Minute

const inquiries = "inquiries"

// inquire asks once where a digest comes from: its attestations at GitHub, and its labels in the registry when the name
// of the image is known.
func (t *tie) inquire(ctx context.Context, d graph.Digest, image string) error {
	if d == "" || t.asked[d] {
		return nil
	}
	t.asked[d] = true
	follow := []graph.Collection{{Source: "github", Scope: "digest:" + string(d)}}
	if image != "" {
		follow = append(follow, graph.Collection{Source: "registry", Scope: "image:" + imageName(image) + "@" + string(d)})
	}
	known, err := graph.Get[graph.Artifact](ctx, t.Store, graph.ArtifactKey(d))
	if err != nil {
		return err
	}
	ask := false
	_, _, err = graph.Update(ctx, t.Store, graph.StateKey(inquiries, string(d)), "inquiry", func(old graph.Versioned[inquiry]) (inquiry, bool, error) {
		next := inquiry{Digest: d, By: t.cause, At: t.now}
		for _, f := range follow {
			next.Left = append(next.Left, f.Source+" "+f.Scope)
		}
		ask = !old.Exists() && !known.Value.Asked || old.Exists() && (old.Value.By == t.cause || t.now.Sub(old.Value.At) > inquiryPatience)
		return next, ask && old.Value.By != t.cause, nil
	})
	if err != nil || !ask {
		return err
	}
	t.follow = append(t.follow, follow...)
	if err := t.relate(ctx, d, func(a *graph.Artifact) { a.Asked = true }); err != nil || image == "" {
		return err
	}
	return t.artifact(ctx, graph.Artifact{Digest: d, Names: []string{imageName(image)}, UpdatedAt: t.now})
}

// answered notes that a scope of one digest was read to its end. With the last answer the digest is mapped.
func (t *tie) answered(ctx context.Context, scope string) error {
	i := strings.LastIndex(scope, "sha256:")
	if i < 0 {
		return nil
	}
	d, err := graph.ParseDigest(scope[i:])
	if err != nil {
		return nil // a tag that looks like a digest: nobody asked for it
	}
	open, err := graph.Get[inquiry](ctx, t.Store, graph.StateKey(inquiries, string(d)))
	if err != nil || !open.Exists() {
		return err
	}
	now, _, err := graph.Update(ctx, t.Store, graph.StateKey(inquiries, string(d)), "inquiry", func(old graph.Versioned[inquiry]) (inquiry, bool, error) {
		next := old.Value
		next.Left = slices.DeleteFunc(slices.Clone(next.Left), func(s string) bool { return s == scope })
		return next, old.Exists() && len(next.Left) < len(old.Value.Left), nil
	})
	if err != nil || len(now.Left) > 0 {
		return err
	}
	// The mapping is written before the inquiry is dropped: after a crash between the two the answer comes again.
	t.settled[d] = true
	owners, err := t.exposeDigest(ctx, d)
	if err != nil {
		return fmt.Errorf("map %s: %w", d.Short(), err)
	}
	t.touch(owners...)
	if err := t.drop(ctx, graph.StateKey(inquiries, string(d))); err != nil {
		return err
	}
	return t.inventory(ctx)
}

// open tells whether the origin of a digest is still being asked for.
func (t *tie) open(ctx context.Context, d graph.Digest) (bool, error) {
	if t.settled[d] {
		return false, nil
	}
	i, err := graph.Get[inquiry](ctx, t.Store, graph.StateKey(inquiries, string(d)))
	return i.Exists() && len(i.Value.Left) > 0 && t.now.Sub(i.Value.At) <= inquiryPatience, err
}
