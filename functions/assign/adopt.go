package assign

import (
	"context"
	"fmt"
	"time"

	"throughline/shared/graph"
)

// adopt runs before the first issue that this store sees opened on a repository. The store may be younger than the
// issues, after a loss or a move: those with our marker become the issues of their remediations again, so that none is
// opened twice. done tells that the remediation at hand has its issue back.
func (c *work) adopt(ctx context.Context, p plan) (done bool, err error) {
	mark, err := graph.Get[graph.Adoption](ctx, c.Store, graph.AdoptionKey(c.repository.ID))
	if err != nil || mark.Exists() {
		return false, err
	}
	issues, err := c.Tracker.FindIssues(ctx, c.repository, time.Time{})
	if err != nil {
		return false, fmt.Errorf("look for issues of an earlier store: %w", err)
	}
	found := c.marked(issues)
	for id, issue := range found {
		if id == c.remediation.ID {
			err = c.opened(ctx, p, issue, "", Owner{Logins: issue.Assignees})
		} else {
			err = c.bringBack(ctx, id, issue)
		}
		if err != nil {
			return false, err
		}
	}
	w, err := graph.NewWrite(graph.AdoptionKey(c.repository.ID), graph.KindAdoption, graph.Any, graph.Adoption{At: c.now, Issues: len(found)})
	if err == nil {
		err = c.Store.Write(ctx, w)
	}
	_, done = found[c.remediation.ID]
	return done, err
}

// marked are the issues with our signed marker; of two for one remediation the older.
func (c *work) marked(issues []graph.Issue) map[graph.RemediationID]graph.Issue {
	found := map[graph.RemediationID]graph.Issue{}
	for _, i := range issues {
		id, ok := c.Marker.Read(i.Body)
		if known, twice := found[id]; ok && (!twice || i.Number < known.Number) {
			found[id] = i
		}
	}
	return found
}

// bringBack gives another remediation of the repository its issue, unless it has one, or is about to.
func (c *work) bringBack(ctx context.Context, id graph.RemediationID, issue graph.Issue) error {
	issue.Repository = c.repository.ID
	_, _, err := graph.Update(ctx, c.Store, graph.RemediationKey(c.repository.ID, id), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		m := old.Value
		if m.Issue != nil || m.Intent != nil {
			return m, false, nil
		}
		if !old.Exists() {
			m = graph.Remediation{ID: id, Repository: c.repository.ID, Title: issue.Title, Status: graph.StatusOpen}
		}
		m.Issue, m.Assignees, m.Asked = &issue, issue.Assignees, issue.Assignees
		if len(issue.Assignees) > 0 && m.Status == graph.StatusOpen {
			m.Status = graph.StatusAssigned
		}
		return m, true, nil
	})
	return err
}
