package correlate

import (
	"context"
	"fmt"

	"throughline/shared/graph"
)

// issue ties what happened to an issue into the remediation that it belongs to. Issues of nobody's are left alone.
func (t *tie) issue(ctx context.Context, i graph.Issue) error {
	m, found, err := t.remediationOf(ctx, i.Repository, i.Number)
	if err != nil || !found {
		return err
	}
	next, changed, err := graph.Update(ctx, t.Store, graph.RemediationKey(m.Repository, m.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		return mergeIssue(old.Value, i)
	})
	if err != nil || !changed {
		return err
	}
	for _, f := range next.Findings {
		t.lag(next.Repository, f)
	}
	return nil
}

// mergeIssue takes over the newer state of the issue and writes a line for each change that a person made.
func mergeIssue(m graph.Remediation, i graph.Issue) (graph.Remediation, bool, error) {
	if m.Issue == nil || i.UpdatedAt.Before(m.Issue.UpdatedAt) {
		return m, false, nil
	}
	was := *m.Issue
	now := was
	now.State, now.StateReason, now.Assignees, now.Labels = i.State, i.StateReason, i.Assignees, i.Labels
	now.Deleted, now.Actor, now.Own = i.Deleted, i.Actor, i.Own
	now.UpdatedAt = i.UpdatedAt
	unmoved := now
	unmoved.UpdatedAt, unmoved.Actor, unmoved.Own = was.UpdatedAt, was.Actor, was.Own
	if same(unmoved, was) {
		return m, false, nil
	}
	m.Issue = &now
	m.Assignees = now.Assignees
	if !i.Own {
		m.Timeline = append(m.Timeline, graph.Entry{At: i.UpdatedAt, Actor: i.Actor, What: changeOf(was, now)})
	}
	m.Status = statusOf(m)
	return m, true, nil
}

// changeOf says in a few words what happened to the issue.
func changeOf(was, now graph.Issue) string {
	switch {
	case now.Deleted && !was.Deleted:
		return "issue deleted"
	case now.State != was.State && now.State == "closed":
		return "issue closed as " + now.StateReason
	case now.State != was.State:
		return "issue reopened"
	case !same(now.Assignees, was.Assignees):
		return fmt.Sprintf("assigned to %v", now.Assignees)
	default:
		return "labels changed"
	}
}

// statusOf moves the early statuses with the issue; the later ones are assign's to set.
func statusOf(m graph.Remediation) graph.Status {
	switch m.Status {
	case graph.StatusOpen, graph.StatusAssigned, "":
		if len(m.Assignees) > 0 {
			return graph.StatusAssigned
		}
		return graph.StatusOpen
	}
	return m.Status
}

// remediationOf finds the remediation of an issue.
func (t *tie) remediationOf(ctx context.Context, r graph.RepositoryID, number int) (graph.Remediation, bool, error) {
	found, err := graph.ListAll[graph.Remediation](ctx, t.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(r),
		Kind: graph.KindRemediation, Where: []graph.Where{{Field: "issue.number", Op: graph.Equal, Value: number}}})
	if err != nil || len(found) == 0 {
		return graph.Remediation{}, false, err
	}
	return found[0], true, nil
}

// command hands a command to the remediation that the issue belongs to. Until it is answered, hearing it again reports it
// again.
func (t *tie) command(ctx context.Context, c graph.Command) error {
	m, found, err := t.remediationOf(ctx, c.Repository, c.Issue)
	if err != nil || !found {
		return err
	}
	next, _, err := graph.Update(ctx, t.Store, graph.RemediationKey(m.Repository, m.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		next := old.Value
		taken := next.Command(c)
		return next, taken, nil
	})
	if err == nil && next.Ordered() {
		l := t.lagOf(m.Repository)
		l.Remediations = union(l.Remediations, m.ID)
	}
	return err
}

// pullRequest ties a pull request to the remediations whose issues it says it fixes.
func (t *tie) pullRequest(ctx context.Context, p graph.PullRequest) error {
	for _, number := range p.Issues {
		m, found, err := t.remediationOf(ctx, p.Repository, number)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		next, changed, err := graph.Update(ctx, t.Store, graph.RemediationKey(m.Repository, m.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
			return mergePullRequest(old.Value, p)
		})
		if err != nil {
			return err
		}
		if changed {
			for _, f := range next.Findings {
				t.lag(next.Repository, f)
			}
		}
	}
	return nil
}

func mergePullRequest(m graph.Remediation, p graph.PullRequest) (graph.Remediation, bool, error) {
	for i, have := range m.PullRequests {
		if have.Number != p.Number || have.Repository != p.Repository {
			continue
		}
		if p.UpdatedAt.Before(have.UpdatedAt) || same(have, p) {
			return m, false, nil
		}
		m.PullRequests[i] = p
		return withPull(m, p), true, nil
	}
	m.PullRequests = append(m.PullRequests, p)
	return withPull(m, p), true, nil
}

// withPull moves the status and writes the line.
func withPull(m graph.Remediation, p graph.PullRequest) graph.Remediation {
	if m.Status == graph.StatusOpen || m.Status == graph.StatusAssigned {
		m.Status = graph.StatusInProgress
	}
	m.Timeline = append(m.Timeline, graph.Entry{At: p.UpdatedAt, Actor: p.Author, What: fmt.Sprintf("pull request #%d %s", p.Number, p.State)})
	return m
}
