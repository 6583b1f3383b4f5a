package assign

import (
	"cmp"
	"slices"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// action is what the issue of a remediation needs.
type action string

const (
	actNothing action = ""
	actCreate  action = "create"
	actUpdate  action = "update"
)

// plan is what should be: which findings count, what the issue would say, and what to do about it.
type plan struct {
	action   action
	held     string // why an issue that is asked for is not opened
	draft    graph.IssueDraft
	hash     string // of the draft
	counting []graph.FindingID
	tier     graph.Tier
	score    int
	due      string
	dueAt    time.Time
	status   graph.Status
	decided  string
}

// plan decides without doing.
func (c *work) plan() plan {
	p := plan{status: c.remediation.Status}
	counting := c.counting()
	for _, f := range counting {
		p.counting = append(p.counting, f.ID)
	}
	shown := counting
	if len(shown) == 0 {
		shown = c.findings
	}
	if len(counting) == 0 && allClosed(c.findings) && early(p.status) {
		p.status = graph.StatusFixedInCode
	}
	if len(counting) > 0 && p.status == graph.StatusFixedInCode {
		p.status = graph.StatusReopened
	}
	top := shown[0].Decision
	if top == nil {
		top = &graph.Decision{Published: graph.P4, Due: "none"}
	}
	p.tier, p.score, p.due, p.dueAt = top.Published, top.Score, top.Due, earliest(shown)
	p.draft = c.draft(shown, p)
	p.hash = graph.Version(p.draft)
	p.decided = graph.Version(seen(c.findings))
	p.action, p.held = c.next(p)
	return p
}

// next compares the plan with what the issue shows.
func (c *work) next(p plan) (action, string) {
	m := c.remediation
	if m.Issue == nil {
		if len(p.counting) == 0 && m.Intent == nil {
			return actNothing, ""
		}
		if why := c.hold(); why != "" {
			return actNothing, why
		}
		return actCreate, ""
	}
	if m.Issue.Deleted || m.Issue.State == "closed" || m.Applied == p.hash {
		return actNothing, ""
	}
	if why := c.hold(); why != "" {
		return actNothing, why
	}
	return actUpdate, ""
}

// hold tells why nothing may be written outside; empty when it may.
func (c *work) hold() string {
	switch {
	case c.exposure.Provisional:
		return "the first inventory is being taken"
	case c.Mode == Observe:
		return "observe mode: decided and shown, nothing is written outside"
	case c.Mode == Approve && !c.remediation.Approved:
		return "waits for a person to approve it"
	case c.repository.Deleted:
		return "the repository was deleted"
	case c.repository.Archived:
		return "the repository is archived"
	case c.repository.IssuesOff:
		return "issues are switched off in the repository"
	}
	return ""
}

// counting are the findings that ask for an issue now.
func (c *work) counting() []graph.Finding {
	var out []graph.Finding
	for _, f := range c.findings {
		if f.State != graph.Open || f.Decision == nil || len(f.Known) > 0 {
			continue
		}
		if slices.Contains(c.policy.Actions(f.Decision.Published, f.FixExists()), decision.ActionIssue) {
			out = append(out, f)
		}
	}
	return out
}

func allClosed(fs []graph.Finding) bool {
	return !slices.ContainsFunc(fs, func(f graph.Finding) bool { return f.State == graph.Open })
}

// early are the statuses before the fix is in the code.
func early(s graph.Status) bool {
	return s == graph.StatusOpen || s == graph.StatusAssigned || s == graph.StatusInProgress || s == graph.StatusReopened
}

// order puts the most urgent finding first; undecided ones come last.
func order(fs []graph.Finding) {
	slices.SortStableFunc(fs, func(a, b graph.Finding) int {
		x, y := decisionOf(a), decisionOf(b)
		return cmp.Or(cmp.Compare(x.Published.Rank(), y.Published.Rank()), cmp.Compare(y.Score, x.Score), a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.ID, b.ID))
	})
}

func decisionOf(f graph.Finding) graph.Decision {
	if f.Decision == nil {
		return graph.Decision{}
	}
	return *f.Decision
}

func earliest(fs []graph.Finding) time.Time {
	var first time.Time
	for _, f := range fs {
		at := decisionOf(f).DueAt
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

func seen(fs []graph.Finding) []string {
	var all []string
	for _, f := range fs {
		all = append(all, string(f.ID)+f.SeenVersion())
	}
	slices.Sort(all)
	return all
}
