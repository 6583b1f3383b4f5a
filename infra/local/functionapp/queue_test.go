package functionapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// fakeQueue hands out its messages once and notes what is done with them.
type fakeQueue struct {
	t        *testing.T
	mu       sync.Mutex
	messages []*azservicebus.ReceivedMessage
	settled  []string
	opened   int
	closed   int
	failures int // the next receives fail
	lockedTo time.Time
	renewals int
	renewErr error
}

func (q *fakeQueue) open() (plainReceiver, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.opened++
	return q, nil
}

func (q *fakeQueue) accept(ctx context.Context) (sessionReceiver, error) {
	q.mu.Lock()
	q.opened++
	again := q.opened > 1
	q.mu.Unlock()
	if again { // there is one session only
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return fakeSession{q}, nil
}

func (q *fakeQueue) close(context.Context) error { return nil }

func (q *fakeQueue) ReceiveMessages(ctx context.Context, most int, _ *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error) {
	if most != 1 {
		q.t.Errorf("asked for %d messages: what does not come at once becomes a stray", most)
	}
	q.mu.Lock()
	if q.failures > 0 {
		q.failures--
		q.mu.Unlock()
		return nil, errors.New("link lost")
	}
	if len(q.messages) > 0 {
		m := q.messages[0]
		q.messages = q.messages[1:]
		q.mu.Unlock()
		return []*azservicebus.ReceivedMessage{m}, nil
	}
	q.mu.Unlock()
	<-ctx.Done()
	return nil, ctx.Err()
}

func (q *fakeQueue) note(ctx context.Context, what string) error {
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > settleTimeout {
		q.t.Errorf("%s without a deadline of its own", what)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled = append(q.settled, what)
	return nil
}

func (q *fakeQueue) CompleteMessage(ctx context.Context, m *azservicebus.ReceivedMessage, _ *azservicebus.CompleteMessageOptions) error {
	return q.note(ctx, "complete "+m.MessageID)
}

func (q *fakeQueue) AbandonMessage(ctx context.Context, m *azservicebus.ReceivedMessage, _ *azservicebus.AbandonMessageOptions) error {
	return q.note(ctx, "abandon "+m.MessageID)
}

func (q *fakeQueue) renew() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.renewals++
	q.lockedTo = time.Now().Add(100 * time.Millisecond)
	return q.renewErr
}

func (q *fakeQueue) RenewMessageLock(_ context.Context, m *azservicebus.ReceivedMessage, _ *azservicebus.RenewMessageLockOptions) error {
	err := q.renew()
	m.LockedUntil = ptr(q.LockedUntil())
	return err
}

func (q *fakeQueue) LockedUntil() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lockedTo
}

func (q *fakeQueue) Close(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed++
	return nil
}

type fakeSession struct{ *fakeQueue }

func (s fakeSession) SessionID() string { return "s" }

func (s fakeSession) RenewSessionLock(context.Context, *azservicebus.RenewSessionLockOptions) error {
	return s.renew()
}

func (q *fakeQueue) state() (settled []string, opened, closed, renewals int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]string{}, q.settled...), q.opened, q.closed, q.renewals
}

// listen runs a trigger on q until done tells that it is enough.
func (q *fakeQueue) listen(change func(*queueTrigger), serve http.HandlerFunc, done func() bool) {
	q.t.Helper()
	trigger := &queueTrigger{function: &function{name: "work", trigger: binding{Type: "serviceBusTrigger", Name: "msg", DataType: "binary"}},
		from: q, bus: defaultConfig().Extensions.ServiceBus, caller: fakeCaller(q.t, time.Now, serve), log: slog.New(slog.DiscardHandler)}
	trigger.bus.MaxConcurrentCalls, trigger.bus.SessionIdleTimeout = 1, timeSpan(50*time.Millisecond)
	change(trigger)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { trigger.listen(ctx, context.Background()); close(ended) }()
	eventually(q.t, "enough", done)
	stop()
	<-ended
}

func fakeMessage(id string, lock time.Duration) *azservicebus.ReceivedMessage {
	return &azservicebus.ReceivedMessage{MessageID: id, Body: []byte(id), LockedUntil: ptr(time.Now().Add(lock))}
}

func alternating() http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n++; n%2 == 0 {
			w.WriteHeader(500)
			return
		}
		ok(w)
	}
}

func TestSettlement(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*queueTrigger)
		want   []string
	}{
		{"success completes, failure abandons at once", func(*queueTrigger) {}, []string{"complete a", "abandon b", "complete c"}},
		{"without autoComplete only failures are settled", func(q *queueTrigger) { q.bus.AutoCompleteMessages = false }, []string{"abandon b"}},
		{"the trigger's own autoComplete wins", func(q *queueTrigger) { q.function.trigger.AutoCompleteMessages = ptr(false) }, []string{"abandon b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := &fakeQueue{t: t, messages: []*azservicebus.ReceivedMessage{fakeMessage("a", time.Minute), fakeMessage("b", time.Minute), fakeMessage("c", time.Minute)}}
			var trigger *queueTrigger
			q.listen(func(t *queueTrigger) { trigger = t; test.change(t) }, alternating(), func() bool {
				return trigger.function.executed.Load() == 3
			})
			got, _, _, _ := q.state()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReceivingRecovers(t *testing.T) {
	q := &fakeQueue{t: t, failures: 3, messages: []*azservicebus.ReceivedMessage{fakeMessage("a", time.Minute)}}
	q.listen(func(*queueTrigger) {}, alternating(), func() bool { got, _, _, _ := q.state(); return len(got) == 1 })
	if _, opened, closed, _ := q.state(); opened != 4 || closed != opened {
		t.Errorf("opened %d receivers, closed %d", opened, closed)
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, _ *http.Request) { time.Sleep(700 * time.Millisecond); ok(w) }
	t.Run("renews while the function runs and then no more", func(t *testing.T) {
		q := &fakeQueue{t: t, messages: []*azservicebus.ReceivedMessage{fakeMessage("a", 100*time.Millisecond)}}
		q.listen(func(*queueTrigger) {}, slow, func() bool { got, _, _, _ := q.state(); return len(got) == 1 })
		_, _, _, renewals := q.state()
		if renewals < 2 || renewals > 30 {
			t.Errorf("%d renewals", renewals)
		}
		time.Sleep(150 * time.Millisecond)
		if _, _, _, later := q.state(); later != renewals {
			t.Errorf("%d renewals after the end", later-renewals)
		}
	})
	t.Run("stops at the limit", func(t *testing.T) {
		q := &fakeQueue{t: t, messages: []*azservicebus.ReceivedMessage{fakeMessage("a", 100*time.Millisecond)}}
		q.listen(func(trigger *queueTrigger) { trigger.bus.MaxAutoLockRenewalDuration = timeSpan(80 * time.Millisecond) }, slow,
			func() bool { got, _, _, _ := q.state(); return len(got) == 1 })
		if _, _, _, renewals := q.state(); renewals != 1 {
			t.Errorf("%d renewals, want 1 within 80 ms", renewals)
		}
	})
	t.Run("a lost session is not settled", func(t *testing.T) {
		q := &fakeQueue{t: t, lockedTo: time.Now().Add(400 * time.Millisecond), renewErr: errors.New("session lock lost"),
			messages: []*azservicebus.ReceivedMessage{fakeMessage("a", 0), fakeMessage("b", 0)}}
		var trigger *queueTrigger
		q.listen(func(t *queueTrigger) { t.function.trigger.IsSessionsEnabled, trigger = true, t }, slow,
			func() bool { _, _, closed, _ := q.state(); return closed == 1 })
		if got, _, _, _ := q.state(); len(got) != 0 || trigger.function.executed.Load() != 1 {
			t.Errorf("settled %q after %d calls", got, trigger.function.executed.Load())
		}
	})
}

// TestEveryMessageEndsOnce plays messages that fail a number of times: each is
// tried until it succeeds or its deliveries are used up, and ends completed or
// dead-lettered.
func TestEveryMessageEndsOnce(t *testing.T) {
	const deliveries = 3 // maxDeliveryCount of the queue
	bus := newBroker(t, "127.0.0.1:0", "")
	var mu sync.Mutex
	var fails []int
	var tries map[int]int
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("plain", isBinary)}, func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(body(t, decode(t, r.Body)))
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if tries[n]++; tries[n] <= fails[n] {
			w.WriteHeader(500)
			return
		}
		ok(w)
	})
	a.start(a.options(bus.env()))
	var dead int64
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		if run++; run > 5 { // each run is a conversation over the wire
			return
		}
		mu.Lock()
		fails = rapid.SliceOfN(rapid.IntRange(0, deliveries+1), 1, 60).Draw(rt, "fails")
		tries = map[int]int{}
		want := map[int]int{}
		for i, n := range fails {
			if want[i] = min(n+1, deliveries); n >= deliveries {
				dead++
			}
		}
		mu.Unlock()
		bus.send("plain", texts(len(fails))...)
		eventually(t, "all ended", bus.empty("plain"))
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, tries); diff != "" {
			rt.Fatalf("tries: %s", diff)
		}
		if got := bus.server.Counts()["plain"].DeadLetter; got != dead {
			rt.Fatalf("%d dead letters, want %d", got, dead)
		}
	})
}

func TestRampStartsOnlyWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most, want := rapid.IntRange(1, 8).Draw(t, "most"), rapid.IntRange(0, 12).Draw(t, "busy")
		hold, running := make(chan struct{}), make(chan struct{}, 100)
		r := &ramp{most: most, loop: func(r *ramp) { running <- struct{}{}; <-hold }}
		r.start()
		for range want {
			r.enter()
		}
		r.mu.Lock()
		started := r.started
		r.mu.Unlock()
		close(hold)
		r.wait()
		if expect := max(min(want+1, most), 1); started != expect || len(running) != expect {
			t.Fatalf("%d loops for %d busy of at most %d, want %d", started, want, most, expect)
		}
	})
}

func TestSlowRequestIsKilled(t *testing.T) {
	t.Parallel()
	host := fmt.Sprintf(`{"version":"2.0","functionTimeout":"00:00:00.3","customHandler":{%s"description":{"defaultExecutablePath":"handler"}},"extensions":{"http":{"routePrefix":""}}}`,
		`"enableProxyingHttpRequest":true,`)
	a := newApp(t, host, map[string]string{"slow": httpFunction("slow", "get")}, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
	h := a.start(a.options())
	pid := h.Status().HandlerPID
	if res, _ := do(t, "GET", "http://"+h.Addr()+"/slow", ""); res.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d", res.StatusCode)
	}
	eventually(t, "another handler", func() bool {
		s := h.Status()
		return s.HandlerPID != 0 && s.HandlerPID != pid && s.of("slow").Failed == 1
	})
}
