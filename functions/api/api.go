// Package api answers the questions of people and programs as JSON: the ordered findings, the mapping both ways, why a
// finding is where it is, and the health of the parts.
//
// Every answer comes from the graph. Actions are POSTs and go the same way as the automatic ones. Errors are
// application/problem+json. The package renders no pages.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// letters are parked messages and their replay.
type letters interface {
	List(ctx context.Context, cursor string) ([]Letter, string, error)
	Replay(ctx context.Context, id string) error
	dead
}

// Letter is a parked message as the API shows it.
type Letter struct {
	ID            string    `json:"id"`
	Queue         string    `json:"queue"`
	MessageID     string    `json:"messageId"`
	Reason        string    `json:"reason"`
	DeliveryCount int       `json:"deliveryCount"`
	At            time.Time `json:"at"`
	Replayed      time.Time `json:"replayed,omitzero"`
	Body          string    `json:"body"`
}

// API serves /api/.
type API struct {
	Store   graph.Store
	Letters letters
	// Publish sends the events of an action.
	Publish func(context.Context, []event.Event) error
	// Resync begins a full run now.
	Resync func(context.Context) ([]event.Event, error)
	// Health reports the parts; ok is false when one is down.
	Health func(context.Context) (report any, ok bool)
	Access Access
	// Limits bound what may be written through one installation.
	Limits graph.Limits
	// Readiness tells of every permission and source whether it is there.
	Readiness func(context.Context) ([]graph.Readiness, error)
	// Policy is the one in force.
	Policy func() *decision.Policy
	// Around tells what a policy can be at odds with; nil: nothing is known.
	Around func(context.Context) (decision.Surroundings, error)
	// Sign wraps a statement of evidence in a signed envelope; nil: no key is configured.
	Sign func(ctx context.Context, payloadType string, body []byte) (json.RawMessage, error)
	// VerifyLog checks the signature of a segment of the decision log; nil: no key is configured.
	VerifyLog func(hash string, signature []byte) error
	Now       func() time.Time
	Log       *slog.Logger
}

// serve turns an answer or an error into JSON.
func (a *API) serve(h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := h(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		tagged(w, r, answer)
	})
}

// userError is a mistake of the caller: one line, what is wrong and the mend.
type userError struct {
	status int
	text   string
}

func (e userError) Error() string { return e.text }

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var mistake userError
	switch {
	case errors.As(err, &mistake):
		problem(w, mistake.status, mistake.text)
	case errors.Is(err, graph.ErrNotFound):
		problem(w, http.StatusNotFound, err.Error())
	default:
		a.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "reason", err)
		problem(w, http.StatusInternalServerError, "the graph could not answer; the log has the reason")
	}
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// A client that has gone away needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": detail})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (a *API) graph() graph.Graph { return graph.Graph{Store: a.Store} }

// list is one page of an answer.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func page[T any](items []T, next string) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{items, next}
}

func (a *API) findings(r *http.Request) (any, error) {
	f, err := a.filter(r.Context(), r.URL.Query())
	if err != nil {
		return nil, err
	}
	items, next, err := graph.Worklist(r.Context(), a.Store, f)
	return page(items, next), err
}

// filter reads the query of a list.
func (a *API) filter(ctx context.Context, q url.Values) (graph.Filter, error) {
	f, err := ParseFilter(q)
	if err != nil {
		return f, userError{http.StatusBadRequest, err.Error()}
	}
	if name := q.Get("repository"); name != "" {
		f.Repository, err = a.graph().RepositoryNamed(ctx, name)
	}
	return f, err
}

func (a *API) finding(r *http.Request) (any, error) {
	id := graph.FindingID(r.PathValue("id"))
	if at := r.URL.Query().Get("at"); at != "" {
		return a.replayed(r, id, at)
	}
	return a.graph().Finding(r.Context(), id)
}

func (a *API) repositories(r *http.Request) (any, error) {
	names, err := graph.Names(r.Context(), a.Store)
	return page(names, ""), err
}

func (a *API) repository(r *http.Request) (any, error) {
	id, err := a.graph().RepositoryNamed(r.Context(), r.PathValue("owner")+"/"+r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return a.graph().Repository(r.Context(), id)
}

func (a *API) artifact(r *http.Request) (any, error) {
	d, err := graph.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return nil, userError{http.StatusBadRequest, err.Error()}
	}
	return a.graph().Artifact(r.Context(), d)
}

func (a *API) workload(r *http.Request) (any, error) {
	return a.graph().Workload(r.Context(), graph.WorkloadID(r.PathValue("id")))
}

func (a *API) parked(r *http.Request) (any, error) {
	items, next, err := a.Letters.List(r.Context(), r.URL.Query().Get("cursor"))
	return page(items, next), err
}

func (a *API) replay(r *http.Request) (any, error) {
	id := r.PathValue("id")
	if err := a.Letters.Replay(r.Context(), id); err != nil {
		return nil, err
	}
	return map[string]string{"replayed": id}, nil
}

func (a *API) resync(r *http.Request) (any, error) {
	events, err := a.Resync(r.Context())
	if err != nil {
		return nil, err
	}
	if err := a.Publish(r.Context(), events); err != nil {
		return nil, err
	}
	return map[string]string{"started": strconv.Itoa(len(events))}, nil
}

func (a *API) readiness(r *http.Request) (any, error) {
	all, err := a.Readiness(r.Context())
	return page(all, ""), err
}

func (a *API) health(w http.ResponseWriter, r *http.Request) {
	report, ok := a.Health(r.Context())
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	if _, known := a.Access.Who(r); !known {
		report = map[string]bool{"ok": ok} // a probe learns no more
	}
	writeJSON(w, status, report)
}
