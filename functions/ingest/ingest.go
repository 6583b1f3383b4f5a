// Package ingest takes what the outside world reports: GitHub's webhooks and CloudEvents of registries, clouds and CI.
//
// It verifies who speaks, turns what is said into observations, and answers only after the queue has them, so that what
// was answered with 202 is never lost. It stores nothing and decides nothing. The ids of its events are derived from the
// delivery, so that a redelivery is recognised as a duplicate.
package ingest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"throughline/shared/event"
	"throughline/shared/github/webhook"
)

// name is how the function signs its events.
const name = "/functions/ingest"

// maxBody is the size up to which GitHub delivers a payload.
const maxBody = 25 << 20

// patience is how long the queue may take. GitHub gives up after 10 seconds, and shows only an answer that came before.
const patience = 8 * time.Second

// Stage is the function ingest. Its zero Counts are ready; do not copy it after the first request.
type Stage struct {
	Verifier webhook.Verifier
	Decoder  webhook.Decoder
	// Callers authenticates CloudEvents; with none configured they are all refused.
	Callers Callers
	// Publish puts events durably into their queues, all or an error.
	Publish func(context.Context, []event.Event) error
	Now     func() time.Time
	Log     *slog.Logger
	Counts  Counts

	bodies bodies
}

// ServeHTTP answers POST /ingest/github and POST, OPTIONS /ingest/events.
func (s *Stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ingest/github" && r.Method == http.MethodPost:
		s.reply(w, r, s.delivery(w, r))
	case r.URL.Path == "/ingest/events" && r.Method == http.MethodPost:
		s.reply(w, r, s.cloudEvents(w, r))
	case r.URL.Path == "/ingest/events" && r.Method == http.MethodOptions:
		s.handshake(w, r)
	case r.URL.Path == "/ingest/github":
		w.Header().Set("Allow", "POST")
		s.reply(w, r, refuse(http.StatusMethodNotAllowed, "method", "use POST"))
	case r.URL.Path == "/ingest/events":
		w.Header().Set("Allow", "POST, OPTIONS")
		s.reply(w, r, refuse(http.StatusMethodNotAllowed, "method", "use POST"))
	default:
		s.reply(w, r, refuse(http.StatusNotFound, "path", "there is /ingest/github and /ingest/events"))
	}
}

// answer is what a caller is told: the events that were published, or why nothing was taken.
type answer struct {
	status int
	events []event.Event
	// body replaces the list of events when it is set.
	body any
	// reason counts a refusal, text explains it to the caller.
	reason, text string
	err          error
}

func refuse(status int, reason, text string) answer {
	return answer{status: status, reason: reason, text: text}
}

// publish sends the events and answers 202, or 503 so that the caller tries again.
func (s *Stage) publish(ctx context.Context, events []event.Event) answer {
	if len(events) == 0 {
		return answer{status: http.StatusAccepted}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Publish(ctx, events); err != nil {
		a := refuse(http.StatusServiceUnavailable, "queue", "the queue does not take events now; try again")
		a.err = err
		return a
	}
	s.Counts.published(len(events))
	return answer{status: http.StatusAccepted, events: events}
}

func (s *Stage) reply(w http.ResponseWriter, r *http.Request, a answer) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case a.err != nil:
		s.Counts.refused(a.reason)
		s.Log.ErrorContext(r.Context(), "events not published", "path", r.URL.Path, "error", a.err)
		w.Header().Set("Retry-After", "5")
	case a.reason != "":
		s.Counts.refused(a.reason)
		s.Log.WarnContext(r.Context(), "request refused", "path", r.URL.Path, "status", a.status, "why", a.reason)
	}
	w.WriteHeader(a.status)
	if _, err := w.Write(a.encode()); err != nil {
		s.Log.InfoContext(r.Context(), "caller left before the answer", "path", r.URL.Path, "error", err)
	}
}

func (a answer) encode() []byte {
	if a.reason != "" {
		return encode(map[string]string{"error": a.text})
	}
	if a.body != nil {
		return encode(a.body)
	}
	// The ids are UUIDs of our own making and need no escaping.
	out := make([]byte, 0, 16+40*len(a.events))
	out = append(out, `{"events":[`...)
	for i, e := range a.events {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, e.ID...)
		out = append(out, '"')
	}
	return append(out, "]}\n"...)
}

func encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		return []byte(`{"error":"the answer does not encode"}`)
	}
	return append(raw, '\n')
}
