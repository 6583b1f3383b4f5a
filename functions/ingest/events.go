package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	ce "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// hearing is one CloudEvent with the one who sent it.
type hearing struct {
	event ce.Event
	from  caller
	host  string // key of the GitHub host
	now   time.Time
}

// told is what a CloudEvent says.
type told struct {
	observation graph.Observation
	follow      []graph.Collection
	skipped     map[string]int
}

// cloudEventTypes is the table of CloudEvents types: who turns one into nouns. What is missing here is accepted and counted.
var cloudEventTypes = map[string]func(hearing) (told, error){
	"Microsoft.ContainerRegistry.ImagePushed":                    imagePushed,
	"Microsoft.ContainerRegistry.ImageDeleted":                   imageDeleted,
	"Microsoft.ResourceNotifications.Resources.CreatedOrUpdated": resourceChanged,
	"Microsoft.ResourceNotifications.Resources.Deleted":          resourceChanged,
	"io.throughline.deployment.v1":                               deployment,
	"io.throughline.build.v1":                                    build,
}

// maxBatch bounds how many events one request may carry.
const maxBatch = 1000

// cloudEvents takes CloudEvents in structured, binary or batch mode.
func (s *Stage) cloudEvents(w http.ResponseWriter, r *http.Request) answer {
	s.Counts.received(s.Now())
	from, err := s.Callers.authenticate(r)
	if errors.Is(err, errUnchecked) {
		return answer{status: http.StatusServiceUnavailable, reason: "not checked", text: errUnchecked.Error(), err: err}
	}
	if err != nil {
		return refuse(http.StatusUnauthorized, "not authenticated", err.Error())
	}
	s.Counts.verified()
	if a, ok := checkContent(r.Header, isEventJSON); !ok {
		return a
	}
	body, release, err := s.bodies.read(w, r)
	if err != nil {
		return unreadable(err)
	}
	defer release()
	if r.Header.Get("aeg-event-type") == "SubscriptionValidation" {
		return validate(body)
	}
	events, err := readEvents(r.Header, body)
	if err != nil {
		return refuse(http.StatusBadRequest, "not a CloudEvent", err.Error())
	}
	return s.hear(r.Context(), events, from)
}

func isEventJSON(mediaType string) bool {
	return mediaType == "application/json" || mediaType == ce.ApplicationCloudEventsJSON || mediaType == ce.ApplicationCloudEventsBatchJSON
}

// readEvents reads the events of a request, whatever the mode. A structured body may be an array: Event Grid's output
// batching is not clear about its content type.
func readEvents(h http.Header, body []byte) ([]ce.Event, error) {
	text := bytes.TrimLeft(body, " \t\r\n")
	binaryMode := h.Get("Ce-Specversion") != ""
	switch {
	case len(text) == 0 && !binaryMode:
		return nil, errors.New("the body is empty")
	case !binaryMode && text[0] == '[':
		var events []ce.Event
		if err := json.Unmarshal(body, &events); err != nil {
			return nil, fmt.Errorf("the body is not a batch of CloudEvents 1.0; choose the CloudEvents schema for the subscription: %w", err)
		}
		if len(events) > maxBatch {
			return nil, fmt.Errorf("the batch has more than %d events", maxBatch)
		}
		return events, checkEvents(events)
	case !binaryMode:
		h = http.Header{"Content-Type": {ce.ApplicationCloudEventsJSON}}
	}
	// The SDK keeps the body of a binary event, and ours goes back to the pool.
	message := cehttp.NewMessage(h, io.NopCloser(bytes.NewReader(bytes.Clone(body))))
	e, err := binding.ToEvent(context.Background(), message)
	if err != nil {
		return nil, fmt.Errorf("the body is not a CloudEvent 1.0: %w", err)
	}
	events := []ce.Event{*e}
	return events, checkEvents(events)
}

func checkEvents(events []ce.Event) error {
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("event %.80q: %w", e.ID(), err)
		}
	}
	return nil
}

// hear turns the events into ours. An event that makes no sense is skipped beside good ones and refused alone.
func (s *Stage) hear(ctx context.Context, heard []ce.Event, from caller) answer {
	var out []event.Event
	var bad error
	good := 0
	for _, e := range heard {
		events, err := s.one(hearing{e, from, s.Decoder.Host, s.Now().UTC()})
		var refused *forbidden
		if errors.As(err, &refused) {
			return refuse(http.StatusForbidden, "not allowed", refused.Error())
		}
		if err != nil {
			bad = err
			s.Counts.skipped(map[string]int{"event that does not decode": 1})
			continue
		}
		good++
		out = append(out, events...)
	}
	if bad != nil && good == 0 {
		return refuse(http.StatusBadRequest, "event data", bad.Error())
	}
	return s.publish(ctx, out)
}

func (s *Stage) one(h hearing) ([]event.Event, error) {
	say, handled := cloudEventTypes[h.event.Type()]
	if !handled {
		s.Counts.unhandled(h.event.Type())
		return nil, nil
	}
	t, err := say(h)
	if err != nil {
		return nil, fmt.Errorf("%s %.80q: %w", h.event.Type(), h.event.ID(), err)
	}
	s.Counts.skipped(t.skipped)
	t.observation.Source, t.observation.ObservedAt = "event", h.now
	key := "event:" + strconv.Quote(h.event.Source()) + strconv.Quote(h.event.ID())
	trace, _ := h.event.Extensions()["traceparent"].(string)
	return newEvents(t.observation, t.follow, key, trace)
}

// at is the event's own time, or its arrival when it has none or claims to come from the future.
func (h hearing) at() time.Time {
	if t := h.event.Time(); !t.IsZero() && t.Before(h.now) {
		return t.UTC()
	}
	return h.now
}

// into reads the event's data.
func (h hearing) into(v any) error {
	if err := json.Unmarshal(h.event.Data(), v); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	return nil
}

func (t *told) skip(reason string) {
	if t.skipped == nil {
		t.skipped = map[string]int{}
	}
	t.skipped[reason]++
}

// forbidden tells that the caller is known and may not say this.
type forbidden struct{ text string }

func (f *forbidden) Error() string { return f.text }

// handshake answers the abuse protection of CloudEvents: the sender asks whether it may deliver here at all.
func (s *Stage) handshake(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("WebHook-Request-Origin")
	switch {
	case !s.Callers.configured():
		s.reply(w, r, refuse(http.StatusUnauthorized, "not authenticated", errNobody.Error()))
		return
	case origin == "" || len(origin) > 255 || strings.ContainsAny(origin, "\r\n"):
		s.reply(w, r, refuse(http.StatusBadRequest, "handshake", "WebHook-Request-Origin is missing"))
		return
	}
	w.Header().Set("Allow", "POST, OPTIONS")
	w.Header().Set("WebHook-Allowed-Origin", origin)
	w.Header().Set("WebHook-Allowed-Rate", "120")
	w.WriteHeader(http.StatusOK)
}

// validate answers the handshake of Event Grid's own schema with the code that it sends.
func validate(body []byte) answer {
	var events []struct {
		Type string `json:"eventType"`
		Data struct {
			Code string `json:"validationCode"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &events); err != nil || len(events) != 1 || events[0].Data.Code == "" {
		return refuse(http.StatusBadRequest, "handshake", "the subscription validation carries no code")
	}
	return answer{status: http.StatusOK, body: map[string]string{"validationResponse": events[0].Data.Code}}
}
