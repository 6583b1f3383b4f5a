package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// fill puts names that exist into a path.
var fill = strings.NewReplacer("{owner}", "acme", "{name}", "api", "{digest}", string(digest))

// filled is a path of the table with names that exist.
func filled(path string) string {
	id := "github-1-dependabot-1"
	switch {
	case strings.Contains(path, "/parked/"):
		id = "p1"
	case strings.Contains(path, "/workloads/"):
		id = "w-1"
	}
	return fill.Replace(strings.Replace(path, "{id}", id, 1))
}

// principal is the header that App Service authentication writes.
func principal(name string, roles ...string) string {
	claims := []map[string]string{{"typ": "preferred_username", "val": name}}
	for _, r := range roles {
		claims = append(claims, map[string]string{"typ": "roles", "val": r})
	}
	raw, _ := json.Marshal(map[string]any{"claims": claims}) // maps of strings always encode
	return base64.StdEncoding.EncodeToString(raw)
}

// TestEveryRouteForEveryRole asks each line of the table as everybody.
func TestEveryRouteForEveryRole(t *testing.T) {
	azure, open, local := Access{Authenticated: true}, Access{}, Access{Local: true}
	callers := []struct {
		name       string
		access     Access
		header     string
		host       string
		reads, act int // 0: served
	}{
		{"nobody", azure, "", "tl.example", 401, 401},
		{"no principal at all", azure, "bm9uc2Vuc2U=", "tl.example", 401, 401},
		{"signed in without a role", azure, principal("ann"), "tl.example", 403, 403},
		{"a strange role", azure, principal("ann", "reader", "Owner"), "tl.example", 403, 403},
		{"Reader", azure, principal("ann", Reader), "tl.example", 0, 403},
		{"Operator", azure, principal("olga", Operator), "tl.example", 0, 0},
		{"Azure without authentication", open, principal("eve", Operator), "tl.example", 401, 401},
		{"Azure without authentication, by loopback", open, principal("eve", Operator), "127.0.0.1", 401, 401},
		{"local by a foreign name", local, "", "evil.example", 401, 401},
		{"local", local, "", "127.0.0.1", 0, 0},
	}
	for _, c := range callers {
		a := newAPI(t)
		populate(t, a.Store)
		a.Access = c.access
		h := a.Handler()
		for _, e := range a.routes() {
			r := httptest.NewRequest(e.method, filled(e.path), strings.NewReader(`{"until":"2026-12-31","reason":"a test"}`))
			r.Host = c.host
			r.Header.Set("X-MS-CLIENT-PRINCIPAL", c.header)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := c.reads
			switch {
			case e.role == Operator:
				want = c.act
			case e.role == "":
				want = 0
			}
			refused := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden
			if want == 0 && refused || want != 0 && w.Code != want {
				t.Errorf("%s: %s %s answers %d, want %d", c.name, e.method, e.path, w.Code, want)
			}
		}
	}
}

// watched fails the test when somebody writes.
type watched struct {
	graph.Store
	writes int
}

func (s *watched) Write(ctx context.Context, changes ...graph.Write) error {
	s.writes++
	return s.Store.Write(ctx, changes...)
}

func TestNoGetChangesAnything(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	s := &watched{Store: a.Store}
	a.Store, a.Publish = s, func(context.Context, []event.Event) error { t.Error("a GET says something"); return nil }
	for _, e := range a.routes() {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			request(a.Handler(), method, filled(e.path))
		}
		if e.method != http.MethodGet && e.role != Operator {
			t.Errorf("%s %s is for %q", e.method, e.path, e.role)
		}
	}
	if s.writes > 0 {
		t.Errorf("%d writes", s.writes)
	}
}

func post(h http.Handler, path, body, key string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Host = "127.0.0.1"
	if key != "" {
		r.Header.Set(idempotencyKey, key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryActionIsWrittenDown(t *testing.T) {
	for _, e := range newAPI(t).routes() {
		if e.method != http.MethodPost {
			continue
		}
		a := newAPI(t)
		populate(t, a.Store)
		w := post(a.Handler(), filled(e.path), `{"until":"2026-12-31","reason":"the why"}`, "")
		done, _, err := graph.Actions(t.Context(), a.Store, "")
		if err != nil || len(done) != 1 {
			t.Fatalf("%s: %d actions, %v", e.path, len(done), err)
		}
		d := done[0]
		if d.Who != "local operator" || d.Why != "the why" || d.On == "" || !strings.HasSuffix(e.path, d.What) || d.Status != w.Code || d.ID != w.Header().Get(actionHeader) {
			t.Errorf("%s answers %d and is noted as %+v", e.path, w.Code, d)
		}
	}
}

// shut is a store that takes nothing.
type shut struct{ graph.Store }

func (shut) Write(context.Context, ...graph.Write) error { return fmt.Errorf("no space") }

func TestNothingIsDoneThatCannotBeWrittenDown(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	a.Store = shut{a.Store}
	if w := post(a.Handler(), "/api/parked/p1/replay", "", ""); w.Code != http.StatusInternalServerError || len(a.Letters.(*box).replayed) > 0 {
		t.Errorf("answers %d after %v", w.Code, a.Letters.(*box).replayed)
	}
}

func TestAKeyDoesAnActionOnce(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	a.Now = func() time.Time { return now }
	h, letters := a.Handler(), a.Letters.(*box)
	first := post(h, "/api/parked/p1/replay", "", "k1")
	again := post(h, "/api/parked/p1/replay", "", "k1")
	if len(letters.replayed) != 1 || first.Code != 200 || again.Code != 200 || first.Body.String() != again.Body.String() {
		t.Errorf("replayed %d times: %d %q, %d %q", len(letters.replayed), first.Code, first.Body, again.Code, again.Body)
	}
	if w := post(h, "/api/parked/p2/replay", "", "k1"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("the key of another request answers %d", w.Code)
	}
	if post(h, "/api/parked/p1/replay", "", "k2"); len(letters.replayed) != 2 {
		t.Errorf("another key replays %d times", len(letters.replayed))
	}
	refused, repeated := post(h, "/api/parked/p9/replay", "", "k3"), post(h, "/api/parked/p9/replay", "", "k3")
	if refused.Code != 404 || repeated.Code != 404 || repeated.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a refusal answers %d, then %d", refused.Code, repeated.Code)
	}
}

func TestABrokenOffActionIsDoneAgain(t *testing.T) {
	s, now := graph.NewMemory(), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	begin := func(at time.Time) bool {
		_, repeated, err := graph.BeginAction(t.Context(), s, graph.Action{At: at, Who: "olga", What: "resync"}.Keyed("k", "/api/resync", nil))
		if err != nil {
			t.Fatal(err)
		}
		return repeated
	}
	if begin(now) || !begin(now.Add(time.Second)) || begin(now.Add(2*time.Minute)) {
		t.Error("an action without an end stands for a minute and no longer")
	}
}

func TestAnswersOfActionsFitTheDescription(t *testing.T) {
	fits := fitting(t)
	for _, e := range newAPI(t).routes() {
		if e.method != http.MethodPost {
			continue
		}
		for _, body := range []string{`{"until":"2026-11-30","reason":"a test"}`, `{`} {
			a := newAPI(t)
			populate(t, a.Store)
			a.Now = func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
			fits(http.MethodPost, filled(e.path), post(a.Handler(), filled(e.path), body, ""))
		}
	}
	a := newAPI(t)
	populate(t, a.Store)
	r := httptest.NewRequest(http.MethodPost, "/api/plan", strings.NewReader("version: 1\n"))
	r.Host = "127.0.0.1"
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	fits(http.MethodPost, "/api/plan", w)
}
