package ingest

import (
	"errors"
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
	s.Log.InfoContext(r.Context(), "delivery taken", "event", d.Event, "action", got.Action, "delivery", d.GUID, "events", len(events))
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

// newEvents makes the events of one delivery. Their ids follow from key and index, so that the same delivery makes the
// same ids again.
func newEvents(o graph.Observation, follow []graph.Collection, key, trace string) ([]event.Event, error) {
	var events []event.Event
	if o.Len() > 0 {
		observed, err := event.NewObserved(name, o, -1)
		if err != nil {
			return nil, err
		}
		events = observed
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
