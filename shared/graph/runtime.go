package graph

import "time"

// RuntimeFinding is what Defender for Cloud says of an artifact or a workload: one software, its CVEs, its fix.
type RuntimeFinding struct {
	ID         FindingID  `json:"id"`         // runtime-<assessment guid>
	Assessment string     `json:"assessment"` // full resource id, lower case
	Title      string     `json:"title"`
	Digest     Digest     `json:"digest,omitempty"`
	Image      string     `json:"image,omitempty"`
	Workload   WorkloadID `json:"workload,omitempty"` // empty for a row about an image
	Software   string     `json:"software,omitempty"`
	Versions   []string   `json:"versions,omitempty"`
	FixedIn    string     `json:"fixedIn,omitempty"`
	Package    string     `json:"package,omitempty"`  // package type or language: os, npm, maven, ...
	CVEs       []CVE      `json:"cves,omitempty"`     // sorted by id
	Severity   string     `json:"severity,omitempty"` // critical, high, medium, low; empty: unknown
	// RiskLevel is shown beside our tier and never used.
	RiskLevel   string     `json:"riskLevel,omitempty"`
	RiskFactors []string   `json:"riskFactors,omitempty"` // raw
	Contextual  *bool      `json:"contextual,omitempty"`
	State       AlertState `json:"state"` // open (Unhealthy), fixed (Healthy), dismissed (NotApplicable)
	Reason      string     `json:"reason,omitempty"`
	// Exempt tells that somebody exempted it in Defender: it is open, and accepted since UpdatedAt.
	Exempt    bool      `json:"exempt,omitempty"`
	FirstSeen time.Time `json:"firstSeen,omitzero"`
	Scope     string    `json:"scope,omitempty"` // collect scope that saw it last
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	Ties
}

// CVE is one vulnerability of a runtime finding.
type CVE struct {
	ID         string   `json:"id"`
	Severity   string   `json:"severity,omitempty"`
	CVSS       []string `json:"cvss,omitempty"` // vectors
	ExploitKit bool     `json:"exploitKit,omitempty"`
	Verified   bool     `json:"verified,omitempty"` // a public proof of concept is verified
	EPSS       *float64 `json:"epss,omitempty"`
	URL        string   `json:"url,omitempty"`
}
