package api

import (
	"fmt"
	"net/http"
	"slices"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// asked is the answer to a click on "open an issue".
type asked struct {
	Remediation graph.RemediationID `json:"remediation"`
	Status      graph.Status        `json:"status"`
	Issue       *graph.Issue        `json:"issue,omitempty"`
	// Requested tells that the issue is on its way; false: it was there.
	Requested bool `json:"requested"`
	// Held tells what it waits for.
	Held string `json:"held,omitempty"`
}

// issue asks for the issue of a finding, as POST /api/findings/{id}/issue. An issue that is there is shown and nothing is
// done. The issue is opened by the same stage as the automatic ones, so that two clicks never make two.
func (a *API) issue(r *http.Request) (any, error) {
	v, err := a.graph().Finding(r.Context(), graph.FindingID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	if len(v.Finding.Known) > 0 { // the alerts that know it have the issue
		if v, err = a.graph().Finding(r.Context(), v.Finding.Known[0]); err != nil {
			return nil, err
		}
	}
	if m := v.Remediation; m != nil && m.Issue != nil && !m.Issue.Deleted {
		return asked{Remediation: m.ID, Status: m.Status, Issue: m.Issue}, nil
	}
	if why := refuseIssue(v); why != "" {
		return nil, userError{http.StatusConflict, why}
	}
	who, _ := a.Access.Who(r) // Need has let the caller in
	m, _, err := graph.Update(r.Context(), a.Store, graph.RemediationKey(v.Finding.Repository, v.Finding.Remediation), graph.KindRemediation,
		func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
			return a.approve(old, v.Finding, who.Name)
		})
	if err != nil {
		return nil, err
	}
	e, err := event.NewDue(name, event.Due{Repository: m.Repository, Remediation: m.ID})
	if err != nil {
		return nil, err
	}
	if err := a.Publish(r.Context(), []event.Event{e}); err != nil {
		return nil, fmt.Errorf("ask for the issue of %s: %w", m.ID, err)
	}
	return asked{Remediation: m.ID, Status: m.Status, Issue: m.Issue, Requested: true, Held: m.Held}, nil
}

// approve notes who asked. A second click changes nothing.
func (a *API) approve(old graph.Versioned[graph.Remediation], f graph.Finding, who string) (graph.Remediation, bool, error) {
	m := old.Value
	if m.Issue != nil && m.Issue.Deleted { // somebody deleted it, and now somebody wants one again
		m.Issue, m.Intent, m.Applied, m.Approved = nil, nil, "", false
	}
	if m.Approved {
		return m, false, nil
	}
	if !old.Exists() {
		m = graph.Remediation{ID: f.Remediation, Repository: f.Repository, FixKey: f.FixKey, Status: graph.StatusOpen}
	}
	m.Approved = true
	m.Timeline = append(slices.Clone(m.Timeline), graph.Entry{At: a.Now(), Actor: who, What: "issue asked for"})
	return m, true, nil
}

// refuseIssue tells why there cannot be an issue; empty when there can.
func refuseIssue(v graph.FindingView) string {
	switch {
	case !v.Finding.Repository.Mapped():
		return "the image of this finding maps to no repository, so there is nowhere to open an issue"
	case v.Finding.State != graph.Open:
		return fmt.Sprintf("the finding is %s", v.Finding.State)
	case v.Finding.Decision == nil:
		return "the finding is not decided: there is nothing to say yet"
	case v.Repository.Archived, v.Repository.Deleted:
		return "the repository is archived or deleted"
	}
	return ""
}
