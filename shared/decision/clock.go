package decision

import (
	"time"

	"throughline/shared/graph"
)

// Reached notes for each tier when the published tier first was that urgent in this episode.
type Reached map[graph.Tier]time.Time

// Reach adds a history to what was noted before; taking the same history in again changes nothing. A verified fix ends
// the episode and forgets. The result is a new map.
func Reach(before Reached, h []TierChange) Reached {
	out := make(Reached)
	for _, t := range graph.Tiers {
		out.note(t, before[t])
	}
	for _, c := range ordered(h) {
		if c.Cause == Fixed {
			clear(out)
			continue
		}
		// A raise is published at once, so the computed tier tells when a tier was reached.
		for _, t := range graph.Tiers[min(c.Tier.Rank(), len(graph.Tiers)):] {
			out.note(t, c.At)
		}
	}
	return out
}

func (r Reached) note(t graph.Tier, at time.Time) {
	if before, found := r[t]; !at.IsZero() && (!found || at.Before(before)) {
		r[t] = at
	}
}

// Clock is what due dates are counted from.
type Clock struct {
	Reached Reached
	// KEVAdded is the day the CVE entered KEV, Detected the first detection on a workload; the bod clock starts at the
	// earlier of those that are known.
	KEVAdded, Detected time.Time
}

// Due is the end of the day, UTC, at which a finding of the published tier is due; false for tiers that have no date.
//
// Under the clock "reached" it is the earliest over the tier and the less urgent ones reached, so that a raise never
// gives more time than was left and a drop never restarts a clock. Under "bod" the date may lie in the past on arrival.
func (c Clock) Due(t graph.Tier, p *Policy) (time.Time, bool) {
	if p.Clock == ClockBOD {
		return after(c.start(), p.rule(t).Due)
	}
	earliest, found := time.Time{}, false
	for _, reached := range graph.Tiers[min(t.Rank(), len(graph.Tiers)):] {
		due, dated := after(c.Reached[reached], p.rule(reached).Due)
		if dated && (!found || due.Before(earliest)) {
			earliest, found = due, true
		}
	}
	return earliest, found
}

func (c Clock) start() time.Time {
	if c.Detected.IsZero() || !c.KEVAdded.IsZero() && c.KEVAdded.Before(c.Detected) {
		return c.KEVAdded
	}
	return c.Detected
}

func after(start time.Time, due string) (time.Time, bool) {
	if start.IsZero() || due == dueUpgrade || due == dueNone {
		return time.Time{}, false
	}
	return endOfDay(start.UTC().AddDate(0, 0, days(due))), true
}

func endOfDay(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 23, 59, 59, 0, time.UTC)
}
