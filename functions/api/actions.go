package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"throughline/shared/graph"
)

// actions lists what people did, newest first.
func (a *API) actions(r *http.Request) (any, error) {
	items, next, err := graph.Actions(r.Context(), a.Store, r.URL.Query().Get("cursor"))
	for i := range items {
		items[i].Answer = nil // what was answered is the caller's affair
	}
	return page(items, next), err
}

// largestAction bounds what an action may send: the largest is a policy.
const largestAction = 2 << 20

// noted writes down an action before and after it is done, and does one that bears a key only once: who sends it again is
// given the answer of the first time.
func (a *API) noted(what string, subject func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestAction))
		if err != nil {
			problem(w, http.StatusRequestEntityTooLarge, "an action has at most 2 MB")
			return
		}
		who, _ := a.Access.Who(r) // Need has let the caller in
		begun := graph.Action{At: a.Now(), Who: who.Name, What: what, On: subject(r), Why: reason(r.Header.Get("Content-Type"), body)}
		begun = begun.Keyed(r.Header.Get(idempotencyKey), r.URL.RequestURI(), body)
		kept, repeated, err := graph.BeginAction(r.Context(), a.Store, begun)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		w.Header().Set(actionHeader, kept.ID)
		if repeated {
			again(w, kept, begun)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		a.finish(w, r, kept, next)
	})
}

// The headers of actions: the key of the caller, and our name of what was done.
const (
	idempotencyKey = "Idempotency-Key"
	actionHeader   = "Throughline-Action"
)

// finish does the action, writes down how it went, and answers.
func (a *API) finish(w http.ResponseWriter, r *http.Request, begun graph.Action, next http.Handler) {
	answer := &outcome{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(answer, r)
	done := begun.End(a.Now(), answer.status, answer.body.Bytes())
	if err := graph.EndAction(r.Context(), a.Store, done); err != nil {
		// It is done all the same; the list shows that it was begun.
		a.Log.ErrorContext(r.Context(), "the end of an action is not written down", "action", begun.ID, "reason", err)
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes()) // a client that has gone away needs no answer
}

// again answers what was answered the first time.
func again(w http.ResponseWriter, kept, asked graph.Action) {
	switch {
	case kept.Asked != asked.Asked:
		problem(w, http.StatusUnprocessableEntity, "this "+idempotencyKey+" was used for another request; take a new one")
	case !kept.Done():
		problem(w, http.StatusConflict, "the same request is being done right now; ask again in a moment")
	default:
		w.Header().Set("Content-Type", kept.Form())
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(kept.Status)
		_, _ = w.Write(kept.Answer)
	}
}

// reason is the why that the caller gives, in JSON or in a form; a policy carries none.
func reason(contentType string, body []byte) string {
	why := ""
	if strings.HasPrefix(contentType, formType) {
		if fields, err := url.ParseQuery(string(body)); err == nil {
			why = fields.Get("reason")
		}
	} else {
		var a ask
		if json.Unmarshal(body, &a) == nil {
			why = a.Reason
		}
	}
	why = strings.ToValidUTF8(strings.TrimSpace(why), "")
	if r := []rune(why); len(r) > mostReason {
		why = string(r[:mostReason])
	}
	return why
}

// mostReason is how much of a reason the list of actions keeps.
const mostReason = 2000
