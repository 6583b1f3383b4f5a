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
	if err := t.forward(ctx, m, i.Moved); err != nil {
		return err
	}
	next, changed, err := graph.Update(ctx, t.Store, graph.RemediationKey(m.Repository, m.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		return mergeIssue(old.Value, i)
	})
	if err != nil {
		return err
	}
	if changed || !i.Own { // a crash after the write must not lose what a person did
		t.lagRemediation(next)
	}
	return nil
}

// lagRemediation notes a remediation whose issue or pull request moved: assign carries it on, to Defender for Cloud too.
func (t *tie) lagRemediation(m graph.Remediation) {
	l := t.lagOf(m.Repository)
	l.Remediations = union(l.Remediations, m.ID)
}

// forward leaves word at the new place of a transferred issue whose it is, before the issue is said to be there.
func (t *tie) forward(ctx context.Context, m graph.Remediation, to *graph.IssuePlace) error {
	if to == nil {
		return nil
	}
	_, _, err := graph.Update(ctx, t.Store, graph.ForwardingKey(to.Repository, to.Number), graph.KindForwarding, func(old graph.Versioned[graph.Forwarding]) (graph.Forwarding, bool, error) {
		next := graph.Forwarding{Repository: m.Repository, Remediation: m.ID}
		return next, !old.Exists() || old.Value != next, nil
	})
	return err
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
	if i.Moved != nil {
		now.Repository, now.Number, now.URL = i.Moved.Repository, i.Moved.Number, i.Moved.URL
	}
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
	case now.Repository != was.Repository || now.Number != was.Number:
		return fmt.Sprintf("issue transferred, now %s", now.URL)
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
	if err != nil {
		return graph.Remediation{}, false, err
	}
	for _, m := range found {
		if m.Issue.Repository == "" || m.Issue.Repository == r { // an issue that was transferred has the number of its new place
			return m, true, nil
		}
	}
	return t.forwarded(ctx, r, number)
}

// forwarded finds the remediation of an issue that was transferred here.
func (t *tie) forwarded(ctx context.Context, r graph.RepositoryID, number int) (graph.Remediation, bool, error) {
	to, err := graph.Get[graph.Forwarding](ctx, t.Store, graph.ForwardingKey(r, number))
	if err != nil || !to.Exists() {
		return graph.Remediation{}, false, err
	}
	m, err := graph.Get[graph.Remediation](ctx, t.Store, graph.RemediationKey(to.Value.Repository, to.Value.Remediation))
	here := m.Exists() && m.Value.Issue != nil && m.Value.Issue.Repository == r && m.Value.Issue.Number == number
	return m.Value, here, err
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
		next, _, err := graph.Update(ctx, t.Store, graph.RemediationKey(m.Repository, m.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
			return mergePullRequest(old.Value, p)
		})
		if err != nil {
			return err
		}
		t.lagRemediation(next)
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
