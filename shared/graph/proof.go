package graph

import "time"

// StatusEnded is the status of a remediation whose repository was deleted or archived: nothing more can be done there.
const StatusEnded Status = "ended"

// Proof is how far a fix has come from the code into what runs.
type Proof struct {
	// FixedAt is when the last finding of the fix was closed.
	FixedAt time.Time `json:"fixedAt,omitzero"`
	// Commit is a commit that has the fix; empty: none is known yet.
	Commit string `json:"commit,omitempty"`
	// Fixed are images proven to have the fix, Old those that run and are not.
	Fixed []Digest `json:"fixed,omitempty"`
	Old   []Digest `json:"old,omitempty"`
	// Strays are workloads that ran the repository's images and now run one of which nobody knows where it comes from.
	Strays []WorkloadID `json:"strays,omitempty"`
	// Running of Total workloads run the fix and nothing without it.
	Running int `json:"running"`
	Total   int `json:"total"`
	// CleanSince is since when nothing without the fix was seen; zero while something is.
	CleanSince time.Time `json:"cleanSince,omitzero"`
	// Missing tells what is not proven yet; empty when all is.
	Missing string `json:"missing,omitempty"`
}

// Closing is who closed an issue, and how urgent its fix was then: only a raise above that opens it again.
type Closing struct {
	By   string    `json:"by"` // throughline, a login
	At   time.Time `json:"at"`
	Tier Tier      `json:"tier"`
	Why  string    `json:"why,omitempty"`
}
