package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"throughline/shared/event"
)

// world keeps what the telemetry writes.
type world struct {
	*Telemetry
	t   *testing.T
	out bytes.Buffer
	end sync.Once
}

func open(t *testing.T, share float64, endpoint string) *world {
	t.Helper()
	w := &world{t: t}
	made, err := Open(Options{Share: share, Endpoint: endpoint, Log: slog.New(slog.NewJSONHandler(&w.out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.Telemetry = made
	return w
}

// lines ends the telemetry and gives the lines with a message.
func (w *world) lines(message string) (found []map[string]any) {
	w.t.Helper()
	w.end.Do(func() {
		if err := w.Close(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	})
	for line := range strings.Lines(w.out.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			w.t.Fatal(err)
		}
		if l["msg"] == message {
			found = append(found, l)
		}
	}
	return found
}

func said(t *testing.T, kind event.Type) event.Event {
	t.Helper()
	e, err := event.New(kind, "/functions/test", "github-1", map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	e.Session = "github-1"
	return e
}

// chain handles a webhook through three stages, each event encoded and decoded as the broker's bytes are.
func (w *world) chain() {
	var queue []event.Event
	publish := w.Publish(func(_ context.Context, events []event.Event) error {
		queue = append(queue, events...)
		return nil
	})
	intake := w.Serve("ingest", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := publish(r.Context(), []event.Event{said(w.t, event.Observed)}); err != nil {
			w.t.Error(err)
		}
		rw.WriteHeader(http.StatusAccepted)
	}))
	intake.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/ingest/github", nil))
	for _, stage := range []struct {
		name string
		says event.Type
	}{{"correlate", event.Correlated}, {"prioritize", event.Prioritized}, {"assign", ""}} {
		raw, err := queue[0].Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		heard, err := event.Decode(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		queue = nil
		out, err := w.Stage(stage.name, func(ctx context.Context, _ event.Event) ([]event.Event, error) {
			if stage.says == "" {
				return nil, w.write(ctx)
			}
			return []event.Event{said(w.t, stage.says)}, nil
		})(context.Background(), heard)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := publish(context.Background(), out); err != nil {
			w.t.Fatal(err)
		}
	}
}

// write asks a stand-in to make an issue.
func (w *world) write(ctx context.Context) error {
	hub := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("traceparent") != "" {
			w.t.Error("the trace was sent outside")
		}
		rw.Header().Set("X-RateLimit-Remaining", "4711")
		rw.Header().Set("X-RateLimit-Resource", "core")
		rw.WriteHeader(http.StatusCreated)
	}))
	defer hub.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hub.URL+"/repos/a/b/issues", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: w.Transport("github", http.DefaultTransport)}).Do(req)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func TestOneTraceFromWebhookToIssue(t *testing.T) {
	w := open(t, 1, "")
	w.chain()
	values, err := w.Measurements(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"events.handled.done.assign": 1, "requests.sent.201.github": 1, "requests.answered.ingest.202": 1,
		"quota.left.github core": 4711, "events.published.io.throughline.observed.v1": 1, "stage.lag.correlate.count": 1} {
		if values[name] != want {
			t.Errorf("%s is %v, want %v; there is %v", name, values[name], want, values)
		}
	}
	spans := w.lines("span")
	names, parents := map[string]map[string]any{}, map[any]string{}
	for _, s := range spans {
		names[s["name"].(string)], parents[s["span"]] = s, s["name"].(string)
		if s["trace"] != spans[0]["trace"] {
			t.Errorf("%s is in trace %v, not in %v", s["name"], s["trace"], spans[0]["trace"])
		}
	}
	for child, parent := range map[string]string{"correlate": "ingest", "prioritize": "correlate", "assign": "prioritize", "github POST": "assign"} {
		if got := parents[names[child]["parent"]]; got != parent && got != "publish" {
			t.Errorf("%s is a child of %q, want %s", child, got, parent)
		}
	}
	if len(w.lines("measured")) == 0 {
		t.Error("no line of measurements")
	}
}

func TestShareOfTraces(t *testing.T) {
	w := open(t, 0, "")
	w.chain()
	if spans := w.lines("span"); len(spans) != 0 {
		t.Errorf("%d spans were kept", len(spans))
	}
	kept := open(t, 0, "")
	e := said(t, event.Observed)
	e.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	failed := errors.New("down")
	if _, err := kept.Stage("correlate", func(context.Context, event.Event) ([]event.Event, error) { return nil, failed })(context.Background(), e); err != failed {
		t.Errorf("got %v", err)
	}
	spans := kept.lines("span")
	if len(spans) != 1 || spans[0]["trace"] != "0af7651916cd43dd8448eb211c80319c" || spans[0]["error"] != "down" {
		t.Errorf("a trace that is kept elsewhere: %v", spans)
	}
}

// TestOTLP sends to a collector.
func TestOTLP(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] += len(raw)
	}))
	defer collector.Close()
	w := open(t, 1, collector.URL)
	w.chain()
	w.lines("")
	mu.Lock()
	defer mu.Unlock()
	if got["/v1/traces"] == 0 || got["/v1/metrics"] == 0 {
		t.Errorf("the collector got %v", got)
	}
}

// TestPagesBeginTraces: the pages of a full reading are not one endless trace, what a page says is in the page's.
func TestPagesBeginTraces(t *testing.T) {
	w := open(t, 1, "")
	page := said(t, event.Collect)
	page.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	out, err := w.Stage("collect", func(context.Context, event.Event) ([]event.Event, error) {
		return []event.Event{said(t, event.Observed), page.Again(page.Time)}, nil
	})(context.Background(), page)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Publish(func(context.Context, []event.Event) error { return nil })(context.Background(), out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out[0].Trace, "0af7651916cd43dd8448eb211c80319c") || out[1].Trace != "" {
		t.Errorf("traces %q and %q", out[0].Trace, out[1].Trace)
	}
}

func TestOutsideSaysWhoDoesNotServe(t *testing.T) {
	w := open(t, 0, "")
	status := http.StatusTooManyRequests
	hub := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }))
	client := &http.Client{Transport: w.Transport("azure", http.DefaultTransport)}
	for _, c := range []struct {
		status int
		want   string
	}{{200, "ok"}, {429, "answers 429"}, {503, "answers 503"}, {404, "ok"}} {
		status = c.status
		answer, err := client.Get(hub.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := w.Outside()["azure"]; !strings.HasPrefix(got, c.want) {
			t.Errorf("after %d: %q, want %q", c.status, got, c.want)
		}
	}
	hub.Close()
	if _, err := client.Get(hub.URL); err == nil {
		t.Error("a closed server answers")
	}
	if got := w.Outside()["azure"]; !strings.HasPrefix(got, "does not answer since ") {
		t.Errorf("got %q", got)
	}
}
