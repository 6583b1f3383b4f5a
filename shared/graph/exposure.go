package graph

import "time"

// Exposure is all that a decision needs to know of a repository's way into production: its artifacts, the workloads
// that run them and their risk factors. It is one document, kept right by correlate.
type Exposure struct {
	Repository RepositoryID `json:"repository"`
	// What the lists and issues show of the repository itself; a change of them is a change of the exposure.
	Org      OrgID  `json:"org,omitempty"`
	FullName string `json:"fullName,omitempty"`
	Public   bool   `json:"public,omitempty"`
	Archived bool   `json:"archived,omitempty"`
	Deleted  bool   `json:"deleted,omitempty"`
	// Images is true when at least one artifact is known to come from the repository, running or not.
	Images bool `json:"images,omitempty"`
	// Artifacts are those that run now, sorted by digest.
	Artifacts []ExposedArtifact `json:"artifacts,omitempty"`
	Workloads []ExposedWorkload `json:"workloads,omitempty"` // sorted by id
	// Observed is true once a runtime finding was seen in one of its images.
	Observed bool `json:"observed,omitempty"`
	// Inventory is true once every connected scope was read to its end: only then is "not deployed" a fact.
	Inventory bool `json:"inventory,omitempty"`
	// Provisional is true while the first inventory is being taken: decisions are shown, but nothing is opened and no
	// tier is held, because what is not known yet may turn every one of them.
	Provisional bool `json:"provisional,omitempty"`
	// Version is the hash of everything above: equal content, equal version.
	Version string `json:"version"`
	// Number counts the versions: of two exposures the one with the greater number is the newer.
	Number int64 `json:"number,omitempty"`
	// Decided is the version for which prioritize has looked at every finding; the findings lag while it differs.
	Decided string `json:"decided,omitempty"`
	// Revisit is when the first of its readings becomes too old to say no; noted by prioritize.
	Revisit time.Time `json:"revisit,omitzero"`
	// Asked is when a walk over the findings was last asked for, and AskedBy the event that did: while the first inventory is
	// being taken one walk answers for many changes.
	Asked   time.Time `json:"asked,omitzero"`
	AskedBy string    `json:"askedBy,omitempty"`
}

// Lags tells whether findings of the repository may be decided on an older exposure.
func (e Exposure) Lags() bool { return e.Decided != e.Version }

// ExposedArtifact is one image of the repository.
type ExposedArtifact struct {
	Digest   Digest   `json:"digest"`
	Name     string   `json:"name,omitempty"`
	Method   Method   `json:"method"` // best evidence
	Commit   string   `json:"commit,omitempty"`
	Contexts []string `json:"contexts,omitempty"`
	Platform string   `json:"platform,omitempty"`
	Indexes  []Digest `json:"indexes,omitempty"` // that list it
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

// Sealed is the exposure with its Version set from its content, and its Number when that made another version.
func (e Exposure) Sealed() Exposure {
	bare := e
	bare.Version, bare.Number, bare.Decided, bare.Revisit, bare.Asked, bare.AskedBy = "", 0, "", time.Time{}, time.Time{}, ""
	if v := Version(bare); v != e.Version {
		e.Version, e.Number = v, e.Number+1
	}
	return e
}
