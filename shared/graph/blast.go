package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Blast is everything that stands behind one image or one vulnerability.
type Blast struct {
	From         string            `json:"from"`
	Artifacts    []BlastArtifact   `json:"artifacts"`
	Workloads    []ExposedWorkload `json:"workloads"`
	Repositories []Name            `json:"repositories"`
	Findings     []Summary         `json:"findings,omitempty"` // of a vulnerability, most urgent first
}

// BlastArtifact is an image behind another, and why.
type BlastArtifact struct {
	Digest     Digest       `json:"digest"`
	Name       string       `json:"name,omitempty"`
	Repository RepositoryID `json:"repository,omitempty"`
	Why        string       `json:"why"`
}

// On tells whether the image was built on base: by the digest that it names, or because base's layers are the first of its
// own.
func (a Artifact) On(base Artifact) bool {
	switch {
	case base.Digest == "" || base.Digest == a.Digest:
		return false
	case a.Base == base.Digest || a.Base != "" && slices.Contains(base.Indexes, a.Base):
		return true
	}
	n := len(base.Layers)
	return n > 0 && n < len(a.Layers) && slices.Equal(base.Layers, a.Layers[:n])
}

// Family is the closure of a digest: itself, the indexes that list it, and all their manifests. A workload that reports
// any of them runs the same image.
func (g Graph) Family(ctx context.Context, d Digest) ([]Artifact, error) {
	self, err := Get[Artifact](ctx, g.Store, ArtifactKey(d))
	if err != nil {
		return nil, err
	}
	self.Value.Digest = d
	members := []Artifact{self.Value}
	seen := []Digest{d}
	for i := 0; i < len(members); i++ {
		for _, next := range slices.Concat(members[i].Indexes, members[i].Manifests) {
			if slices.Contains(seen, next) {
				continue
			}
			seen = append(seen, next)
			a, err := Get[Artifact](ctx, g.Store, ArtifactKey(next))
			if err != nil {
				return nil, err
			}
			a.Value.Digest = next
			members = append(members, a.Value)
		}
	}
	return members, nil
}

// BuiltOn lists the known images that were built on one of these.
func (g Graph) BuiltOn(ctx context.Context, bases []Artifact) ([]Artifact, error) {
	var out []Artifact
	for _, base := range bases {
		relatives, err := g.above(ctx, base)
		if err != nil {
			return nil, err
		}
		for _, r := range relatives {
			known := slices.ContainsFunc(out, func(o Artifact) bool { return o.Digest == r.Digest })
			if r.On(base) && !known {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// BlastOfImage is the image with its manifests, the images built on it, what runs any of them, and who built them.
func (g Graph) BlastOfImage(ctx context.Context, d Digest) (Blast, error) {
	b := Blast{From: string(d)}
	family, err := g.Family(ctx, d)
	if err != nil {
		return b, err
	}
	children, err := g.BuiltOn(ctx, family)
	if err != nil {
		return b, err
	}
	for i, a := range slices.Concat(family, children) {
		why := "built on it"
		switch {
		case a.Digest == d:
			why = "itself"
		case i < len(family):
			why = "the same image"
		}
		err := g.addImage(ctx, &b, a.Digest, why)
		if i > 0 && errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return b, err
		}
	}
	return b, g.finish(ctx, &b)
}

// addImage adds an image with the workloads that run it.
func (g Graph) addImage(ctx context.Context, b *Blast, d Digest, why string) error {
	if slices.ContainsFunc(b.Artifacts, func(a BlastArtifact) bool { return a.Digest == d }) {
		return nil
	}
	v, err := g.Artifact(ctx, d)
	if err != nil {
		return err
	}
	line, err := Get[ArtifactLine](ctx, g.Store, StateKey(ArtifactsPartition, string(d)))
	if err != nil {
		return err
	}
	b.Artifacts = append(b.Artifacts, BlastArtifact{Digest: d, Name: line.Value.Name, Repository: line.Value.Repository, Why: why})
	for _, w := range v.Runners {
		if i := slices.IndexFunc(b.Workloads, func(have ExposedWorkload) bool { return have.ID == w.ID }); i >= 0 {
			b.Workloads[i].Digests = append(b.Workloads[i].Digests, d)
			continue
		}
		w.Digests = []Digest{d}
		b.Workloads = append(b.Workloads, w)
	}
	return nil
}

// BlastOfCVE is every finding of a vulnerability, with the images and workloads that it reaches.
func (g Graph) BlastOfCVE(ctx context.Context, cve string) (Blast, error) {
	b := Blast{From: cve}
	orgs, err := Orgs(ctx, g.Store)
	if err != nil {
		return b, err
	}
	for _, o := range append(orgs, Org{ID: UnmappedOrg}) {
		found, err := ListAll[Summary](ctx, g.Store, Query{Container: WorklistContainer, Partition: string(o.ID), Kind: KindSummary,
			Where: []Where{{Field: "cves", Op: Contains, Value: cve}, {Field: "state", Op: Equal, Value: string(Open)}}})
		if err != nil {
			return b, err
		}
		b.Findings = append(b.Findings, found...)
	}
	if len(b.Findings) == 0 {
		return b, fmt.Errorf("%s: no open finding: %w", cve, ErrNotFound)
	}
	slices.SortFunc(b.Findings, func(x, y Summary) int { return cmp.Compare(x.Rank, y.Rank) })
	for _, s := range b.Findings {
		if err := g.addReached(ctx, &b, s); err != nil {
			return b, err
		}
	}
	return b, g.finish(ctx, &b)
}

// addReached adds the images that a finding lies in, by the workloads that its decision names.
func (g Graph) addReached(ctx context.Context, b *Blast, s Summary) error {
	v, err := Get[Finding](ctx, g.Store, FindingKey(s.Repository, s.ID))
	if err != nil {
		return err
	}
	x, err := Get[Exposure](ctx, g.Store, ExposureKey(s.Repository))
	if err != nil {
		return err
	}
	var digests []Digest
	if v.Value.Runtime != nil {
		digests = append(digests, v.Value.Runtime.Digest)
	}
	if v.Value.Decision != nil {
		for _, d := range v.Value.Decision.Workloads {
			for _, w := range x.Value.Workloads {
				if w.ID == d.Workload {
					digests = append(digests, w.Digests...)
				}
			}
		}
	}
	for _, d := range digests {
		if err := g.addImage(ctx, b, d, string(s.ID)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	b.repository(s.Repository, s.FullName)
	return nil
}

func (b *Blast) repository(id RepositoryID, name string) {
	if id.Mapped() && id != "" && !slices.ContainsFunc(b.Repositories, func(n Name) bool { return n.Repository == id }) {
		b.Repositories = append(b.Repositories, Name{Repository: id, FullName: name})
	}
}

// finish names the repositories that built the images, and puts everything in order.
func (g Graph) finish(ctx context.Context, b *Blast) error {
	for _, a := range b.Artifacts {
		if a.Repository == "" {
			continue
		}
		r, err := Get[Name](ctx, g.Store, StateKey(RepositoriesPartition, string(a.Repository)))
		if err != nil {
			return err
		}
		b.repository(a.Repository, r.Value.FullName)
	}
	slices.SortFunc(b.Workloads, func(x, y ExposedWorkload) int { return cmp.Compare(x.ID, y.ID) })
	slices.SortFunc(b.Repositories, func(x, y Name) int { return cmp.Compare(x.FullName, y.FullName) })
	return nil
}

// FindingsIn lists the open findings that lie in an image: those of its runtime, and those of the repository that built
// it whose decision reaches a workload that runs it.
func (g Graph) FindingsIn(ctx context.Context, d Digest) ([]Summary, error) {
	line, err := Get[ArtifactLine](ctx, g.Store, StateKey(ArtifactsPartition, string(d)))
	if err != nil {
		return nil, err
	}
	if !line.Exists() {
		return nil, fmt.Errorf("artifact %s: %w", d, ErrNotFound)
	}
	home := cmp.Or(line.Value.Repository, Unmapped(d))
	x, err := Get[Exposure](ctx, g.Store, ExposureKey(home))
	if err != nil {
		return nil, err
	}
	runs := map[WorkloadID]bool{}
	for _, w := range x.Value.Workloads {
		if slices.Contains(w.Digests, d) {
			runs[w.ID] = true
		}
	}
	all, err := ListAll[Finding](ctx, g.Store, Query{Container: GraphContainer, Partition: RepositoryPartition(home), Kind: KindFinding,
		Where: []Where{{Field: "state", Op: Equal, Value: string(Open)}}})
	if err != nil {
		return nil, err
	}
	found := []Summary{}
	for _, f := range all {
		if f.reaches(d, runs) {
			found = append(found, Summarise(f, x.Value, nil))
		}
	}
	slices.SortFunc(found, func(a, b Summary) int { return cmp.Compare(a.Rank, b.Rank) })
	return found, nil
}

func (f Finding) reaches(d Digest, runs map[WorkloadID]bool) bool {
	if f.Runtime != nil {
		return f.Runtime.Digest == d
	}
	return f.Decision != nil && slices.ContainsFunc(f.Decision.Workloads, func(w WorkloadDecision) bool { return runs[w.Workload] })
}
