package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Exposure is all that a decision needs to know of a repository's way into production: its artifacts, the workloads
// that run them and their risk factors. It is one document, kept right by correlate.
type Exposure struct {
	Repository RepositoryID      `json:"repository"`
	Artifacts  []ExposedArtifact `json:"artifacts,omitempty"` // sorted by digest
	Workloads  []ExposedWorkload `json:"workloads,omitempty"` // sorted by id
	// Inventory is true once every connected scope was read to its end: only then is "not deployed" a fact.
	Inventory bool `json:"inventory,omitempty"`
	// Version is the hash of everything above: equal content, equal version.
	Version string `json:"version"`
}

// ExposedArtifact is one image of the repository.
type ExposedArtifact struct {
	Digest   Digest   `json:"digest"`
	Name     string   `json:"name,omitempty"`
	Method   Method   `json:"method"` // best evidence
	Commit   string   `json:"commit,omitempty"`
	Contexts []string `json:"contexts,omitempty"`
	Platform string   `json:"platform,omitempty"`
}

// ExposedWorkload is one workload that runs at least one image of the repository.
type ExposedWorkload struct {
	ID       WorkloadID `json:"id"`
	Path     string     `json:"path"`
	Name     string     `json:"name"`
	Kind     string     `json:"kind"`
	Cluster  string     `json:"cluster,omitempty"`
	Owner    string     `json:"owner,omitempty"`
	Digests  []Digest   `json:"digests"` // of the repository's artifacts, running
	Readings []Reading  `json:"readings,omitempty"`
}

// Sealed is the exposure with its Version set from its content.
func (e Exposure) Sealed() (Exposure, error) {
	e.Version = ""
	raw, err := json.Marshal(e)
	if err != nil {
		return e, err
	}
	sum := sha256.Sum256(raw)
	e.Version = hex.EncodeToString(sum[:8])
	return e, nil
}
