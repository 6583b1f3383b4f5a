package decision

import "time"

// AlarmAfter is how long a source may fail before somebody is told, long before its no expires.
const AlarmAfter = 24 * time.Hour

// Opening is one issue that a change of tiers would open, and the cause of that change: a source gone stale, a revision
// of a feed, a new policy. An empty cause is a finding's own news, which nothing guards.
type Opening struct {
	Issue string
	Cause string
	// Opened marks an issue that this cause has opened before; it counts, and stays open.
	Opened bool
	// Approved marks a cause that a person has let pass.
	Approved bool
}

// Guard splits issues into those that open and those that wait for approval, both in the order given. All issues of a
// cause wait when it would open more than the policy's guard, counting those it opened before. Tiers change all the same.
func Guard(openings []Opening, p *Policy) (open, wait []Opening) {
	issues := make(map[string]map[string]struct{})
	approved := make(map[string]bool)
	for _, o := range openings {
		if issues[o.Cause] == nil {
			issues[o.Cause] = make(map[string]struct{})
		}
		issues[o.Cause][o.Issue] = struct{}{}
		approved[o.Cause] = approved[o.Cause] || o.Approved
	}
	for _, o := range openings {
		if o.Cause == "" || o.Opened || approved[o.Cause] || len(issues[o.Cause]) <= p.Guard {
			open = append(open, o)
		} else {
			wait = append(wait, o)
		}
	}
	return open, wait
}
