package decision

import (
	"slices"
	"time"

	"throughline/shared/graph"
)

// Cause tells why the computed tier changed.
type Cause string

// The causes. Only a computed change waits.
const (
	// Computed is the rule deciding again; the empty string means the same.
	Computed Cause = "computed"
	// R0 is an acceptance or a VEX statement: it acts at once.
	R0 Cause = "r0"
	// Fixed is a verified fix: it acts at once and ends the episode.
	Fixed Cause = "fixed"
	// Released is a person ending the hold; it needs a reason and is audited.
	Released Cause = "released"
)

// TierChange is one entry of a finding's history: from At on the computed tier is Tier.
type TierChange struct {
	At    time.Time  `json:"at"`
	Tier  graph.Tier `json:"tier"`
	Cause Cause      `json:"cause,omitempty"`
	// By and Reason belong to a release.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Publish is the most urgent tier computed in force during the last hold: a raise shows at once, a drop when it has not
// been contradicted for that long. Changes after now are passed over; without any left the tier is empty.
func Publish(h []TierChange, now time.Time, hold time.Duration) graph.Tier {
	return publish(ordered(h), now, hold)
}

// Continue adds what was computed last to a history. It adds nothing when that says the same as before: an acceptance
// of a tier that is held, and its end, change the cause and not the tier.
func Continue(h []TierChange, next TierChange) []TierChange {
	if n := len(h); n > 0 && h[n-1].Tier == next.Tier && (h[n-1].Cause == R0) == (next.Cause == R0) {
		return h
	}
	return append(h[:len(h):len(h)], next)
}

// CauseOf is the cause of the most urgent tier of a finding over its workloads: R0 when it was lowered on all of them, or
// when the others alone keep the finding from the tier that it had without R0.
func CauseOf(ds []Decision) Cause {
	top := MostUrgent(ds).Tier
	all := len(ds) > 0
	for i := range ds {
		if ds[i].WithoutR0.MoreUrgent(top) {
			return R0
		}
		all = all && ds[i].Rule == "R0"
	}
	if all {
		return R0
	}
	return Computed
}

// Hold is how long a drop waits.
func (p *Policy) Hold() time.Duration { return time.Duration(p.Windows.LowerAfterDays) * day }

func ordered(h []TierChange) []TierChange {
	h = slices.Clone(h)
	slices.SortStableFunc(h, func(a, b TierChange) int { return a.At.Compare(b.At) })
	return h
}

func publish(h []TierChange, now time.Time, hold time.Duration) graph.Tier {
	tier := graph.Tier("")
	end := time.Time{}
	for i := len(h) - 1; i >= 0; i-- {
		c := h[i]
		if c.At.After(now) {
			continue
		}
		// What was in force until the very start of the window no longer counts.
		if tier != "" && !end.After(now.Add(-hold)) {
			return tier
		}
		// Any tier is more urgent than none.
		if c.Tier.MoreUrgent(tier) {
			tier = c.Tier
		}
		latest := end.IsZero()
		if c.Cause == Fixed || c.Cause == Released || c.Cause == R0 && latest {
			return tier
		}
		end = c.At
	}
	return tier
}

// Published is what is shown of a history.
type Published struct {
	Tier graph.Tier `json:"tier"`
	// Since is the day, UTC, from which this tier has been shown.
	Since    string     `json:"since"`
	Computed graph.Tier `json:"computed"`
	// Then is the tier that follows on From when nothing contradicts; empty when nothing is held.
	Then graph.Tier `json:"then,omitempty"`
	From time.Time  `json:"from,omitzero"`
}

// PublishedAt is the published tier with since when, and what follows.
func PublishedAt(h []TierChange, now time.Time, hold time.Duration) Published {
	h = ordered(h)
	out := Published{Tier: publish(h, now, hold)}
	for _, c := range h {
		if !c.At.After(now) {
			out.Computed = c.Tier
		}
	}
	turns := turningPoints(h, hold)
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i].After(now) {
			continue
		}
		if publish(h, turns[i], hold) != out.Tier {
			break
		}
		out.Since = turns[i].UTC().Format(time.DateOnly)
	}
	past := slices.DeleteFunc(slices.Clone(h), func(c TierChange) bool { return c.At.After(now) })
	for _, t := range turningPoints(past, hold) {
		if next := publish(past, t, hold); t.After(now) && next != out.Tier {
			out.Then, out.From = next, t
			break
		}
	}
	return out
}

// turningPoints are the times at which the published tier can change: a change, and the end of a hold after it.
func turningPoints(h []TierChange, hold time.Duration) []time.Time {
	var times []time.Time
	for _, c := range h {
		times = append(times, c.At, c.At.Add(hold))
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// Held tells that a less urgent tier is waiting for the hold to end.
func (p Published) Held() bool { return p.Then != "" }

// Overdue tells that the due time has passed. What is held is not counted: it waits for nobody.
func (p Published) Overdue(due, now time.Time) bool {
	return !p.Held() && !due.IsZero() && now.After(due)
}

// Compact drops the oldest changes that can no longer matter to Publish at or after now. Take their times into Reached
// first.
func Compact(h []TierChange, now time.Time, hold time.Duration) []TierChange {
	h = ordered(h)
	for len(h) > 1 && !h[1].At.After(now.Add(-hold)) {
		h = h[1:]
	}
	return h
}
