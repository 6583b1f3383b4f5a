package defender

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/shared/graph"
)

// stand is Resource Graph as far as the tests need it: each query is answered by the first rule whose words it holds.
type stand struct {
	*httptest.Server
	mu       sync.Mutex
	rules    []rule
	requests []graphRequest
}

type rule struct {
	words  string
	status int
	header http.Header
	pages  [][]json.RawMessage
}

func newStand(t *testing.T, rules ...rule) (*stand, *Client) {
	t.Helper()
	s := &stand{rules: rules}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	c, err := Open(Options{ARM: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func (s *stand) serve(w http.ResponseWriter, req *http.Request) {
	var in graphRequest
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil || req.URL.Path != graphPath || req.URL.Query().Get("api-version") != graphVersion {
		http.Error(w, "not Resource Graph", http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, in)
	for _, r := range s.rules {
		if strings.Contains(in.Query, r.words) {
			r.answer(w, in.Options.SkipToken)
			return
		}
	}
	_, _ = io.WriteString(w, `{"count":0,"data":[],"resultTruncated":"false"}`)
}

func (r rule) answer(w http.ResponseWriter, token string) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	if r.status >= 300 {
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, `{"error":{"code":"Refused","message":"by the test"}}`)
		return
	}
	n := len(token)
	out := map[string]any{"data": []json.RawMessage{}, "resultTruncated": "false"}
	if n < len(r.pages) {
		out["data"] = r.pages[n]
	}
	if n+1 < len(r.pages) {
		out["$skipToken"] = strings.Repeat("x", n+1)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// fixture reads the rows of a file among the outside fixtures.
func fixture(t *testing.T, name string) []json.RawMessage {
	t.Helper()
	dir := os.Getenv("FIXTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "fixtures")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "azure", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no fixtures: set FIXTURES (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Data []json.RawMessage }
	if err := json.Unmarshal(raw, &file); err != nil || file.Data == nil {
		file.Data = []json.RawMessage{raw}
	}
	return file.Data
}

func read(t *testing.T, c *Client, scope string) graph.Collected {
	t.Helper()
	got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: scope, StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
