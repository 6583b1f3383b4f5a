package broker

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	sdk "github.com/Azure/go-amqp"
)

// hand is a Sink that keeps what it is given.
type hand struct {
	mu       sync.Mutex
	got      []*Delivery
	detached *Fault
	full     bool
	more     chan struct{}
}

func newHand() *hand { return &hand{more: make(chan struct{}, 1000)} }

func (h *hand) Deliver(d *Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, d)
	h.more <- struct{}{}
}

func (h *hand) Full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full
}

func (h *hand) Detach(f *Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.detached = f
}

func (h *hand) fault() *Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.detached
}

// next waits for the next delivery.
func (h *hand) next(t testing.TB) *Delivery {
	t.Helper()
	d := h.try(5 * time.Second)
	if d == nil {
		t.Fatal("nothing was delivered")
	}
	return d
}

// try is the next delivery, nil when none comes in time.
func (h *hand) try(wait time.Duration) *Delivery {
	select {
	case <-h.more:
	case <-time.After(wait):
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.got[0]
	h.got = h.got[1:]
	return d
}

func (h *hand) nothing(t testing.TB) {
	t.Helper()
	if d := h.try(50 * time.Millisecond); d != nil {
		t.Fatalf("%s was delivered", bodyOf(t, d))
	}
}

// receiver is a consumer with its hand.
type receiver struct {
	*hand
	b *Broker
	c *Consumer
	q *Queue
}

// attach attaches a receiver with credit, which must be taken.
func attach(t testing.TB, b *Broker, path string, m Mode, credit uint32) *receiver {
	t.Helper()
	r, err := tryAttach(t, b, path, m, credit)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tryAttach(t testing.TB, b *Broker, path string, m Mode, credit uint32) (*receiver, error) {
	t.Helper()
	q := find(t, b, path)
	r := &receiver{hand: newHand(), b: b, q: q}
	r.c = b.Prepare(q, r.hand)
	ready := make(chan error, 1)
	b.Attach(r.c, m, func(err error) { ready <- err })
	if err := <-ready; err != nil {
		return nil, err
	}
	b.Credit(r.c, credit)
	return r, nil
}

func (r *receiver) settle(t testing.TB, d *Delivery, o Outcome) {
	t.Helper()
	if err := r.trySettle(d, o); err != nil {
		t.Fatal(err)
	}
}

func (r *receiver) trySettle(d *Delivery, o Outcome) error {
	done := make(chan error, 1)
	r.b.Settle(r.q, d.Token, o, func(err error) { done <- err })
	return <-done
}

func find(t testing.TB, b *Broker, path string) *Queue {
	t.Helper()
	q, err := b.Find(path)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// note is a message as a client of the SDK would write it.
type note struct {
	body, id, session string
	inSession         bool
	ttl               time.Duration
	due               time.Time
	props             map[string]any
	subject           string
}

func (n note) incoming(t testing.TB, b *Broker) Incoming {
	t.Helper()
	m := sdk.NewMessage([]byte(n.body))
	m.Properties = &sdk.MessageProperties{}
	if n.id != "" {
		m.Properties.MessageID = n.id
	}
	if n.subject != "" {
		m.Properties.Subject = &n.subject
	}
	if n.inSession || n.session != "" {
		m.Properties.GroupID = &n.session
	}
	if n.ttl > 0 {
		m.Header = &sdk.MessageHeader{TTL: n.ttl}
	}
	m.ApplicationProperties = n.props
	if !n.due.IsZero() {
		m.Annotations = sdk.Annotations{"x-opt-scheduled-enqueue-time": n.due}
	}
	raw, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	in, err := Read(raw, b.NewID)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func send(t testing.TB, b *Broker, path string, notes ...note) {
	t.Helper()
	if err := trySend(t, b, path, notes...); err != nil {
		t.Fatal(err)
	}
}

func trySend(t testing.TB, b *Broker, path string, notes ...note) error {
	t.Helper()
	var in []Incoming
	for _, n := range notes {
		in = append(in, n.incoming(t, b))
	}
	done := make(chan error, 1)
	b.Send(find(t, b, path), in, func(err error) { done <- err })
	return <-done
}

// seen is a delivery as a client of the SDK reads it.
func seen(t testing.TB, d *Delivery) *sdk.Message {
	t.Helper()
	m := &sdk.Message{}
	if err := m.UnmarshalBinary(d.Append(nil)); err != nil {
		t.Fatal(err)
	}
	return m
}

func bodyOf(t testing.TB, d *Delivery) string {
	t.Helper()
	return string(seen(t, d).GetData())
}

func create(t testing.TB, b *Broker, list ...Description) {
	t.Helper()
	for _, d := range list {
		if err := b.Create(d); err != nil {
			t.Fatal(err)
		}
	}
}

func opened(t testing.TB, o Options) *Broker {
	t.Helper()
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// both runs a test in memory and with a journal.
func both(t *testing.T, f func(t *testing.T, b *Broker)) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) { t.Parallel(); f(t, opened(t, Options{})) })
	t.Run("journal", func(t *testing.T) { t.Parallel(); f(t, opened(t, Options{Dir: t.TempDir()})) })
}

func reopened(t testing.TB, b *Broker) *Broker {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return opened(t, b.o)
}

func isFault(err error, want *Fault) bool {
	var f *Fault
	return errors.As(err, &f) && f.Condition == want.Condition
}

func name(i int) string { return fmt.Sprintf("m%d", i) }
