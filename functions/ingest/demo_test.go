package ingest

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/infra/local/demo"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// TestTakesTheDemosDeliveries lets the demo organisation live its life and takes every webhook that it sends.
func TestTakesTheDemosDeliveries(t *testing.T) {
	s, _ := newStage()
	var mu sync.Mutex
	var taken []event.Event
	s.Publish = func(_ context.Context, events []event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, events...)
		return nil
	}
	s.Verifier.AppID = 0
	server := httptest.NewServer(s)
	defer server.Close()
	d, err := demo.Start(t.Context(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 5, Estate: "small", WebhookURL: server.URL + "/ingest/github", WebhookSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); d.Pending() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d deliveries are still under way", d.Pending())
		}
	}
	got := s.Counts.Tally()
	if got.Received == 0 || got.Verified != got.Received || len(got.Refused) != 0 || len(got.Skipped) != 0 {
		t.Errorf("%+v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	seen, known := map[string]bool{}, map[graph.RepositoryID]bool{}
	for _, r := range d.Expected().RepositoryList {
		known[graph.NewRepositoryID("github", r.ID)] = true
	}
	for _, e := range taken {
		if seen[e.ID] {
			t.Errorf("two events have the id %s", e.ID)
		}
		seen[e.ID] = true
		if e.Type != event.Observed {
			continue
		}
		var o graph.Observation
		if err := e.Into(&o); err != nil {
			t.Fatal(err)
		}
		for _, a := range o.Alerts {
			if !known[a.Repository] || a.Title == "" || strings.Contains(a.Title, "XXXX") {
				t.Errorf("alert %+v", a)
			}
		}
	}
	t.Logf("%d deliveries, %d events, unhandled %v", got.Received, len(taken), got.Unhandled)
}
