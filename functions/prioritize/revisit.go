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

// exempt takes an exemption that somebody gave in Defender for Cloud as an acceptance, at the tier that the finding has
// without it, and takes it back when it is gone. A person's own acceptance goes before it while it is in force.
func (r *round) exempt(f *graph.Finding, base decision.Inputs, where reach) error {
	if f.Runtime == nil {
		return nil
	}
	at, before := f.Runtime.UpdatedAt, f.Acceptance
	own := before != nil && before.By == decision.DefenderForCloud
	switch {
	case !f.Runtime.Exempt:
		if own {
			f.Acceptance = nil
		}
		return nil
	case own && (at.IsZero() || before.At.Equal(at)), !own && r.accepted(*f).Value != "":
		return nil
	case at.IsZero():
		at = r.now
	}
	all, err := r.explanations(*f, base, where)
	if err != nil {
		return err
	}
	f.Acceptance = &graph.Acceptance{By: decision.DefenderForCloud, Reason: "exempted in Defender for Cloud", At: at, Tier: bare(all)}
	return nil
}

// bare is the most urgent tier over the workloads, without acceptance and VEX.
func bare(all []decision.Explanation) graph.Tier {
	tier := graph.P4
	for _, e := range all {
		if e.WithoutR0.MoreUrgent(tier) {
			tier = e.WithoutR0
		}
	}
	return tier
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
