package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/functions/api"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// counter is a page with one finding, and what its clicks said.
type counter struct {
	store graph.Store
	said  []event.Event
	api   *api.API
}

func newCounter(t *testing.T, change func(*graph.Finding)) *counter {
	t.Helper()
	c := &counter{store: graph.NewMemory()}
	f := graph.Finding{ID: "github-1-dependabot-2", Repository: "github-1", Kind: graph.Dependabot, State: graph.Open, FixKey: "pkg:npm/x", Decision: &graph.Decision{Published: graph.P3}}
	f.Remediation = graph.NewRemediationID("github-1", f.FixKey)
	if change != nil {
		change(&f)
	}
	c.put(t, graph.FindingKey("github-1", f.ID), graph.KindFinding, f)
	c.put(t, graph.RepositoryKey("github-1"), graph.KindRepository, graph.Repository{ID: "github-1", Owner: "o", Name: "r"})
	c.api = &api.API{Store: c.store, Access: api.Access{Local: true}, Now: func() time.Time { return time.Unix(1, 0).UTC() }, Log: slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, es []event.Event) error { c.said = append(c.said, es...); return nil }}
	return c
}

func (c *counter) put(t *testing.T, k graph.Key, kind graph.Kind, v any) {
	t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, v)
	if err == nil {
		err = c.store.Write(context.Background(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (c *counter) click(t *testing.T) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/api/findings/github-1-dependabot-2/issue", strings.NewReader("{}"))
	w := httptest.NewRecorder()
	c.api.Handler().ServeHTTP(w, r)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return w.Code, answer
}

func TestClickAsksForTheIssueOnce(t *testing.T) {
	c := newCounter(t, nil)
	if code, answer := c.click(t); code != http.StatusOK || answer["requested"] != true {
		t.Fatalf("first click: %d %v", code, answer)
	}
	id := graph.NewRemediationID("github-1", "pkg:npm/x")
	m, err := graph.Get[graph.Remediation](context.Background(), c.store, graph.RemediationKey("github-1", id))
	if err != nil || !m.Value.Approved || len(m.Value.Timeline) != 1 || m.Value.Timeline[0].Actor != "local operator" {
		t.Fatalf("%+v, %v", m.Value, err)
	}
	if len(c.said) != 1 || c.said[0].Type != event.Prioritized || c.said[0].Session != "github-1" {
		t.Fatalf("said %+v", c.said)
	}
	m.Value.Issue = &graph.Issue{Repository: "github-1", Number: 7, State: "open", URL: "https://github.com/o/r/issues/7"}
	c.put(t, graph.RemediationKey("github-1", id), graph.KindRemediation, m.Value)
	code, answer := c.click(t)
	issue, _ := answer["issue"].(map[string]any)
	if code != http.StatusOK || answer["requested"] != false || issue["number"] != float64(7) || len(c.said) != 1 {
		t.Errorf("second click: %d %v, said %d events", code, answer, len(c.said))
	}
}

func TestClickIsRefusedWhereThereCanBeNoIssue(t *testing.T) {
	for name, change := range map[string]func(*graph.Finding){
		"closed":    func(f *graph.Finding) { f.State = graph.Fixed },
		"undecided": func(f *graph.Finding) { f.Decision = nil },
	} {
		c := newCounter(t, change)
		if code, answer := c.click(t); code != http.StatusConflict || len(c.said) != 0 {
			t.Errorf("%s: %d %v", name, code, answer)
		}
	}
}

func TestClickNeedsTheOperator(t *testing.T) {
	c := newCounter(t, nil)
	c.api.Access = api.Access{}
	if code, _ := c.click(t); code != http.StatusUnauthorized || len(c.said) != 0 {
		t.Errorf("a stranger clicks: %d, said %d", code, len(c.said))
	}
}
