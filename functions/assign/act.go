package assign

import (
	"context"
	"fmt"
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
	if err := c.intend(ctx, actCreate, p.hash, before); err != nil {
		return err
	}
	if before != nil {
		found, err := c.find(ctx, before.Since)
		if err != nil {
			return fmt.Errorf("look for the issue of an earlier try: %w", err)
		}
		if found != nil {
			if err := c.opened(ctx, p, *found, ""); err != nil {
				return err
			}
			return c.settle(ctx) // what it shows is not known: update it
		}
	}
	issue, err := c.Tracker.CreateIssue(ctx, c.repository, p.draft)
	if err != nil {
		return fmt.Errorf("create issue on %s: %w", c.repository.FullName(), err)
	}
	c.Log.InfoContext(ctx, "issue opened", "repository", c.repository.FullName(), "issue", issue.Number, "tier", p.tier, "remediation", c.remediation.ID)
	return c.opened(ctx, p, issue, p.hash)
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
	var oldest *graph.Issue
	for i := range issues {
		id, ok := c.Marker.Read(issues[i].Body)
		if ok && id == c.remediation.ID && (oldest == nil || issues[i].Number < oldest.Number) {
			oldest = &issues[i]
		}
	}
	return oldest, nil
}

// opened records the issue. What it shows is known only when this very draft was just sent.
func (c *work) opened(ctx context.Context, p plan, i graph.Issue, shows string) error {
	i.Repository = c.repository.ID
	return c.save(ctx, func(m *graph.Remediation) {
		c.take(m, p)
		m.Issue, m.Assignees, m.Intent, m.Applied = &i, i.Assignees, nil, shows
		if len(i.Assignees) > 0 && m.Status == graph.StatusOpen {
			m.Status = graph.StatusAssigned
		}
		m.Timeline = append(m.Timeline, graph.Entry{At: c.now, Actor: "throughline", What: fmt.Sprintf("issue #%d opened", i.Number), Why: why(p)})
	})
}

// update replaces the body and title of the issue. Doing it twice does no harm, so no look-up is needed.
func (c *work) update(ctx context.Context, p plan) error {
	if err := c.intend(ctx, actUpdate, p.hash, c.remediation.Intent); err != nil {
		return err
	}
	issue, err := c.Tracker.EditIssue(ctx, c.repository, c.remediation.Issue.Number, graph.IssueEdit{Title: &p.draft.Title, Body: &p.draft.Body, Labels: c.labels(p)})
	if err != nil {
		return fmt.Errorf("update issue #%d on %s: %w", c.remediation.Issue.Number, c.repository.FullName(), err)
	}
	return c.save(ctx, func(m *graph.Remediation) {
		tier := m.Tier
		c.take(m, p)
		m.Intent, m.Applied = nil, p.hash
		if m.Issue != nil && !issue.UpdatedAt.Before(m.Issue.UpdatedAt) {
			m.Issue.Title, m.Issue.Labels, m.Issue.UpdatedAt = issue.Title, issue.Labels, issue.UpdatedAt
		}
		if tier != p.tier {
			m.Timeline = append(m.Timeline, graph.Entry{At: c.now, Actor: "throughline", What: fmt.Sprintf("tier %s, was %s", p.tier, tier), Why: why(p)})
		}
	})
}

func why(p plan) string { return fmt.Sprintf("%s, due %s", p.tier, p.due) }

// withdraw closes the issue of a remediation whose findings all turned out to belong to another repository.
func (c *work) withdraw(ctx context.Context) error {
	const reason = "its findings belong to another repository"
	m := c.remediation
	if m.Issue == nil || m.Issue.State == "closed" || m.Issue.Deleted || c.hold() != "" {
		return nil
	}
	issue, err := c.Tracker.EditIssue(ctx, c.repository, m.Issue.Number, graph.IssueEdit{State: "closed", StateReason: "not_planned"})
	if err != nil {
		return fmt.Errorf("close issue #%d on %s: %w", m.Issue.Number, c.repository.FullName(), err)
	}
	return c.save(ctx, func(m *graph.Remediation) {
		m.Issue.State, m.Issue.StateReason, m.Issue.UpdatedAt = "closed", "not_planned", issue.UpdatedAt
		m.Status, m.Findings, m.Seen, m.Intent = graph.StatusAccepted, nil, nil, nil
		m.Timeline = append(m.Timeline, graph.Entry{At: c.now, Actor: "throughline", What: "issue closed as not planned", Why: reason})
	})
}
