package assign

import (
	"context"
	"fmt"
	"time"

	"throughline/shared/event"
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
	if own, ok := found[c.remediation.ID]; ok {
		if err := c.opened(ctx, p, own, "", Owner{Logins: own.Assignees}); err != nil {
			return false, err
		}
		done = true
	}
	if err := c.bringBack(ctx, found); err != nil {
		return false, err
	}
	return done, c.adopted(ctx, len(found))
}

// adopted writes that nothing is left to be found.
func (c *work) adopted(ctx context.Context, issues int) error {
	w, err := graph.NewWrite(graph.AdoptionKey(c.repository.ID), graph.KindAdoption, graph.Any, graph.Adoption{At: c.now, Issues: issues})
	if err != nil {
		return err
	}
	return c.Store.Write(ctx, w)
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

// bringBack gives the other remediations of the repository their issues. Each that was without gets its turn, and what is
// at hand comes again: only a look that brings nothing back is the last.
func (c *work) bringBack(ctx context.Context, found map[graph.RemediationID]graph.Issue) error {
	for id, issue := range found {
		changed, err := c.bringOne(ctx, id, issue)
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		e, err := event.NewDue("/functions/assign", event.Due{Repository: c.repository.ID, Remediation: id})
		if err != nil {
			return err
		}
		c.news = append(c.news, e)
	}
	if len(c.news) > 0 {
		return &graph.Limited{Until: c.now, Why: "issues of an earlier store were found"}
	}
	return nil
}

// bringOne gives a remediation its issue, unless it has one, or is about to.
func (c *work) bringOne(ctx context.Context, id graph.RemediationID, issue graph.Issue) (changed bool, err error) {
	if id == c.remediation.ID {
		return false, nil
	}
	issue.Repository = c.repository.ID
	_, changed, err = graph.Update(ctx, c.Store, graph.RemediationKey(c.repository.ID, id), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
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
	return changed, err
}
