package prioritize

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// cause tells what made a finding ask for an issue, when that is something that many findings rest on. It stays as long
// as the finding asks. News of the finding's own, and the first decision of all, have no cause: nothing guards them.
func (r *round) cause(before *graph.Decision, now graph.Decision, was, is graph.Basis) string {
	switch {
	case !now.Wants, before == nil, before.Provisional:
		return ""
	case before.Wants:
		return before.Cause
	case was.Subject != is.Subject, was.Joined != is.Joined, was.Accepted != is.Accepted:
		return ""
	case was.Policy != is.Policy:
		return "policy " + is.Policy
	case was.Feeds != is.Feeds:
		return editions(now)
	case was.Stated != is.Stated:
		return "VEX documents " + r.VEX.Edition()
	case was.Exposure != is.Exposure:
		return ""
	}
	return r.stale()
}

// editions names the revision of the feeds that a decision was made with.
func editions(d graph.Decision) string {
	var x decision.Explanation
	if len(d.Workloads) > 0 && json.Unmarshal(d.Workloads[0].Explanation, &x) != nil {
		return "feeds"
	}
	return fmt.Sprintf("feeds: KEV %s, EPSS %s, Vulnrichment %s", cmp.Or(x.Data.KEV, "none"), cmp.Or(x.Data.EPSS, "none"), cmp.Or(x.Data.Vulnrichment, "none"))
}

// stale names the sources whose word has become too old; empty when none has, as at the end of an acceptance.
func (r *round) stale() string {
	var sources []string
	for _, w := range r.exposure.Workloads {
		for _, reading := range w.Readings {
			old := reading.Says == graph.No && decision.Says(reading, r.now, r.policy) == graph.Unknown
			if old && slices.Contains(r.policy.NoFrom, reading.Source) && !slices.Contains(sources, reading.Source) {
				sources = append(sources, reading.Source)
			}
		}
	}
	for _, s := range r.scopes {
		if s.Says == graph.No && decision.Says(s, r.now, r.policy) == graph.Unknown {
			sources = append(sources, "inventory of "+s.Path)
		}
	}
	if len(sources) == 0 {
		return ""
	}
	slices.Sort(sources)
	return "evidence gone stale on " + r.now.UTC().Format(time.DateOnly) + ": " + strings.Join(sources, ", ")
}
