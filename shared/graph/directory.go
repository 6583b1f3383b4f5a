package graph

import "context"

// The partitions of the state container that list what there is.
const (
	RepositoriesPartition = "repositories"
	OrgsPartition         = "orgs"
	ArtifactsPartition    = "artifacts"
	PlacesPartition       = "places"
)

// Name tells which repository bears a full name now, and is the entry of a repository in the list of all.
type Name struct {
	Repository RepositoryID `json:"repository"`
	FullName   string       `json:"fullName"`
	Org        OrgID        `json:"org"`
	Deleted    bool         `json:"deleted,omitempty"`
}

// Org is an organisation or user that owns repositories.
type Org struct {
	ID    OrgID  `json:"id"`
	Login string `json:"login"`
	// Installation is the GitHub App installation that reaches it; 0: not known.
	Installation int64 `json:"installation,omitempty"`
}

// Names lists all repositories.
func Names(ctx context.Context, s Store) ([]Name, error) {
	return ListAll[Name](ctx, s, Query{Container: StateContainer, Partition: RepositoriesPartition})
}

// Orgs lists all owners.
func Orgs(ctx context.Context, s Store) ([]Org, error) {
	return ListAll[Org](ctx, s, Query{Container: StateContainer, Partition: OrgsPartition})
}

// ArtifactLine is the entry of an image in the list of all.
type ArtifactLine struct {
	Digest     Digest       `json:"digest"`
	Name       string       `json:"name,omitempty"`
	Repository RepositoryID `json:"repository,omitempty"` // empty: not mapped
	Method     Method       `json:"method,omitempty"`
	Base       string       `json:"base,omitempty"`
	Workloads  int          `json:"workloads,omitempty"` // that run it now
}

// Place is the entry of a workload in the list of all.
type Place struct {
	Workload WorkloadID `json:"workload"`
	Path     string     `json:"path"` // lower case
	Gone     bool       `json:"gone,omitempty"`
}

// ArtifactLines lists all images.
func ArtifactLines(ctx context.Context, s Store) ([]ArtifactLine, error) {
	return ListAll[ArtifactLine](ctx, s, Query{Container: StateContainer, Partition: ArtifactsPartition})
}

// Places lists all workloads.
func Places(ctx context.Context, s Store) ([]Place, error) {
	return ListAll[Place](ctx, s, Query{Container: StateContainer, Partition: PlacesPartition})
}
