package prioritize

import (
	"slices"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// accepted is the fact that an acceptance gives while it stands and has not run out.
func (r *round) accepted(f graph.Finding) decision.Fact {
	if !f.Acceptance.Stands() {
		return decision.Fact{}
	}
	return acceptance(*f.Acceptance).Fact(r.now, r.policy)
}

func acceptance(a graph.Acceptance) decision.Acceptance {
	return decision.Acceptance{By: a.By, Reason: a.Reason, At: a.At, Until: a.Until, Tier: a.Tier}
}

// void ends an acceptance for good once a workload has made the tier more urgent than the one accepted.
func (r *round) void(f *graph.Finding, all []decision.Explanation) {
	i := slices.IndexFunc(all, func(e decision.Explanation) bool { return e.Voided })
	if i < 0 || !f.Acceptance.Stands() {
		return
	}
	ended := *f.Acceptance
	ended.Voided = r.now
	ended.Why = "the tier rose to " + string(all[i].WithoutR0) + " by " + all[i].Rule
	f.Acceptance = &ended
}

// revisit is when a hold or an acceptance ends; zero when neither is there.
func (r *round) revisit(f graph.Finding, p decision.Published) time.Time {
	var first time.Time
	if p.Held() {
		first = p.From
	}
	if f.Acceptance.Stands() {
		// In force to the end of its last second.
		if end, bounded := acceptance(*f.Acceptance).End(r.policy); bounded && !end.Before(r.now) {
			first = earlier(first, end.Add(time.Second))
		}
	}
	return first
}

// expiry is when the first reading that says no becomes too old to say so; zero when none does. A yes stays.
func (r *round) expiry(where reach) time.Time {
	var first time.Time
	for _, w := range where.workloads {
		for _, reading := range w.Readings {
			if slices.Contains(r.policy.NoFrom, reading.Source) && decision.Says(reading, r.now, r.policy) == graph.No {
				first = earlier(first, r.old(reading))
			}
		}
	}
	if where.answer() == graph.No {
		first = earlier(first, r.absence())
	}
	return first
}

// earlier is the earlier of two times; one that is zero does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
