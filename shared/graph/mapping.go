package graph

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RepositoryView is a repository with its way to production.
type RepositoryView struct {
	Repository Repository `json:"repository"`
	Exposure   Exposure   `json:"exposure"`
	Evidence   []Evidence `json:"evidence"` // best first
}

// ArtifactView is an image with where it comes from and where it runs.
type ArtifactView struct {
	Artifact Artifact          `json:"artifact"`
	Evidence []Evidence        `json:"evidence"` // best first, with what was refused
	Runners  []ExposedWorkload `json:"workloads"`
	Runtime  []RuntimeFinding  `json:"runtimeFindings"`
}

// WorkloadView is a workload with its images and their repositories.
type WorkloadView struct {
	Workload  Workload       `json:"workload"`
	Artifacts []ArtifactView `json:"artifacts"`
}

// RepositoryNamed finds a repository by owner/name on any host; ErrNotFound when nobody bears the name.
func (g Graph) RepositoryNamed(ctx context.Context, fullName string) (RepositoryID, error) {
	names, err := Get[Name](ctx, g.Store, NameKey(DefaultHost, fullName))
	if err != nil {
		return "", err
	}
	if names.Exists() {
		return names.Value.Repository, nil
	}
	all, err := Names(ctx, g.Store)
	if err != nil {
		return "", err
	}
	for _, n := range all {
		if strings.EqualFold(n.FullName, fullName) {
			return n.Repository, nil
		}
	}
	return "", fmt.Errorf("repository %s: %w", fullName, ErrNotFound)
}

// DefaultHost is the host key of github.com.
const DefaultHost = "github"

// Repository answers where a repository's code runs.
func (g Graph) Repository(ctx context.Context, id RepositoryID) (RepositoryView, error) {
	r, err := Get[Repository](ctx, g.Store, RepositoryKey(id))
	if err != nil {
		return RepositoryView{}, err
	}
	if !r.Exists() {
		return RepositoryView{}, fmt.Errorf("repository %s: %w", id, ErrNotFound)
	}
	x, err := Get[Exposure](ctx, g.Store, ExposureKey(id))
	if err != nil {
		return RepositoryView{}, err
	}
	es, err := ListAll[Evidence](ctx, g.Store, Query{Container: GraphContainer, Partition: RepositoryPartition(id), Kind: KindEvidence})
	SortEvidence(es)
	return RepositoryView{r.Value, x.Value, es}, err
}

// Artifact answers where an image comes from and where it runs.
func (g Graph) Artifact(ctx context.Context, d Digest) (ArtifactView, error) {
	a, err := Get[Artifact](ctx, g.Store, ArtifactKey(d))
	if err != nil {
		return ArtifactView{}, err
	}
	if !a.Exists() {
		return ArtifactView{}, fmt.Errorf("artifact %s: %w", d, ErrNotFound)
	}
	v := ArtifactView{Artifact: a.Value}
	in := func(kind Kind) Query {
		return Query{Container: GraphContainer, Partition: ArtifactPartition(d), Kind: kind}
	}
	var e1, e2, e3 error
	v.Evidence, e1 = ListAll[Evidence](ctx, g.Store, in(KindEvidence))
	v.Runners, e2 = ListAll[ExposedWorkload](ctx, g.Store, in(KindRunner))
	v.Runtime, e3 = ListAll[RuntimeFinding](ctx, g.Store, in(KindRuntimeFinding))
	SortEvidence(v.Evidence)
	return v, errors.Join(e1, e2, e3)
}

// Workload answers what a workload runs and which repositories built it.
func (g Graph) Workload(ctx context.Context, id WorkloadID) (WorkloadView, error) {
	w, err := Get[Workload](ctx, g.Store, WorkloadKey(id))
	if err != nil {
		return WorkloadView{}, err
	}
	if !w.Exists() {
		return WorkloadView{}, fmt.Errorf("workload %s: %w", id, ErrNotFound)
	}
	v := WorkloadView{Workload: w.Value}
	for _, d := range w.Value.Digests() {
		a, err := g.Artifact(ctx, d)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return v, err
		}
		a.Runners, a.Runtime = nil, nil
		v.Artifacts = append(v.Artifacts, a)
	}
	return v, nil
}

// SortEvidence puts the best evidence first: by method, then the newest, then by repository.
func SortEvidence(es []Evidence) {
	slices.SortStableFunc(es, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.Method.Rank(), b.Method.Rank()), b.SeenAt.Compare(a.SeenAt), cmp.Compare(a.Repository, b.Repository))
	})
}

// FindingView is a finding with everything that explains it.
type FindingView struct {
	Finding     Finding      `json:"finding"`
	Repository  Repository   `json:"repository"`
	Exposure    Exposure     `json:"exposure"`
	Remediation *Remediation `json:"remediation,omitempty"`
	// Base is where a runtime finding comes from when the image inherited it.
	Base *BaseImage `json:"base,omitempty"`
}

// Finding reads a finding by its id. A runtime finding does not name its repository; the worklist does.
func (g Graph) Finding(ctx context.Context, id FindingID) (FindingView, error) {
	r, _, _, ok := ParseAlertID(id)
	if !ok {
		var err error
		if r, err = g.homeOf(ctx, id); err != nil {
			return FindingView{}, err
		}
	}
	f, err := Get[Finding](ctx, g.Store, FindingKey(r, id))
	if err != nil {
		return FindingView{}, err
	}
	if !f.Exists() {
		return FindingView{}, fmt.Errorf("finding %s: %w", id, ErrNotFound)
	}
	return g.explain(ctx, f.Value)
}

func (g Graph) explain(ctx context.Context, f Finding) (FindingView, error) {
	v := FindingView{Finding: f}
	r, e1 := Get[Repository](ctx, g.Store, RepositoryKey(f.Repository))
	x, e2 := Get[Exposure](ctx, g.Store, ExposureKey(f.Repository))
	m, e3 := Get[Remediation](ctx, g.Store, RemediationKey(f.Repository, f.Remediation))
	v.Repository, v.Exposure = r.Value, x.Value
	if m.Exists() {
		v.Remediation = &m.Value
	}
	var e4 error
	if f.Runtime != nil {
		v.Base, e4 = g.BaseOf(ctx, *f.Runtime)
	}
	return v, errors.Join(e1, e2, e3, e4)
}

// homeOf finds the repository that a finding is listed under.
func (g Graph) homeOf(ctx context.Context, id FindingID) (RepositoryID, error) {
	orgs, err := Orgs(ctx, g.Store)
	if err != nil {
		return "", err
	}
	for _, o := range append(orgs, Org{ID: UnmappedOrg}) {
		s, err := Get[Summary](ctx, g.Store, SummaryKey(o.ID, id))
		if err != nil {
			return "", err
		}
		if s.Exists() {
			return s.Value.Repository, nil
		}
	}
	return "", fmt.Errorf("finding %s: %w", id, ErrNotFound)
}

// DigestsOf lists the images that any evidence ties to a repository.
func (g Graph) DigestsOf(ctx context.Context, id RepositoryID) ([]Digest, error) {
	es, err := ListAll[Evidence](ctx, g.Store, Query{Container: GraphContainer, Partition: RepositoryPartition(id), Kind: KindEvidence})
	var ds []Digest
	for _, e := range es {
		if !slices.Contains(ds, e.Digest) {
			ds = append(ds, e.Digest)
		}
	}
	return ds, err
}

// DigestsWithoutAttestation lists by pages the images whose origin no verified attestation tells. The organisation does not
// narrow the list: only GitHub knows which of its organisations attested a digest.
func (g Graph) DigestsWithoutAttestation(ctx context.Context, _, cursor string) ([]Digest, string, error) {
	lines, next, err := List[ArtifactLine](ctx, g.Store, Query{Container: StateContainer, Partition: ArtifactsPartition, Cursor: cursor, Limit: MaxPage})
	var ds []Digest
	for _, l := range lines {
		if l.Method != VerifiedAttestation {
			ds = append(ds, l.Digest)
		}
	}
	return ds, next, err
}
