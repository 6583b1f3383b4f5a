package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// withheld lists what complete readings did not contain and what waits for a person before it is retired.
func (a *API) withheld(r *http.Request) (any, error) {
	all, err := graph.AllWithheld(r.Context(), a.Store)
	return page(all, ""), err
}

// healing tells by day which webhooks did not reach us and were asked for again.
func (a *API) healing(r *http.Request) (any, error) {
	all, err := graph.Healings(r.Context(), a.Store)
	return page(all, ""), err
}

// approval is the body of an approval.
type approval struct {
	Scope string `json:"scope"`
}

// letRetire lets the next reading of a scope retire what it does not contain, and asks for that reading now.
func (a *API) letRetire(r *http.Request) (any, error) {
	var in approval
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Scope == "" {
		return nil, userError{http.StatusBadRequest, `the body must be {"scope": "<source> <scope>"}, as GET /api/withheld shows it`}
	}
	who, _ := a.Access.Who(r) // the guard has let the caller in
	waits := false
	w, _, err := graph.Update(r.Context(), a.Store, graph.WithheldKey(in.Scope), graph.KindWithheld, func(old graph.Versioned[graph.Withheld]) (graph.Withheld, bool, error) {
		next := old.Value
		next.Approved, next.By, waits = a.Now(), who.Name, old.Exists()
		return next, waits, nil
	})
	if err != nil {
		return nil, err
	}
	if !waits {
		return nil, fmt.Errorf("retirement of %s: %w", in.Scope, graph.ErrNotFound)
	}
	return w, a.readAgain(r, in.Scope)
}

// readAgain begins a run over one scope.
func (a *API) readAgain(r *http.Request, scope string) error {
	c, err := graph.ParseScope(scope)
	if err != nil {
		return err
	}
	c.Run, c.Ticket, c.StartedAt = uuid.NewString(), uuid.NewString(), a.Now()
	e, err := event.NewCollect(name, c)
	if err != nil {
		return err
	}
	return a.Publish(r.Context(), []event.Event{e})
}
