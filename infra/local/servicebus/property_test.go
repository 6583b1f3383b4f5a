package servicebus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const propertyQueues = `{"queues":[
	{"name":"plain","lockDuration":"PT1M","maxDeliveryCount":4,"requiresDuplicateDetection":true},
	{"name":"sessions","lockDuration":"PT1M","maxDeliveryCount":1000,"requiresSession":true,"requiresDuplicateDetection":true}
]}`

const propertyMaxDelivery = 4

// certainty of something that a killed server may or may not have kept.
type certainty int

const (
	no certainty = iota
	maybe
	sure
)

// item is what the model knows of a message.
type item struct {
	id        string
	session   string // "" = in the plain queue
	due       time.Time
	done      certainty // completed
	dead      certainty // in the dead-letter queue
	abandoned int       // failures that were confirmed
	low, high int       // bounds of the failed deliveries
	holder    *azservicebus.Receiver
}

// world is a server that is killed now and then, the clients of it, and the model beside it.
type world struct {
	t         *testing.T
	rnd       *rand.Rand
	dir       string
	child     *child
	client    *azservicebus.Client
	sender    *azservicebus.Sender
	sessioned *azservicebus.Sender
	receivers []*azservicebus.Receiver
	items     map[string]*item
	order     map[string][]*item // of each session, as sent
	held      []*azservicebus.ReceivedMessage
	log       []string
	kills     int
}

// TestNothingConfirmedIsLost drives a server with random operations beside a model and kills it at random moments:
// no confirmed message is lost, none is with two receivers at once, sessions keep their order, delivery counts are right.
func TestNothingConfirmedIsLost(t *testing.T) {
	operations, kills := 300, 3
	if os.Getenv("THROUGHLINE_LONG") != "" {
		operations, kills = 10_000, 50
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), items: map[string]*item{}, order: map[string][]*item{}}
	w.start()
	for i := range operations {
		if i%(operations/kills) == operations/kills/2 {
			w.killSoon()
		}
		w.step()
		if w.child.dead() {
			w.restart()
		}
	}
	w.child.kill()
	w.restart()
	w.settleAccounts()
	sent, completed := 0, 0
	for _, it := range w.items {
		if sent++; it.done == sure {
			completed++
		}
	}
	t.Logf("%d messages, %d completed, %d kills", sent, completed, w.kills)
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nlast operations:\n%s", fmt.Sprintf(format, args...), strings.Join(w.log[max(0, len(w.log)-40):], "\n"))
}

func (w *world) ctx(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	w.t.Cleanup(cancel)
	return ctx
}

func (w *world) start() {
	w.child = spawn(w.t, w.dir, propertyQueues)
	var err error
	w.client, err = azservicebus.NewClientFromConnectionString(w.child.connection, &azservicebus.ClientOptions{RetryOptions: azservicebus.RetryOptions{MaxRetries: -1}})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.sender, err = w.client.NewSender("plain", nil); err != nil {
		w.t.Fatal(err)
	}
	if w.sessioned, err = w.client.NewSender("sessions", nil); err != nil {
		w.t.Fatal(err)
	}
	w.receivers = nil
	for range 2 {
		r, err := w.client.NewReceiverForQueue("plain", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		w.receivers = append(w.receivers, r)
	}
}

// killSoon kills the server while the next operations are under way.
func (w *world) killSoon() {
	c := w.child
	w.note("kill soon")
	time.AfterFunc(time.Duration(w.rnd.IntN(20_000))*time.Microsecond, func() { c.kill() })
}

// restart starts the server again. Locks are void, and failures that were not confirmed may be.
func (w *world) restart() {
	<-w.child.exited
	w.kills++
	w.note("restart %d", w.kills)
	client := w.client
	w.start()
	go client.Close(w.ctx(5 * time.Second))
	w.held = nil
	for _, it := range w.items {
		it.holder = nil
		it.low = it.abandoned
		if it.dead == sure && it.low < propertyMaxDelivery && it.high >= propertyMaxDelivery {
			it.dead = maybe
		}
	}
}

func (w *world) step() {
	switch n := w.rnd.IntN(100); {
	case n < 28:
		w.send("", time.Time{})
	case n < 34:
		w.send("", time.Now().Add(time.Duration(w.rnd.IntN(400))*time.Millisecond))
	case n < 46:
		w.send(fmt.Sprintf("s%d", w.rnd.IntN(4)), time.Time{})
	case n < 66:
		w.receive()
	case n < 90:
		w.settle()
	case n < 92:
		w.expire()
	default:
		w.visitSession()
	}
}

// send sends until the server confirms: what it kept of an earlier try is a duplicate.
func (w *world) send(session string, due time.Time) {
	it := &item{id: fmt.Sprintf("m%d", len(w.items)), session: session, due: due}
	m := &azservicebus.Message{MessageID: &it.id, Body: []byte(strings.Repeat(it.id, 1+w.rnd.IntN(100)))}
	if session != "" {
		m.SessionID = &session
		w.order[session] = append(w.order[session], it)
	}
	if !due.IsZero() {
		m.ScheduledEnqueueTime = &due
	}
	w.items[it.id] = it
	for try := 0; ; try++ {
		s := w.sender
		if session != "" {
			s = w.sessioned
		}
		err := s.SendMessage(w.ctx(5*time.Second), m, nil)
		w.note("send %s to %q: %v", it.id, session, err)
		if err == nil {
			return
		}
		if try > 20 {
			w.fail("send: %v", err)
		}
		w.mend(err)
	}
}

// mend restarts the server if it was killed. An error of a server that lives is a failure, unless the client broke
// its own connection: it does when a short deadline ends in the midst of a write or of its claims.
func (w *world) mend(err error) {
	w.t.Helper()
	select {
	case <-w.child.exited:
		w.restart()
	case <-time.After(500 * time.Millisecond):
		if text := err.Error(); !strings.Contains(text, "connection must be reset") && !strings.Contains(text, "i/o timeout") {
			w.fail("the server lives: %v", err)
		}
	}
}

func (w *world) receive() {
	r := w.receivers[w.rnd.IntN(len(w.receivers))]
	got, err := r.ReceiveMessages(w.ctx(30*time.Millisecond), 1+w.rnd.IntN(4), &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: time.Millisecond})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.note("receive: %v", err)
		w.mend(err)
		return
	}
	for _, m := range got {
		w.note("receive %s count %d", m.MessageID, m.DeliveryCount)
		it := w.inspect(m)
		if it.holder != nil {
			w.fail("%s is with two receivers", it.id)
		}
		if !it.due.IsZero() && time.Now().Before(it.due) {
			w.fail("%s came before it was due", it.id)
		}
		it.holder = r
		w.held = append(w.held, m)
	}
}

// inspect checks a delivery against the model.
func (w *world) inspect(m *azservicebus.ReceivedMessage) *item {
	w.t.Helper()
	it := w.items[m.MessageID]
	if it == nil {
		w.fail("%s was never sent", m.MessageID)
	}
	if it.done == sure || it.dead == sure {
		w.fail("%s came again: completed %d, dead %d", it.id, it.done, it.dead)
	}
	failures := int(m.DeliveryCount) - 1
	if failures < it.low || failures > it.high {
		w.fail("%s has %d failed deliveries, expected %d to %d", it.id, failures, it.low, it.high)
	}
	it.low, it.high = failures, failures
	if !strings.HasPrefix(string(m.Body), it.id) {
		w.fail("%s has the body %.20q", it.id, m.Body)
	}
	return it
}

// failed notes a failed delivery.
func (it *item) failed(c certainty) {
	it.high++
	if c == sure {
		it.low++
	}
	if it.session == "" && it.high >= propertyMaxDelivery && it.dead != sure {
		it.dead = maybe
		if it.low >= propertyMaxDelivery {
			it.dead = sure
		}
	}
}

func (w *world) settle() {
	if len(w.held) == 0 {
		return
	}
	i := w.rnd.IntN(len(w.held))
	m := w.held[i]
	w.held = slices.Delete(w.held, i, i+1)
	it := w.items[m.MessageID]
	r := it.holder
	it.holder = nil
	verdict := w.rnd.IntN(10)
	var err error
	switch {
	case verdict < 6:
		err = r.CompleteMessage(w.ctx(time.Second), m, nil)
	case verdict < 9:
		err = r.AbandonMessage(w.ctx(time.Second), m, nil)
	default:
		err = r.DeadLetterMessage(w.ctx(time.Second), m, nil)
	}
	w.note("settle %s as %d: %v", it.id, verdict, err)
	c := sure
	if err != nil {
		c = maybe
	}
	switch {
	case verdict < 6:
		it.done = c
	case verdict < 9:
		if it.failed(c); c == sure {
			it.abandoned++
		}
	default:
		it.dead = c
	}
	if err != nil {
		w.mend(err)
	}
}

// expire ends all locks of the plain queue. Deliveries that the client holds back may have had a lock too.
func (w *world) expire() {
	answer, err := http.Post("http://"+w.child.admin+"/$faults/expire", "application/json", strings.NewReader(`{"entity":"plain"}`))
	w.note("expire: %v", err)
	c := sure
	if err != nil {
		c = maybe
	} else if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		w.fail("expire: %s", answer.Status)
	}
	for _, it := range w.items {
		switch {
		case it.session != "" || it.done == sure || it.dead == sure:
		case it.holder != nil:
			it.failed(c)
		default:
			it.failed(maybe)
		}
		it.holder = nil
	}
	w.held = nil
	if err != nil {
		w.mend(err)
	}
}

// visitSession takes a session, receives some of its messages, and leaves it.
func (w *world) visitSession() {
	ctx := w.ctx(3 * time.Second)
	var r *azservicebus.SessionReceiver
	var err error
	if w.rnd.IntN(2) == 0 {
		r, err = w.client.AcceptSessionForQueue(ctx, "sessions", fmt.Sprintf("s%d", w.rnd.IntN(4)), nil)
	} else {
		r, err = w.client.AcceptNextSessionForQueue(w.ctx(150*time.Millisecond), "sessions", nil)
	}
	if err != nil {
		var e *azservicebus.Error
		if errors.As(err, &e) && e.Code == azservicebus.CodeTimeout || errors.Is(err, context.DeadlineExceeded) {
			return
		}
		w.note("accept: %v", err)
		w.mend(err)
		return
	}
	if err := w.inSession(r); err != nil {
		w.mend(err)
		return
	}
	if err := r.Close(ctx); err != nil {
		w.mend(err)
	}
}

func (w *world) inSession(r *azservicebus.SessionReceiver) error {
	locked := map[string]bool{}
	for range 1 + w.rnd.IntN(4) {
		got, err := r.ReceiveMessages(w.ctx(20*time.Millisecond), 1, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: time.Millisecond})
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		if err != nil || len(got) == 0 {
			return err
		}
		m := got[0]
		w.note("receive %s in session %s", m.MessageID, r.SessionID())
		it := w.inspect(m)
		w.inOrder(it, r.SessionID(), locked)
		ctx := w.ctx(time.Second)
		switch w.rnd.IntN(4) {
		case 0:
			err = r.AbandonMessage(ctx, m, nil)
			if it.failed(certain(err)); err == nil {
				it.abandoned++
			}
		case 1:
			locked[it.id] = true // given back, uncounted, when the session is left
		default:
			err = r.CompleteMessage(ctx, m, nil)
			it.done = certain(err)
		}
		w.note("settled %s: %v", it.id, err)
		if err != nil {
			return err
		}
	}
	return nil
}

func certain(err error) certainty {
	if err != nil {
		return maybe
	}
	return sure
}

// inOrder checks that nothing of the session that was sent before is still to come.
func (w *world) inOrder(it *item, session string, locked map[string]bool) {
	w.t.Helper()
	for _, earlier := range w.order[session] {
		if earlier == it {
			return
		}
		if earlier.done == no && earlier.dead == no && !locked[earlier.id] {
			w.fail("%s came before %s", it.id, earlier.id)
		}
	}
	w.fail("%s is not of session %s", it.id, session)
}

// settleAccounts empties everything and compares what is found with what must be there.
func (w *world) settleAccounts() {
	found, dead := map[string]int{}, map[string]int{}
	main, below := w.opener(azservicebus.SubQueue(0)), w.opener(azservicebus.SubQueueDeadLetter)
	for start := time.Now(); w.left() > 0; {
		if time.Since(start) > time.Minute {
			w.fail("%d messages are counted and do not come", w.left())
		}
		w.take(main, found)
		w.take(below, dead)
		if r, err := w.client.AcceptNextSessionForQueue(w.ctx(100*time.Millisecond), "sessions", nil); err == nil {
			w.take(r, found)
			if err := r.Close(w.ctx(5 * time.Second)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	for id, it := range w.items {
		n := found[id] + dead[id]
		switch {
		case n > 1:
			w.fail("%s was there %d times", id, n)
		case n == 1 && it.done == sure:
			w.fail("%s was completed and is there", id)
		case n == 0 && it.done == no:
			w.fail("%s was confirmed and is lost", id)
		case found[id] == 1 && it.dead == sure || dead[id] == 1 && it.dead == no:
			w.fail("%s is in the wrong queue: dead is %d", id, it.dead)
		}
	}
}

// left is how many messages the server counts.
func (w *world) left() int {
	w.t.Helper()
	answer, err := http.Get("http://" + w.child.admin + "/$counts")
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var counts map[string]struct{ Active, Scheduled, Deferred, DeadLetter int }
	if err := json.NewDecoder(answer.Body).Decode(&counts); err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, c := range counts {
		n += c.Active + c.Scheduled + c.Deferred + c.DeadLetter
	}
	return n
}

// emptier receives and completes.
type emptier interface {
	taker
	CompleteMessage(ctx context.Context, m *azservicebus.ReceivedMessage, o *azservicebus.CompleteMessageOptions) error
}

type taker interface {
	ReceiveMessages(ctx context.Context, n int, o *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
}

func (w *world) opener(sub azservicebus.SubQueue) *azservicebus.Receiver {
	w.t.Helper()
	r, err := w.client.NewReceiverForQueue("plain", &azservicebus.ReceiverOptions{SubQueue: sub})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) take(r emptier, into map[string]int) {
	w.t.Helper()
	for {
		got, err := r.ReceiveMessages(w.ctx(100*time.Millisecond), 100, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: 10 * time.Millisecond})
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for _, m := range got {
			into[m.MessageID]++
			if err := r.CompleteMessage(w.ctx(10*time.Second), m, nil); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}
