package graph

import (
	"context"
	"slices"
)

// BaseImage is the image in whose layers a vulnerable software lies, when an image only inherited it.
type BaseImage struct {
	Digest Digest `json:"digest"`
	Name   string `json:"name,omitempty"`
	// Repository built the base image; empty when nobody known did. The fix belongs there.
	Repository RepositoryID `json:"repository,omitempty"`
	FullName   string       `json:"fullName,omitempty"`
	Finding    FindingID    `json:"finding"` // the same software and vulnerability, seen in the base image itself
}

// BaseOf finds the base image that a runtime finding comes from: the one with the most layers in which Defender saw the
// same software with one of the same vulnerabilities. nil: none is known.
func (g Graph) BaseOf(ctx context.Context, f RuntimeFinding) (*BaseImage, error) {
	bases, err := g.basesOf(ctx, f.Digest)
	if err != nil {
		return nil, err
	}
	for _, b := range bases {
		found, err := ListAll[RuntimeFinding](ctx, g.Store, Query{Container: GraphContainer, Partition: ArtifactPartition(b.Digest), Kind: KindRuntimeFinding})
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(found, func(o RuntimeFinding) bool { return o.State == Open && o.Software == f.Software && o.shares(f) })
		if i >= 0 {
			return g.base(ctx, b.Digest, found[i].ID)
		}
	}
	return nil, nil
}

// shares tells whether two findings name a vulnerability in common.
func (f RuntimeFinding) shares(o RuntimeFinding) bool {
	return slices.ContainsFunc(f.CVEs, func(a CVE) bool {
		return slices.ContainsFunc(o.CVEs, func(b CVE) bool { return a.ID == b.ID })
	})
}

// basesOf lists the known images that an image was built on, the nearest first.
func (g Graph) basesOf(ctx context.Context, d Digest) ([]Artifact, error) {
	a, err := Get[Artifact](ctx, g.Store, ArtifactKey(d))
	if err != nil || len(a.Value.Layers) == 0 {
		return nil, err
	}
	relatives, err := g.Bases(ctx, a.Value)
	if err != nil {
		return nil, err
	}
	relatives = slices.DeleteFunc(relatives, func(r Artifact) bool { return !a.Value.On(r) })
	slices.SortFunc(relatives, func(x, y Artifact) int { return len(y.Layers) - len(x.Layers) })
	return relatives, nil
}

func (g Graph) base(ctx context.Context, d Digest, f FindingID) (*BaseImage, error) {
	line, err := Get[ArtifactLine](ctx, g.Store, StateKey(ArtifactsPartition, string(d)))
	if err != nil {
		return nil, err
	}
	b := &BaseImage{Digest: d, Name: line.Value.Name, Repository: line.Value.Repository, Finding: f}
	if b.Repository == "" {
		return b, nil
	}
	r, err := Get[Name](ctx, g.Store, StateKey(RepositoriesPartition, string(b.Repository)))
	b.FullName = r.Value.FullName
	return b, err
}
