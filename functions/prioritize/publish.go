package prioritize

import (
	"context"
	"slices"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// publish keeps the worklist and the remediation in step with a finding. What was just written is published without
// asking; a finding that was up to date is compared, so that a crash between two writes is made good.
func (r *round) publish(ctx context.Context, f graph.Finding, was *graph.Decision, changed bool) error {
	m, err := r.remediation(ctx, f, was, changed)
	if err != nil {
		return err
	}
	if stands, err := graph.ShowFinding(ctx, r.Store, graph.Summarise(f, r.exposure, m)); err != nil || !stands {
		return err
	}
	if !r.lags(f, m) || r.due[f.Remediation] {
		return nil
	}
	r.due[f.Remediation] = true
	e, err := event.NewDue(name, event.Due{Repository: f.Repository, Remediation: f.Remediation, Version: versionIn(f)})
	r.events = append(r.events, e)
	return err
}

// remediation reads the remediation of a finding. A new finding that asks for no issue cannot have one: no read.
func (r *round) remediation(ctx context.Context, f graph.Finding, was *graph.Decision, changed bool) (*graph.Remediation, error) {
	if changed && was == nil && !r.wantsIssue(f) {
		return nil, nil
	}
	m, err := graph.Get[graph.Remediation](ctx, r.Store, graph.RemediationKey(f.Repository, f.Remediation))
	if err != nil || !m.Exists() {
		return nil, err
	}
	return &m.Value, nil
}

// wantsIssue tells whether the policy asks for an issue for this finding.
func (r *round) wantsIssue(f graph.Finding) bool {
	if r.exposure.Provisional || f.State != graph.Open || f.Decision == nil || !f.Repository.Mapped() || len(f.Known) > 0 {
		return false
	}
	return slices.Contains(r.policy.Actions(f.Decision.Published, f.FixExists()), decision.ActionIssue)
}

// lags tells whether the remediation has not yet taken this decision in.
func (r *round) lags(f graph.Finding, m *graph.Remediation) bool {
	if m == nil {
		return r.wantsIssue(f)
	}
	ended := (r.exposure.Archived || r.exposure.Deleted) && m.Status != graph.StatusEnded
	return ended || m.Seen[f.ID] != versionIn(f) || m.Unsettled()
}

// bereaved passes on remediations that lost a finding to another repository, or whose issue moved.
func (r *round) bereaved(ctx context.Context, ids []graph.RemediationID) error {
	for _, id := range ids {
		m, err := graph.Get[graph.Remediation](ctx, r.Store, graph.RemediationKey(r.exposure.Repository, id))
		if err != nil {
			return err
		}
		if !m.Exists() || r.due[id] {
			continue
		}
		r.due[id] = true
		e, err := event.NewDue(name, event.Due{Repository: r.exposure.Repository, Remediation: id})
		if err != nil {
			return err
		}
		r.events = append(r.events, e)
	}
	return nil
}

// versionIn is what the remediation notes of a finding: its state and the version of its decision.
func versionIn(f graph.Finding) string { return f.SeenVersion() }
