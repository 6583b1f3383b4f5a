// Package assign opens, updates and follows the one issue of each remediation on the repository of origin.
//
// It records what it is about to do before it does it. An action whose result is not known is looked for by its signed
// marker on the repository's own issues before anything is created, so that a crash at any instant neither loses an
// issue nor opens a second one. It decides no tiers; it renders what the decisions say.
package assign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the stage signs its events.
const name = "/functions/assign"

// tracker is where issues live.
type tracker interface {
	// CreateIssue opens an issue with everything in one call.
	CreateIssue(ctx context.Context, r graph.Repository, d graph.IssueDraft) (graph.Issue, error)
	// EditIssue replaces what the draft names and leaves the rest.
	EditIssue(ctx context.Context, r graph.Repository, number int, e graph.IssueEdit) (graph.Issue, error)
	// FindIssues lists the issues that we opened on a repository since a time, with their bodies, whatever their state.
	FindIssues(ctx context.Context, r graph.Repository, since time.Time) ([]graph.Issue, error)
}

// Mode is how far the stage may go by itself.
type Mode string

// The modes.
const (
	Observe Mode = "observe" // decide and show, write nothing outside
	Approve Mode = "approve" // a person clicks
	Auto    Mode = "auto"
)

// Stage is the function assign.
type Stage struct {
	Store   graph.Store
	Tracker tracker
	Policy  func() *decision.Policy
	Mode    Mode
	Marker  Marker
	// Process tells this process from one that crashed: an action begun by another is given time to land.
	Process string
	Now     func() time.Time
	Log     *slog.Logger
}

// landing is how long a call that was begun by a process that is gone may still take effect.
const landing = 30 * time.Second

// Handle brings the issue of one remediation in step with the decisions of its findings.
func (s *Stage) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	var due event.Due
	if err := e.Into(&due); err != nil {
		return nil, err
	}
	c, err := s.open(ctx, due)
	if err != nil {
		return nil, fmt.Errorf("assign %s: %w", due.Remediation, err)
	}
	err = c.settle(ctx)
	var limited *graph.Limited
	if errors.As(err, &limited) {
		s.Log.InfoContext(ctx, "assign waits", "remediation", due.Remediation, "until", limited.Until, "why", limited.Why)
		return []event.Event{e.Again(limited.Until)}, nil
	}
	var final permanent
	if errors.As(err, &final) && final.Permanent() {
		return nil, c.refused(ctx, err)
	}
	if err != nil {
		return nil, fmt.Errorf("assign %s: %w", due.Remediation, err)
	}
	return nil, nil
}

// permanent is an error of the tracker that no retry heals.
type permanent interface{ Permanent() bool }

// refused notes why there is no issue, or why it does not show the newest decision. The next change tries again.
func (c *work) refused(ctx context.Context, err error) error {
	c.Log.WarnContext(ctx, "GitHub refuses", "remediation", c.remediation.ID, "why", err.Error())
	p := c.plan()
	p.held = "GitHub refuses: " + err.Error()
	return c.save(ctx, func(m *graph.Remediation) {
		c.take(m, p)
		m.Intent = nil
	})
}

// work is one remediation with all that is needed to act on it.
type work struct {
	*Stage
	repository  graph.Repository
	exposure    graph.Exposure
	findings    []graph.Finding // of this fix, most urgent first
	remediation graph.Remediation
	policy      *decision.Policy
	now         time.Time
}

// open reads the repository, the findings of the fix, and the remediation.
func (s *Stage) open(ctx context.Context, due event.Due) (*work, error) {
	c := &work{Stage: s, policy: s.Policy(), now: s.Now()}
	repository, err := graph.Get[graph.Repository](ctx, s.Store, graph.RepositoryKey(due.Repository))
	if err != nil {
		return nil, err
	}
	if !repository.Exists() {
		return nil, event.Permanent(fmt.Errorf("repository %s is not in the graph", due.Repository))
	}
	exposure, err := graph.Get[graph.Exposure](ctx, s.Store, graph.ExposureKey(due.Repository))
	if err != nil {
		return nil, err
	}
	c.repository, c.exposure = repository.Value, exposure.Value
	c.findings, err = graph.ListAll[graph.Finding](ctx, s.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(due.Repository),
		Kind: graph.KindFinding, Where: []graph.Where{{Field: "remediation", Op: graph.Equal, Value: string(due.Remediation)}}})
	if err != nil {
		return nil, err
	}
	order(c.findings)
	remediation, err := graph.Get[graph.Remediation](ctx, s.Store, graph.RemediationKey(due.Repository, due.Remediation))
	c.remediation = remediation.Value
	if !remediation.Exists() {
		c.remediation = graph.Remediation{ID: due.Remediation, Repository: due.Repository, Status: graph.StatusOpen}
	}
	return c, err
}

// settle takes the findings in, and acts when the issue does not show what it should.
func (c *work) settle(ctx context.Context) error {
	if len(c.findings) == 0 {
		return c.withdraw(ctx)
	}
	plan := c.plan()
	switch plan.action {
	case actCreate:
		return c.create(ctx, plan)
	case actUpdate:
		return c.update(ctx, plan)
	}
	return c.save(ctx, func(m *graph.Remediation) { c.take(m, plan) })
}

// save changes the remediation, and the lines of its findings in the worklist when that changes what they show.
func (c *work) save(ctx context.Context, change func(*graph.Remediation)) error {
	m, _, err := graph.Update(ctx, c.Store, graph.RemediationKey(c.repository.ID, c.remediation.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		next := old.Value
		if !old.Exists() {
			next = graph.Remediation{ID: c.remediation.ID, Repository: c.repository.ID, Status: graph.StatusOpen}
		}
		before := graph.Version(next)
		change(&next)
		return next, !old.Exists() || graph.Version(next) != before, nil
	})
	if err != nil {
		return err
	}
	c.remediation = m
	for _, f := range c.findings {
		if err := graph.SaveSummary(ctx, c.Store, graph.Summarise(f, c.exposure, &m)); err != nil {
			return err
		}
	}
	return nil
}

// take notes what the remediation is for now.
func (c *work) take(m *graph.Remediation, p plan) {
	m.FixKey, m.Title = c.findings[0].FixKey, p.draft.Title
	m.Tier, m.Score, m.Due, m.DueAt = p.tier, p.score, p.due, p.dueAt
	m.Findings, m.Held, m.Decided = p.counting, p.held, p.decided
	m.Status = p.status
	m.Seen = map[graph.FindingID]string{}
	for _, f := range c.findings {
		m.Seen[f.ID] = f.SeenVersion()
	}
}
