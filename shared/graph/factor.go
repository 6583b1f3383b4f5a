package graph

import "time"

// Answer is what is known of a yes-or-no fact. The empty string means unknown.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Known tells whether the answer is yes or no.
func (a Answer) Known() bool { return a == Yes || a == No }

// OrUnknown turns the empty answer into Unknown.
func (a Answer) OrUnknown() Answer {
	if a.Known() {
		return a
	}
	return Unknown
}

// Factor is one of the four runtime risk factors of a workload.
type Factor string

// The factors, in GitHub's own spelling of runtime risks.
const (
	InternetExposed  Factor = "internet-exposed"
	SensitiveData    Factor = "sensitive-data"
	CriticalResource Factor = "critical-resource"
	LateralMovement  Factor = "lateral-movement"
)

// Factors lists every factor in the order in which they are shown.
var Factors = [...]Factor{InternetExposed, SensitiveData, CriticalResource, LateralMovement}

// Reading is what one source says of one factor of one workload. It keeps enough to apply the evidence rule
// (a yes stays for the window, a no goes stale, a failed read changes nothing) at any later time.
type Reading struct {
	Factor Factor `json:"factor"`
	// Source is who says so: configuration, mdc, mdc-contextual, attack-path, tag, person, event.
	Source string `json:"source"`
	// Says is the answer of the last complete read.
	Says Answer `json:"says"`
	// Raw is the source's own wording, kept for the explanation.
	Raw string `json:"raw,omitempty"`
	// Path tells where in the source the answer stands, for example an assessment id.
	Path string `json:"path,omitempty"`
	// ReadAt is the time of the last complete read of the source.
	ReadAt time.Time `json:"readAt"`
	// YesAt is when the source last said yes; zero when it never did.
	YesAt time.Time `json:"yesAt,omitzero"`
}
