package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/servicebus/amqp"
)

func TestLockIsExclusiveUntilSettled(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		first, second := attach(t, b, "q", Mode{}, 10), attach(t, b, "Q", Mode{}, 10)
		send(t, b, "q", note{body: "one"})
		holder, other := first, second
		d := first.try(time.Second)
		if d == nil {
			holder, other = second, first
			d = second.next(t)
		}
		other.nothing(t)
		holder.settle(t, d, Outcome{Verdict: Abandon})
		again := first.try(100 * time.Millisecond)
		if again == nil {
			again = second.next(t)
		}
		if again.Count != 1 || again.Token == d.Token || again.Sequence != d.Sequence {
			t.Errorf("after abandon: %+v, before %+v", again, d)
		}
		if err := first.trySettle(d, Outcome{}); !isFault(err, ErrLockLost) {
			t.Errorf("settling twice: %v", err)
		}
	})
}

func TestLockExpiresAndCountsUntilTheLimit(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q", LockDuration: "PT0.1S", MaxDeliveryCount: 3})
		r := attach(t, b, "q", Mode{}, 10)
		send(t, b, "q", note{body: "one"})
		for i := range 3 {
			if d := r.next(t); d.Count != uint32(i) {
				t.Errorf("delivery %d has count %d", i, d.Count)
			}
		}
		dead := attach(t, b, "q/$DeadLetterQueue", Mode{}, 1).next(t)
		m := seen(t, dead)
		if m.ApplicationProperties["DeadLetterReason"] != "MaxDeliveryCountExceeded" || dead.Count != 3 {
			t.Errorf("count %d, properties %v", dead.Count, m.ApplicationProperties)
		}
		r.nothing(t)
	})
}

func TestAbandonInTheDeadLetterQueueCountsNothing(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q", MaxDeliveryCount: 2})
		send(t, b, "q", note{body: "one"})
		r := attach(t, b, "q", Mode{}, 1)
		r.settle(t, r.next(t), Outcome{Verdict: DeadLetter, Reason: "why", Description: "because", Properties: amqp.Map{text("extra", "x")}})
		dead := attach(t, b, "q/$deadletterqueue", Mode{}, 10)
		for range 5 {
			d := dead.next(t)
			if p := seen(t, d).ApplicationProperties; p["DeadLetterReason"] != "why" || p["DeadLetterErrorDescription"] != "because" || p["extra"] != "x" || d.Count != 0 {
				t.Errorf("count %d, properties %v", d.Count, p)
			}
			dead.settle(t, d, Outcome{Verdict: Abandon})
		}
		if err := trySend(t, b, "q/$DeadLetterQueue", note{body: "x"}); !isFault(err, ErrNotSendable) {
			t.Errorf("a send to a dead-letter queue: %v", err)
		}
	})
}

func TestRenewedLockHolds(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q", LockDuration: "PT0.3S"})
		r := attach(t, b, "q", Mode{}, 10)
		send(t, b, "q", note{body: "one"})
		d := r.next(t)
		for range 4 {
			time.Sleep(150 * time.Millisecond)
			if _, err := b.RenewLock(r.q, []Token{d.Token}); err != nil {
				t.Fatal(err)
			}
		}
		r.settle(t, d, Outcome{})
		if _, err := b.RenewLock(r.q, []Token{d.Token}); !isFault(err, ErrLockLost) {
			t.Errorf("renewing what is gone: %v", err)
		}
	})
}

func TestDuplicatesAreDroppedSilently(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q", RequiresDuplicateDetection: true, DuplicateDetectionWindow: "PT0.5S"})
		r := attach(t, b, "q", Mode{Deletes: true}, 100)
		send(t, b, "q", note{body: "first", id: "a"}, note{body: "second", id: "a"}, note{body: "third", id: "b"})
		send(t, b, "q", note{body: "fourth", id: "a"})
		send(t, b, "q", note{body: "scheduled", id: "b", due: time.Now().Add(time.Hour)})
		if one, two := bodyOf(t, r.next(t)), bodyOf(t, r.next(t)); one != "first" || two != "third" {
			t.Errorf("got %s, %s", one, two)
		}
		r.nothing(t)
		time.Sleep(600 * time.Millisecond)
		send(t, b, "q", note{body: "after the window", id: "a"})
		if got := bodyOf(t, r.next(t)); got != "after the window" {
			t.Errorf("got %s", got)
		}
		if n := b.Counts()["q"]; n != (Counts{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

func TestScheduledMessagesComeWhenDue(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		due := time.Now().Add(200 * time.Millisecond)
		send(t, b, "q", note{body: "late", due: due})
		send(t, b, "q", note{body: "now"})
		r := attach(t, b, "q", Mode{}, 10)
		first := r.next(t)
		if bodyOf(t, first) != "now" {
			t.Errorf("first came %s", bodyOf(t, first))
		}
		if n := b.Counts()["q"]; n.Scheduled != 1 || n.Active != 1 {
			t.Errorf("counts %+v", n)
		}
		late := r.next(t)
		if now := time.Now(); now.Before(due) || now.After(due.Add(time.Second)) {
			t.Errorf("came %s after it was due", now.Sub(due))
		}
		if late.Sequence <= first.Sequence || late.Enqueued < due.UnixMilli() {
			t.Errorf("sequence %d after %d, enqueued %d, due %d", late.Sequence, first.Sequence, late.Enqueued, due.UnixMilli())
		}
	})
}

func TestCancelledMessagesNeverCome(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		q := find(t, b, "q")
		var in []Incoming
		for i := range 3 {
			in = append(in, note{body: name(i), due: time.Now().Add(150 * time.Millisecond)}.incoming(t, b))
		}
		numbers := make(chan []int64, 1)
		b.Schedule(q, in, func(n []int64, err error) {
			if err != nil {
				t.Error(err)
			}
			numbers <- n
		})
		n := <-numbers
		cancel := func(n ...int64) error {
			done := make(chan error, 1)
			b.Cancel(q, n, func(err error) { done <- err })
			return <-done
		}
		if err := cancel(n[0], n[2]); err != nil {
			t.Fatal(err)
		}
		if err := cancel(n[0]); !isFault(err, ErrMessageNotFound) {
			t.Errorf("cancelling twice: %v", err)
		}
		r := attach(t, b, "q", Mode{}, 10)
		if got := bodyOf(t, r.next(t)); got != "m1" {
			t.Errorf("got %s", got)
		}
		r.nothing(t)
	})
}

func TestTimeToLive(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "dead", DefaultMessageTimeToLive: "PT0.1S", DeadLetteringOnExpiration: true}, Description{Name: "gone"})
		send(t, b, "dead", note{body: "capped", ttl: time.Hour})
		send(t, b, "gone", note{body: "brief", ttl: 100 * time.Millisecond}, note{body: "stays"})
		d := attach(t, b, "dead/$DeadLetterQueue", Mode{}, 1).next(t)
		if p := seen(t, d).ApplicationProperties; p["DeadLetterReason"] != "TTLExpiredException" {
			t.Errorf("properties %v", p)
		}
		time.Sleep(150 * time.Millisecond)
		r := attach(t, b, "gone", Mode{}, 10)
		if got := bodyOf(t, r.next(t)); got != "stays" {
			t.Errorf("got %s", got)
		}
		if n := b.Counts()["gone"]; n.Active != 1 || n.DeadLetter != 0 {
			t.Errorf("counts %+v", n)
		}
	})
}

func TestALockOutlivesTheTimeToLive(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q", DeadLetteringOnExpiration: true})
		send(t, b, "q", note{body: "a", ttl: 100 * time.Millisecond}, note{body: "b", ttl: 100 * time.Millisecond}, note{body: "c", ttl: 100 * time.Millisecond})
		r := attach(t, b, "q", Mode{}, 10)
		done, back, later := r.next(t), r.next(t), r.next(t)
		time.Sleep(200 * time.Millisecond)
		r.settle(t, done, Outcome{})
		r.settle(t, back, Outcome{Verdict: Abandon})
		r.settle(t, later, Outcome{Verdict: Defer})
		r.nothing(t)
		if n := b.Counts()["q"]; n.DeadLetter != 2 || n.Active+n.Deferred != 0 {
			t.Errorf("counts %+v", n)
		}
	})
}

func TestDeferredMessagesAreTakenByNumber(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		send(t, b, "q", note{body: "one"}, note{body: "two"})
		r := attach(t, b, "q", Mode{}, 10)
		one, two := r.next(t), r.next(t)
		r.settle(t, one, Outcome{Verdict: Defer, Properties: amqp.Map{text("seen", "yes")}})
		r.settle(t, two, Outcome{Verdict: Defer})
		r.nothing(t)
		take := func(deletes bool, n ...int64) ([]*Delivery, error) {
			var out []*Delivery
			done := make(chan error, 1)
			b.ReceiveDeferred(r.q, n, deletes, func(d []*Delivery, err error) { out = d; done <- err })
			return out, <-done
		}
		got, err := take(false, one.Sequence)
		if err != nil || seen(t, got[0]).ApplicationProperties["seen"] != "yes" || got[0].State != Deferred {
			t.Fatalf("%v, %v", got, err)
		}
		if _, err := take(false, one.Sequence); !isFault(err, ErrMessageNotFound) {
			t.Errorf("taking a locked one: %v", err)
		}
		r.settle(t, got[0], Outcome{})
		if _, err := take(true, two.Sequence); err != nil {
			t.Error(err)
		}
		if n := b.Counts()["q"]; n != (Counts{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

func TestPeekShowsEverythingAndLocksNothing(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		send(t, b, "q", note{body: "deferred"}, note{body: "locked"}, note{body: "gone"}, note{body: "active"}, note{body: "scheduled", due: time.Now().Add(time.Hour)})
		r := attach(t, b, "q", Mode{}, 3)
		d, _, gone := r.next(t), r.next(t), r.next(t)
		r.settle(t, d, Outcome{Verdict: Defer})
		r.settle(t, gone, Outcome{})
		got, err := b.Peek(r.q, 0, 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, d := range got {
			all = append(all, fmt.Sprint(bodyOf(t, d), " ", d.State))
		}
		if s := strings.Join(all, ", "); s != "deferred 1, locked 0, active 0, scheduled 2" {
			t.Errorf("peeked %s", s)
		}
		if got, _ = b.Peek(r.q, 3, 1, nil); len(got) != 1 || bodyOf(t, got[0]) != "active" {
			t.Errorf("from 3: %v", got)
		}
	})
}

func TestReleaseGivesBackWithoutCounting(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		send(t, b, "q", note{body: "one"})
		r := attach(t, b, "q", Mode{}, 10)
		r.settle(t, r.next(t), Outcome{Verdict: Release})
		if d := r.next(t); d.Count != 0 {
			t.Errorf("count %d", d.Count)
		}
	})
}

func TestAbandonedMessagesComeFirst(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		for i := range 10 {
			send(t, b, "q", note{body: name(i)})
		}
		r := attach(t, b, "q", Mode{}, 4)
		var locked []*Delivery
		for range 4 {
			locked = append(locked, r.next(t))
		}
		for _, i := range []int{2, 0, 3} {
			r.settle(t, locked[i], Outcome{Verdict: Abandon})
		}
		b.Credit(r.c, 100)
		for _, want := range []string{"m0", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"} {
			if got := bodyOf(t, r.next(t)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestCreditBoundsDeliveries(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		for i := range 10 {
			send(t, b, "q", note{body: name(i)})
		}
		r := attach(t, b, "q", Mode{}, 2)
		r.next(t)
		r.next(t)
		r.nothing(t)
		r.hand.mu.Lock()
		r.hand.full = true
		r.hand.mu.Unlock()
		b.Credit(r.c, 5)
		r.nothing(t)
		r.hand.mu.Lock()
		r.hand.full = false
		r.hand.mu.Unlock()
		b.Resume(r.c)
		for range 3 {
			r.next(t)
		}
		b.Drain(r.c, 20)
		for range 5 {
			r.next(t)
		}
		send(t, b, "q", note{body: "after the drain"})
		r.nothing(t)
	})
}

func TestReceiveAndDelete(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "q"})
		send(t, b, "q", note{body: "one"})
		r := attach(t, b, "q", Mode{Deletes: true}, 1)
		if d := r.next(t); !d.Settled || d.Locked {
			t.Errorf("delivery %+v", d)
		}
		if n := b.Counts()["q"]; n != (Counts{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

func TestWhatCannotBeSent(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "small", MaxSizeInMegabytes: 1}, Description{Name: "off", Status: "SendDisabled"}, Description{Name: "s", RequiresSession: true})
		if err := trySend(t, b, "small", note{body: strings.Repeat("x", 300_000)}); !isFault(err, ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		for range 5 {
			if err := trySend(t, b, "small", note{body: strings.Repeat("x", 250_000)}); err != nil {
				if !isFault(err, ErrFull) {
					t.Errorf("full: %v", err)
				}
				break
			}
		}
		if n := b.Counts()["small"].Active; n != 4 {
			t.Errorf("%d messages fit", n)
		}
		if err := trySend(t, b, "off", note{body: "x"}); !isFault(err, ErrDisabled) {
			t.Errorf("disabled: %v", err)
		}
		if err := trySend(t, b, "s", note{body: "good", session: "a"}, note{body: "bad"}); !isFault(err, ErrNoSessionID) {
			t.Errorf("without a session: %v", err)
		}
		if n := b.Counts()["s"].Active; n != 0 {
			t.Errorf("a batch was stored in part: %d", n)
		}
	})
}
