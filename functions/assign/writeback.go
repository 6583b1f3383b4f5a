package assign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"throughline/shared/graph"
)

// alerts takes assignees of alerts.
type alerts interface {
	// PatchAlertAssignees replaces who is assigned to an alert.
	PatchAlertAssignees(ctx context.Context, r graph.Repository, kind graph.AlertKind, number int, logins []string) error
}

// Ticket is what Defender for Cloud is told of an issue.
type Ticket struct {
	Owner  string // an e-mail address; empty leaves the one that is there
	Due    time.Time
	Number int
	URL    string
	Status string
}

// ErrTicketTaken tells that somebody else's ticket stands on an assessment; it stays.
var ErrTicketTaken = errors.New("somebody else's ticket stands there")

// tickets takes the issue onto an assessment.
type tickets interface {
	// PutTicket writes the ticket unless it stands there already. graph.ErrNotFound tells that the assessment is gone.
	PutTicket(ctx context.Context, assessment string, t Ticket) error
}

// assignAlerts gives the alerts of the fix the assignees of its issue. An alert that a person gave to somebody stays.
func (c *work) assignAlerts(ctx context.Context, p plan) error {
	m := c.remediation
	if c.Alerts == nil || !p.assign || m.Issue == nil || m.Issue.State != "open" || len(m.Assignees) == 0 || c.hold() != "" || c.repository.Archived || c.repository.Deleted {
		return nil
	}
	var to []graph.Finding
	for _, f := range c.shown(p) {
		if f.Alert != nil && len(f.Alert.Assignees) == 0 {
			to = append(to, f)
		}
	}
	people := slices.DeleteFunc(slices.Clone(m.Assignees), graph.IsAgent) // an agent that is assigned to an alert begins another fix
	hash := graph.Version(people, idsOf(to))
	if len(to) == 0 || len(people) == 0 || m.AlertsAssigned == hash {
		return nil
	}
	for _, f := range to {
		err := c.Alerts.PatchAlertAssignees(ctx, c.repository, f.Kind, f.Alert.Number, people)
		if final(err) {
			c.Log.WarnContext(ctx, "alert keeps its assignees", "finding", f.ID, "why", err.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("assign alert %s: %w", f.ID, err)
		}
	}
	return c.save(ctx, func(m *graph.Remediation) { m.AlertsAssigned = hash })
}

func idsOf(fs []graph.Finding) []graph.FindingID {
	ids := make([]graph.FindingID, len(fs))
	for i, f := range fs {
		ids[i] = f.ID
	}
	return ids
}

// govern writes the issue onto the assessments behind it: who owns it, when it is due, and how it stands.
func (c *work) govern(ctx context.Context, p plan) error {
	m := c.remediation
	if c.Tickets == nil || m.Issue == nil || m.DueAt.IsZero() || c.hold() != "" {
		return nil
	}
	behind, err := c.assessments(ctx)
	if err != nil || len(behind) == 0 {
		return err
	}
	t := Ticket{Owner: c.mail(p), Due: m.DueAt, Number: m.Issue.Number, URL: m.Issue.URL, Status: ticketStatus(m)}
	hash := graph.Version(t, behind)
	if m.Governed == hash {
		return nil
	}
	for _, id := range behind {
		err := c.Tickets.PutTicket(ctx, id, t)
		switch {
		case errors.Is(err, graph.ErrNotFound):
		case errors.Is(err, ErrTicketTaken), final(err):
			c.Log.WarnContext(ctx, "ticket not written to Defender for Cloud", "assessment", id, "why", err.Error())
		case err != nil:
			return fmt.Errorf("write the ticket to %s: %w", id, err)
		}
	}
	return c.save(ctx, func(m *graph.Remediation) { m.Governed = hash })
}

// ticketStatus is how the fix stands, and that a person closed the issue before it was mended.
func ticketStatus(m graph.Remediation) string {
	if m.Issue.State == "closed" && m.Closed != nil && m.Closed.By != own {
		return "issue closed, " + string(m.Status)
	}
	return string(m.Status)
}

// assessments are those behind the issue: of its own runtime findings, and of those that match its alerts.
func (c *work) assessments(ctx context.Context) ([]string, error) {
	var ids []string
	add := func(id string) {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, f := range c.findings {
		if f.Runtime != nil {
			add(f.Runtime.Assessment)
		}
		for _, match := range f.Matches {
			found, err := graph.Get[graph.Finding](ctx, c.Store, graph.FindingKey(c.repository.ID, match.ID))
			if err != nil {
				return nil, err
			}
			if found.Value.Runtime != nil {
				add(found.Value.Runtime.Assessment)
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// mail is the address of a declared owner, when one is declared by address.
func (c *work) mail(p plan) string {
	if c.Owners == nil {
		return ""
	}
	for _, w := range c.running(p) {
		name := w.Owner
		if c.Owners.Catalogue != nil {
			name = nonEmpty(c.Owners.Catalogue.Owner(graph.Workload{ID: w.ID, Path: w.Path, Name: w.Name, Kind: w.Kind, Cluster: w.Cluster}), name)
		}
		if mailAddress.MatchString(name) {
			return name
		}
	}
	return ""
}
