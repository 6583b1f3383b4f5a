package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/shared/event"
)

// lull is how long a dead-letter queue must stay silent before it counts as empty.
const lull = 2 * time.Second

// atOnce bounds how many dead letters are locked at a time.
const atOnce = 50

// DeadLetters shows up to limit dead letters of a queue, oldest first, and leaves them where they are.
func (b *Bus) DeadLetters(ctx context.Context, queue string, limit int) ([]Letter, error) {
	var letters []Letter
	err := b.receiving(ctx, queue, func(r *azservicebus.Receiver) error {
		for len(letters) < limit {
			page, err := b.peek(ctx, r, limit-len(letters))
			if err != nil || len(page) == 0 {
				return err
			}
			for _, m := range page {
				letters = append(letters, letterOf(queue, m))
			}
		}
		return nil
	})
	return letters, err
}

func (b *Bus) peek(ctx context.Context, r *azservicebus.Receiver, n int) ([]*azservicebus.ReceivedMessage, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return r.PeekMessages(ctx, n, nil)
}

func letterOf(queue string, m *azservicebus.ReceivedMessage) Letter {
	l := Letter{Queue: queue, MessageID: m.MessageID, Body: m.Body, DeliveryCount: int(m.DeliveryCount)}
	if m.SequenceNumber != nil {
		l.ID = strconv.FormatInt(*m.SequenceNumber, 10)
	}
	if m.EnqueuedTime != nil {
		l.At = m.EnqueuedTime.UTC().Truncate(time.Second)
	}
	var why []string
	for _, text := range []*string{m.DeadLetterReason, m.DeadLetterErrorDescription} {
		if text != nil && *text != "" {
			why = append(why, *text)
		}
	}
	l.Reason = cmp.Or(strings.Join(why, ": "), "dead-lettered without a reason")
	return l
}

// ReplayDeadLetters sends up to limit dead letters of a queue again, as new messages, and takes them off the dead-letter
// queue; n is how many are off. One that is no event of ours is parked. After an error some may be sent that are still
// there.
func (b *Bus) ReplayDeadLetters(ctx context.Context, queue string, limit int) (n int, err error) {
	err = b.receiving(ctx, queue, func(r *azservicebus.Receiver) error {
		for n < limit {
			letters, err := b.receive(ctx, r, min(atOnce, limit-n))
			if err != nil || len(letters) == 0 {
				return err
			}
			settled, err := b.resend(ctx, r, queue, letters)
			n += settled
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// receive locks up to n dead letters; none when the queue stays silent.
func (b *Bus) receive(ctx context.Context, r *azservicebus.Receiver, n int) ([]*azservicebus.ReceivedMessage, error) {
	waiting, cancel := context.WithTimeout(ctx, min(lull, b.patience))
	defer cancel()
	letters, err := r.ReceiveMessages(waiting, n, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: 100 * time.Millisecond})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return letters, err
}

// resend sends letters and then completes them, so that none is lost between.
func (b *Bus) resend(ctx context.Context, r *azservicebus.Receiver, queue string, letters []*azservicebus.ReceivedMessage) (settled int, err error) {
	var events []event.Event
	for _, m := range letters {
		e, err := event.Decode(m.Body)
		if err == nil {
			_, _, err = message(e)
		}
		if err != nil {
			l := letterOf(queue, m)
			l.Reason = "dead letter cannot be replayed: " + err.Error() + "; it was there for: " + l.Reason
			if err := b.Park(ctx, l); err != nil {
				return 0, err
			}
			continue
		}
		events = append(events, e.Again(time.Time{}))
	}
	if err := b.Publish(ctx, events); err != nil {
		return 0, err
	}
	for _, m := range letters {
		if err := b.complete(ctx, r, m); err != nil {
			return settled, fmt.Errorf("complete dead letter %s: %w", m.MessageID, err)
		}
		settled++
	}
	return settled, nil
}

// complete has a deadline of its own: without one the client tries for some 40 s after a lost lock.
func (b *Bus) complete(ctx context.Context, r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return r.CompleteMessage(ctx, m, nil)
}

// receiving opens a receiver of the dead letters for as long as do needs it.
func (b *Bus) receiving(ctx context.Context, queue string, do func(*azservicebus.Receiver) error) error {
	r, err := b.client.NewReceiverForQueue(queue, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
	if err != nil {
		return fmt.Errorf("receive from %s: %w", queue, err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if e := r.Close(end); e != nil {
			b.log.DebugContext(ctx, "receiver did not close", "queue", queue, "reason", e)
		}
	}()
	if err := do(r); err != nil {
		return fmt.Errorf("dead letters of %s: %w", queue, err)
	}
	return nil
}

// Ping tells whether Service Bus answers, by looking for a dead letter in a queue that stands for all.
func (b *Bus) Ping(ctx context.Context) error {
	_, err := b.DeadLetters(ctx, event.Routes[0].HeardBy, 1)
	return err
}
