package broker

import (
	"testing"
	"time"
)

func named(id string) Mode { return Mode{Session: &id} }

func TestSessionIsHeldByOneAndKeepsItsOrder(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true})
		for i := range 6 {
			send(t, b, "s", note{body: name(i), session: []string{"a", "b"}[i%2]})
		}
		a := attach(t, b, "s", named("a"), 1)
		if _, err := tryAttach(t, b, "s", named("a"), 1); !isFault(err, ErrSessionLocked) {
			t.Errorf("taking a held session: %v", err)
		}
		d := a.next(t)
		a.settle(t, d, Outcome{Verdict: Abandon})
		b.Credit(a.c, 10)
		for _, want := range []string{"m0", "m2", "m4"} {
			d := a.next(t)
			if got := bodyOf(t, d); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			a.settle(t, d, Outcome{})
		}
		a.nothing(t)
		if _, err := tryAttach(t, b, "s", Mode{}, 1); !isFault(err, ErrNeedsSession) {
			t.Errorf("a receiver without a session: %v", err)
		}
	})
}

func TestNextSessionIsGivenToWhoWaits(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true})
		got := make(chan *receiver, 2)
		for range 2 {
			go func() { got <- attach(t, b, "s", Mode{Next: true, Timeout: 5 * time.Second}, 10) }()
		}
		time.Sleep(50 * time.Millisecond)
		send(t, b, "s", note{body: "one", session: "a"}, note{body: "two", session: "b"}, note{body: "three", session: "a"})
		ids := map[string]bool{}
		for range 2 {
			ids[*b.Holds((<-got).c)] = true
		}
		if !ids["a"] || !ids["b"] {
			t.Errorf("taken: %v", ids)
		}
		start := time.Now()
		if _, err := tryAttach(t, b, "s", Mode{Next: true, Timeout: 100 * time.Millisecond}, 1); !isFault(err, ErrTimeout) || time.Since(start) > 2*time.Second {
			t.Errorf("when none is free: %v after %s", err, time.Since(start))
		}
	})
}

func TestClosingASessionFreesItAtOnceAndCountsNothing(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true})
		send(t, b, "s", note{body: "m0", session: "a"}, note{body: "m1", session: "a"})
		r := attach(t, b, "s", named("a"), 10)
		r.next(t)
		d := r.next(t)
		b.Detach(r.c)
		if err := r.trySettle(d, Outcome{}); !isFault(err, ErrLockLost) {
			t.Errorf("settling after the close: %v", err)
		}
		r = attach(t, b, "s", Mode{Next: true}, 10)
		for _, want := range []string{"m0", "m1"} {
			if d := r.next(t); bodyOf(t, d) != want || d.Count != 0 {
				t.Errorf("got %s with count %d, want %s", bodyOf(t, d), d.Count, want)
			}
		}
	})
}

func TestSessionLockExpires(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true, LockDuration: "PT0.2S", MaxDeliveryCount: 2})
		send(t, b, "s", note{body: "m0", session: "a"}, note{body: "m1", session: "a"})
		r := attach(t, b, "s", named("a"), 1)
		d := r.next(t)
		for range 3 {
			time.Sleep(100 * time.Millisecond)
			if until, err := b.RenewSession(r.q, "a"); err != nil || until < time.Now().UnixMilli() {
				t.Fatal(until, err)
			}
		}
		time.Sleep(400 * time.Millisecond)
		if f := r.fault(); f != ErrSessionLockLost {
			t.Errorf("detached with %v", f)
		}
		if err := r.trySettle(d, Outcome{}); !isFault(err, ErrLockLost) {
			t.Errorf("settling: %v", err)
		}
		if _, err := b.RenewSession(r.q, "a"); !isFault(err, ErrSessionLockLost) {
			t.Errorf("renewing: %v", err)
		}
		r = attach(t, b, "s", named("a"), 10)
		if d := r.next(t); bodyOf(t, d) != "m0" || d.Count != 1 {
			t.Errorf("got %s with count %d", bodyOf(t, d), d.Count)
		}
		if d := r.next(t); bodyOf(t, d) != "m1" || d.Count != 0 {
			t.Errorf("got %s with count %d", bodyOf(t, d), d.Count)
		}
	})
}

func TestSessionState(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true})
		r := attach(t, b, "s", named(""), 1)
		set := func(state string) {
			t.Helper()
			done := make(chan error, 1)
			b.SetSessionState(r.q, "", []byte(state), func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		set("some")
		if got, err := b.SessionState(r.q, ""); err != nil || string(got) != "some" {
			t.Errorf("%q, %v", got, err)
		}
		b.Detach(r.c)
		if _, err := b.SessionState(r.q, ""); !isFault(err, ErrSessionLockLost) {
			t.Errorf("without the lock: %v", err)
		}
		if ids, err := b.Sessions(r.q, time.Time{}, 0, 10); err != nil || len(ids) != 1 {
			t.Errorf("sessions %v, %v", ids, err)
		}
		r = attach(t, b, "s", named(""), 1)
		set("")
		b.Detach(r.c)
		if ids, _ := b.Sessions(r.q, time.Time{}, 0, 10); len(ids) != 0 {
			t.Errorf("sessions %v", ids)
		}
		if n := len(r.q.sessions); n != 0 {
			t.Errorf("%d sessions are kept", n)
		}
	})
}

func TestSessionsAreListedInPages(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true})
		for _, id := range []string{"c", "a", "b"} {
			send(t, b, "s", note{body: "x", session: id})
		}
		q := find(t, b, "s")
		if ids, _ := b.Sessions(q, time.Time{}, 1, 1); len(ids) != 1 || ids[0] != "b" {
			t.Errorf("second page: %v", ids)
		}
		if ids, _ := b.Sessions(q, time.Time{}, 3, 10); len(ids) != 0 {
			t.Errorf("behind the end: %v", ids)
		}
	})
}

// A receiver that gives credit before it has its session gets the messages in their order too.
func TestCreditBeforeTheSession(t *testing.T) {
	both(t, func(t *testing.T, b *Broker) {
		create(t, b, Description{Name: "s", RequiresSession: true})
		for i := range 5 {
			send(t, b, "s", note{body: name(i), session: "a"})
		}
		first := attach(t, b, "s", named("a"), 5)
		for range 5 {
			first.next(t)
		}
		q := find(t, b, "s")
		eager := &receiver{hand: newHand(), b: b, q: q}
		eager.c = b.Prepare(q, eager.hand)
		b.Credit(eager.c, 10)
		ready := make(chan error, 1)
		b.Attach(eager.c, Mode{Next: true}, func(err error) { ready <- err })
		b.Detach(first.c)
		if err := <-ready; err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if got := bodyOf(t, eager.next(t)); got != name(i) {
				t.Errorf("got %s, want %s", got, name(i))
			}
		}
	})
}
