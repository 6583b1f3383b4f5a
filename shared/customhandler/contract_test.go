package customhandler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"throughline/infra/local/functionapp"
	"throughline/infra/local/servicebus"
	"throughline/shared/customhandler"
	"throughline/shared/event"
)

// TestMain lets the test binary play the handler that the host starts.
func TestMain(m *testing.M) {
	if port := os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"); port != "" {
		if err := serveHandler("127.0.0.1:" + port); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serveHandler is a small product: one queue function, one timer, wired as main wires them.
func serveHandler(addr string) error {
	client, err := azservicebus.NewClientFromConnectionString(os.Getenv("ServiceBusConnection"), nil)
	if err != nil {
		return err
	}
	log := slog.New(customhandler.LogContext(slog.NewJSONHandler(os.Stdout, nil)))
	s := &script{client: client, tried: map[string]bool{}}
	mux := http.NewServeMux()
	mux.Handle("/correlate", customhandler.Queue("correlate", s.handle, s.publish, s.park, log))
	mux.Handle("/resync", customhandler.Timer("resync", func(context.Context, customhandler.Tick) ([]event.Event, error) {
		return say("from the timer")
	}, s.publish, log))
	return http.ListenAndServe(addr, customhandler.Probe(customhandler.Recover(mux, log)))
}

// script does what the subject of an event says.
type script struct {
	client *azservicebus.Client
	mu     sync.Mutex
	tried  map[string]bool
}

func (s *script) handle(_ context.Context, e event.Event) ([]event.Event, error) {
	s.mu.Lock()
	again := s.tried[e.ID]
	s.tried[e.ID] = true
	s.mu.Unlock()
	switch {
	case e.Subject == "permanent":
		return nil, event.Permanent(errors.New("it contradicts itself"))
	case e.Subject == "crash once" && !again && os.Getenv("CRASH_MARK") != "" && os.Mkdir(os.Getenv("CRASH_MARK"), 0o755) == nil:
		os.Exit(2)
	case e.Subject == "fail once" && !again:
		return nil, errors.New("not yet")
	case e.Subject == "panic once" && !again:
		panic("not yet")
	}
	return say(e.Subject)
}

func say(subject string) ([]event.Event, error) {
	e, err := event.New(event.Correlated, "/functions/correlate", subject, nil)
	return []event.Event{e}, err
}

func (s *script) publish(ctx context.Context, events []event.Event) error {
	for _, e := range events {
		body, err := e.Encode()
		if err != nil {
			return err
		}
		if err := s.send(ctx, "prioritize", body); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) park(ctx context.Context, p customhandler.Parked) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.send(ctx, "parked", body)
}

func (s *script) send(ctx context.Context, queue string, body []byte) error {
	sender, err := s.client.NewSender(queue, nil)
	if err != nil {
		return err
	}
	return errors.Join(sender.SendMessage(ctx, &azservicebus.Message{Body: body}, nil), sender.Close(ctx))
}

// layOut makes the folder that the host runs, with the test binary as its handler.
func layOut(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"host.json": `{"version":"2.0","functionTimeout":"00:01:00","customHandler":{"enableProxyingHttpRequest":true,"description":{"defaultExecutablePath":"handler"}},
 "extensions":{"serviceBus":{"maxConcurrentCalls":4}}}`,
		"correlate/function.json": `{"bindings":[{"type":"serviceBusTrigger","direction":"in","name":"msg","dataType":"binary","queueName":"correlate","connection":"ServiceBusConnection"}]}`,
		"resync/function.json":    `{"bindings":[{"type":"timerTrigger","direction":"in","name":"timer","schedule":"0 0 0 1 1 *"}]}`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(root, "handler")); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestContract runs handler and host against each other over the wire; the two share no code.
func TestContract(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	queues := `{"queues":[{"name":"correlate"},{"name":"prioritize"},{"name":"parked"}]}`
	bus, err := servicebus.Start(ctx, servicebus.Options{Addr: "127.0.0.1:0", Queues: []byte(queues)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bus.Close() }()
	host, err := functionapp.Start(ctx, functionapp.Options{Root: layOut(t), Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		Env: []string{"ServiceBusConnection=" + bus.ConnectionString(), "CRASH_MARK=" + filepath.Join(t.TempDir(), "crashed")}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	client, err := azservicebus.NewClientFromConnectionString(bus.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close(ctx) }()
	s := &script{client: client}

	res, err := http.Post("http://"+host.Addr()+"/admin/functions/resync", "application/json", strings.NewReader(`{"input":""}`))
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("start the timer: %v, %v", res, err)
	}
	_ = res.Body.Close()

	if first := receive(ctx, t, client, "prioritize", 1); !strings.Contains(string(first[0]), "from the timer") {
		t.Errorf("the timer said %s", first[0])
	}

	s.tell(ctx, t, "plain", "fail once", "panic once", "permanent")
	if err := s.send(ctx, "correlate", []byte("no event\xff")); err != nil {
		t.Fatal(err)
	}
	said := subjects(t, receive(ctx, t, client, "prioritize", 3))
	drain(ctx, t, bus)
	// Alone, for a crash takes with it whatever is in flight.
	s.tell(ctx, t, "crash once")
	said = append(said, subjects(t, receive(ctx, t, client, "prioritize", 1))...)
	slices.Sort(said)
	if want := []string{"crash once", "fail once", "panic once", "plain"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	reasons := map[string]customhandler.Parked{}
	for _, body := range receive(ctx, t, client, "parked", 2) {
		var p customhandler.Parked
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		reasons[p.Subject] = p
	}
	if p := reasons["permanent"]; p.Reason != "it contradicts itself" || p.Queue != "correlate" || p.DeliveryCount < 1 || p.EventType != event.Observed ||
		p.MessageID == "" || time.Since(p.EnqueuedAt) > time.Minute {
		t.Errorf("parked %+v", p)
	}
	if p := reasons[""]; string(p.Body) != "no event\xff" {
		t.Errorf("parked %+v", p)
	}
	drain(ctx, t, bus)
}

// drain waits until every message of correlate is settled.
func drain(ctx context.Context, t *testing.T, bus *servicebus.Server) {
	t.Helper()
	for left := bus.Counts()["correlate"]; left.Active+left.DeadLetter != 0; left = bus.Counts()["correlate"] {
		if ctx.Err() != nil {
			t.Fatalf("left behind: %+v", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// tell sends one event for each subject to correlate.
func (s *script) tell(ctx context.Context, t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		e, err := event.New(event.Observed, "/functions/ingest", subject, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := e.Encode()
		if err == nil {
			err = s.send(ctx, "correlate", body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func subjects(t *testing.T, bodies [][]byte) []string {
	t.Helper()
	var out []string
	for _, body := range bodies {
		e, err := event.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Subject)
	}
	return out
}

func receive(ctx context.Context, t *testing.T, client *azservicebus.Client, queue string, n int) [][]byte {
	t.Helper()
	r, err := client.NewReceiverForQueue(queue, &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(ctx) }()
	var out [][]byte
	for len(out) < n {
		messages, err := r.ReceiveMessages(ctx, n-len(out), nil)
		if err != nil {
			t.Fatalf("%d of %d messages from %s: %v", len(out), n, queue, err)
		}
		for _, m := range messages {
			out = append(out, m.Body)
		}
	}
	return out
}
