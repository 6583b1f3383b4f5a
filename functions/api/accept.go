package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the API signs its events.
const name = "/functions/api"

// largestAsk is the largest body of an action but a policy.
const largestAsk = 64 << 10

// ask is what a person asks of a finding.
type ask struct {
	Until  string `json:"until"` // a day, 2026-12-31, or a time
	Reason string `json:"reason"`
}

// readAsk takes JSON, or the fields of a form.
func readAsk(r *http.Request) (ask, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, largestAsk)
	var a ask
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if err := r.ParseForm(); err != nil {
			return a, userError{http.StatusBadRequest, "the form cannot be read: " + err.Error()}
		}
		a = ask{r.PostForm.Get("until"), r.PostForm.Get("reason")}
	} else if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		return a, userError{http.StatusBadRequest, `send JSON like {"until":"2026-12-31","reason":"why"}: ` + err.Error()}
	}
	a.Reason = strings.TrimSpace(a.Reason)
	return a, nil
}

// accept records that a finding may wait, as POST /api/findings/{id}/accept.
func (a *API) accept(r *http.Request) (any, error) {
	asked, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	until, err := decision.ParseUntil(asked.Until)
	if err != nil {
		return nil, userError{http.StatusBadRequest, err.Error()}
	}
	who, _ := a.Access.Who(r) // Need has let the caller in
	return a.change(r.Context(), graph.FindingID(r.PathValue("id")), func(f *graph.Finding) error {
		return a.acceptIn(f, graph.Acceptance{By: who.Name, Reason: asked.Reason, At: a.Now(), Until: until})
	})
}

// acceptIn puts the acceptance into the finding.
func (a *API) acceptIn(f *graph.Finding, given graph.Acceptance) error {
	status := http.StatusUnprocessableEntity
	if f.State != graph.Open || f.Decision == nil {
		status = http.StatusConflict
	}
	accepted, err := decision.Accept(*f, given, a.Policy())
	if err != nil {
		return userError{status, err.Error()}
	}
	f.Acceptance = &accepted
	return nil
}

// reassess ends the hold of a finding, as POST /api/findings/{id}/reassess: a person says that the lower tier need not
// be waited for.
func (a *API) reassess(r *http.Request) (any, error) {
	asked, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	who, _ := a.Access.Who(r)
	return a.change(r.Context(), graph.FindingID(r.PathValue("id")), func(f *graph.Finding) error {
		if f.Decision == nil || asked.Reason == "" {
			return userError{http.StatusUnprocessableEntity, "a decided finding is reassessed, with a reason"}
		}
		d := *f.Decision
		d.History = append(slices.Clone(d.History), graph.TierSpan{At: a.Now(), Tier: d.Tier, Cause: string(decision.Released), By: who.Name, Reason: asked.Reason})
		f.Decision, f.Based = &d, graph.Basis{Number: f.Based.Number}
		return nil
	})
}

// change changes a finding and lets it be decided again.
func (a *API) change(ctx context.Context, id graph.FindingID, edit func(*graph.Finding) error) (any, error) {
	v, err := a.graph().Finding(ctx, id)
	if err != nil {
		return nil, err
	}
	now, _, err := graph.Update(ctx, a.Store, graph.FindingKey(v.Finding.Repository, id), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
		next := old.Value
		if !old.Exists() {
			return next, false, fmt.Errorf("finding %s: %w", id, graph.ErrNotFound)
		}
		err := edit(&next)
		return next, err == nil, err
	})
	if err != nil {
		return nil, err
	}
	e, err := event.NewLag(name, event.Lag{Repository: now.Repository, Findings: []graph.FindingID{id}})
	if err != nil {
		return nil, err
	}
	if err := a.Publish(ctx, []event.Event{e}); err != nil {
		return nil, err
	}
	return changed{id, now.Acceptance}, nil
}

// changed is the answer to a change of a finding.
type changed struct {
	Finding    graph.FindingID   `json:"finding"`
	Acceptance *graph.Acceptance `json:"acceptance,omitempty"`
}
