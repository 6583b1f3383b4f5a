package bus_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/infra/local/servicebus"
	"throughline/shared/bus"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// world is a namespace with the product's own queues, a bus, and a client that looks at what the bus does.
type world struct {
	*testing.T
	server *servicebus.Server
	store  *graph.Memory
	bus    *bus.Bus
	client *azservicebus.Client
}

func queues(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../infra/queues.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func start(t *testing.T, o servicebus.Options) *servicebus.Server {
	t.Helper()
	o.Queues = queues(t)
	s, err := servicebus.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, server: start(t, servicebus.Options{Addr: "127.0.0.1:0"}), store: graph.NewMemory()}
	w.bus = w.open(bus.Options{ConnectionString: w.server.ConnectionString(), Store: w.store})
	var err error
	if w.client, err = azservicebus.NewClientFromConnectionString(w.server.ConnectionString(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.client.Close(context.Background()) })
	return w
}

func (w *world) open(o bus.Options) *bus.Bus {
	w.Helper()
	b, err := bus.Open(o)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { b.Close(context.Background()) })
	return b
}

func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	w.Cleanup(cancel)
	return ctx
}

func (w *world) publish(events ...event.Event) {
	w.Helper()
	if err := w.bus.Publish(w.ctx(), events); err != nil {
		w.Fatal(err)
	}
}

// receiver is what plain and session receivers share.
type receiver interface {
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
	DeadLetterMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.DeadLetterOptions) error
	Close(context.Context) error
}

// receiver opens a queue; session is empty for a queue without sessions.
func (w *world) receiver(queue, session string) receiver {
	w.Helper()
	var r receiver
	var err error
	if session == "" {
		r, err = w.client.NewReceiverForQueue(queue, nil)
	} else {
		r, err = w.client.AcceptSessionForQueue(w.ctx(), queue, session, nil)
	}
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// take receives n messages and settles each.
func (w *world) take(r receiver, n int, settle func(context.Context, *azservicebus.ReceivedMessage) error) []*azservicebus.ReceivedMessage {
	w.Helper()
	var all []*azservicebus.ReceivedMessage
	for len(all) < n {
		some, err := r.ReceiveMessages(w.ctx(), n-len(all), nil)
		if err != nil {
			w.Fatalf("after %d of %d messages: %v", len(all), n, err)
		}
		for _, m := range some {
			if err := settle(w.ctx(), m); err != nil {
				w.Fatal(err)
			}
		}
		all = append(all, some...)
	}
	return all
}

func (w *world) complete(r receiver, n int) []*azservicebus.ReceivedMessage {
	w.Helper()
	return w.take(r, n, func(ctx context.Context, m *azservicebus.ReceivedMessage) error {
		return r.CompleteMessage(ctx, m, nil)
	})
}

// silent checks that nothing waits.
func (w *world) silent(r receiver) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx(), 150*time.Millisecond)
	defer cancel()
	if ms, err := r.ReceiveMessages(ctx, 1, nil); err == nil {
		w.Fatalf("a message that should not be there: %s", ms[0].Body)
	}
}

func made(t testing.TB, e event.Event, err error) event.Event {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func lag(t testing.TB, repository string) event.Event {
	e, err := event.NewLag("/functions/test", event.Lag{Repository: graph.RepositoryID(repository), Exposure: true})
	return made(t, e, err)
}

func due(t testing.TB, repository string) event.Event {
	e, err := event.NewDue("/functions/test", event.Due{Repository: graph.RepositoryID(repository), Remediation: "m", Version: "1"})
	return made(t, e, err)
}

// heavy is an event with about that many bytes.
func heavy(t testing.TB, bytes int) event.Event {
	e, err := event.New(event.Observed, "/functions/test", "heavy", strings.Repeat("x", bytes))
	return made(t, e, err)
}

func TestPublishSaysAllThatTheMessageNeeds(t *testing.T) {
	w := newWorld(t)
	collect, err := event.NewCollect("/functions/test", graph.Collection{Source: "github", Scope: "org:" + strings.Repeat("o", 200)})
	events := []event.Event{lag(t, "github-1"), due(t, "github-1"), made(t, collect, err), heavy(t, 10)}
	for i := range events {
		events[i].Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	}
	w.publish(events...)
	for i, queue := range []string{"prioritize", "assign", "collect", "correlate"} {
		m, sent := w.complete(w.receiver(queue, events[i].Session), 1)[0], events[i]
		got, err := event.Decode(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		if m.MessageID != sent.ID || *m.Subject != string(sent.Type) || *m.ContentType != event.ContentType || got.Trace != sent.Trace || string(got.Data) != string(sent.Data) {
			t.Errorf("%s: %+v with %s", queue, m, m.Body)
		}
		if session := sent.Session != ""; session != (m.SessionID != nil && *m.SessionID == sent.Session) {
			t.Errorf("%s: session %v, want %q", queue, m.SessionID, sent.Session)
		}
	}
	if w.bus.Operations() != 4 {
		t.Errorf("%d operations, want 4", w.bus.Operations())
	}
}

func TestPublishWaitsUntilNotBefore(t *testing.T) {
	w := newWorld(t)
	later := lag(t, "github-2").Again(time.Now().Add(1200 * time.Millisecond))
	w.publish(later, lag(t, "github-1"))
	r := w.receiver("prioritize", "")
	if first := w.complete(r, 1)[0]; first.MessageID == later.ID {
		t.Error("the delayed event came first")
	}
	w.silent(r)
	if second := w.complete(r, 1)[0]; second.MessageID != later.ID || time.Now().Before(later.NotBefore) {
		t.Errorf("got %s at %s, want %s after %s", second.MessageID, time.Now(), later.ID, later.NotBefore)
	}
}

func TestPublishSplitsWhatDoesNotFit(t *testing.T) {
	w := newWorld(t)
	var events []event.Event
	want := map[string]bool{}
	for i := range 12 {
		events = append(events, heavy(t, []int{10, 70_000, 200_000}[i%3]))
		want[events[i].ID] = true
	}
	w.publish(events...)
	for _, m := range w.complete(w.receiver("correlate", ""), 12) {
		delete(want, m.MessageID)
	}
	if len(want) != 0 {
		t.Errorf("lost: %v", want)
	}
	if got, want := w.bus.Operations(), int64(4*(1+2+4)); got != want {
		t.Errorf("%d operations, want %d: one for every 64 KB", got, want)
	}
}

func TestPublishRefusesWhatCanNeverBeSent(t *testing.T) {
	w := newWorld(t)
	large := heavy(t, 300_000)
	err := w.bus.Publish(w.ctx(), []event.Event{large})
	if !errors.Is(err, event.ErrPermanent) || !strings.Contains(err.Error(), string(event.Observed)) || !strings.Contains(err.Error(), "300") {
		t.Errorf("too large: %v", err)
	}
	sessionless, endless, strange, nameless, longNamed := due(t, "x"), due(t, "x"), lag(t, "x"), lag(t, "x"), lag(t, "x")
	sessionless.Session, endless.Session, strange.Type, nameless.ID, longNamed.ID = "", strings.Repeat("s", 129), "io.throughline.unheard.v1", "", strings.Repeat("i", 129)
	for _, e := range []event.Event{sessionless, endless, strange, nameless, longNamed} {
		if err := w.bus.Publish(w.ctx(), []event.Event{lag(t, "first"), e}); !errors.Is(err, event.ErrPermanent) {
			t.Errorf("%+v: %v, want ErrPermanent", e, err)
		}
	}
	w.silent(w.receiver("prioritize", ""))
	if w.bus.Operations() != 0 {
		t.Errorf("%d operations", w.bus.Operations())
	}
}

func TestPublishFromManyAtOnce(t *testing.T) {
	w := newWorld(t)
	const writers, each = 8, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if err := w.bus.Publish(w.ctx(), []event.Event{lag(t, "github-1"), due(t, "github-1")}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	seen := map[string]bool{}
	for _, m := range append(w.complete(w.receiver("prioritize", ""), writers*each), w.complete(w.receiver("assign", "github-1"), writers*each)...) {
		seen[m.MessageID] = true
	}
	if len(seen) != 2*writers*each {
		t.Errorf("%d different messages, want %d", len(seen), 2*writers*each)
	}
	w.publish()
}

func TestPublishGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, servicebus.Options{Addr: "127.0.0.1:0", Dir: dir})
	w := &world{T: t, server: first}
	w.bus = w.open(bus.Options{ConnectionString: first.ConnectionString(), Patience: 10 * time.Second})
	w.publish(lag(t, "github-1"))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, servicebus.Options{Addr: first.Addr(), Dir: dir})
	w.publish(lag(t, "github-2"))
	if got := second.Counts()["prioritize"].Active; got != 2 {
		t.Errorf("%d messages, want the one from before and the one after", got)
	}
}

func TestPublishGivesUpInTime(t *testing.T) {
	server := start(t, servicebus.Options{Addr: "127.0.0.1:0"})
	w := &world{T: t, server: server}
	w.bus = w.open(bus.Options{ConnectionString: server.ConnectionString(), Patience: time.Second})
	if err := w.bus.Ping(w.ctx()); err != nil {
		t.Fatalf("ping: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	err := w.bus.Publish(w.ctx(), []event.Event{lag(t, "github-1")})
	if err == nil || errors.Is(err, event.ErrPermanent) || time.Since(begun) > 8*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	if err := w.bus.Ping(w.ctx()); err == nil {
		t.Error("ping: no error although nobody is there")
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]bus.Options{"nothing": {}, "no credential": {Namespace: "name.servicebus.windows.net"}, "nonsense": {ConnectionString: "nonsense"}} {
		if _, err := bus.Open(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func ExampleBus_Publish() {
	b, err := bus.Open(bus.Options{Namespace: "name.servicebus.windows.net"})
	fmt.Println(b, err)
	// Output: <nil> open Service Bus: want a connection string, or a namespace with a credential
}
