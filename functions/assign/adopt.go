package assign

import (
	"context"
	"fmt"
	"slices"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// adopt runs before the first issue that this store sees opened on a repository. The store may be younger than the
// issues, after a loss or a move: those with our marker become the issues of their remediations again, so that none is
// opened twice. done tells that the remediation at hand has its issue back.
func (c *work) adopt(ctx context.Context, p plan) (done bool, err error) {
	mark, err := graph.Get[graph.Adoption](ctx, c.Store, graph.AdoptionKey(c.repository.ID))
	if err != nil || mark.Value.Done {
		return false, err
	}
	issues, err := c.Tracker.FindIssues(ctx, c.repository, time.Time{})
	if err != nil {
		return false, fmt.Errorf("look for issues of an earlier store: %w", err)
	}
	found := c.marked(issues)
	if err := c.bringBack(ctx, found, mark.Value); err != nil {
		return false, err
	}
	own, done := found[c.remediation.ID]
	if done {
		if err := c.opened(ctx, p, own, "", Owner{Logins: own.Assignees}); err != nil {
			return false, err
		}
	}
	return done, c.adopted(ctx, graph.Adoption{At: c.now, Issues: len(found), Done: true})
}

// adopted writes how far it has come.
func (c *work) adopted(ctx context.Context, a graph.Adoption) error {
	w, err := graph.NewWrite(graph.AdoptionKey(c.repository.ID), graph.KindAdoption, graph.Any, a)
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
// at hand comes again: only a look that finds nothing to bring back is the last. Who gets a turn is written down before, so that
// the same message, handled again after a crash, says it again.
func (c *work) bringBack(ctx context.Context, found map[graph.RemediationID]graph.Issue, before graph.Adoption) error {
	missing, err := c.without(ctx, found)
	if err != nil {
		return err
	}
	if before.By == c.event {
		missing = union(missing, before.Brought)
	}
	if len(missing) == 0 {
		return nil
	}
	if err := c.adopted(ctx, graph.Adoption{At: c.now, Issues: len(found), By: c.event, Brought: missing}); err != nil {
		return err
	}
	for _, id := range missing {
		if err := c.bringOne(ctx, id, found[id]); err != nil {
			return err
		}
		e, err := event.NewDue("/functions/assign", event.Due{Repository: c.repository.ID, Remediation: id})
		if err != nil {
			return err
		}
		c.news = append(c.news, e)
	}
	return &graph.Limited{Until: c.now, Why: "issues of an earlier store were found"}
}

// without are the other remediations whose issues were found and that know of none.
func (c *work) without(ctx context.Context, found map[graph.RemediationID]graph.Issue) ([]graph.RemediationID, error) {
	var missing []graph.RemediationID
	for id := range found {
		if id == c.remediation.ID {
			continue
		}
		m, err := graph.Get[graph.Remediation](ctx, c.Store, graph.RemediationKey(c.repository.ID, id))
		if err != nil {
			return nil, err
		}
		if !hasIssue(m.Value) {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// hasIssue tells whether a remediation has an issue, or is about to.
func hasIssue(m graph.Remediation) bool { return m.Issue != nil || m.Intent != nil }

func union(a, b []graph.RemediationID) []graph.RemediationID {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// bringOne gives a remediation its issue, unless it has one by now.
func (c *work) bringOne(ctx context.Context, id graph.RemediationID, issue graph.Issue) error {
	issue.Repository = c.repository.ID
	_, _, err := graph.Update(ctx, c.Store, graph.RemediationKey(c.repository.ID, id), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		m := old.Value
		if hasIssue(m) || issue.Number == 0 {
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
