// Package event is the contract between the stages: every event type, who says it, who hears it, and what it carries.
//
// Events are CloudEvents 1.0 in structured JSON. A stage emits because the state below lags behind the state above,
// never because it has just seen a change, so that a redelivery, a replay and a resync all converge. The package does
// not send anything.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
)

// ContentType is the media type of an encoded event.
const ContentType = ce.ApplicationCloudEventsJSON

// ErrPermanent marks a failure that no retry can heal: the message is parked with its reason.
var ErrPermanent = errors.New("permanent")

// Permanent wraps err so that errors.Is(err, ErrPermanent) holds and its text stays.
func Permanent(err error) error { return permanent{err} }

type permanent struct{ error }

func (p permanent) Unwrap() error        { return p.error }
func (p permanent) Is(target error) bool { return target == ErrPermanent }

// Event is one message between stages.
type Event struct {
	// ID is the message id: new for every emission, retry and replay; ingest alone derives it from the delivery.
	ID string
	// Type decides the queue, see Routes.
	Type Type
	// Source is the function that says it, for example /functions/ingest.
	Source string
	// Subject is what it is about: a repository, a scope.
	Subject string
	// Time is when it was said, UTC.
	Time time.Time
	// Session serialises the receivers of a queue that requires sessions; empty elsewhere. At most 128 characters.
	Session string
	// NotBefore delays the delivery; zero means at once.
	NotBefore time.Time
	// Trace is the W3C traceparent of the delivery that caused it; may be empty.
	Trace string
	// Data is the payload as JSON.
	Data json.RawMessage
}

// New makes an event with a fresh id.
func New(t Type, source, subject string, data any) (Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("encode %s: %w", t, err)
	}
	return Event{ID: uuid.NewString(), Type: t, Source: source, Subject: subject, Time: time.Now().UTC(), Data: raw}, nil
}

// Again is the same event as a new message: a retry or a replay must not be taken for a duplicate.
func (e Event) Again(notBefore time.Time) Event {
	e.ID, e.NotBefore = uuid.NewString(), notBefore
	return e
}

// Into decodes the payload. A payload that does not fit is ErrPermanent.
func (e Event) Into(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return Permanent(fmt.Errorf("decode the data of %s %s: %w", e.Type, e.ID, err))
	}
	return nil
}

// Encode writes the event as structured CloudEvents JSON.
func (e Event) Encode() ([]byte, error) {
	c := ce.New()
	c.SetID(e.ID)
	c.SetType(string(e.Type))
	c.SetSource(e.Source)
	c.SetTime(e.Time)
	if e.Subject != "" {
		c.SetSubject(e.Subject)
	}
	if e.Trace != "" {
		c.SetExtension("traceparent", e.Trace)
	}
	if e.Session != "" {
		c.SetExtension("session", e.Session)
	}
	if err := c.SetData(ce.ApplicationJSON, e.Data); err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", e.Type, e.ID, err)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", e.Type, e.ID, err)
	}
	return json.Marshal(c)
}

// Decode reads an event of ours. Anything else is ErrPermanent.
func Decode(b []byte) (Event, error) {
	var c ce.Event
	if err := json.Unmarshal(b, &c); err != nil {
		return Event{}, Permanent(fmt.Errorf("decode CloudEvent: %w", err))
	}
	if err := c.Validate(); err != nil {
		return Event{}, Permanent(fmt.Errorf("decode CloudEvent: %w", err))
	}
	e := Event{ID: c.ID(), Type: Type(c.Type()), Source: c.Source(), Subject: c.Subject(), Time: c.Time(), Data: c.Data()}
	if _, ok := RouteOf(e.Type); !ok {
		return Event{}, Permanent(fmt.Errorf("decode CloudEvent %s: type %q is not one of ours", e.ID, e.Type))
	}
	if !json.Valid(e.Data) {
		return Event{}, Permanent(fmt.Errorf("decode CloudEvent %s: its data is no JSON", e.ID))
	}
	e.Trace, _ = c.Extensions()["traceparent"].(string)
	e.Session, _ = c.Extensions()["session"].(string)
	return e, nil
}
