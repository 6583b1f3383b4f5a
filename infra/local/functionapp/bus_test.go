package functionapp

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/go-cmp/cmp"

	"throughline/infra/local/servicebus"
)

const testQueues = `{"queues":[
 {"name":"plain","lockDuration":"PT1M","maxDeliveryCount":3},
 {"name":"hasty","lockDuration":"PT2S","maxDeliveryCount":10},
 {"name":"sessions","requiresSession":true,"lockDuration":"PT1M"},
 {"name":"hasty-sessions","requiresSession":true,"lockDuration":"PT2S"}]}`

// broker is the real stand-in with a client for the test itself.
type broker struct {
	t      testing.TB
	server *servicebus.Server
	client *azservicebus.Client
}

func newBroker(t testing.TB, addr, dir string) *broker {
	t.Helper()
	s, err := servicebus.Start(context.Background(), servicebus.Options{Addr: addr, Dir: dir, Queues: []byte(testQueues)})
	if err != nil {
		t.Fatal(err)
	}
	c, err := azservicebus.NewClientFromConnectionString(s.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t, s, c}
	t.Cleanup(b.close)
	return b
}

func (b *broker) close() {
	_ = b.client.Close(context.Background())
	if err := b.server.Close(); err != nil {
		b.t.Error(err)
	}
}

func (b *broker) env() string { return "ServiceBusConnection=" + b.server.ConnectionString() }

func (b *broker) send(queue string, messages ...*azservicebus.Message) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := b.client.NewSender(queue, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = s.Close(ctx) }()
	for chunk := range slices.Chunk(messages, 100) {
		batch, err := s.NewMessageBatch(ctx, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, m := range chunk {
			if err := batch.AddMessage(m, nil); err != nil {
				b.t.Fatal(err)
			}
		}
		if err := s.SendMessageBatch(ctx, batch, nil); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *broker) active(queue string) int64 { return b.server.Counts()[queue].Active }

func (b *broker) empty(queue string) func() bool {
	return func() bool { return b.active(queue) == 0 }
}

func texts(n int) []*azservicebus.Message {
	out := make([]*azservicebus.Message, n)
	for i := range out {
		out[i] = &azservicebus.Message{Body: fmt.Appendf(nil, "%d", i)}
	}
	return out
}

func queueFunction(queue string, more ...string) string {
	return fmt.Sprintf(`{"bindings":[{"type":"serviceBusTrigger","direction":"in","name":"msg","queueName":%q,"connection":"ServiceBusConnection"%s}]}`,
		queue, strings.Join(append([]string{""}, more...), ","))
}

const (
	isBinary   = `"dataType":"binary"`
	isSessions = `"isSessionsEnabled":true`
)

// body is the message of a binary payload.
func body(t testing.TB, p map[string]map[string]any) string {
	text, _ := p["Data"]["msg"].(string)
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Errorf("Data.msg %q: %v", text, err)
	}
	return string(plain)
}

func ptr[T any](v T) *T { return &v }

func TestQueuePayload(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	payloads := make(chan map[string]map[string]any, 1)
	chunked := make(chan string, 1)
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("%QUEUE%", isBinary)}, func(w http.ResponseWriter, r *http.Request) {
		chunked <- r.Header.Get("Puppet-Chunked") + " " + r.Header.Get("Content-Type") + " " + r.URL.Path
		payloads <- decode(t, r.Body)
		ok(w)
	})
	a.start(a.options(b.env(), "QUEUE=plain"))
	b.send("plain", &azservicebus.Message{Body: []byte("{\"messageid\":\"evil\",\"x\":1}\xff"), MessageID: ptr("m1"), Subject: ptr("finding"),
		ContentType: ptr("application/json"), CorrelationID: ptr("c1"), ApplicationProperties: map[string]any{"source": "ghas", "n": int64(3)}})
	if got := <-chunked; got != "true application/json; charset=utf-8 /work" {
		t.Errorf("request: %s", got)
	}
	p := <-payloads
	if got := body(t, p); got != "{\"messageid\":\"evil\",\"x\":1}\xff" {
		t.Errorf("body %q", got)
	}
	m := p["Metadata"]
	properties := map[string]any{"source": "ghas", "n": 3.0}
	want := map[string]any{"MessageId": `"m1"`, "Subject": `"finding"`, "Label": `"finding"`, "ContentType": `"application/json"`, "CorrelationId": `"c1"`,
		"DeliveryCount": "1", "SequenceNumber": "1", "ApplicationProperties": properties, "UserProperties": properties}
	for name, value := range want {
		if diff := cmp.Diff(value, m[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, name := range []string{"MessageReceiver", "MessageSession", "MessageActions", "SessionActions", "ReceiveActions"} {
		if diff := cmp.Diff(map[string]any{}, m[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	keys := slices.Sorted(maps.Keys(m))
	if diff := cmp.Diff([]string{"ApplicationProperties", "Client", "ContentType", "CorrelationId", "DeliveryCount", "EnqueuedTime", "EnqueuedTimeUtc",
		"ExpiresAt", "ExpiresAtUtc", "Label", "LockToken", "MessageActions", "MessageId", "MessageReceiver", "MessageSession", "ReceiveActions",
		"SequenceNumber", "SessionActions", "Subject", "UserProperties", "sys"}, keys); diff != "" {
		t.Error(diff)
	}
	if _, err := time.Parse(dateTimeForm, m["EnqueuedTimeUtc"].(string)); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(m["ExpiresAt"].(string), "+00:00") || !strings.HasPrefix(m["LockToken"].(string), `"`) {
		t.Errorf("ExpiresAt %v, LockToken %v", m["ExpiresAt"], m["LockToken"])
	}
	eventually(t, "completed", b.empty("plain"))
}

func TestBodyOverwritesMetadataOfText(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	payloads := make(chan map[string]map[string]any, 1)
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("plain")}, func(w http.ResponseWriter, r *http.Request) {
		payloads <- decode(t, r.Body)
		ok(w)
	})
	a.start(a.options(b.env()))
	b.send("plain", &azservicebus.Message{Body: []byte(`{"messageid":"evil","DeliveryCount":9,"list":[1],"none":null,"deep":{"a":1},"yes":true}`), MessageID: ptr("m1")})
	p := <-payloads
	m := p["Metadata"]
	for name, want := range map[string]any{"MessageId": `"evil"`, "DeliveryCount": `"9"`, "deep": map[string]any{"a": 1.0}, "yes": `"True"`, "list": nil, "none": nil, "messageid": nil} {
		if diff := cmp.Diff(want, m[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if p["Data"]["msg"] != `"{\"messageid\":\"evil\",\"DeliveryCount\":9,\"list\":[1],\"none\":null,\"deep\":{\"a\":1},\"yes\":true}"` {
		t.Errorf("Data.msg = %v", p["Data"]["msg"])
	}
}

func TestFailureAbandonsUntilDeadLetter(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	var counts []string
	var mu sync.Mutex
	dead := make(chan map[string]map[string]any, 1)
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("plain", isBinary), "dead": queueFunction("plain/$DeadLetterQueue", isBinary)},
		func(w http.ResponseWriter, r *http.Request) {
			p := decode(t, r.Body)
			if r.URL.Path == "/dead" {
				dead <- p
				ok(w)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			counts = append(counts, p["Metadata"]["DeliveryCount"].(string))
			w.WriteHeader(500)
		})
	h := a.start(a.options(b.env()))
	b.send("plain", texts(1)...)
	p := <-dead
	if got := body(t, p); got != "0" || p["Metadata"]["ApplicationProperties"].(map[string]any)["DeadLetterReason"] != "MaxDeliveryCountExceeded" {
		t.Errorf("dead letter %v", p)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"1", "2", "3"}, counts); diff != "" {
		t.Error(diff)
	}
	if s := h.Status().of("work"); s.Failed != 3 || s.Executed != 3 {
		t.Errorf("status %+v", s)
	}
}

// gauge follows how many calls run at once.
type gauge struct {
	now, most atomic.Int64
}

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

func TestConcurrentCallsAreUsedAndBounded(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	var g gauge
	a := newApp(t, strings.Replace(plainHost, `"maxConcurrentCalls":16`, `"maxConcurrentCalls":4`, 1),
		map[string]string{"work": queueFunction("plain", isBinary)}, func(w http.ResponseWriter, _ *http.Request) {
			g.enter()
			time.Sleep(20 * time.Millisecond)
			g.leave()
			ok(w)
		})
	h := a.start(a.options(b.env()))
	b.send("plain", texts(60)...)
	eventually(t, "all done", b.empty("plain"))
	if g.most.Load() != 4 {
		t.Errorf("%d calls at once, want 4", g.most.Load())
	}
	if s := h.Status().of("work"); s.Executed != 60 || s.Failed != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestSessionsKeepOrderAndStayApart(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "127.0.0.1:0", "")
	const sessions, each = 12, 5
	var mu sync.Mutex
	seen := map[string][]string{}
	busy := map[string]*gauge{}
	var all gauge
	a := newApp(t, strings.Replace(plainHost, `"serviceBus":{`, `"serviceBus":{"maxConcurrentSessions":4,`, 1),
		map[string]string{"work": queueFunction("sessions", isBinary, isSessions)}, func(w http.ResponseWriter, r *http.Request) {
			p := decode(t, r.Body)
			id, _ := p["Metadata"]["SessionId"].(string)
			mu.Lock()
			if busy[id] == nil {
				busy[id] = &gauge{}
			}
			g := busy[id]
			seen[id] = append(seen[id], body(t, p))
			mu.Unlock()
			if _, err := time.Parse("2006-01-02T15:04:05.9999999-07:00", p["Metadata"]["MessageSession"].(map[string]any)["SessionLockedUntil"].(string)); err != nil {
				t.Error(err)
			}
			all.enter()
			g.enter()
			time.Sleep(2 * time.Millisecond)
			g.leave()
			all.leave()
			ok(w)
		})
	a.start(a.options(b.env()))
	var messages []*azservicebus.Message
	for i := range each {
		for s := range sessions {
			messages = append(messages, &azservicebus.Message{Body: fmt.Appendf(nil, "%d", i), SessionID: ptr(fmt.Sprintf("s%d", s))})
		}
	}
	b.send("sessions", messages...)
	eventually(t, "all done", b.empty("sessions"))
	mu.Lock()
	defer mu.Unlock()
	for id, got := range seen {
		if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, got); diff != "" {
			t.Errorf("session %s: %s", id, diff)
		}
		if busy[id].most.Load() != 1 {
			t.Errorf("session %s: %d at once", id, busy[id].most.Load())
		}
	}
	if len(seen) != sessions || all.most.Load() > 4 || all.most.Load() < 2 {
		t.Errorf("%d sessions, %d at once", len(seen), all.most.Load())
	}
}

func TestLocksAreRenewed(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "127.0.0.1:0", "")
	var mu sync.Mutex
	seen := map[string]int{}
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("hasty", isBinary), "ordered": queueFunction("hasty-sessions", isBinary, isSessions)},
		func(w http.ResponseWriter, r *http.Request) {
			p := decode(t, r.Body)
			mu.Lock()
			seen[r.URL.Path+body(t, p)]++
			mu.Unlock()
			time.Sleep(5 * time.Second)
			ok(w)
		})
	a.start(a.options(b.env()))
	b.send("hasty", texts(1)...)
	b.send("hasty-sessions", &azservicebus.Message{Body: []byte("0"), SessionID: ptr("s")})
	eventually(t, "all done", func() bool { return b.active("hasty")+b.active("hasty-sessions") == 0 })
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(map[string]int{"/work0": 1, "/ordered0": 1}, seen); diff != "" {
		t.Errorf("a lock was lost: %s", diff)
	}
}

// TestLostLocks lets the renewal stop before the handler ends: the message comes
// again, and the host does not hang in settling it.
func TestLostLocks(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "127.0.0.1:0", "")
	var calls atomic.Int64
	host := strings.Replace(plainHost, `"serviceBus":{`, `"serviceBus":{"maxAutoLockRenewalDuration":"00:00:00.1",`, 1)
	a := newApp(t, host, map[string]string{"ordered": queueFunction("hasty-sessions", isBinary, isSessions)},
		func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) == 1 {
				time.Sleep(3 * time.Second)
			}
			ok(w)
		})
	a.start(a.options(b.env()))
	begun := time.Now()
	b.send("hasty-sessions", &azservicebus.Message{Body: []byte("0"), SessionID: ptr("s")})
	eventually(t, "all done", b.empty("hasty-sessions"))
	if calls.Load() != 2 || time.Since(begun) > settleTimeout+5*time.Second {
		t.Errorf("%d calls in %s", calls.Load(), time.Since(begun))
	}
}

func TestCrashesLoseNothing(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	var mu sync.Mutex
	seen := map[string]bool{}
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("hasty", isBinary), "ordered": queueFunction("sessions", isBinary, isSessions)},
		func(w http.ResponseWriter, r *http.Request) {
			content, err := io.ReadAll(r.Body)
			if err != nil {
				return // the handler was killed while it asked
			}
			p := decode(t, bytes.NewReader(content))
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			seen[r.URL.Path+body(t, p)] = true
			mu.Unlock()
			ok(w)
		})
	o := a.options(b.env())
	o.Restart = true
	h := a.start(o)
	n, kills := 200, 5
	if os.Getenv("THROUGHLINE_LONG") != "" {
		n, kills = 3000, 20
	}
	plain, ordered := texts(n), texts(n)
	for i, m := range ordered {
		m.SessionID = ptr(fmt.Sprint(i % 7))
	}
	b.send("hasty", plain...)
	b.send("sessions", ordered...)
	for range kills {
		time.Sleep(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		if err := h.KillHandler(); err != nil {
			t.Log(err) // it is just between two runs
		}
	}
	eventually(t, "all done", func() bool { return b.active("hasty")+b.active("sessions") == 0 })
	mu.Lock()
	defer mu.Unlock()
	for name, c := range b.server.Counts() {
		if c.DeadLetter != 0 {
			t.Errorf("%s: %d dead letters", name, c.DeadLetter)
		}
	}
	if len(seen) != 2*n {
		t.Errorf("%d of %d messages handled", len(seen), 2*n)
	}
}

func TestBrokerGoesAndComes(t *testing.T) {
	dir := t.TempDir()
	b := newBroker(t, "127.0.0.1:0", dir)
	addr := b.server.Addr()
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("plain", isBinary)}, func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	h := a.start(a.options(b.env()))
	b.send("plain", texts(3)...)
	eventually(t, "the first", func() bool { return h.Status().of("work").Executed == 3 })
	b.close()
	time.Sleep(300 * time.Millisecond)
	again := newBroker(t, addr, dir)
	again.send("plain", texts(3)...)
	eventually(t, "the others", func() bool { return h.Status().of("work").Executed == 6 })
	eventually(t, "all completed", again.empty("plain"))
}

// TestStopLeavesDeliveryCountsAlone stops and starts the host in the middle of a
// queue: what was not handled must not look as if it had been delivered.
func TestStopLeavesDeliveryCountsAlone(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	var mu sync.Mutex
	counts := map[string]int{}
	a := newApp(t, plainHost, map[string]string{"work": queueFunction("plain", isBinary), "ordered": queueFunction("sessions", isBinary, isSessions)},
		func(w http.ResponseWriter, r *http.Request) {
			p := decode(t, r.Body)
			mu.Lock()
			counts[p["Metadata"]["DeliveryCount"].(string)]++
			mu.Unlock()
			ok(w)
		})
	o := a.options(b.env())
	o.Graceful = true
	const n = 600
	plain, ordered := texts(n), texts(n)
	for i, m := range ordered {
		m.SessionID = ptr(fmt.Sprint(i % 5))
	}
	b.send("plain", plain...)
	b.send("sessions", ordered...)
	for range 4 {
		h := a.start(o)
		time.Sleep(100 * time.Millisecond)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	a.start(o)
	eventually(t, "all done", func() bool { return b.active("plain")+b.active("sessions") == 0 })
	mu.Lock()
	defer mu.Unlock()
	if counts["1"] != 2*n || len(counts) != 1 {
		t.Errorf("delivery counts %v, want %d first deliveries", counts, 2*n)
	}
}

func TestBatchesAndOutputs(t *testing.T) {
	b := newBroker(t, "127.0.0.1:0", "")
	batches := make(chan map[string]map[string]any, 10)
	out := strings.Replace(queueFunction("plain", `"cardinality":"many"`), `]}`,
		`,{"type":"serviceBus","direction":"out","name":"next","queueName":"hasty","connection":"ServiceBusConnection"}]}`, 1)
	results := make(chan string, 10)
	a := newApp(t, plainHost, map[string]string{"work": out, "next": queueFunction("hasty", isBinary)}, func(w http.ResponseWriter, r *http.Request) {
		p := decode(t, r.Body)
		if r.URL.Path == "/next" {
			results <- body(t, p)
			ok(w)
			return
		}
		batches <- p
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"Outputs":{"next":"[{\"a\":1},\"two\"]","undeclared":1}}`))
	})
	b.send("plain", &azservicebus.Message{Body: []byte(`{"v":1}`), MessageID: ptr("m1")}, &azservicebus.Message{Body: []byte(`{"v":2}`), MessageID: ptr("m2")})
	a.start(a.options(b.env()))
	p := <-batches
	if p["Data"]["msg"] != `[{"v":1},{"v":2}]` || p["Metadata"]["MessageIdArray"] != `["m1","m2"]` || p["Metadata"]["SequenceNumberArray"] == nil {
		t.Errorf("batch %v", p)
	}
	got := []string{<-results, <-results}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"two", "{\n  \"a\": 1\n}"}, got); diff != "" {
		t.Error(diff)
	}
	eventually(t, "completed", b.empty("plain"))
}
