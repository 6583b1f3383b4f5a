package api

import (
	"fmt"
	"net/http"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// given is the answer to "give it to Copilot".
type given struct {
	Remediation graph.RemediationID `json:"remediation"`
	Handover    graph.Handover      `json:"handover"`
}

// copilot agrees to giving the issue of a finding to GitHub's coding agent, as POST /api/findings/{id}/copilot. The stage
// that opens issues hands it over, if the policy allows it then.
func (a *API) copilot(r *http.Request) (any, error) {
	v, err := a.graph().Finding(r.Context(), graph.FindingID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	if why := a.notForCopilot(v); why != "" {
		return nil, userError{http.StatusConflict, "not given to Copilot: " + why}
	}
	who, _ := a.Access.Who(r) // Need has let the caller in
	m, _, err := graph.Update(r.Context(), a.Store, graph.RemediationKey(v.Finding.Repository, v.Finding.Remediation), graph.KindRemediation,
		func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
			m := old.Value
			if m.Handover != nil && m.Handover.Refused == "" {
				return m, false, nil
			}
			m.Handover = &graph.Handover{By: who.Name, At: a.Now()}
			return m, true, nil
		})
	if err != nil {
		return nil, err
	}
	e, err := event.NewDue(name, event.Due{Repository: m.Repository, Remediation: m.ID})
	if err != nil {
		return nil, err
	}
	if err := a.Publish(r.Context(), []event.Event{e}); err != nil {
		return nil, fmt.Errorf("give %s to Copilot: %w", m.ID, err)
	}
	return given{m.ID, *m.Handover}, nil
}

func (a *API) notForCopilot(v graph.FindingView) string {
	if v.Remediation == nil || v.Remediation.Issue == nil || v.Remediation.Issue.State != "open" {
		return "there is no open issue to give"
	}
	return a.Policy().HandOver([]graph.Finding{v.Finding})
}
