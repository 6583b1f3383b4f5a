package decision

import (
	"encoding/json"
	"fmt"
	"time"

	"throughline/shared/graph"
)

// DefenderForCloud is who an exemption in Microsoft Defender for Cloud is by.
const DefenderForCloud = "Defender for Cloud"

// Acceptance is a person's word that a finding may wait: who, why, until when, and the tier at that time. It holds while
// the computed tier is that tier or less urgent.
type Acceptance struct {
	By     string     `json:"by"`
	Reason string     `json:"reason"`
	At     time.Time  `json:"at"`
	Until  time.Time  `json:"until,omitzero"`
	Tier   graph.Tier `json:"tier"`
}

// Accept makes the acceptance of a finding, at the tier that it would have without one. It refuses, in words for the
// person who asked, what is not decided and what the policy does not allow.
func Accept(f graph.Finding, given graph.Acceptance, p *Policy) (graph.Acceptance, error) {
	if f.State != graph.Open || f.Decision == nil {
		return given, fmt.Errorf("finding %s is %s: only an open, decided finding can be accepted", f.ID, f.State)
	}
	tier, err := bareTier(f.Decision)
	if err != nil {
		return given, err
	}
	given.Tier = tier
	return given, Acceptance{By: given.By, Reason: given.Reason, At: given.At, Until: given.Until, Tier: given.Tier}.Validate(p)
}

// bareTier is the most urgent tier over the workloads, without acceptance and VEX.
func bareTier(d *graph.Decision) (graph.Tier, error) {
	tier := d.Tier
	for i, w := range d.Workloads {
		var e struct {
			WithoutR0 graph.Tier `json:"without_r0"`
		}
		if err := json.Unmarshal(w.Explanation, &e); err != nil {
			return "", fmt.Errorf("explanation of workload %s: %w", w.Workload, err)
		}
		if i == 0 || e.WithoutR0.MoreUrgent(tier) {
			tier = e.WithoutR0
		}
	}
	return tier, nil
}

// ParseUntil reads the end of an acceptance: a day, which ends at its end, or a time.
func ParseUntil(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.Add(24*time.Hour - time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fmt.Errorf("until: %q is not a day like 2026-12-31", s)
	}
	return at.UTC(), nil
}

// Validate tells what keeps an acceptance from being recorded, in words for the person who asked.
func (a Acceptance) Validate(p *Policy) error {
	switch end, limited := a.limit(p); {
	case a.By == "":
		return fmt.Errorf("an acceptance needs somebody's name")
	case a.Reason == "":
		return fmt.Errorf("an acceptance needs a reason")
	case a.Tier.Rank() >= len(graph.Tiers):
		return fmt.Errorf("an acceptance needs the tier it is given at, got %q", a.Tier)
	case a.Until.IsZero():
		return fmt.Errorf("an acceptance needs an end date")
	case !a.Until.After(a.At):
		return fmt.Errorf("the end %s is not in the future", a.Until.UTC().Format(time.DateOnly))
	case limited && a.Until.After(end):
		return fmt.Errorf("%s may be accepted for at most %d days, until %s", a.Tier, p.maxDays(a.Tier), end.UTC().Format(time.DateOnly))
	}
	return nil
}

// End is when the acceptance runs out: at its own date or at the policy's limit for its tier, whichever is earlier. An
// exemption without a date gets the limit; false when nothing bounds it.
func (a Acceptance) End(p *Policy) (time.Time, bool) {
	end, limited := a.limit(p)
	if !a.Until.IsZero() && (!limited || a.Until.Before(end)) {
		return a.Until, true
	}
	return end, limited
}

// limit ends with the last day that the policy allows, because people give dates, not hours.
func (a Acceptance) limit(p *Policy) (time.Time, bool) {
	n := p.maxDays(a.Tier)
	return endOfDay(a.At.UTC().AddDate(0, 0, n)), n > 0
}

// Fact is the fact for Inputs.Accepted: the tier accepted while the acceptance is in force, nothing before and after.
func (a Acceptance) Fact(now time.Time, p *Policy) Fact {
	end, bounded := a.End(p)
	if now.Before(a.At) || bounded && now.After(end) {
		return Fact{}
	}
	source := a.By + ": " + a.Reason
	if bounded {
		source += ", until " + end.UTC().Format(time.DateOnly)
	}
	return Fact{Value: string(a.Tier), Source: source, At: a.At}
}

// maxDays is 0 for P4 and for what is no tier: nothing to lower, no limit.
func (p *Policy) maxDays(t graph.Tier) int {
	m := p.Acceptance.MaxDays
	switch t {
	case graph.P0:
		return m.P0
	case graph.P1:
		return m.P1
	case graph.P2:
		return m.P2
	case graph.P3:
		return m.P3
	}
	return 0
}
