package graph

import "context"

// The partitions of the state container that list what there is.
const (
	RepositoriesPartition = "repositories"
	OrgsPartition         = "orgs"
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
}

// Names lists all repositories.
func Names(ctx context.Context, s Store) ([]Name, error) {
	return ListAll[Name](ctx, s, Query{Container: StateContainer, Partition: RepositoriesPartition})
}

// Orgs lists all owners.
func Orgs(ctx context.Context, s Store) ([]Org, error) {
	return ListAll[Org](ctx, s, Query{Container: StateContainer, Partition: OrgsPartition})
}
