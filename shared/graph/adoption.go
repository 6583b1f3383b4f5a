package graph

import "time"

// KindAdoption is the kind of adoptions.
const KindAdoption Kind = "adoption"

// Adoption says how far the look for issues has come that an earlier store had opened on a repository.
type Adoption struct {
	At     time.Time `json:"at"`
	Issues int       `json:"issues"` // that were found
	Done   bool      `json:"done"`   // nothing is left to be found
	// By is the event that brought issues back last, Brought the remediations that are to have their turn because of it.
	By      string          `json:"by,omitempty"`
	Brought []RemediationID `json:"brought,omitempty"`
}

// AdoptionKey is where the adoption of a repository is kept.
func AdoptionKey(r RepositoryID) Key { return StateKey("adoption", string(r)) }
