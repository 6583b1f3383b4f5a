package graph

import "time"

// Artifact is an image manifest or index. Tags and registries are attributes.
type Artifact struct {
	Digest    Digest            `json:"digest"`
	Names     []string          `json:"names,omitempty"` // registry/path, without tag
	Tags      []string          `json:"tags,omitempty"`  // registry/path:tag as last seen
	MediaType string            `json:"mediaType,omitempty"`
	Platform  string            `json:"platform,omitempty"`  // os/architecture of a manifest
	Manifests []Digest          `json:"manifests,omitempty"` // of an index
	Indexes   []Digest          `json:"indexes,omitempty"`   // that list this manifest
	Base      Digest            `json:"base,omitempty"`      // the base image, when known
	BaseName  string            `json:"baseName,omitempty"`
	Layers    []string          `json:"layers,omitempty"` // diff ids, in order
	Labels    map[string]string `json:"labels,omitempty"` // only org.opencontainers.image.*
	PushedAt  time.Time         `json:"pushedAt,omitzero"`
	// Asked is set once every source was asked where the image comes from.
	Asked     bool      `json:"asked,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	Ties
}

// Method is how we know that a repository built an artifact.
type Method string

// The methods, best first.
const (
	VerifiedAttestation Method = "attestation-verified" // signature, log and signer checked
	AttestationRecord   Method = "attestation-record"   // GitHub's own association, signature not checked here
	PackageEvent        Method = "package-event"        // package webhook of the repository
	WorkflowRun         Method = "workflow-run"
	CICall              Method = "ci-call" // called in with GitHub's OIDC token
	ImageLabel          Method = "image-label"
	Declared            Method = "declared"   // catalogue
	NameMatch           Method = "name-match" // a hint: shown, never acted on
)

// Methods lists every method, best first.
var Methods = [...]Method{VerifiedAttestation, AttestationRecord, PackageEvent, WorkflowRun, CICall, ImageLabel, Declared, NameMatch}

// Confidence of a method: verified, high, medium, low, hint.
func (m Method) Confidence() string {
	switch m {
	case VerifiedAttestation:
		return "verified"
	case AttestationRecord, PackageEvent, CICall:
		return "high"
	case WorkflowRun, ImageLabel, Declared:
		return "medium"
	case NameMatch:
		return "hint"
	}
	return "low"
}

// Rank is 0 for the best method and grows with doubt.
func (m Method) Rank() int {
	for i, known := range Methods {
		if m == known {
			return i
		}
	}
	return len(Methods)
}

// Acts tells whether the method may map an artifact; a hint is only shown.
func (m Method) Acts() bool { return m.Rank() < NameMatch.Rank() }

// Evidence is why we say that a repository built an artifact.
type Evidence struct {
	Digest     Digest       `json:"digest"`
	Method     Method       `json:"method"`
	Repository RepositoryID `json:"repository,omitempty"`
	// RepositoryName is owner/name as the source wrote it; alone, it is resolved to the ID before it counts.
	RepositoryName string   `json:"repositoryName,omitempty"`
	Commit         string   `json:"commit,omitempty"`
	Ref            string   `json:"ref,omitempty"`
	Workflow       string   `json:"workflow,omitempty"` // path of the workflow file
	Run            string   `json:"run,omitempty"`      // URL of the workflow run
	Signer         string   `json:"signer,omitempty"`   // certificate identity
	Contexts       []string `json:"contexts,omitempty"` // build context paths; empty: the whole repository
	Note           string   `json:"note,omitempty"`
	// Refused tells why the evidence does not count, for example "label inherited from the base image".
	Refused string    `json:"refused,omitempty"`
	SeenAt  time.Time `json:"seenAt"`
	Ties
}

// Counts tells whether the evidence may map its artifact.
func (e Evidence) Counts() bool {
	return e.Refused == "" && e.Repository != "" && e.Method.Acts()
}
