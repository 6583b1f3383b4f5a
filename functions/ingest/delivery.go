package ingest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/github/webhook"
	"throughline/shared/graph"
)

// delivery takes one webhook of GitHub.
func (s *Stage) delivery(w http.ResponseWriter, r *http.Request) answer {
	s.Counts.received(s.Now())
	if a, ok := checkContent(r.Header, isJSON); !ok {
		return a
	}
	body, release, err := s.bodies.read(w, r)
	if err != nil {
		return unreadable(err)
	}
	defer release()
	if err := s.Verifier.Verify(r.Header, body); err != nil {
		return refusal(err)
	}
	d, err := webhook.Headers(r.Header)
	if err != nil {
		return refusal(err)
	}
	s.Counts.verified()
	got, err := s.Decoder.Decode(d, body, s.Now().UTC())
	if err != nil {
		return refusal(err)
	}
	if !got.Handled {
		s.Counts.unhandled(d.Event)
		return answer{status: http.StatusAccepted}
	}
	s.Counts.skipped(got.Skipped)
	if !s.Verifier.Allows(got.Installation) {
		s.Counts.disallowed()
		return answer{status: http.StatusAccepted}
	}
	events, err := newEvents(got.Observation, got.Follow, "github:"+d.Key(), r.Header.Get("traceparent"))
	if err != nil {
		return unencodable(err)
	}
	s.Log.LogAttrs(r.Context(), slog.LevelInfo, "delivery taken", slog.String("event", d.Event), slog.String("action", got.Action),
		slog.String("delivery", d.GUID), slog.Int("events", len(events)))
	return s.publish(r.Context(), events)
}

// refusal maps what webhook refuses: 401 when it may be anybody, 400 when it makes no sense.
func refusal(err error) answer {
	var r *webhook.Refusal
	if !errors.As(err, &r) {
		return refuse(http.StatusBadRequest, "other", err.Error())
	}
	if r.Unauthorized {
		return refuse(http.StatusUnauthorized, r.Reason, r.Error())
	}
	return refuse(http.StatusBadRequest, r.Reason, r.Error())
}

func unencodable(err error) answer {
	return answer{status: http.StatusInternalServerError, reason: "encode", text: "the events do not encode", err: err}
}

// small is how large an observation may be to go into one message without a second look. Nearly all are.
const small = 32 << 10

// newEvents makes the events of one delivery. Their ids follow from key and index, so that the same delivery makes the
// same ids again.
func newEvents(o graph.Observation, follow []graph.Collection, key, trace string) ([]event.Event, error) {
	events, err := observed(o)
	if err != nil {
		return nil, err
	}
	for _, c := range follow {
		e, err := event.NewCollect(name, c)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	for i := range events {
		events[i].ID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(name+"/"+key+"/"+strconv.Itoa(i))).String()
		events[i].Trace = trace
	}
	return events, nil
}

// observed is what event.NewObserved makes, with the encoding of a small observation done once.
func observed(o graph.Observation) ([]event.Event, error) {
	if o.Len() == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(&o)
	if err != nil {
		return nil, err
	}
	if len(raw) > small {
		return event.NewObserved(name, o, -1)
	}
	return []event.Event{{Type: event.Observed, Source: name, Subject: o.Source, Time: o.ObservedAt, Data: raw}}, nil
}
