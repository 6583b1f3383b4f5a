package correlate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// inquire asks once where a digest comes from: its attestations at GitHub, together with other digests, and its labels in
// the registry when the name of the image is known.
func (t *tie) inquire(ctx context.Context, d graph.Digest, image string) error {
	if d == "" || t.asked[string(d)+image] {
		return nil
	}
	t.asked[string(d)+image] = true
	known, err := graph.Get[graph.Artifact](ctx, t.Store, graph.ArtifactKey(d))
	if err != nil || known.Value.Asked && (image == "" || slices.Contains(known.Value.Names, imageName(image))) {
		return err
	}
	var scopes []string
	if !known.Value.Asked {
		round, err := t.round(ctx)
		if err != nil {
			return err
		}
		scopes = append(scopes, round)
	}
	if image != "" && (!known.Value.Asked || len(known.Value.Names) == 0) { // also when it was asked about before anybody knew its name
		scopes = append(scopes, "registry image:"+imageName(image)+"@"+string(d))
	}
	if len(scopes) > 0 {
		if err := t.ask(ctx, string(d), scopes, known.Value.Asked); err != nil {
			return err
		}
	}
	now, _, err := graph.Update(ctx, t.Store, graph.ArtifactKey(d), graph.KindArtifact, func(old graph.Versioned[graph.Artifact]) (graph.Artifact, bool, error) {
		next := old.Value
		next.Digest, next.Asked = d, true
		if image != "" {
			next = mergeArtifact(next, graph.Artifact{Digest: d, Names: []string{imageName(image)}, UpdatedAt: t.now})
			next.Loose = next.Loose || !same(next.Names, old.Value.Names)
		}
		return next, !same(next, old.Value), nil
	})
	if err != nil || !now.Loose {
		return err
	}
	return t.settleArtifact(ctx, now)
}

// ask notes the question and asks it, unless it is being asked already. more adds sources to a question that is open.
func (t *tie) ask(ctx context.Context, about string, scopes []string, more bool) error {
	_, asked, err := graph.Update(ctx, t.Store, graph.InquiryKey(about), "inquiry", func(old graph.Versioned[graph.Inquiry]) (graph.Inquiry, bool, error) {
		if next := old.Value; more && old.Value.Open(t.now) {
			next.Left = union(next.Left, scopes...)
			return next, len(next.Left) > len(old.Value.Left), nil
		}
		return graph.Inquiry{About: about, Left: scopes, By: t.cause, At: t.now}, !old.Exists() || !old.Value.Open(t.now), nil
	})
	if err == nil && asked {
		t.request(slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == t.joined }))
	}
	return err
}

// round joins the round in which GitHub is asked about many digests at once, and asks for it when it is new.
func (t *tie) round(ctx context.Context) (string, error) {
	if t.joined != "" {
		return t.joined, nil
	}
	r, opened, err := graph.OpenRound(ctx, t.Store, t.cause, t.now)
	if err != nil {
		return "", fmt.Errorf("open a round of inquiries: %w", err)
	}
	t.joined = graph.RoundScope(r.ID)
	if opened || r.ID == t.cause { // handled before, and perhaps never asked
		t.request([]string{t.joined})
	}
	return t.joined, nil
}

// rejoin asks for the joined round once more when it was read meanwhile, perhaps before what was noted for it.
func (t *tie) rejoin(ctx context.Context) error {
	if t.joined == "" {
		return nil
	}
	open, err := graph.Get[graph.Round](ctx, t.Store, graph.RoundKey)
	if err == nil && graph.RoundScope(open.Value.ID) != t.joined {
		t.request([]string{t.joined})
	}
	return err
}

// imagesAtOnce is how many images of a registry one message asks for.
const imagesAtOnce = 25

// gathered puts the questions about images that a registry holds into few messages.
func gathered(all []graph.Collection) []graph.Collection {
	var out []graph.Collection
	var images []string
	for _, c := range all {
		if image, found := strings.CutPrefix(c.Scope, "image:"); found && c.Source == "registry" && strings.Contains(image, "@sha256:") {
			images = append(images, image)
			continue
		}
		out = append(out, c)
	}
	for some := range slices.Chunk(images, imagesAtOnce) {
		if len(some) == 1 {
			out = append(out, graph.Collection{Source: "registry", Scope: "image:" + some[0]})
			continue
		}
		out = append(out, graph.Collection{Source: "registry", Scope: "images:" + graph.Version(some), Cursor: strings.Join(some, "\n")})
	}
	return out
}

func (t *tie) request(scopes []string) {
	for _, s := range scopes {
		source, scope, _ := strings.Cut(s, " ")
		c := graph.Collection{Source: source, Scope: scope}
		if !slices.Contains(t.follow, c) {
			t.follow = append(t.follow, c)
		}
	}
}

// askAgain asks what this very event noted when it was handled before: the process may have ended between noting the
// question and sending it.
func (t *tie) askAgain(ctx context.Context) error {
	mine, err := graph.ListAll[graph.Inquiry](ctx, t.Store, graph.Query{Container: graph.StateContainer, Partition: graph.InquiriesPartition,
		Where: []graph.Where{{Field: "by", Op: graph.Equal, Value: t.cause}}})
	for _, i := range mine {
		t.request(i.Left)
	}
	return err
}

// subject is what a scope of one thing was asked about.
func subject(scope string) string {
	if i := strings.LastIndex(scope, "sha256:"); i >= 0 {
		return scope[i:]
	}
	_, about, _ := strings.Cut(scope, ":")
	return about
}

// answered notes that a scope has said all that it knows of an image. With the last answer its digest is mapped.
func (t *tie) answered(ctx context.Context, scope string) error {
	key := graph.InquiryKey(subject(scope))
	open, err := graph.Get[graph.Inquiry](ctx, t.Store, key)
	if err != nil || !open.Exists() {
		return err
	}
	now, _, err := graph.Update(ctx, t.Store, key, "inquiry", func(old graph.Versioned[graph.Inquiry]) (graph.Inquiry, bool, error) {
		next := old.Value.Answered(scope)
		return next, old.Exists() && len(next.Left) < len(old.Value.Left), nil
	})
	if err != nil || len(now.Left) > 0 {
		return err
	}
	// The inquiry is closed by now, so that nobody leaves the mapping to somebody else any more. It is dropped once that is
	// written: after a crash between the two the answer comes again.
	d := graph.Digest(open.Value.About)
	if err := t.settleOrigin(ctx, d); err != nil {
		return err
	}
	t.heard = true
	return t.drop(ctx, key)
}

func (t *tie) settleOrigin(ctx context.Context, d graph.Digest) error {
	if _, err := graph.ParseDigest(string(d)); err != nil {
		return nil // it was about a tag: the observation has told the workloads
	}
	t.settled[d] = true
	delete(t.mapped, d)
	if err := t.hint(ctx, d); err != nil {
		return fmt.Errorf("hints for %s: %w", d.Short(), err)
	}
	if err := t.settle(ctx); err != nil {
		return err
	}
	if _, mapped := t.mapped[d]; mapped {
		return nil // with the hints
	}
	if err := t.exposeDigest(ctx, d); err != nil {
		return fmt.Errorf("map %s: %w", d.Short(), err)
	}
	return nil
}

// open tells whether the origin of a digest is still being asked for.
func (t *tie) open(ctx context.Context, d graph.Digest) (bool, error) {
	if t.settled[d] {
		return false, nil
	}
	i, err := graph.Get[graph.Inquiry](ctx, t.Store, graph.InquiryKey(string(d)))
	return i.Value.Open(t.now), err
}
