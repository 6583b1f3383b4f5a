package assign

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// create opens the issue: it records the intent, looks for an issue that an earlier try may have opened, and only then
// creates one.
func (c *work) create(ctx context.Context, p plan) error {
	before := c.remediation.Intent
	if before != nil && before.By != c.Process && c.now.Sub(before.Since) < landing {
		return &graph.Limited{Until: before.Since.Add(landing), Why: "an earlier try may still take effect"}
	}
	done, err := c.known(ctx, p, before)
	if err != nil || done {
		return err
	}
	owner, err := c.owner(ctx, p)
	if err != nil {
		return err
	}
	if err := c.spend(ctx, p, true); err != nil {
		return err
	}
	if err := c.intend(ctx, actCreate, p.hash, before); err != nil {
		return err
	}
	c.remediation.Owned = owner.Why
	draft := c.plan().draft
	draft.Assignees = owner.Logins
	issue, err := c.Tracker.CreateIssue(ctx, c.repository, draft)
	if err != nil {
		return fmt.Errorf("create issue on %s: %w", c.repository.FullName(), err)
	}
	c.Log.InfoContext(ctx, "issue opened", "repository", c.repository.FullName(), "issue", issue.Number, "tier", p.tier, "remediation", c.remediation.ID)
	return c.opened(ctx, p, issue, p.hash, owner)
}

// known looks for an issue that there may be already: of an earlier try, or of an earlier store.
func (c *work) known(ctx context.Context, p plan, before *graph.Intent) (done bool, err error) {
	if before != nil {
		return c.recover(ctx, p, *before)
	}
	done, err = c.adopt(ctx, p)
	if err != nil || !done {
		return false, err
	}
	return true, c.act(ctx, c.plan()) // what it shows is not known: bring it in step
}

// recover looks for the issue of an earlier try. A try that is no longer wanted is forgotten.
func (c *work) recover(ctx context.Context, p plan, before graph.Intent) (done bool, err error) {
	found, err := c.find(ctx, before.Since)
	if err != nil {
		return false, fmt.Errorf("look for the issue of an earlier try: %w", err)
	}
	if found != nil {
		if err := c.opened(ctx, p, *found, "", Owner{Logins: found.Assignees}); err != nil {
			return false, err
		}
		return true, c.act(ctx, c.plan()) // what it shows is not known: bring it in step
	}
	if len(p.counting) > 0 {
		return false, nil
	}
	return true, c.save(ctx, func(m *graph.Remediation) {
		c.take(m, p)
		m.Intent = nil
	})
}

// intend records what is about to be done. An intent that is already there keeps its beginning: that is how far back a
// look for its result must go.
func (c *work) intend(ctx context.Context, a action, hash string, before *graph.Intent) error {
	since := c.now
	if before != nil && before.Action == string(a) {
		since = before.Since
	}
	return c.save(ctx, func(m *graph.Remediation) {
		m.Intent = &graph.Intent{Action: string(a), Hash: hash, Since: since, By: c.Process}
	})
}

// skew is how far GitHub's clock may lie behind ours.
const skew = 5 * time.Minute

// find looks for the issue with our signed marker among the repository's own issues.
func (c *work) find(ctx context.Context, since time.Time) (*graph.Issue, error) {
	issues, err := c.Tracker.FindIssues(ctx, c.repository, since.Add(-skew))
	if err != nil {
		return nil, err
	}
	if i, ok := c.marked(issues)[c.remediation.ID]; ok {
		return &i, nil
	}
	return nil, nil
}

// opened records the issue. What it shows is known only when this very draft was just sent.
func (c *work) opened(ctx context.Context, p plan, i graph.Issue, shows string, o Owner) error {
	i.Repository = c.repository.ID
	return c.save(ctx, func(m *graph.Remediation) {
		c.take(m, p)
		m.Issue, m.Assignees, m.Intent, m.Applied = &i, i.Assignees, nil, shows
		m.Owned, m.Asked, m.Labelled = o.Why, o.Logins, confirmed(p.draft.Labels, i.Labels)
		if len(m.Labelled) < len(p.draft.Labels) || !holds(i.Assignees, o.Logins) {
			m.Applied = "" // GitHub dropped something: an update repairs it
		}
		if len(i.Assignees) > 0 && m.Status == graph.StatusOpen {
			m.Status = graph.StatusAssigned
		}
		c.note(m, own, fmt.Sprintf("issue #%d opened", i.Number), why(p))
	})
}

// confirmed are those of our labels that GitHub shows.
func confirmed(ours, shown []string) []string {
	return slices.DeleteFunc(slices.Clone(ours), func(l string) bool { return !slices.Contains(shown, l) })
}

func holds(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool {
		return !slices.ContainsFunc(all, func(a string) bool { return strings.EqualFold(a, s) })
	})
}

// labels are those of a changed issue: ours, except those that a person took off, and whatever people added.
func (c *work) labels(p plan) []string {
	shown := c.remediation.Issue.Labels
	labels := []string{}
	for _, l := range shown {
		if l != labelOwn && l != labelEvidence && !strings.HasPrefix(l, labelTier) {
			labels = append(labels, l)
		}
	}
	for _, l := range p.draft.Labels {
		if !c.takenOff(l, shown) {
			labels = append(labels, l)
		}
	}
	return labels
}

// takenOff tells whether a person removed a label of ours, or the one of the tier before.
func (c *work) takenOff(label string, shown []string) bool {
	same := func(l string) bool {
		return l == label || strings.HasPrefix(label, labelTier) && strings.HasPrefix(l, labelTier)
	}
	return slices.ContainsFunc(c.remediation.Labelled, same) && !slices.ContainsFunc(shown, same)
}

// edit is what an update writes: title, body, labels, and once the assignees that GitHub dropped.
func (c *work) edit(p plan) graph.IssueEdit {
	e := graph.IssueEdit{Title: &p.draft.Title, Body: &p.draft.Body, Labels: c.labels(p)}
	m := c.remediation
	if m.Applied == "" && len(m.Issue.Assignees) == 0 && len(m.Asked) > 0 {
		e.Assignees = m.Asked
	}
	return e
}

// send writes an edit of the issue. Doing it twice does no harm, so no look-up is needed.
func (c *work) send(ctx context.Context, a action, p plan, e graph.IssueEdit, after func(*graph.Remediation)) error {
	if err := c.spend(ctx, p, false); err != nil {
		return err
	}
	if err := c.intend(ctx, a, p.hash, c.remediation.Intent); err != nil {
		return err
	}
	issue, err := c.Tracker.EditIssue(ctx, c.home, c.remediation.Issue.Number, e)
	if err != nil {
		return fmt.Errorf("%s issue #%d on %s: %w", a, c.remediation.Issue.Number, c.home.FullName(), err)
	}
	return c.save(ctx, func(m *graph.Remediation) {
		tier := m.Tier
		c.take(m, p)
		m.Intent, m.Applied = nil, p.hash
		if m.Issue != nil && !issue.UpdatedAt.Before(m.Issue.UpdatedAt) {
			m.Issue.Title, m.Issue.Labels, m.Issue.UpdatedAt = issue.Title, issue.Labels, issue.UpdatedAt
			m.Issue.Assignees, m.Assignees = issue.Assignees, issue.Assignees
			m.Labelled = confirmed(p.draft.Labels, append(slices.Clone(issue.Labels), m.Labelled...))
		}
		if tier != p.tier {
			c.note(m, own, fmt.Sprintf("tier %s, was %s", p.tier, tier), why(p))
		}
		if after != nil {
			after(m)
		}
	})
}

func (c *work) update(ctx context.Context, p plan) error {
	return c.send(ctx, actUpdate, p, c.edit(p), nil)
}

// close closes the issue: as completed when the fix is proven to run, as not planned when the risk was accepted.
func (c *work) close(ctx context.Context, p plan) error {
	e := c.edit(p)
	e.State, e.StateReason = "closed", "completed"
	if p.status == graph.StatusAccepted {
		e.StateReason = "not_planned"
	}
	c.Log.InfoContext(ctx, "issue closes", "repository", c.repository.FullName(), "issue", c.remediation.Issue.Number, "status", p.status)
	return c.send(ctx, actClose, p, e, func(m *graph.Remediation) {
		m.Issue.State, m.Issue.StateReason = "closed", e.StateReason
		m.Closed = &graph.Closing{By: own, At: c.now, Tier: p.tier, Why: p.why}
		m.Intent = &graph.Intent{Action: string(actComment), Hash: string(p.status), Since: c.now, By: c.Process}
		c.note(m, own, fmt.Sprintf("issue #%d closed as %s", m.Issue.Number, strings.ReplaceAll(e.StateReason, "_", " ")), p.why)
	})
}

// reopen opens a closed issue again.
func (c *work) reopen(ctx context.Context, p plan) error {
	by := c.closing()
	reason := p.why
	if by.By != own {
		reason = fmt.Sprintf("it was closed at %s and is %s now", by.Tier, p.tier)
	}
	if reason == "" {
		reason = "a finding is open again"
	}
	p.status = graph.StatusReopened
	p.draft, p.hash = c.draft(c.shown(p), p)
	e := c.edit(p)
	e.State, e.StateReason = "open", "reopened"
	return c.send(ctx, actReopen, p, e, func(m *graph.Remediation) {
		m.Issue.State, m.Issue.StateReason, m.Closed = "open", "reopened", nil
		m.Intent = &graph.Intent{Action: string(actComment), Hash: string(graph.StatusReopened) + ": " + reason, Since: c.now, By: c.Process}
		c.note(m, own, fmt.Sprintf("issue #%d reopened", m.Issue.Number), reason)
	})
}

// shown are the findings that the issue is about: those that count, or all when none does.
func (c *work) shown(p plan) []graph.Finding {
	if len(p.counting) == 0 {
		return c.findings
	}
	return slices.DeleteFunc(slices.Clone(c.findings), func(f graph.Finding) bool { return !slices.Contains(p.counting, f.ID) })
}

// say writes the comment that an action left to be written. The issue's text says the same, so that a comment that
// GitHub refuses loses nothing.
func (c *work) say(ctx context.Context) error {
	i := c.remediation.Intent
	if i == nil || i.Action != string(actComment) || c.remediation.Issue == nil {
		return nil
	}
	if c.Speaker != nil {
		p := c.plan()
		if err := c.speak(ctx, p, speech{c.remediation.Issue.Number, i.Since, i.Hash, c.comment(i.Hash, p)}); err != nil {
			return err
		}
	}
	return c.save(ctx, func(m *graph.Remediation) { m.Intent = nil })
}

// speech is a comment to be written once: why names what it is for, since is when it was decided.
type speech struct {
	issue     int
	since     time.Time
	why, text string
}

// speak writes a comment, unless an earlier try whose result was not heard wrote it already: its signed marker tells.
func (c *work) speak(ctx context.Context, p plan, s speech) error {
	marker := c.Marker.Comment(c.remediation.ID, s.why, s.since)
	written, err := c.Speaker.FindComments(ctx, c.home, s.issue, s.since.Add(-skew))
	if err == nil && slices.ContainsFunc(written, func(text string) bool { return strings.HasPrefix(text, marker) }) {
		return nil
	}
	if err == nil {
		if err = c.spend(ctx, p, true); err != nil {
			return err
		}
		err = c.Speaker.CommentIssue(ctx, c.home, s.issue, marker+"\n"+s.text)
	}
	if final(err) {
		c.Log.WarnContext(ctx, "GitHub refuses a comment", "remediation", c.remediation.ID, "why", err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("comment on issue #%d: %w", s.issue, err)
	}
	return nil
}

// comment is what is said about a change of the issue's state.
func (c *work) comment(what string, p plan) string {
	status, reason, _ := strings.Cut(what, ": ")
	switch graph.Status(status) {
	case graph.StatusVerified:
		return c.evidenceText(p)
	case graph.StatusAccepted:
		return "Closed as not planned: " + sentence(p.why) + ". It is opened again when that no longer holds.\n"
	}
	return "Opened again: " + sentence(reason) + ".\n"
}

func why(p plan) string { return fmt.Sprintf("%s, due %s", p.tier, p.due) }

// withdraw closes the issue of a remediation whose findings all turned out to belong to other repositories. A finding that
// is nowhere to be seen is on its way to another home, or back: nothing is closed for it.
func (c *work) withdraw(ctx context.Context) error {
	const reason = "its findings belong to another repository"
	m := c.remediation
	if m.Issue == nil || m.Issue.State == "closed" || m.Issue.Deleted || c.hold() != "" || c.repository.Archived || c.repository.Deleted {
		return nil
	}
	if len(m.Seen) == 0 {
		return nil // of an earlier store: this one has never seen what it is for
	}
	moved, err := c.moved(ctx)
	if err != nil {
		return err
	}
	if !moved {
		return c.linger(ctx)
	}
	issue, err := c.Tracker.EditIssue(ctx, c.home, m.Issue.Number, graph.IssueEdit{State: "closed", StateReason: "not_planned"})
	if err != nil {
		return fmt.Errorf("close issue #%d on %s: %w", m.Issue.Number, c.home.FullName(), err)
	}
	return c.save(ctx, func(m *graph.Remediation) {
		m.Issue.State, m.Issue.StateReason, m.Issue.UpdatedAt = "closed", "not_planned", issue.UpdatedAt
		m.Status, m.Findings, m.Seen, m.Intent = graph.StatusAccepted, nil, nil, nil
		m.Closed = &graph.Closing{By: own, At: c.now, Tier: m.Tier, Why: reason}
		c.note(m, own, "issue closed as not planned", reason)
	})
}

// moved tells whether each finding that the issue is for is known to belong to another repository by now.
func (c *work) moved(ctx context.Context) (bool, error) {
	for id := range c.remediation.Seen {
		line, err := graph.Get[graph.Summary](ctx, c.Store, graph.SummaryKey(c.repository.Org, id))
		if err != nil {
			return false, err
		}
		if to := line.Value.Repository; !line.Exists() || to == c.repository.ID || !to.Mapped() {
			return false, nil
		}
	}
	return len(c.remediation.Seen) > 0, nil
}

// linger looks again while the findings are between two homes. After some days a person is to decide.
func (c *work) linger(ctx context.Context) error {
	const missing = "none of its findings is to be found; close the issue if it is settled"
	i := c.remediation.Intent
	if i == nil || i.Action != string(actWithdraw) {
		if err := c.intend(ctx, actWithdraw, "", nil); err != nil {
			return err
		}
	}
	if c.now.Sub(c.remediation.Intent.Since) < patience {
		return &graph.Limited{Until: c.now.Add(look), Why: "its findings are between two homes"}
	}
	return c.save(ctx, func(m *graph.Remediation) { m.Held = missing })
}
