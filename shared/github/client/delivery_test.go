package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/shared/github/client"
	"throughline/shared/graph"
)

// meter counts points of requests in every minute of a clock.
type meter struct {
	now    func() time.Time
	mu     sync.Mutex
	minute map[int64]int
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.minute[m.now().Unix()/60]++
	if r.Method == http.MethodPost {
		m.minute[m.now().Unix()/60] += 4
	}
	m.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// door counts the webhooks that come in, by GUID.
type door struct {
	mu   sync.Mutex
	came map[string]int
	by   map[string]int // by event
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.came[r.Header.Get("X-GitHub-Delivery")]++
	d.by[r.Header.Get("X-GitHub-Event")]++
}

func TestOfSevenThousandLostWebhooksThoseThatMatterAreHealedOnce(t *testing.T) {
	total, wanted := 7000, 270
	if testing.Short() {
		total, wanted = 700, 27
	}
	store := graph.NewMemory()
	start := time.Now()
	now := start
	clock := func() time.Time { return now }
	points := &meter{now: clock, minute: map[int64]int{}}
	org, c := startDemo(t, func(o *client.Options) {
		o.Now, o.Transport = clock, points
		o.Healer = graph.Graph{Store: store}
		o.Wanted = func(event string, _ int64) bool { return event == "dependabot_alert" }
	})
	in := &door{came: map[string]int{}, by: map[string]int{}}
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	answer, err := http.Post(org.GitHubURL()+"/_demo/missed", "application/json", strings.NewReader(fmt.Sprintf(`{"total":%d,"wanted":%d}`, total, wanted)))
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	org.SetWebhook(server.URL, "")
	heal := func(run string) (pages int) {
		todo := graph.Collection{Source: "github", Scope: "deliveries", Run: run, Cursor: start.Add(-time.Hour).UTC().Format(time.RFC3339)}
		for {
			got, err := c.Read(context.Background(), todo)
			var limited *graph.Limited
			if errors.As(err, &limited) {
				now = limited.Until
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			pages++
			if todo.Cursor, todo.Page = got.Next, todo.Page+1; got.Next == "" {
				return pages
			}
		}
	}
	if pages := heal("one"); pages > (total+wanted+99)/100+1 {
		t.Errorf("%d pages for %d deliveries", pages, total)
	}
	heal("two")
	for end := time.Now().Add(20 * time.Second); org.Pending() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.came) != wanted || in.by["dependabot_alert"] != wanted || in.by["star"] != 0 {
		t.Errorf("%d came in (%v), want the %d that matter once", len(in.came), in.by, wanted)
	}
	days, err := graph.Healings(context.Background(), store)
	noted := 0
	for _, d := range days {
		noted += len(d.Deliveries)
	}
	if err != nil || noted != wanted {
		t.Errorf("%d are noted in %d days, %v", noted, len(days), err)
	}
	for minute, spent := range points.minute {
		if spent > 900 {
			t.Errorf("%d points in minute %d", spent, minute-start.Unix()/60)
		}
	}
}
