package decision

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/shared/graph"
)

// Fact is one input with where it comes from and how old it is. The zero value is "not given".
type Fact struct {
	// Value is spelled as in the lists beside each field of Inputs.
	Value string `json:"value"`
	// Source says who says so, in words a reader can check.
	Source string `json:"source,omitempty"`
	// Path tells where in the source it stands, for example an assessment id.
	Path string `json:"path,omitempty"`
	// At is when the source was last read to its end, or last said yes; UTC.
	At time.Time `json:"at,omitzero"`
}

// Kind tells which part of the rule a finding is decided by.
type Kind string

// The kinds of finding.
const (
	Vuln    Kind = "vuln"
	Code    Kind = "code"
	Secret  Kind = "secret"
	Malware Kind = "malware"
)

// NotAffected is the one VEX status that lowers a tier.
const NotAffected = "not_affected"

// Inputs holds all facts of one finding on one workload. It round-trips through JSON without loss when times are UTC.
// An empty value means not given: unknown for factors, running and validity, no for KEV, exploit kit and leaked.
type Inputs struct {
	Finding  string `json:"finding,omitempty"`
	Workload string `json:"workload,omitempty"`
	// CVE is the identifier used in texts; a GHSA id when there is no CVE.
	CVE  string `json:"cve,omitempty"`
	Kind Kind   `json:"kind"`
	// At is when the facts were put together. It only tells how old the feeds are; no rule reads it.
	At time.Time `json:"at,omitzero"`
	// Detected is when the finding was first seen on a workload.
	Detected time.Time `json:"detected,omitzero"`
	Place    Place     `json:"place,omitzero"`
	Feeds    Feeds     `json:"feeds,omitzero"`

	KEV          Fact `json:"kev,omitzero"`          // yes, no
	Exploitation Fact `json:"exploitation,omitzero"` // none, poc, active (Vulnrichment)
	ExploitKit   Fact `json:"exploit_kit,omitzero"`  // yes, no (Defender IsInExploitKit)
	Verified     Fact `json:"verified,omitzero"`     // yes, no: a public proof of concept (Defender IsVerified)
	EPSS         Fact `json:"epss,omitzero"`         // 0..1, highest of the window
	Severity     Fact `json:"severity,omitzero"`     // none, low, medium, high, critical, unknown; see HighestSeverity
	Automatable  Fact `json:"automatable,omitzero"`  // yes, no: as published by Vulnrichment
	Impact       Fact `json:"impact,omitzero"`       // partial, total: as published by Vulnrichment
	CVSS         Fact `json:"cvss,omitzero"`         // vector; see PickVector
	CWE          Fact `json:"cwe,omitzero"`          // CWE-89;CWE-20

	Internet  Fact `json:"internet,omitzero"`  // yes, no, unknown
	Lateral   Fact `json:"lateral,omitzero"`   // yes, no, unknown
	Sensitive Fact `json:"sensitive,omitzero"` // yes, no, unknown
	Critical  Fact `json:"critical,omitzero"`  // yes, no, unknown
	Running   Fact `json:"running,omitzero"`   // yes, no, unknown
	Workloads Fact `json:"workloads,omitzero"` // running workloads with this finding: at least 1 exactly when running

	Validity Fact `json:"validity,omitzero"` // active, inactive, unknown
	Leaked   Fact `json:"leaked,omitzero"`   // yes, no
	VEX      Fact `json:"vex,omitzero"`      // not_affected, affected, fixed, under_investigation; see Statements.About
	Accepted Fact `json:"accepted,omitzero"` // P0..P4 of an acceptance in force; see Acceptance.Fact
}

// Place names the surroundings of the workload for the texts of missing evidence. No rule reads it.
type Place struct {
	Name         string `json:"name,omitempty"` // short name of the workload, for example api
	Repository   string `json:"repository,omitempty"`
	Cluster      string `json:"cluster,omitempty"`
	Subscription string `json:"subscription,omitempty"`
}

// Feeds tells which edition of each public feed the facts come from.
type Feeds struct {
	EPSS         Feed `json:"epss,omitzero"`
	KEV          Feed `json:"kev,omitzero"`
	Vulnrichment Feed `json:"vulnrichment,omitzero"`
}

// Feed is one edition of a feed: its own version and the day it is of.
type Feed struct {
	Version string    `json:"version,omitempty"`
	Date    time.Time `json:"date,omitzero"`
}

// Validate reports the first contradiction or value outside its list. Contradictions are an error, never a guess.
func (in Inputs) Validate() error {
	if !slices.Contains([]Kind{Vuln, Code, Secret, Malware}, in.Kind) {
		return fmt.Errorf("kind: %q is not one of vuln, code, secret, malware", in.Kind)
	}
	for _, f := range in.lists() {
		if f.value != "" && !slices.Contains(f.allowed, f.value) {
			return fmt.Errorf("%s: %q is not one of %s", f.name, f.value, strings.Join(f.allowed, ", "))
		}
	}
	if err := checkEPSS(in.EPSS.Value); err != nil {
		return err
	}
	if err := checkCWE(in.CWE.Value); err != nil {
		return err
	}
	return in.checkWorkloads()
}

type listed struct {
	name, value string
	allowed     []string
}

func (in *Inputs) lists() []listed {
	yesNo := []string{"yes", "no"}
	three := []string{"yes", "no", "unknown"}
	return []listed{
		{"kev", in.KEV.Value, yesNo},
		{"exploitation", in.Exploitation.Value, []string{"none", "poc", "active"}},
		{"exploit_kit", in.ExploitKit.Value, yesNo},
		{"verified", in.Verified.Value, yesNo},
		{"severity", in.Severity.Value, []string{"none", "low", "medium", "high", "critical", "unknown"}},
		{"automatable", in.Automatable.Value, yesNo},
		{"impact", in.Impact.Value, []string{"partial", "total"}},
		{"internet", in.Internet.Value, three},
		{"lateral", in.Lateral.Value, three},
		{"sensitive", in.Sensitive.Value, three},
		{"critical", in.Critical.Value, three},
		{"running", in.Running.Value, three},
		{"validity", in.Validity.Value, []string{"active", "inactive", "unknown"}},
		{"leaked", in.Leaked.Value, yesNo},
		{"vex", in.VEX.Value, []string{NotAffected, "affected", "fixed", "under_investigation"}},
		{"accepted", in.Accepted.Value, []string{"P0", "P1", "P2", "P3", "P4"}},
	}
}

func checkEPSS(v string) error {
	if v == "" {
		return nil
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n > 1 {
		return fmt.Errorf("epss: %q is outside 0..1", v)
	}
	return nil
}

func checkCWE(v string) error {
	for rest := v; rest != ""; {
		var n int
		if n, rest = nextCWE(rest); n <= 0 {
			return fmt.Errorf("cwe: %q is not a list such as CWE-89;CWE-20", v)
		}
	}
	return nil
}

func (in *Inputs) checkWorkloads() error {
	n := 0
	if v := in.Workloads.Value; v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 0 {
			return fmt.Errorf("workloads: %q is not a whole number", v)
		}
	}
	if runs := in.Running.Value == string(graph.Yes); runs != (n >= 1) {
		return fmt.Errorf("workloads: %d contradicts running %q: at least 1 exactly when running is yes", n, in.Running.Value)
	}
	return nil
}
