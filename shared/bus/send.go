package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/shared/event"
)

const (
	billed      = 64 << 10 // bytes that one operation carries
	longestName = 128      // characters of a message id or session id
)

// Publish puts events durably into the queues of those who hear them. An event that can never be sent (unknown type,
// too large, a session that is missing or too long) is event.ErrPermanent, and then none of the events was sent unless it
// is its size that only the broker refuses.
func (b *Bus) Publish(ctx context.Context, events []event.Event) error {
	byQueue := map[string][]*azservicebus.Message{}
	var queues []string
	for _, e := range events {
		queue, m, err := message(e)
		if err != nil {
			return err
		}
		if byQueue[queue] == nil {
			queues = append(queues, queue)
		}
		byQueue[queue] = append(byQueue[queue], m)
	}
	for _, queue := range queues {
		if err := b.send(ctx, queue, byQueue[queue]); err != nil {
			return fmt.Errorf("publish to %s: %w", queue, err)
		}
	}
	return nil
}

// message is an event on its way to a queue.
func message(e event.Event) (queue string, m *azservicebus.Message, err error) {
	route, ok := event.RouteOf(e.Type)
	if !ok {
		return "", nil, event.Permanent(fmt.Errorf("publish %s: nobody hears type %q", e.ID, e.Type))
	}
	body, err := e.Encode()
	if err != nil {
		return "", nil, event.Permanent(fmt.Errorf("publish %s: %w", e.ID, err))
	}
	subject, contentType := string(e.Type), event.ContentType
	m = &azservicebus.Message{MessageID: &e.ID, Subject: &subject, ContentType: &contentType, Body: body}
	if len(e.ID) > longestName {
		return "", nil, event.Permanent(fmt.Errorf("publish %s %.40s...: the id has %d characters, more than %d", e.Type, e.ID, len(e.ID), longestName))
	}
	if route.Sessions {
		if e.Session == "" || len(e.Session) > longestName {
			return "", nil, event.Permanent(fmt.Errorf("publish %s %s: session %.40q, want 1 to %d characters", e.Type, e.ID, e.Session, longestName))
		}
		m.SessionID = &e.Session
	}
	if !e.NotBefore.IsZero() {
		at := e.NotBefore.UTC()
		m.ScheduledEnqueueTime = &at
	}
	return route.HeardBy, m, nil
}

// send sends messages to one queue. When the connection breaks under it, or another sender's failure closes the link, it
// tries once more on a new one.
func (b *Bus) send(ctx context.Context, queue string, messages []*azservicebus.Message) error {
	for tried := false; ; tried = true {
		s, err := b.sender(queue)
		if err != nil {
			return err
		}
		sent, err := b.batches(ctx, s, messages)
		messages = messages[sent:]
		if err == nil || errors.Is(err, event.ErrPermanent) {
			return err
		}
		b.forget(queue, s)
		if tried || ctx.Err() != nil || !isLost(err) {
			return err
		}
		b.log.InfoContext(ctx, "queue is dialled again", "queue", queue, "reason", err)
	}
}

// isLost tells that a new link may well work.
func isLost(err error) bool {
	var e *azservicebus.Error
	return errors.As(err, &e) && (e.Code == azservicebus.CodeClosed || e.Code == azservicebus.CodeConnectionLost)
}

// batches sends messages in as few batches as their sizes allow, and tells how many were confirmed.
func (b *Bus) batches(ctx context.Context, s *azservicebus.Sender, messages []*azservicebus.Message) (sent int, err error) {
	for sent < len(messages) {
		n, err := b.batch(ctx, s, messages[sent:])
		if err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

// batch sends as many of the messages as fit into one batch.
func (b *Bus) batch(ctx context.Context, s *azservicebus.Sender, messages []*azservicebus.Message) (int, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	batch, err := s.NewMessageBatch(ctx, nil)
	if err != nil {
		return 0, err
	}
	n, operations := 0, 0
	for _, m := range messages {
		err := batch.AddMessage(m, nil)
		if errors.Is(err, azservicebus.ErrMessageTooLarge) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("message %s: %w", *m.MessageID, err)
		}
		n++
		operations += max(1, (len(m.Body)+billed-1)/billed)
	}
	if n == 0 {
		m := messages[0]
		return 0, event.Permanent(fmt.Errorf("event %s of type %s: %d bytes are too many for a message", *m.MessageID, *m.Subject, len(m.Body)))
	}
	if err := s.SendMessageBatch(ctx, batch, nil); err != nil {
		return 0, err
	}
	b.operations.Add(int64(operations))
	return n, nil
}

// sender is the sender of a queue, shared by all.
func (b *Bus) sender(queue string) (*azservicebus.Sender, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.senders[queue]; ok {
		return s, nil
	}
	s, err := b.client.NewSender(queue, nil)
	if err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	b.senders[queue] = s
	return s, nil
}

// farewell bounds the closing of a link that failed already.
const farewell = 2 * time.Second

// forget closes a sender that failed; the next send opens a new one.
func (b *Bus) forget(queue string, s *azservicebus.Sender) {
	b.mu.Lock()
	current := b.senders[queue] == s
	if current {
		delete(b.senders, queue)
	}
	b.mu.Unlock()
	if !current {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		b.log.Debug("sender did not close", "queue", queue, "reason", err)
	}
}
