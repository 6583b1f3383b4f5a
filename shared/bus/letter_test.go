package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/shared/bus"
	"throughline/shared/event"
	"throughline/shared/graph"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func (w *world) park(l bus.Letter) {
	w.Helper()
	if err := w.bus.Park(w.ctx(), l); err != nil {
		w.Fatal(err)
	}
}

func (w *world) parked() []bus.Letter {
	w.Helper()
	var all []bus.Letter
	cursor := ""
	for {
		letters, next, err := w.bus.Parked(w.ctx(), cursor)
		if err != nil {
			w.Fatal(err)
		}
		if all = append(all, letters...); next == "" {
			return all
		}
		cursor = next
	}
}

func body(t testing.TB, e event.Event) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParkKeepsALetterOnce(t *testing.T) {
	w := newWorld(t)
	l := bus.Letter{Queue: "correlate", MessageID: "m1", Body: []byte("no event \x00\xff"), Reason: "decode: it is none", DeliveryCount: 3, At: noon.Add(900 * time.Millisecond)}
	w.park(l)
	later := l
	later.At = noon.Add(time.Hour)
	w.park(later)
	letters := w.parked()
	if len(letters) != 1 {
		t.Fatalf("%d letters, want 1", len(letters))
	}
	got := letters[0]
	if got.ID == "" || got.Queue != l.Queue || got.MessageID != l.MessageID || string(got.Body) != string(l.Body) || got.Reason != l.Reason || got.DeliveryCount != 3 || !got.At.Equal(noon) || !got.Replayed.IsZero() {
		t.Errorf("got %+v", got)
	}
	other := l
	other.Queue = "collect"
	w.park(other)
	other.Body = []byte("another body under a repeated id")
	w.park(other)
	if n := len(w.parked()); n != 3 {
		t.Errorf("%d letters, want 3", n)
	}
}

func TestParkedListsNewestFirst(t *testing.T) {
	w := newWorld(t)
	const all = graph.DefaultPage + 20
	for i := range all {
		w.park(bus.Letter{Queue: "collect", MessageID: fmt.Sprint(i), At: noon.Add(time.Duration(i*7%all) * time.Second)})
	}
	letters := w.parked()
	if len(letters) != all || !slices.IsSortedFunc(letters, func(a, b bus.Letter) int { return b.At.Compare(a.At) }) {
		t.Errorf("%d letters, want %d, newest first", len(letters), all)
	}
}

func TestReplaySendsANewMessage(t *testing.T) {
	w := newWorld(t)
	e := due(t, "github-1")
	w.publish(e)
	r := w.receiver("assign", "github-1")
	w.complete(r, 1)
	w.park(bus.Letter{Queue: "assign", MessageID: e.ID, Body: body(t, e), At: noon})
	id := w.parked()[0].ID
	for range 2 {
		if err := w.bus.Replay(w.ctx(), id); err != nil {
			t.Fatal(err)
		}
	}
	m := w.complete(r, 1)[0]
	again, err := event.Decode(m.Body)
	if err != nil || again.ID == e.ID || again.ID != m.MessageID || string(again.Data) != string(e.Data) || *m.SessionID != "github-1" {
		t.Errorf("got %+v, %v", again, err)
	}
	w.silent(r)
	if left := w.parked(); len(left) != 0 {
		t.Errorf("still parked: %+v", left)
	}
	w.park(bus.Letter{Queue: "assign", MessageID: e.ID, Body: body(t, e), At: noon})
	if left := w.parked(); len(left) != 1 || !left[0].Replayed.IsZero() {
		t.Errorf("parked again: %+v", left)
	}
}

func TestReplayRefuses(t *testing.T) {
	w := newWorld(t)
	w.park(bus.Letter{Queue: "assign", MessageID: "m", Body: []byte(`{"specversion":"1.0"}`), At: noon})
	id := w.parked()[0].ID
	if err := w.bus.Replay(w.ctx(), id); !errors.Is(err, event.ErrPermanent) || !strings.Contains(err.Error(), "assign") {
		t.Errorf("what is no event: %v", err)
	}
	if len(w.parked()) != 1 {
		t.Error("a refused letter is no longer parked")
	}
	if err := w.bus.Replay(w.ctx(), "nobody"); !errors.Is(err, graph.ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	bare := w.open(bus.Options{ConnectionString: w.server.ConnectionString()})
	if err := bare.Park(w.ctx(), bus.Letter{}); err == nil {
		t.Error("parked without a store")
	}
	if _, _, err := bare.Parked(w.ctx(), ""); err == nil {
		t.Error("listed without a store")
	}
	if err := bare.Replay(w.ctx(), id); err == nil {
		t.Error("replayed without a store")
	}
}

// bury dead-letters the next n messages.
func (w *world) bury(r receiver, n int) {
	w.Helper()
	w.take(r, n, func(ctx context.Context, m *azservicebus.ReceivedMessage) error {
		return r.DeadLetterMessage(ctx, m, &azservicebus.DeadLetterOptions{Reason: to.Ptr("tired"), ErrorDescription: to.Ptr("of " + m.MessageID)})
	})
}

func TestDeadLettersAreReplayed(t *testing.T) {
	w := newWorld(t)
	sent := map[string]event.Event{}
	for i := range 5 {
		e := due(t, "github-7")
		e.Subject = fmt.Sprint(i)
		sent[e.Subject] = e
		w.publish(e)
	}
	r := w.receiver("assign", "github-7")
	w.bury(r, 5)
	letters, err := w.bus.DeadLetters(w.ctx(), "assign", 3)
	if err != nil || len(letters) != 3 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	if l := letters[0]; l.Queue != "assign" || l.Reason != "tired: of "+l.MessageID || l.ID == "" || l.At.IsZero() || len(l.Body) == 0 {
		t.Errorf("letter %+v", l)
	}
	if n, err := w.bus.ReplayDeadLetters(w.ctx(), "assign", 2); n != 2 || err != nil {
		t.Fatalf("replayed %d, %v, want 2", n, err)
	}
	if n, err := w.bus.ReplayDeadLetters(w.ctx(), "assign", 100); n != 3 || err != nil {
		t.Fatalf("replayed %d, %v, want the other 3", n, err)
	}
	for _, m := range w.complete(r, 5) {
		e, err := event.Decode(m.Body)
		if was := sent[e.Subject]; err != nil || was.ID == e.ID || was.ID == "" || string(was.Data) != string(e.Data) {
			t.Errorf("got %+v, %v", e, err)
		}
		delete(sent, e.Subject)
	}
	if left, err := w.bus.DeadLetters(w.ctx(), "assign", 10); err != nil || len(left) != 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

func TestDeadLettersThatAreNoEventsAreParked(t *testing.T) {
	w := newWorld(t)
	s, err := w.client.NewSender("correlate", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMessage(w.ctx(), &azservicebus.Message{Body: []byte("garbage"), MessageID: to.Ptr("g1")}, nil); err != nil {
		t.Fatal(err)
	}
	w.publish(heavy(t, 10))
	r := w.receiver("correlate", "")
	w.bury(r, 2)
	if n, err := w.bus.ReplayDeadLetters(w.ctx(), "correlate", 10); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if letters := w.parked(); len(letters) != 1 || string(letters[0].Body) != "garbage" || !strings.Contains(letters[0].Reason, "tired: of g1") {
		t.Errorf("parked %+v", letters)
	}
	w.complete(r, 1)
	if n, err := w.bus.ReplayDeadLetters(w.ctx(), "correlate", 0); n != 0 || err != nil {
		t.Errorf("limit 0: %d, %v", n, err)
	}
}

func TestDeadLettersOfAnUnknownQueue(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(w.ctx(), 5*time.Second)
	defer cancel()
	if _, err := w.bus.DeadLetters(ctx, "nobody", 1); err == nil {
		t.Error("no error")
	}
}
