package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/functions/collect"
	"throughline/functions/correlate"
	"throughline/functions/ingest"
	"throughline/infra/local/demo"
	"throughline/shared/defender"
	"throughline/shared/event"
	"throughline/shared/github/client"
	"throughline/shared/github/webhook"
	"throughline/shared/graph"
	"throughline/shared/provenance"
)

// reading is the half of the pipeline that reads an estate into a memory graph, in one process: the real clients against
// the demo's stand-ins, over a transport that can be cut.
type reading struct {
	t     *testing.T
	demo  *demo.Demo
	store graph.Store
	cut   *cutter

	stages map[string]func(context.Context, event.Event) ([]event.Event, error)
	mu     sync.Mutex
	queue  []event.Event
	tries  map[string]int
	lost   int // messages that were given up
}

func newReading(t *testing.T, size string) *reading {
	t.Helper()
	d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Estate: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	env := map[string]string{"FUNCTIONS_CUSTOMHANDLER_PORT": "1", "ServiceBusConnection": "x", "CosmosConnection": "x", "MARKER_KEY": "0123456789abcdef", "GITHUB_HOST_KEY": "github"}
	for _, setting := range d.Env() {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	cfg, err := readConfig(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	unlimited(t, d.AzureURL())
	r := &reading{t: t, demo: d, store: graph.NewMemory(), cut: &cutter{next: http.DefaultTransport, at: -1}, tries: map[string]int{}}
	r.wire(cfg)
	return r
}

// unlimited switches the quota of Resource Graph off: its waiting would be most of a test.
func unlimited(t *testing.T, azure string) {
	t.Helper()
	resp, err := http.Post(azure+"/_limits", "application/json", strings.NewReader(`{"queries":0}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatal(resp.Status)
	}
}

// wire makes the stages as main does, over the transport that can be cut.
func (r *reading) wire(cfg Config) {
	log := slog.New(slog.DiscardHandler)
	h := &house{cfg: cfg, log: log}
	text, err := os.ReadFile(cfg.CatalogueFile)
	if err == nil {
		h.catalogue, err = provenance.ParseCatalogue(text)
	}
	s, err2 := h.openSignatures()
	g := graph.Graph{Store: r.store}
	gh, err3 := client.New(client.Options{URL: cfg.GitHubURL, Host: "github", AppID: cfg.AppID, PrivateKey: []byte(cfg.AppKey), Transport: r.cut,
		Digests: g.DigestsOf, Pending: g.DigestsWithoutAttestation, Asked: g.DigestsOfRound, Verify: s.Verify})
	az, err4 := defender.Open(defender.Options{ARM: cfg.ARMURL, Scopes: cfg.Scopes, Log: log, Transport: r.cut})
	if err := errors.Join(err, err2, err3, err4); err != nil {
		r.t.Fatal(err)
	}
	registry := &provenance.Registry{Mirrors: cfg.Mirrors, Log: log, Transport: r.cut}
	collecting := &collect.Stage{Store: r.store, Sources: map[string]collect.Source{"github": gh, "azure": az, "registry": registry}, Now: utc, Log: log}
	tying := &correlate.Stage{Store: r.store, Catalogue: h.catalogue, Labels: labels{}, Inventory: []string{"azure workloads", "azure findings"}, Now: utc, Log: log}
	r.stages = map[string]func(context.Context, event.Event) ([]event.Event, error){"collect": collecting.Handle, "correlate": tying.Handle}
	in := httptest.NewServer(&ingest.Stage{Verifier: webhook.Verifier{Secrets: []string{string(cfg.WebhookSecret[0])}, AppID: cfg.AppID}, Decoder: webhook.Decoder{Host: "github", AppID: cfg.AppID},
		Publish: r.publish, Now: utc, Log: log})
	r.t.Cleanup(in.Close)
	r.demo.SetWebhook(in.URL+"/ingest/github", "")
}

func (r *reading) publish(_ context.Context, events []event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, events...)
	return nil
}

func (r *reading) take() (event.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		return event.Event{}, false
	}
	e := r.queue[0]
	r.queue = r.queue[1:]
	return e, true
}

// full reads everything once.
func (r *reading) full() {
	r.t.Helper()
	for _, source := range []string{"github", "azure"} {
		e, err := event.NewCollect("/test", graph.Collection{Source: source, Scope: "all"})
		if err != nil {
			r.t.Fatal(err)
		}
		r.queue = append(r.queue, e)
	}
	r.settle()
}

// settle handles messages until none is left. One that fails is tried four times, as a queue would longer.
func (r *reading) settle() {
	r.t.Helper()
	for {
		e, more := r.take()
		if !more {
			return
		}
		route, _ := event.RouteOf(e.Type)
		handle, heard := r.stages[route.HeardBy]
		if !heard {
			continue
		}
		said, err := handle(context.Background(), e)
		limited := len(said) == 1 && said[0].Type == e.Type && !said[0].NotBefore.IsZero() && bytes.Equal(said[0].Data, e.Data)
		if err != nil || limited {
			key := string(e.Type) + string(e.Data)
			if r.tries[key]++; r.tries[key] < 4 {
				said = []event.Event{e}
			} else {
				r.lost++
				said = nil
				if r.cut.at < 0 {
					r.t.Logf("lost %s %s: %v", e.Type, e.Subject, err)
				}
			}
		}
		if err := r.publish(context.Background(), said); err != nil {
			r.t.Fatal(err)
		}
	}
}

// cutter damages one request, whenever it is made: chosen by its place among the different requests of a run. It makes
// pages small, so that a small estate has many.
type cutter struct {
	next http.RoundTripper

	mu   sync.Mutex
	seen []uint64
	at   int // the place; negative: nothing is cut
	// whole leaves the pages as large as they are asked for.
	whole bool
	how   int // 0: 403, 1: 500, 2: half of the body
	hits  int
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	hit, how, err := c.judge(r)
	if err != nil {
		return nil, err
	}
	if hit && how < 2 {
		status := []int{http.StatusForbidden, http.StatusInternalServerError}[how]
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(`{"message":"cut"}`)), Request: r}, nil
	}
	resp, err := c.next.RoundTrip(r)
	if err == nil {
		resp.Header.Del("X-Ms-User-Quota-Remaining") // nobody is to wait here
	}
	if !hit || err != nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body[:len(body)/2]))
	resp.ContentLength = -1
	resp.Header.Del("Content-Length")
	return resp, resp.Body.Close()
}

// Do lets the Azure SDK use it.
func (c *cutter) Do(r *http.Request) (*http.Response, error) { return c.RoundTrip(r) }

func (c *cutter) judge(r *http.Request) (hit bool, how int, err error) {
	h := fnv.New64a()
	if c.whole {
		return false, 0, nil
	}
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "per_page=100", "per_page=15")
	fmt.Fprint(h, r.Method, r.URL.Host, r.URL.RequestURI())
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false, 0, err
		}
		body = bytes.ReplaceAll(body, []byte(`"$top":1000`), []byte(`"$top":40`))
		h.Write(body)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.seen, h.Sum64())
	if i < 0 && c.at < 0 {
		c.seen = append(c.seen, h.Sum64())
	}
	if c.at >= 0 && i == c.at {
		c.hits++
		return true, c.how, nil
	}
	return false, 0, nil
}

// facts is everything of the graph that a broken reading must not take away.
func (r *reading) facts() []string {
	r.t.Helper()
	ctx := context.Background()
	places, err := graph.Places(ctx, r.store)
	lines, err2 := graph.ListAll[graph.ArtifactLine](ctx, r.store, graph.Query{Container: graph.StateContainer, Partition: graph.ArtifactsPartition})
	names, err3 := graph.Names(ctx, r.store)
	if err := errors.Join(err, err2, err3); err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, p := range places {
		w, err := graph.Get[graph.Workload](ctx, r.store, graph.WorkloadKey(p.Workload))
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("workload %s gone=%v runs %v", w.Value.Path, w.Value.Gone, w.Value.Digests()))
		for _, x := range w.Value.Readings {
			out = append(out, fmt.Sprintf("factor %s %s by %s: %s", w.Value.Path, x.Factor, x.Source, x.Says))
		}
	}
	for _, l := range lines {
		out = append(out, fmt.Sprintf("image %s built by %s (%s), %d workloads", l.Digest, l.Repository, l.Method, l.Workloads))
		found, err := graph.ListAll[graph.RuntimeFinding](ctx, r.store, graph.Query{Container: graph.GraphContainer, Partition: graph.ArtifactPartition(l.Digest), Kind: graph.KindRuntimeFinding})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range found {
			out = append(out, fmt.Sprintf("runtime finding %s %s", f.ID, f.State))
		}
	}
	for _, n := range names {
		out = append(out, fmt.Sprintf("repository %s deleted=%v", n.FullName, n.Deleted))
		found, err := graph.ListAll[graph.Finding](ctx, r.store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(n.Repository), Kind: graph.KindFinding})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range found {
			out = append(out, fmt.Sprintf("finding %s %s", f.ID, f.State))
		}
	}
	slices.Sort(out)
	return out
}

// TestNoCutTakesAnythingAway answers one request of a full reading with 403 or 500, or cuts its body in half, as often as
// it is made, and looks whether a workload, a mapping, a risk factor or a finding is gone. Nothing changed in the estate.
func TestNoCutTakesAnythingAway(t *testing.T) {
	r := newReading(t, "small")
	r.full()
	r.cut.seen = nil // from here on the requests of a full reading of what is known
	r.full()
	before := r.facts()
	if len(before) < 200 || r.lost > 0 {
		t.Fatalf("%d facts, %d messages lost without a cut", len(before), r.lost)
	}
	cuts := 12
	if os.Getenv("THROUGHLINE_LONG") == "1" {
		cuts = 3 * len(r.cut.seen)
	}
	seed := uint64(time.Now().UnixNano())
	dice := rand.New(rand.NewPCG(seed, 1))
	hits := 0
	for n := range cuts {
		r.cut.at, r.cut.how, r.cut.hits, r.tries = dice.IntN(len(r.cut.seen)), dice.IntN(3), 0, map[string]int{}
		if cuts > 12 {
			r.cut.at, r.cut.how = n%len(r.cut.seen), n/len(r.cut.seen)
		}
		r.full()
		hits += r.cut.hits
		if after := r.facts(); !slices.Equal(before, after) {
			t.Fatalf("seed %d: request %d of %d cut (%d): %s", seed, r.cut.at, len(r.cut.seen), r.cut.how, difference(before, after))
		}
	}
	if hits == 0 {
		t.Error("no request was cut")
	}
	r.cut.at = -1
	r.full()
	if after := r.facts(); !slices.Equal(before, after) {
		t.Errorf("after a whole reading: %s", difference(before, after))
	}
	t.Logf("%d facts, %d requests to cut, %d cuts, %d damaged answers", len(before), len(r.cut.seen), cuts, hits)
}

func difference(a, b []string) string {
	var out []string
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, "- "+x)
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			out = append(out, "+ "+x)
		}
	}
	return strings.Join(out[:min(len(out), 12)], "\n")
}
