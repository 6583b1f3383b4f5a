package webhook

import (
	"throughline/shared/github"
	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// readAlert reads the alert by the event's kind.
func (p *payload) readAlert(c *scan.Cursor) {
	for _, kind := range github.Kinds {
		if kind.Event == p.event || kind.Event+"_location" == p.event {
			p.alert = kind.Read(c)
			return
		}
	}
	if p.event == "repository_vulnerability_alert" {
		p.alert.Number = int(c.IntField("number"))
	}
}

// sayAlert observes the alert and its repository, and asks the API for what the webhook leaves out.
func sayAlert(p *payload, r *Result) {
	if p.alert.State == "" {
		p.alert.State = stateAfter(p.action)
	}
	if code := p.alert.Code; code != nil && code.Commit == "" {
		code.Ref, code.Commit = p.ref, p.commit
	}
	noun, err := p.alert.Of(p.identity())
	if err != nil {
		r.skip(err.Error())
		return
	}
	noun.Partial = partial(noun)
	p.observeRepository(r)
	r.Observation.Alerts = append(r.Observation.Alerts, noun)
	if noun.Partial {
		r.follow("alert:%s", noun.ID)
	}
}

// stateAfter is the state that an action of code scanning leaves behind, for payloads that do not say.
func stateAfter(action string) graph.AlertState {
	switch action {
	case "fixed":
		return graph.Fixed
	case "closed_by_user":
		return graph.Dismissed
	}
	return graph.Open
}

// partial tells whether something that decides is missing. The schema of code scanning's webhook has no security
// severity, old payloads of secret scanning have no validity, and GitHub Enterprise Server may leave out updated_at.
func partial(a graph.Alert) bool {
	switch {
	case a.UpdatedAt.IsZero() || a.CreatedAt.IsZero():
		return true
	case a.Code != nil:
		return a.Code.SecurityLevel == ""
	case a.Secret != nil:
		return a.Secret.Validity == ""
	case a.Dependency != nil:
		return a.Dependency.Package == "" || a.Dependency.GHSA == "" || a.Severity == ""
	}
	return true
}

// observeRepository adds the repository as far as a delivery about something else tells of it.
func (p *payload) observeRepository(r *Result) {
	noun, err := p.noun()
	if err != nil {
		r.skip(err.Error())
		return
	}
	noun.Partial = true
	r.Observation.Repositories = append(r.Observation.Repositories, noun)
}

// sayLegacyAlert handles the event that Dependabot's own replaced: it lacks what decides, so the API is asked.
func sayLegacyAlert(p *payload, r *Result) {
	id := p.identity()
	if p.alert.Number < 1 || !id.Valid() {
		r.skip("vulnerability alert without a number or a repository")
		return
	}
	r.follow("alert:%s", graph.NewAlertID(id, graph.Dependabot, p.alert.Number))
}
