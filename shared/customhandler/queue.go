package customhandler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"throughline/shared/event"
)

// Parked is a message that no retry can heal, with all that is needed to look at it and to replay it.
type Parked struct {
	// Queue is where it was received; a replay sends it there again.
	Queue string `json:"queue"`
	// MessageID is the sender's id. It may be empty or repeat: a replay needs a fresh one.
	MessageID string `json:"messageId"`
	// Session is the session it came in, empty on a queue without sessions.
	Session string `json:"session,omitempty"`
	// Body is the message exactly as it was received.
	Body []byte `json:"body"`
	// Reason is the error that parked it.
	Reason string `json:"reason"`
	// DeliveryCount is how often it had been delivered, at least 1 when the host says so.
	DeliveryCount int `json:"deliveryCount"`
	// EnqueuedAt is when the queue took it, UTC; zero when unknown.
	EnqueuedAt time.Time `json:"enqueuedAt,omitzero"`
	// At is when it was parked, UTC.
	At time.Time `json:"at"`
	// EventID, EventType and Subject are those of the event, empty when it could not be decoded.
	EventID   string     `json:"eventId,omitempty"`
	EventType event.Type `json:"eventType,omitempty"`
	Subject   string     `json:"subject,omitempty"`
}

// Queue answers POST /<name>: it reads the event from the message, hands it to handle under a deadline of two minutes,
// publishes what that returns and answers 200, which completes the message. A transient error of either is a 500: the
// host abandons the message and it comes again. A permanent one (event.ErrPermanent; also a message that is no event, or
// one for another queue) is parked and then answered 200; when parking fails it is a 500.
func Queue(name string, handle func(context.Context, event.Event) ([]event.Event, error), publish Publish,
	park func(context.Context, Parked) error, log *slog.Logger) http.Handler {
	q := &queue{name: name, handle: handle, publish: publish, park: park, log: log}
	return http.HandlerFunc(q.serve)
}

type queue struct {
	name    string
	handle  func(context.Context, event.Event) ([]event.Event, error)
	publish Publish
	park    func(context.Context, Parked) error
	log     *slog.Logger
}

func (q *queue) serve(w http.ResponseWriter, r *http.Request) {
	ctx := withInvocation(r.Context(), r.Header.Get(headerInvocation), q.name)
	in, ok := begin(w, r.WithContext(ctx), q.log)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	e, err := q.read(in)
	ctx = withEvent(ctx, e.ID)
	if err == nil {
		err = q.work(ctx, e)
	}
	if errors.Is(err, event.ErrPermanent) {
		err = q.putAside(ctx, in, e, err)
	}
	if err != nil && q.later(ctx, in, e, err) {
		err = nil
	}
	if err != nil {
		q.log.WarnContext(ctx, "message not handled, it comes again", "delivery", in.number("DeliveryCount"), "reason", err)
		fail(w, http.StatusInternalServerError)
		return
	}
	succeed(w)
}

func (q *queue) read(in invocation) (event.Event, error) {
	body, err := in.body()
	if err != nil {
		return event.Event{}, event.Permanent(err)
	}
	e, err := event.Decode(body)
	if err != nil {
		return e, err
	}
	if route, ok := event.RouteOf(e.Type); ok && route.HeardBy != q.name {
		return e, event.Permanent(fmt.Errorf("event %s of type %s is for %s, not for %s", e.ID, e.Type, route.HeardBy, q.name))
	}
	return e, nil
}

func (q *queue) work(ctx context.Context, e event.Event) error {
	begun := time.Now()
	said, err := q.handle(ctx, e)
	if err != nil {
		return err
	}
	if len(said) > 0 {
		if err := q.publish(ctx, said); err != nil {
			return fmt.Errorf("publish %d events: %w", len(said), err)
		}
	}
	q.log.DebugContext(ctx, "message handled", "subject", e.Subject, "events", len(said), "ms", time.Since(begun).Milliseconds())
	return nil
}

// An abandoned message comes back at once, and a queue gives up after a number of deliveries. A trouble that lasts must
// use up neither: from the fourth delivery on the message is sent again for later, the later the longer it lasts.
const (
	hasty    = 4
	soonest  = 5 * time.Second
	latest   = 10 * time.Minute
	ageShare = 4 // a message that is failing for an hour is tried again after a quarter of one
)

// later sends the message again with a delay; false when that is not called for or does not work.
func (q *queue) later(ctx context.Context, in invocation, e event.Event, cause error) bool {
	if e.ID == "" || in.number("DeliveryCount") < hasty {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parkPatience)
	defer cancel()
	wait := min(max(time.Since(e.Time)/ageShare, soonest), latest)
	if err := q.publish(ctx, []event.Event{e.Again(time.Now().Add(wait).UTC())}); err != nil {
		return false
	}
	q.log.WarnContext(ctx, "message not handled, it comes again later", "wait", wait.String(), "reason", cause)
	return true
}

// putAside parks the message. It does not depend on the invocation's deadline, which may have passed.
func (q *queue) putAside(ctx context.Context, in invocation, e event.Event, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parkPatience)
	defer cancel()
	body, err := in.body()
	if err != nil {
		body = in.trigger()
	}
	p := Parked{Queue: q.name, MessageID: in.text("MessageId"), Session: in.text("SessionId"), Body: body, Reason: cause.Error(),
		DeliveryCount: in.number("DeliveryCount"), EnqueuedAt: in.time("EnqueuedTimeUtc"), At: time.Now().UTC(),
		EventID: e.ID, EventType: e.Type, Subject: e.Subject}
	if err := q.park(ctx, p); err != nil {
		return errors.Join(fmt.Errorf("park: %w", err), cause)
	}
	q.log.ErrorContext(ctx, "message parked", "message", p.MessageID, "reason", cause)
	return nil
}
