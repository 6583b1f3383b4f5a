// Package bus sends events over Service Bus and keeps the messages that no retry can heal.
//
// Receiving is the host's part, by triggers. A message that was confirmed is durable. When an error comes back some of
// the events may have been sent; the stages converge whatever is delivered twice. Queue depths need rights on the
// management plane and are not offered.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// Options say which namespace. Either a connection string or a namespace with a credential.
type Options struct {
	ConnectionString string
	Namespace        string // fully qualified
	Credential       azcore.TokenCredential
	Store            graph.Store // keeps parked messages
	Log              *slog.Logger
}

// Bus sends. It is safe for concurrent use.
type Bus struct {
	client     *azservicebus.Client
	store      graph.Store
	log        *slog.Logger
	mu         sync.Mutex
	senders    map[string]*azservicebus.Sender
	operations atomic.Int64
}

// patience bounds one send.
const patience = 15 * time.Second

// Open makes the client. It does not dial.
func Open(o Options) (*Bus, error) {
	b := &Bus{store: o.Store, log: o.Log, senders: map[string]*azservicebus.Sender{}}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if o.ConnectionString != "" {
		b.client, err = azservicebus.NewClientFromConnectionString(o.ConnectionString, nil)
	} else {
		b.client, err = azservicebus.NewClient(o.Namespace, o.Credential, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("open Service Bus: %w", err)
	}
	return b, nil
}

// Operations counts the messages sent since the bus was opened, as Service Bus bills them.
func (b *Bus) Operations() int64 { return b.operations.Load() }

// Publish puts events durably into their queues.
func (b *Bus) Publish(ctx context.Context, events []event.Event) error {
	byQueue := map[string][]event.Event{}
	var queues []string
	for _, e := range events {
		route, ok := event.RouteOf(e.Type)
		if !ok {
			return event.Permanent(fmt.Errorf("publish %s: type %q has no queue", e.ID, e.Type))
		}
		if byQueue[route.HeardBy] == nil {
			queues = append(queues, route.HeardBy)
		}
		byQueue[route.HeardBy] = append(byQueue[route.HeardBy], e)
	}
	for _, q := range queues {
		if err := b.send(ctx, q, byQueue[q]); err != nil {
			return fmt.Errorf("publish to %s: %w", q, err)
		}
	}
	return nil
}

func (b *Bus) send(ctx context.Context, queue string, events []event.Event) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := b.sender(queue)
	if err != nil {
		return err
	}
	if err := b.batches(ctx, s, events); err != nil {
		if !errors.Is(err, event.ErrPermanent) {
			b.forget(queue, s)
		}
		return err
	}
	b.operations.Add(int64(len(events)))
	return nil
}

// batches sends events in as few batches as their sizes allow.
func (b *Bus) batches(ctx context.Context, s *azservicebus.Sender, events []event.Event) error {
	batch, err := s.NewMessageBatch(ctx, nil)
	if err != nil {
		return err
	}
	for _, e := range events {
		m, err := message(e)
		if err != nil {
			return err
		}
		err = batch.AddMessage(m, nil)
		if errors.Is(err, azservicebus.ErrMessageTooLarge) && batch.NumMessages() > 0 {
			if err := s.SendMessageBatch(ctx, batch, nil); err != nil {
				return err
			}
			if batch, err = s.NewMessageBatch(ctx, nil); err != nil {
				return err
			}
			err = batch.AddMessage(m, nil)
		}
		if errors.Is(err, azservicebus.ErrMessageTooLarge) {
			return event.Permanent(fmt.Errorf("event %s of type %s: %d bytes are too many for one message", e.ID, e.Type, len(m.Body)))
		}
		if err != nil {
			return err
		}
	}
	return s.SendMessageBatch(ctx, batch, nil)
}

func message(e event.Event) (*azservicebus.Message, error) {
	body, err := e.Encode()
	if err != nil {
		return nil, event.Permanent(err)
	}
	subject, kind, id := string(e.Type), event.ContentType, e.ID
	m := &azservicebus.Message{MessageID: &id, Subject: &subject, ContentType: &kind, Body: body}
	if route, _ := event.RouteOf(e.Type); route.Sessions {
		session := e.Session
		m.SessionID = &session
	}
	if !e.NotBefore.IsZero() {
		at := e.NotBefore
		m.ScheduledEnqueueTime = &at
	}
	return m, nil
}

func (b *Bus) sender(queue string) (*azservicebus.Sender, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.senders[queue]; ok {
		return s, nil
	}
	s, err := b.client.NewSender(queue, nil)
	if err != nil {
		return nil, err
	}
	b.senders[queue] = s
	return s, nil
}

// forget drops a sender that failed; the next send opens a new one.
func (b *Bus) forget(queue string, s *azservicebus.Sender) {
	b.mu.Lock()
	if b.senders[queue] == s {
		delete(b.senders, queue)
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		b.log.Debug("a broken sender did not close", "queue", queue, "reason", err)
	}
}

// Close closes the connection.
func (b *Bus) Close(ctx context.Context) error { return b.client.Close(ctx) }
