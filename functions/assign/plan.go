package assign

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// action is what the issue of a remediation needs.
type action string

const (
	actNothing  action = ""
	actCreate   action = "create"
	actUpdate   action = "update"
	actClose    action = "close"
	actReopen   action = "reopen"
	actComment  action = "comment"
	actWithdraw action = "withdraw"
)

// plan is what should be: which findings count, what the issue would say, and what to do about it.
type plan struct {
	action   action
	held     string // why an issue that is asked for is not opened
	draft    graph.IssueDraft
	hash     string // of what makes the draft worth an update
	counting []graph.FindingID
	tier     graph.Tier
	score    int
	due      string
	dueAt    time.Time
	status   graph.Status
	why      string // of the status
	proof    graph.Proof
	decided  string
	assign   bool // the policy asks to assign people
}

// plan decides without doing.
func (c *work) plan() plan {
	counting := c.counting()
	p := plan{proof: c.proof}
	p.status, p.why = c.status(len(counting) > 0)
	for _, f := range counting {
		p.counting = append(p.counting, f.ID)
		p.assign = p.assign || slices.Contains(c.policy.Actions(f.Decision.Published, f.FixExists()), decision.ActionAssign)
	}
	shown := counting
	if len(shown) == 0 {
		shown = c.findings
	}
	top := shown[0].Decision
	if top == nil {
		top = &graph.Decision{Published: graph.P4, Due: "none"}
	}
	p.tier, p.score, p.due, p.dueAt = top.Published, top.Score, top.Due, earliest(shown)
	p.draft, p.hash = c.draft(shown, p)
	p.decided = graph.Version(seen(c.findings))
	p.action, p.held = c.next(p)
	return p
}

// status tells where the remediation stands, and why when that is not plain.
func (c *work) status(counting bool) (graph.Status, string) {
	was := c.remediation.Status
	open := c.open()
	switch {
	case c.repository.Deleted:
		return graph.StatusEnded, "the repository was deleted, or is out of reach"
	case c.repository.Archived:
		return graph.StatusEnded, "the repository was archived"
	case len(open) == 0 && c.dismissed():
		return graph.StatusAccepted, "every alert was dismissed on GitHub: " + c.dismissal()
	case len(open) == 0:
		return c.progress()
	case acceptedOnly(open):
		return graph.StatusAccepted, acceptedBecause(open)
	case !early(was) && c.remediation.Issue == nil:
		return graph.StatusOpen, ""
	case counting && !early(was):
		return graph.StatusReopened, "it was " + string(was) + ", and a finding is open again"
	case !early(was):
		return graph.StatusOpen, "a finding is open again"
	case was == "":
		return graph.StatusOpen, ""
	}
	return was, ""
}

// open are the findings that are not mended yet.
func (c *work) open() []graph.Finding {
	return slices.DeleteFunc(slices.Clone(c.findings), c.over)
}

// over tells whether a finding is closed. What Defender says of an image that runs nowhere any more is over, too.
func (c *work) over(f graph.Finding) bool {
	if f.State != graph.Open {
		return true
	}
	return f.Runtime != nil && c.exposure.Inventory && !c.exposure.Provisional && !c.runsNow(f.Runtime.Digest)
}

func (c *work) runsNow(d graph.Digest) bool {
	return slices.ContainsFunc(c.exposure.Artifacts, func(a graph.ExposedArtifact) bool { return a.Digest == d })
}

func (c *work) dismissed() bool {
	return !slices.ContainsFunc(c.findings, func(f graph.Finding) bool { return f.State != graph.Dismissed })
}

func (c *work) dismissal() string {
	var reasons []string
	for _, f := range c.findings {
		reason := "no reason given"
		if f.Alert != nil {
			reason = cmp.Or(f.Alert.Reason, reason)
		} else if f.Runtime != nil {
			reason = cmp.Or(f.Runtime.Reason, reason)
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	slices.Sort(reasons)
	return strings.Join(reasons, ", ")
}

// ruleAccepted is the rule of accepted risks.
const ruleAccepted = "R0"

func acceptedOnly(fs []graph.Finding) bool {
	return !slices.ContainsFunc(fs, func(f graph.Finding) bool { return f.Decision == nil || f.Decision.Rule != ruleAccepted })
}

// acceptedBecause tells people's acceptances from statements of their suppliers.
func acceptedBecause(fs []graph.Finding) string {
	if slices.ContainsFunc(fs, func(f graph.Finding) bool { return f.Acceptance.Stands() }) {
		return "the risk was accepted"
	}
	return "a VEX statement says that what runs is not affected"
}

// next compares the plan with what the issue shows.
func (c *work) next(p plan) (action, string) {
	m := c.remediation
	wanted := c.wanted(p)
	if wanted == actNothing {
		return actNothing, ""
	}
	if why := c.hold(); why != "" {
		return actNothing, why
	}
	if wanted == actCreate && m.Intent == nil && c.underway() {
		return actNothing, "the alerts of its vulnerabilities are fixed in the code; their fix is on its way"
	}
	return wanted, ""
}

// wanted is what the issue needs, whether or not we may.
func (c *work) wanted(p plan) action {
	i := c.remediation.Issue
	settled := p.status == graph.StatusVerified || p.status == graph.StatusAccepted
	switch {
	case p.status == graph.StatusEnded:
		return actNothing
	case i == nil && (len(p.counting) > 0 || c.remediation.Intent != nil):
		return actCreate
	case i == nil || i.Deleted:
		return actNothing
	case i.State == "closed" && len(p.counting) > 0 && c.comesBack(p):
		return actReopen
	case i.State == "closed":
		return actNothing
	case settled:
		return actClose
	case c.remediation.Applied != p.hash:
		return actUpdate
	}
	return actNothing
}

// comesBack tells whether a closed issue is to be opened again: one that we closed, always; one that a person closed,
// only when it became more urgent since.
func (c *work) comesBack(p plan) bool {
	by := c.closing()
	return by.By == own || p.tier.MoreUrgent(by.Tier)
}

// own is how we sign in timelines.
const own = "throughline"

// closing is who closed the issue; what we did not note was done by a person.
func (c *work) closing() graph.Closing {
	m := c.remediation
	if m.Closed != nil {
		return *m.Closed
	}
	return graph.Closing{By: cmp.Or(m.Issue.Actor, "a person"), At: m.Issue.UpdatedAt, Tier: m.Tier, Why: m.Issue.StateReason}
}

// underway tells whether every vulnerability of a runtime finding is known to alerts that are fixed already: then the
// image is only to be built and deployed, which their issue follows.
func (c *work) underway() bool {
	known := func(id string) bool {
		return slices.ContainsFunc(c.kin[id], func(f graph.Finding) bool { return f.State == graph.Fixed && c.now.Sub(closedAt(f)) < patience })
	}
	for _, f := range c.counting() {
		if f.Runtime == nil || len(f.CVEs) == 0 || slices.ContainsFunc(f.CVEs, func(id string) bool { return !known(id) }) {
			return false
		}
	}
	return true
}

// patience is how long a fix in the code may take until it runs, before what still runs gets an issue of its own.
const patience = 7 * 24 * time.Hour

func closedAt(f graph.Finding) time.Time {
	switch {
	case f.Alert != nil && !f.Alert.ClosedAt.IsZero():
		return f.Alert.ClosedAt
	case f.Alert != nil:
		return f.Alert.UpdatedAt
	case f.Runtime != nil:
		return f.Runtime.UpdatedAt
	}
	return time.Time{}
}

// hold tells why nothing may be written outside; empty when it may.
func (c *work) hold() string {
	mode := c.Modes.Of(c.repository, c.Mode)
	switch {
	case c.exposure.Provisional:
		return "the first inventory is being taken"
	case mode == Observe:
		return "observe mode: decided and shown, nothing is written outside"
	case mode == Approve && !c.remediation.Approved && c.remediation.Issue == nil:
		return "waits for a person to approve it"
	case c.home.ID != c.repository.ID && (c.home.ID == "" || c.home.Deleted || c.home.Archived):
		return "its issue was transferred to a repository that cannot be written to"
	case c.home.IssuesOff:
		return "issues are switched off in the repository"
	}
	return ""
}

// counting are the findings that ask for an issue now: by policy, or because a person asked.
func (c *work) counting() []graph.Finding {
	var out []graph.Finding
	for _, f := range c.findings {
		if c.over(f) || f.Decision == nil || len(f.Known) > 0 {
			continue
		}
		asked := c.remediation.Approved && f.Decision.Rule != ruleAccepted
		if asked || slices.Contains(c.policy.Actions(f.Decision.Published, f.FixExists()), decision.ActionIssue) {
			out = append(out, f)
		}
	}
	return out
}

// early are the statuses before the fix is in the code.
func early(s graph.Status) bool {
	return s == "" || s == graph.StatusOpen || s == graph.StatusAssigned || s == graph.StatusInProgress || s == graph.StatusReopened
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
