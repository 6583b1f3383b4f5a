package graph

import "time"

// AlertKind is one of GitHub's three kinds of alert.
type AlertKind string

// The kinds of alert.
const (
	CodeScanning   AlertKind = "code_scanning"
	Dependabot     AlertKind = "dependabot"
	SecretScanning AlertKind = "secret_scanning"
)

// AlertKinds lists every kind of alert.
var AlertKinds = [...]AlertKind{CodeScanning, Dependabot, SecretScanning}

// RuntimeKind is the kind of a finding that comes from the running system and has no alert.
const RuntimeKind AlertKind = "runtime"

// AlertState is the normalised state of an alert.
type AlertState string

// The states: open; fixed in code (a revoked secret too); dismissed by a person or a rule.
const (
	Open      AlertState = "open"
	Fixed     AlertState = "fixed"
	Dismissed AlertState = "dismissed"
)

// Alert is a security alert as GitHub raised it. Exactly one of Code, Dependency and Secret is set.
type Alert struct {
	ID         FindingID    `json:"id"`
	Kind       AlertKind    `json:"kind"`
	Repository RepositoryID `json:"repository"`
	Number     int          `json:"number"`
	State      AlertState   `json:"state"`
	Reason     string       `json:"reason,omitempty"` // GitHub's own word for why it is not open
	Title      string       `json:"title"`
	Severity   string       `json:"severity,omitempty"` // critical, high, medium, low, none; empty: not known yet
	URL        string       `json:"url,omitempty"`
	Assignees  []string     `json:"assignees,omitempty"`
	CreatedAt  time.Time    `json:"createdAt,omitzero"`
	UpdatedAt  time.Time    `json:"updatedAt,omitzero"` // the source's own clock: newest wins
	ClosedAt   time.Time    `json:"closedAt,omitzero"`
	Code       *Code        `json:"code,omitempty"`
	Dependency *Dependency  `json:"dependency,omitempty"`
	Secret     *Secret      `json:"secret,omitempty"`
	// Partial marks an alert from a webhook that leaves out what decides; a collect of alert:<id> completes it.
	Partial bool `json:"partial,omitempty"`
}

// Code is what code scanning says.
type Code struct {
	Tool  string `json:"tool"`
	Rule  string `json:"rule"`
	Level string `json:"level,omitempty"` // SARIF: error, warning, note, none
	// SecurityLevel is rule.security_severity_level; empty when the rule has none.
	SecurityLevel string   `json:"securityLevel,omitempty"`
	Tags          []string `json:"tags,omitempty"`
	CWEs          []int    `json:"cwes,omitempty"`
	Path          string   `json:"path,omitempty"`
	Line          int      `json:"line,omitempty"`
	Ref           string   `json:"ref,omitempty"`
	Commit        string   `json:"commit,omitempty"`
	Message       string   `json:"message,omitempty"`
}

// Dependency is what Dependabot says.
type Dependency struct {
	Ecosystem    string   `json:"ecosystem"`
	Package      string   `json:"package"`
	Manifest     string   `json:"manifest,omitempty"`
	Scope        string   `json:"scope,omitempty"`        // runtime, development
	Relationship string   `json:"relationship,omitempty"` // direct, transitive
	GHSA         string   `json:"ghsa,omitempty"`
	CVEs         []string `json:"cves,omitempty"`
	CVSS         []string `json:"cvss,omitempty"` // vectors
	CWEs         []int    `json:"cwes,omitempty"`
	EPSS         *float64 `json:"epss,omitempty"` // probability 0..1; nil when GitHub gives none
	Malware      bool     `json:"malware,omitempty"`
	Vulnerable   string   `json:"vulnerable,omitempty"` // version range
	FixedIn      string   `json:"fixedIn,omitempty"`    // first patched version; empty: no fix
}

// Secret is what secret scanning says. The secret itself is never read.
type Secret struct {
	Type       string `json:"type"`
	TypeName   string `json:"typeName,omitempty"`
	Provider   string `json:"provider,omitempty"`
	Validity   string `json:"validity,omitempty"` // active, inactive, unknown
	Leaked     bool   `json:"leaked,omitempty"`   // publicly
	MultiRepo  bool   `json:"multiRepo,omitempty"`
	Bypassed   bool   `json:"bypassed,omitempty"` // push protection was bypassed
	Resolution string `json:"resolution,omitempty"`
}
