package main

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/functions/api"
	"throughline/functions/dashboard"
	"throughline/shared/graph"
)

// TestEveryPageForEveryRole asks every page as everybody, and looks whether it offers to act.
func TestEveryPageForEveryRole(t *testing.T) {
	signed := func(roles ...string) string {
		claims := []map[string]string{{"typ": "preferred_username", "val": "ann"}}
		for _, r := range roles {
			claims = append(claims, map[string]string{"typ": "roles", "val": r})
		}
		raw, err := json.Marshal(map[string]any{"claims": claims})
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	azure := api.Access{Authenticated: true}
	for _, c := range []struct {
		name         string
		access       api.Access
		header, host string
		status       int
		acts         bool
	}{
		{"nobody", azure, "", "tl.example", 401, false},
		{"signed in without a role", azure, signed(), "tl.example", 403, false},
		{"a strange role", azure, signed("reader", "Owner"), "tl.example", 403, false},
		{"Reader", azure, signed(api.Reader), "tl.example", 200, false},
		{"Operator", azure, signed(api.Operator), "tl.example", 200, true},
		{"Azure without authentication", api.Access{}, signed(api.Operator), "tl.example", 401, false},
		{"local by a foreign name", api.Access{Local: true}, "", "evil.example", 401, false},
		{"local", api.Access{Local: true}, "", "127.0.0.1", 200, true},
	} {
		d := &dashboard.Dashboard{Store: graph.NewMemory(), Filter: api.ParseFilter, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Guard: func(next http.Handler) http.Handler { return c.access.Need(api.Reader, next) },
			Caller: func(r *http.Request) (string, bool) {
				who, _ := c.access.Who(r)
				return who.Name, who.May(api.Operator)
			}}
		h, err := d.Handler()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/", "/findings", "/fixes", "/campaigns", "/coverage", "/runs", "/parked", "/plan", "/actions", "/readiness", "/charts/trend.svg"} {
			w := askAs(h, http.MethodGet, path, c.host, c.header)
			if strings.HasPrefix(path, "/charts/") && c.status == 200 {
				continue // whether there is something to draw is not the question
			}
			if w.Code != c.status {
				t.Errorf("%s as %s: %d, want %d", path, c.name, w.Code, c.status)
			}
			if offers := strings.Contains(w.Body.String(), `method="post"`); offers && !c.acts {
				t.Errorf("%s offers %s to act", path, c.name)
			}
			if p := askAs(h, http.MethodPost, path, c.host, c.header); p.Code < 400 {
				t.Errorf("POST %s as %s: %d", path, c.name, p.Code)
			}
		}
		if runs := askAs(h, http.MethodGet, "/runs", c.host, c.header); c.acts && !strings.Contains(runs.Body.String(), `action="/api/resync"`) {
			t.Errorf("/runs does not offer %s to act", c.name)
		}
	}
}

func askAs(h http.Handler, method, path, host, header string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(""))
	r.Host = host
	r.Header.Set("X-MS-CLIENT-PRINCIPAL", header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
