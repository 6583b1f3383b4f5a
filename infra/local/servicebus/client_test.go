package servicebus_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/infra/local/servicebus"
)

// These tests go through the real client where its own tests do not look.

func receiver(t testing.TB, c *azservicebus.Client, queue string, o *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	t.Helper()
	r, err := c.NewReceiverForQueue(queue, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func receive(t testing.TB, r taker, n int) []*azservicebus.ReceivedMessage {
	t.Helper()
	var all []*azservicebus.ReceivedMessage
	for len(all) < n {
		got, err := r.ReceiveMessages(deadline(t), n-len(all), nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
	}
	return all
}

func nothing(t testing.TB, r taker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if got, err := r.ReceiveMessages(ctx, 1, nil); len(got) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %d messages, %v", len(got), err)
	}
}

func TestDuplicateIsDropped(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		c := connect(t, s)
		send(t, c, "once", &azservicebus.Message{MessageID: to.Ptr("a"), Body: []byte("1")}, &azservicebus.Message{MessageID: to.Ptr("a"), Body: []byte("2")}, &azservicebus.Message{MessageID: to.Ptr("b"), Body: []byte("3")})
		r := receiver(t, c, "once", nil)
		got := receive(t, r, 2)
		if string(got[0].Body) != "1" || string(got[1].Body) != "3" {
			t.Errorf("got %q, %q", got[0].Body, got[1].Body)
		}
		for _, m := range got {
			if err := r.CompleteMessage(deadline(t), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		send(t, c, "once", &azservicebus.Message{MessageID: to.Ptr("b"), Body: []byte("4")})
		nothing(t, r)
	})
}

func TestLargeMessageGoesThroughManyFrames(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		c := connect(t, s)
		body := bytes.Repeat([]byte("0123456789abcdef"), 200<<10/16)
		send(t, c, "plain", &azservicebus.Message{Body: body})
		if got := receive(t, receiver(t, c, "plain", nil), 1); !bytes.Equal(got[0].Body, body) {
			t.Errorf("%d bytes came back", len(got[0].Body))
		}
	})
}

func TestLockExpiryDeadLettersAtTheLimit(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		t.Parallel()
		c := connect(t, s)
		send(t, c, "hasty", &azservicebus.Message{Body: []byte("x")})
		r := receiver(t, c, "hasty", nil)
		for i := range 3 {
			m := receive(t, r, 1)[0]
			if m.DeliveryCount != uint32(i+1) {
				t.Errorf("delivery %d says it is %d", i+1, m.DeliveryCount)
			}
			if i == 2 {
				break
			}
		}
		dead := receiver(t, c, "hasty", &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
		m := receive(t, dead, 1)[0]
		if m.DeadLetterReason == nil || *m.DeadLetterReason != "MaxDeliveryCountExceeded" {
			t.Errorf("reason %v", m.DeadLetterReason)
		}
	})
}

func TestSettlingAfterTheLockIsLost(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		t.Parallel()
		c := connect(t, s)
		send(t, c, "hasty", &azservicebus.Message{Body: []byte("x")})
		r := receiver(t, c, "hasty", nil)
		m := receive(t, r, 1)[0]
		time.Sleep(1100 * time.Millisecond)
		var e *azservicebus.Error
		if err := r.CompleteMessage(deadline(t), m, nil); !errors.As(err, &e) || e.Code != azservicebus.CodeLockLost {
			t.Errorf("got %v", err)
		}
	})
}

func TestScheduledMessageComesWhenDue(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		c := connect(t, s)
		due := time.Now().Add(300 * time.Millisecond)
		send(t, c, "plain", &azservicebus.Message{Body: []byte("late"), ScheduledEnqueueTime: &due})
		r := receiver(t, c, "plain", nil)
		nothing(t, r)
		receive(t, r, 1)
		if late := time.Since(due); late < 0 || late > time.Second {
			t.Errorf("came %s after it was due", late)
		}
	})
}

func TestSessionKeepsItsOrderUnderAbandon(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		ctx, c := deadline(t), connect(t, s)
		for _, body := range []string{"1", "2", "3"} {
			send(t, c, "sessions", &azservicebus.Message{Body: []byte(body), SessionID: to.Ptr("a")})
		}
		r, err := c.AcceptSessionForQueue(ctx, "sessions", "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		first := receive(t, r, 1)[0]
		if err := r.AbandonMessage(ctx, first, nil); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"1", "2", "3"} {
			m := receive(t, r, 1)[0]
			if string(m.Body) != want || i == 0 && m.DeliveryCount != 2 {
				t.Errorf("got %q with count %d, want %q", m.Body, m.DeliveryCount, want)
			}
			if err := r.CompleteMessage(ctx, m, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The client takes a session again whose lock it lost, so the loss shows in the delivery count alone.
func TestSessionLockLostInMidSession(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		t.Parallel()
		c := connect(t, s)
		send(t, c, "fleeting", &azservicebus.Message{Body: []byte("1"), SessionID: to.Ptr("a")})
		r, err := c.AcceptSessionForQueue(deadline(t), "fleeting", "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		receive(t, r, 1)
		time.Sleep(1200 * time.Millisecond)
		m := receive(t, r, 1)[0]
		if m.DeliveryCount != 2 {
			t.Errorf("delivery count %d", m.DeliveryCount)
		}
		if err := r.CompleteMessage(deadline(t), m, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestReplayFromTheDeadLetterQueueIntoASession(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		ctx, c := deadline(t), connect(t, s)
		send(t, c, "sessions", &azservicebus.Message{Body: []byte("again"), SessionID: to.Ptr("a"), MessageID: to.Ptr("one")})
		r, err := c.AcceptSessionForQueue(ctx, "sessions", "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.DeadLetterMessage(ctx, receive(t, r, 1)[0], &azservicebus.DeadLetterOptions{Reason: to.Ptr("broken")}); err != nil {
			t.Fatal(err)
		}
		dead := receiver(t, c, "sessions", &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
		m := receive(t, dead, 1)[0]
		if *m.DeadLetterReason != "broken" || *m.SessionID != "a" {
			t.Errorf("reason %q, session %q", *m.DeadLetterReason, *m.SessionID)
		}
		send(t, c, "sessions", &azservicebus.Message{Body: m.Body, SessionID: m.SessionID, MessageID: to.Ptr("two")})
		if err := dead.CompleteMessage(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, r, 1)[0]; string(got.Body) != "again" {
			t.Errorf("got %q", got.Body)
		}
	})
}

func TestExpiredMessageGoesToTheDeadLetterQueue(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		t.Parallel()
		c := connect(t, s)
		send(t, c, "brief", &azservicebus.Message{Body: []byte("x")})
		dead := receiver(t, c, "brief", &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
		if m := receive(t, dead, 1)[0]; *m.DeadLetterReason != "TTLExpiredException" {
			t.Errorf("reason %q", *m.DeadLetterReason)
		}
	})
}

func TestBatchOfMessages(t *testing.T) {
	modes(t, func(t *testing.T, s *servicebus.Server) {
		ctx, c := deadline(t), connect(t, s)
		sender, err := c.NewSender("plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := sender.NewMessageBatch(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; n < 10_000; n++ {
			if err := batch.AddMessage(&azservicebus.Message{Body: bytes.Repeat([]byte{byte(n)}, 1000)}, nil); err != nil {
				break
			}
		}
		if err := sender.SendMessageBatch(ctx, batch, nil); err != nil {
			t.Fatal(err)
		}
		got, err := receiver(t, c, "plain", nil).ReceiveMessages(ctx, n, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: 5 * time.Second})
		if err != nil || len(got) != n {
			t.Fatalf("%d of %d messages, %v", len(got), n, err)
		}
		for i, m := range got {
			if m.Body[0] != byte(i) {
				t.Fatalf("message %d is %d", i, m.Body[0])
			}
		}
	})
}

func TestRestartKeepsWhatWasConfirmed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	send(t, connect(t, s), "plain", &azservicebus.Message{Body: []byte("kept")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, receiver(t, connect(t, start(t, dir)), "plain", nil), 1); string(got[0].Body) != "kept" {
		t.Errorf("got %q", got[0].Body)
	}
}

func TestOperationsAreCounted(t *testing.T) {
	s := start(t, "")
	c := connect(t, s)
	send(t, c, "plain", &azservicebus.Message{Body: []byte("small")}, &azservicebus.Message{Body: make([]byte, 100<<10)})
	if n := s.Operations(); n != 3 {
		t.Errorf("%d operations for sends of 5 bytes and 100 KB", n)
	}
	r := receiver(t, c, "plain", nil)
	m := receive(t, r, 1)[0]
	before := s.Operations()
	if err := r.CompleteMessage(deadline(t), m, nil); err != nil {
		t.Fatal(err)
	}
	if n := s.Operations() - before; n != 1 {
		t.Errorf("%d operations for a settlement", n)
	}
}
