// Package assign opens, updates and follows the one issue of each remediation on the repository of origin, and closes it
// when the fix is proven to run.
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

// speaker adds comments to issues.
type speaker interface {
	CommentIssue(ctx context.Context, r graph.Repository, number int, body string) error
	// FindComments gives the texts of the comments on an issue that were written or changed since a time.
	FindComments(ctx context.Context, r graph.Repository, number int, since time.Time) ([]string, error)
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
	Speaker speaker // nil: nothing is said besides the issue's text
	History history // nil: no fix can be proven
	Owners  *Owners // nil: nobody is assigned
	Alerts  alerts  // nil: alerts keep their assignees
	Tickets tickets // nil: nothing is written to Defender for Cloud
	Rights  rights  // nil: commands on issues are not heard
	Agents  agents  // nil: no issue is given to a coding agent
	Budget  *Budget // nil: GitHub's own limits alone hold
	Policy  func() *decision.Policy
	Mode    Mode
	Modes   Modes // of repositories where Mode does not hold
	Marker  Marker
	Signed  bool // a closing comment names its signed evidence
	// Window is how long nothing without the fix must have been seen before an issue is closed as verified.
	Window time.Duration
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
	c, err := s.load(ctx, due)
	if err != nil {
		return nil, fmt.Errorf("assign %s: %w", due.Remediation, err)
	}
	c.event = e.ID
	said, err := c.obey(ctx)
	if err == nil {
		err = c.settle(ctx)
	}
	var limited *graph.Limited
	if errors.As(err, &limited) {
		s.Log.InfoContext(ctx, "assign waits", "remediation", due.Remediation, "until", limited.Until, "why", limited.Why)
		return append(append(said, c.news...), e.Again(limited.Until)), nil
	}
	if final(err) {
		return said, c.refused(ctx, err)
	}
	if err != nil {
		return nil, fmt.Errorf("assign %s: %w", due.Remediation, err)
	}
	return said, nil
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
	home        graph.Repository // where the issue is: the repository itself, or where it was transferred to
	exposure    graph.Exposure
	findings    []graph.Finding // of this fix, most urgent first
	remediation graph.Remediation
	policy      *decision.Policy
	now         time.Time
	event       string                     // its id
	news        []event.Event              // about other remediations
	kin         map[string][]graph.Finding // alerts by the vulnerabilities of runtime findings
	evidence    map[graph.Digest]graph.Evidence
	proof       graph.Proof
}

// load reads the repository, the findings of the fix, and the remediation.
func (s *Stage) load(ctx context.Context, due event.Due) (*work, error) {
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
	return c, errors.Join(err, c.locate(ctx))
}

// locate finds the repository that the issue was transferred to.
func (c *work) locate(ctx context.Context) error {
	c.home = c.repository
	i := c.remediation.Issue
	if i == nil || i.Repository == "" || i.Repository == c.repository.ID {
		return nil
	}
	home, err := graph.Get[graph.Repository](ctx, c.Store, graph.RepositoryKey(i.Repository))
	c.home = home.Value
	return err
}

// public tells whether everybody can read the issue.
func (c *work) public() bool { return c.repository.Public() || c.home.Public() }

// settle takes the findings in, and acts when the issue does not show what it should.
func (c *work) settle(ctx context.Context) error {
	if len(c.findings) == 0 {
		return c.withdraw(ctx)
	}
	if err := errors.Join(c.origins(ctx), c.relatives(ctx), c.prove(ctx)); err != nil {
		return err
	}
	p := c.plan()
	if err := c.act(ctx, p); err != nil {
		return err
	}
	if err := c.say(ctx); err != nil {
		return err
	}
	p = c.plan()
	if err := errors.Join(c.assignAlerts(ctx, p), c.govern(ctx, p), c.handOver(ctx)); err != nil {
		return err
	}
	return c.waits(p)
}

// act does what the plan asks for.
func (c *work) act(ctx context.Context, p plan) error {
	switch p.action {
	case actCreate:
		passed, err := c.pass(ctx, p)
		if err != nil {
			return err
		}
		if passed {
			return c.create(ctx, p)
		}
		p.held = c.waitsForApproval(p)
	case actUpdate:
		return c.update(ctx, p)
	case actClose:
		return c.close(ctx, p)
	case actReopen:
		return c.reopen(ctx, p)
	}
	return c.save(ctx, func(m *graph.Remediation) {
		c.take(m, p)
		if m.Intent != nil && m.Intent.Action != string(actComment) && m.Issue != nil {
			m.Intent = nil // what was begun is no longer wanted
		}
	})
}

// save changes the remediation, and the lines of its findings in the worklist when that changes what they show.
func (c *work) save(ctx context.Context, change func(*graph.Remediation)) error {
	m, _, err := graph.Update(ctx, c.Store, graph.RemediationKey(c.repository.ID, c.remediation.ID), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		next := old.Value
		if !old.Exists() {
			next = graph.Remediation{ID: c.remediation.ID, Repository: c.repository.ID, Status: graph.StatusOpen}
		}
		next.Timeline = append([]graph.Entry(nil), next.Timeline...)
		before := graph.Version(next)
		change(&next)
		next.Timeline = recent(next.Timeline)
		return next, !old.Exists() || graph.Version(next) != before, nil
	})
	if err != nil {
		return err
	}
	c.remediation = m
	for _, f := range c.findings {
		if _, err := graph.ShowFinding(ctx, c.Store, graph.Summarise(f, c.exposure, &m)); err != nil {
			return err
		}
	}
	return nil
}

// maxTimeline bounds the timeline; the first line and the newest stay.
const maxTimeline = 200

func recent(lines []graph.Entry) []graph.Entry {
	if len(lines) <= maxTimeline {
		return lines
	}
	return append(lines[:1:1], lines[len(lines)-maxTimeline+1:]...)
}

// take notes what the remediation is for now, with a line for what moved.
func (c *work) take(m *graph.Remediation, p plan) {
	if p.status != m.Status {
		was := m.Status
		m.Status = p.status
		if p.why != "" {
			c.note(m, own, fmt.Sprintf("status %s, was %s", shownStatus(p), was), p.why)
		}
	}
	c.takeClosing(m)
	m.FixKey, m.Title = c.findings[0].FixKey, p.draft.Title
	m.Tier, m.Score, m.Due, m.DueAt = p.tier, p.score, p.due, p.dueAt
	m.Findings, m.Held, m.Decided = p.counting, p.held, p.decided
	m.Ran = c.ran(p)
	m.Proof = nil
	if !p.proof.FixedAt.IsZero() {
		proof := p.proof
		m.Proof = &proof
	}
	m.Seen = map[graph.FindingID]string{}
	for _, f := range c.findings {
		m.Seen[f.ID] = f.SeenVersion()
	}
}

func shownStatus(p plan) string {
	if p.status == graph.StatusRollingOut {
		return fmt.Sprintf("%s %d/%d", p.status, p.proof.Running, p.proof.Total)
	}
	return string(p.status)
}

// takeClosing notes what a person did to the state of the issue.
func (c *work) takeClosing(m *graph.Remediation) {
	if m.Issue == nil {
		return
	}
	switch {
	case m.Issue.State == "closed" && m.Closed == nil:
		by := graph.Closing{By: m.Issue.Actor, At: m.Issue.UpdatedAt, Tier: m.Tier, Why: m.Issue.StateReason}
		if by.By == "" {
			by.By = "a person"
		}
		m.Closed = &by
		if len(c.open()) > 0 {
			c.note(m, by.By, "issue closed while a finding is open", "it stays closed until the fix becomes more urgent than "+string(by.Tier))
		}
	case m.Issue.State == "open" && m.Closed != nil:
		m.Closed = nil
	}
}

func (c *work) note(m *graph.Remediation, actor, what, why string) {
	m.Timeline = append(m.Timeline, graph.Entry{At: c.now, Actor: actor, What: what, Why: why})
}
