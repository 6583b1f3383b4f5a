package graph

import "time"

// KindAdoption is the kind of adoptions.
const KindAdoption Kind = "adoption"

// Adoption says that the issues which an earlier store had opened on a repository were looked for, and how many there were.
type Adoption struct {
	At     time.Time `json:"at"`
	Issues int       `json:"issues"`
}

// AdoptionKey is where the adoption of a repository is kept.
func AdoptionKey(r RepositoryID) Key { return StateKey("adoption", string(r)) }
