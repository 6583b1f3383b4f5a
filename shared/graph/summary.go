package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Summarise makes the line of a finding in the worklist. The remediation may be nil.
func Summarise(f Finding, x Exposure, m *Remediation) Summary {
	s := Summary{ID: f.ID, Org: x.Org, Repository: f.Repository, FullName: x.FullName, Kind: f.Kind, State: f.State,
		Unmapped: !f.Repository.Mapped() || !x.Images, CVEs: f.CVEs, Remediation: f.Remediation, FirstSeen: f.FirstSeen, Known: len(f.Known) > 0, Revision: f.Revision}
	s.subject(f)
	s.decision(f)
	s.path(f, x)
	if m != nil {
		s.Status, s.Assignees, s.Handled = string(m.Status), m.Assignees, m.Revision
		s.proof(m)
		if s.Agent = m.Agent(); s.Agent != "" {
			s.AgentAt = m.Handover.Done
		}
		if m.Issue != nil {
			s.Issue, s.IssueURL, s.IssueState = m.Issue.Number, m.Issue.URL, m.Issue.State
		}
		if m.Closed != nil {
			s.ClosedAt = m.Closed.At
		}
	}
	s.log()
	s.Rank = rankOf(s)
	s.ByDue, s.ByAge = stamp(s.DueAt)+"-"+s.Rank, stamp(s.FirstSeen)+"-"+s.Rank
	return s
}

// proof shows how far the fix has come.
func (s *Summary) proof(m *Remediation) {
	if m.Proof == nil {
		return
	}
	s.Rolled, s.RollsOut = m.Proof.Running, m.Proof.Total
	if m.Status == StatusVerified {
		s.Verified = m.Proof.CleanSince
	}
}

func (s *Summary) subject(f Finding) {
	if f.Alert != nil {
		s.Title, s.Severity, s.URL, s.Closed = f.Alert.Title, f.Alert.Severity, f.Alert.URL, f.Alert.ClosedAt
		return
	}
	if f.State != Open {
		s.Closed = f.Runtime.UpdatedAt
	}
	s.Title, s.Severity = f.Runtime.Title, f.Runtime.Severity
}

func (s *Summary) decision(f Finding) {
	s.Running = Unknown
	if f.Decision == nil {
		return
	}
	d := f.Decision
	s.Tier, s.Rule, s.Score, s.Due, s.DueAt, s.Running, s.Decided = d.Published, d.Rule, d.Score, d.Due, d.DueAt, d.Running, d.Version
	s.Held = d.Published.MoreUrgent(d.Tier)
	s.Link, s.DecidedAt = d.Link, d.DecidedAt
	for _, w := range d.Workloads {
		for _, risk := range w.Factors {
			if !slices.Contains(s.Risks, risk) {
				s.Risks = append(s.Risks, risk)
			}
		}
	}
	slices.Sort(s.Risks)
}

// shown is how many names of artifacts and workloads a line keeps.
const shown = 3

func (s *Summary) path(f Finding, x Exposure) {
	if f.Decision == nil {
		return
	}
	var digests []Digest
	for _, d := range f.Decision.Workloads {
		if d.Workload == "" {
			continue
		}
		s.WorkloadsAll++
		if len(s.Workloads) < shown {
			s.Workloads = append(s.Workloads, d.Name)
		}
		if i := slices.IndexFunc(x.Workloads, func(w ExposedWorkload) bool { return w.ID == d.Workload }); i >= 0 {
			digests = append(digests, x.Workloads[i].Digests...)
		}
	}
	for _, a := range x.Artifacts {
		if slices.Contains(digests, a.Digest) && a.Name != "" && len(s.Artifacts) < shown && !slices.Contains(s.Artifacts, a.Name) {
			s.Artifacts = append(s.Artifacts, a.Name)
		}
	}
}

// rankOf sorts by tier, score, due date, first detection and id; undecided findings come last.
func rankOf(s Summary) string {
	tier := s.Tier
	if tier == "" {
		tier = "P9"
	}
	return fmt.Sprintf("%s-%03d-%s-%s-%s", tier, 999-s.Score, stamp(s.DueAt), stamp(s.FirstSeen), s.ID)
}

// stamp sorts as text; a missing time comes last.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "99999999999999"
	}
	return t.UTC().Format("20060102150405")
}

// SaveSummary writes the line unless it stands there already. Several hands write the line of a finding at once: what it
// says of the finding and of the remediation only ever becomes newer.
func SaveSummary(ctx context.Context, st Store, s Summary) error {
	if s.Org == "" {
		return fmt.Errorf("summary of %s: the owner of repository %s is not known yet", s.ID, s.Repository)
	}
	_, _, err := Update(ctx, st, SummaryKey(s.Org, s.ID), KindSummary, func(old Versioned[Summary]) (Summary, bool, error) {
		next := s.newest(old.Value)
		return next, !old.Exists() || Version(old.Value) != Version(next), nil
	})
	return err
}

// ShowFinding saves the line of a finding that was read a while ago. A runtime finding may have moved to another
// repository meanwhile: then it answers false and takes the line back.
func ShowFinding(ctx context.Context, st Store, s Summary) (bool, error) {
	err := SaveSummary(ctx, st, s)
	if err != nil || s.Kind != RuntimeKind {
		return err == nil, err
	}
	home, err := Get[Finding](ctx, st, FindingKey(s.Repository, s.ID))
	if err != nil || home.Exists() {
		return err == nil, err
	}
	return false, DropSummary(ctx, st, s.Org, s.Repository, s.ID)
}

// newest keeps of the line that stands what is newer than this one.
func (s Summary) newest(old Summary) Summary {
	next := s
	if old.Revision > s.Revision {
		next = old
	}
	handled := s
	if old.Remediation == next.Remediation && (s.Remediation != next.Remediation || old.Handled > s.Handled) {
		handled = old
	}
	next.Status, next.Assignees, next.Handled = handled.Status, handled.Assignees, handled.Handled
	next.Issue, next.IssueURL, next.IssueState = handled.Issue, handled.IssueURL, handled.IssueState
	next.Verified, next.Rolled, next.RollsOut = handled.Verified, handled.Rolled, handled.RollsOut
	next.ClosedAt = handled.ClosedAt
	next.Agent, next.AgentAt = handled.Agent, handled.AgentAt
	next.log()
	return next
}

// log notes when the line last had something for the decision log.
func (s *Summary) log() { s.Logged = max(logStamp(s.DecidedAt), logStamp(s.ClosedAt)) }

// FixExists tells whether a fixed version is known; code and secrets can always be fixed.
func (f Finding) FixExists() bool {
	switch {
	case f.Runtime != nil:
		return f.Runtime.FixedIn != ""
	case f.Alert != nil && f.Alert.Dependency != nil:
		return f.Alert.Dependency.FixedIn != ""
	}
	return true
}

// SeenVersion is what a remediation notes of a finding that it took in: its state, the version of its decision and what
// knows it. Of a closed finding it is the exposure, too: whether the fix runs is still to be followed.
func (f Finding) SeenVersion() string {
	version := "undecided"
	if f.Decision != nil {
		version = f.Decision.Version
	}
	if f.State != Open {
		version += "-" + f.Based.Exposure
	}
	return string(f.State) + "-" + version + "-" + Version(f.Known, f.Matches)
}

// DropSummary takes the line of a finding out of the worklist, unless it is another repository's by now.
func DropSummary(ctx context.Context, st Store, org OrgID, r RepositoryID, f FindingID) error {
	if org == "" {
		return nil
	}
	key := SummaryKey(org, f)
	line, err := Get[Summary](ctx, st, key)
	if err != nil || !line.Exists() || line.Value.Repository != r {
		return err
	}
	err = st.Write(ctx, Write{Key: key, Kind: KindSummary, ETag: line.ETag})
	if errors.Is(err, ErrStale) || errors.Is(err, ErrNotFound) {
		return nil // somebody wrote it anew, or took it out
	}
	return err
}
