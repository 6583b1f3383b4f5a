package api

import (
	"fmt"
	"net/http"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// guards lists the causes whose issues wait, or waited, for a person, as GET /api/guards.
func (a *API) guards(r *http.Request) (any, error) {
	all, err := a.graph().Guards(r.Context())
	return list[graph.Guard]{Items: all}, err
}

// released is the answer to an approval.
type released struct {
	Guard graph.Guard `json:"guard"`
	// Released is how many remediations were let go on by this call.
	Released int `json:"released"`
}

// approveGuard lets the issues open that a cause would open beyond the policy's bound, as POST /api/guards/{id}/approve.
// Asked again it goes on where it was cut.
func (a *API) approveGuard(r *http.Request) (any, error) {
	asked, err := readAsk(r)
	if err != nil {
		return nil, err
	}
	if asked.Reason == "" {
		return nil, userError{http.StatusUnprocessableEntity, "an approval needs a reason"}
	}
	who, _ := a.Access.Who(r) // Need has let the caller in
	id := r.PathValue("id")
	guard, err := a.graph().Approve(r.Context(), id, who.Name, asked.Reason, a.Now())
	if err != nil {
		return nil, err
	}
	out := released{Guard: guard}
	for {
		n, err := a.release(r, id)
		if out.Released += n; err != nil || n == 0 {
			return out, err
		}
	}
}

// release passes on a page of what waits, and only then forgets it.
func (a *API) release(r *http.Request, id string) (int, error) {
	page, err := a.graph().Release(r.Context(), id)
	if err != nil || len(page) == 0 {
		return 0, err
	}
	var due []event.Event
	for _, w := range page {
		e, err := event.NewDue(name, event.Due{Repository: w.Repository, Remediation: w.Remediation})
		if err != nil {
			return 0, err
		}
		due = append(due, e)
	}
	if err := a.Publish(r.Context(), due); err != nil {
		return 0, fmt.Errorf("release what guard %s held: %w", id, err)
	}
	return len(page), a.graph().Forget(r.Context(), id, page)
}
