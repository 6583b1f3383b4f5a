// Package decision is the public rule: from the facts of one finding on one workload to its tier, its due time and
// its place in the queue. A table and a few rules decide, the score only orders findings inside a tier.
//
// Everything here is pure. Nothing reads a clock, a file or a map in iteration order, so the same inputs under the same
// policy give the same answer at any later date, and a stored explanation can be replayed.
//
// The package does not fetch facts and does not act on decisions. It never says that a workload is safe: a missing fact
// is named as missing.
package decision

import (
	"time"

	"throughline/shared/graph"
)

// Decision is the answer for one finding on one workload.
type Decision struct {
	Finding  string     `json:"finding,omitempty"`
	Workload string     `json:"workload,omitempty"`
	Tier     graph.Tier `json:"tier"`
	// Rule names what decided: R0..R9, R1u, S1..S3, M1, or "R8/R5" for a finding whose deployment is unknown.
	Rule string `json:"rule"`
	// Score orders findings inside a tier, 0..999. It never decides a tier. The terms sum to the score.
	Score int `json:"score"`
	// Due is "<days>d", "upgrade" or "none", with "+triage" appended when compromise must be looked for first.
	Due    string `json:"due"`
	Triage bool   `json:"triage"`
	// Table is what section 4 was asked and what it said; zero where the table does not apply (R9, secrets, malware).
	Table Table `json:"table,omitzero"`
	// Fired lists every rule that gave a tier, in the order of the rules; R8 and R0, which act on the result, come last.
	Fired []Fired `json:"fired"`
	Terms Terms   `json:"terms"`
	// WithoutR0 is the tier before acceptance and VEX. Nothing is hidden: lists and counts show it.
	WithoutR0 graph.Tier `json:"without_r0"`
	// Voided tells that an acceptance no longer holds because the tier is now more urgent than the one accepted.
	Voided bool `json:"voided,omitempty"`
	// SecondLook asks for a new look at a not_affected statement of a flaw that is now exploited.
	SecondLook bool `json:"second_look,omitempty"`
	// Detected is when the finding was first seen; it breaks ties.
	Detected time.Time `json:"detected,omitzero"`
	// DueAt is filled in by the caller from Clock.Due; zero when there is no date.
	DueAt time.Time `json:"due_at,omitzero"`
}

// Fired is one rule that gave a tier.
type Fired struct {
	Rule string     `json:"rule"`
	Tier graph.Tier `json:"tier"`
}

// Decide answers for one finding on one workload. Call Inputs.Validate first: values outside the lists are read as
// unknown here, and for contradictions the answer means nothing.
func Decide(in Inputs, p *Policy) Decision { return decide(&in, p) }

func decide(in *Inputs, p *Policy) Decision {
	c := read(in, p)
	v := c.judge(p)
	d := Decision{
		Finding: in.Finding, Workload: in.Workload, Detected: in.Detected,
		Tier: v.tier, Rule: v.rule, Triage: v.triage, Table: v.table, WithoutR0: v.tier,
	}
	switch accepted := graph.Tier(in.Accepted.Value); {
	case in.VEX.Value == NotAffected:
		d.lower(&v)
		d.SecondLook = c.threat == exploited
	case accepted == "":
	case v.tier.MoreUrgent(accepted):
		d.Voided = true
	default:
		d.lower(&v)
	}
	d.Due = p.due(d.Tier, d.Triage)
	d.Fired = v.list()
	d.Terms = c.terms(d.Tier, p)
	d.Score = d.Terms.Sum()
	return d
}

// lower applies R0, always last.
func (d *Decision) lower(v *verdict) {
	d.Tier, d.Rule, d.Triage = graph.P4, "R0", false
	v.add("R0", graph.P4)
}
