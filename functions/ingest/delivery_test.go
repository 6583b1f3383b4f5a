package ingest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/event"
	"throughline/shared/github/webhook"
	"throughline/shared/graph"
)

const (
	secret   = "a webhook secret for tests"
	previous = "the secret of last month"
	guid     = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fixtures gives the folder of outside examples, or skips the test.
func fixtures(t testing.TB, parts ...string) string {
	root := os.Getenv("FIXTURES")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "fixtures")
	}
	dir := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the outside fixtures are not here (set FIXTURES): %v", err)
	}
	return dir
}

// queue is what the stage publishes into.
type queue struct {
	events []event.Event
	err    error
}

func (q *queue) publish(_ context.Context, events []event.Event) error {
	if q.err != nil {
		return q.err
	}
	q.events = append(q.events, events...)
	return nil
}

func newStage() (*Stage, *queue) {
	q := &queue{}
	return &Stage{
		Verifier: webhook.Verifier{Secrets: []string{secret, previous}, AppID: 42},
		Decoder:  webhook.Decoder{Host: "github"},
		Publish:  q.publish,
		Now:      func() time.Time { return now },
		Log:      slog.New(slog.DiscardHandler),
	}, q
}

func sign(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// post is a delivery of GitHub, rightly signed until change alters it.
func post(name string, body []byte, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/ingest/github", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", name)
	r.Header.Set("X-GitHub-Delivery", guid)
	r.Header.Set("X-GitHub-Hook-ID", "77")
	r.Header.Set("X-GitHub-Hook-Installation-Target-Type", "integration")
	r.Header.Set("X-GitHub-Hook-Installation-Target-ID", "42")
	r.Header.Set("X-Hub-Signature-256", sign(secret, body))
	if change != nil {
		change(r)
	}
	return r
}

func serve(s *Stage, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func ids(t *testing.T, w *httptest.ResponseRecorder) []string {
	t.Helper()
	var body struct {
		Events []string `json:"events"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Events == nil {
		t.Fatalf("answer %d %s: %v", w.Code, w.Body, err)
	}
	return body.Events
}

func eachFixture(t *testing.T, do func(t *testing.T, name string, body []byte)) {
	root := fixtures(t, "github")
	files, err := filepath.Glob(filepath.Join(root, "*", "*.json"))
	if err != nil || len(files) < 100 {
		t.Fatalf("only %d files: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if slices.Contains([]string{"attestations", "codeowners", "rest"}, name) {
			continue
		}
		t.Run(name+"/"+filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			do(t, name, body)
		})
	}
}

func TestDeliveryTakesEveryExample(t *testing.T) {
	eachFixture(t, func(t *testing.T, name string, body []byte) {
		s, q := newStage()
		w := serve(s, post(name, body, nil))
		if w.Code != http.StatusAccepted {
			t.Fatalf("answer %d %s", w.Code, w.Body)
		}
		if got := ids(t, w); len(got) != len(q.events) {
			t.Errorf("answered %d ids for %d events", len(got), len(q.events))
		}
		for _, e := range q.events {
			if _, err := e.Encode(); err != nil {
				t.Errorf("%s does not encode: %v", e.ID, err)
			}
		}
		again, q2 := newStage()
		serve(again, post(name, body, nil))
		if diff := cmp.Diff(eventIDs(q.events), eventIDs(q2.events)); diff != "" {
			t.Errorf("a redelivery has other ids:\n%s", diff)
		}
	})
}

func eventIDs(events []event.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID)
	}
	return all
}

// forgeries are the ways not to prove to be GitHub.
func forgeries(body []byte) map[string]func(*http.Request) {
	sum := hmac.New(sha1.New, []byte(secret))
	sum.Write(body)
	sha1Signature := "sha1=" + hex.EncodeToString(sum.Sum(nil))
	return map[string]func(*http.Request){
		"missing": func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") },
		"wrong":   func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", sign("another secret", body)) },
		"empty key": func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", sign("", body))
		},
		"sha-1 only": func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", sha1Signature)
		},
		"sha-1 in its place": func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", sha1Signature) },
		"doubled":            func(r *http.Request) { r.Header.Add("X-Hub-Signature-256", sign(secret, body)) },
		"joined": func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", sign(secret, body)+", "+sign(secret, body))
		},
		"no prefix":   func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", sign(secret, body)[7:]) },
		"cut off":     func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", sign(secret, body)[:60]) },
		"another App": func(r *http.Request) { r.Header.Set("X-GitHub-Hook-Installation-Target-ID", "43") },
	}
}

func TestDeliveryRefusesForgeries(t *testing.T) {
	eachFixture(t, func(t *testing.T, name string, body []byte) {
		for how, forge := range forgeries(body) {
			s, q := newStage()
			if w := serve(s, post(name, body, forge)); w.Code != http.StatusUnauthorized || len(q.events) != 0 {
				t.Errorf("%s: answer %d %s, %d events", how, w.Code, w.Body, len(q.events))
			}
		}
	})
	s, _ := newStage()
	s.Verifier.Secrets = []string{""}
	if w := serve(s, post("ping", []byte(`{}`), func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", sign("", []byte(`{}`))) })); w.Code != http.StatusUnauthorized {
		t.Errorf("an empty secret verifies: %d", w.Code)
	}
}

// dependabotAlert is a small delivery in full form.
const dependabotAlert = `{"action":"created","alert":{"number":3,"state":"open","dependency":{"package":{"ecosystem":"npm","name":"lodash"},
"manifest_path":"package-lock.json","scope":"runtime"},"security_advisory":{"ghsa_id":"GHSA-35jh-r3h4-6jhm","cve_id":"CVE-2021-23337",
"summary":"Command injection","severity":"high"},"security_vulnerability":{"severity":"high","vulnerable_version_range":"< 4.17.21",
"first_patched_version":{"identifier":"4.17.21"}},"created_at":"2026-11-01T10:00:00Z","updated_at":"2026-11-02T10:00:00Z"},
"repository":{"id":4711,"name":"shop","full_name":"acme/shop","private":true,"owner":{"login":"acme","id":9}},"installation":{"id":5}}`

func TestDeliveryAnswers(t *testing.T) {
	body := []byte(dependabotAlert)
	cases := []struct {
		name   string
		event  string
		body   []byte
		change func(*http.Request)
		want   int
	}{
		{"good", "dependabot_alert", body, nil, 202},
		{"previous secret", "dependabot_alert", body, func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", sign(previous, body)) }, 202},
		{"charset", "dependabot_alert", body, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }, 202},
		{"unknown action", "dependabot_alert", []byte(strings.Replace(dependabotAlert, "created", "sung", 1)), nil, 202},
		{"unknown event", "sub_issues", []byte(`{"a":1}`), nil, 202},
		{"unknown event, truncated", "sub_issues", []byte(`{"a":`), nil, 400},
		{"repository hook without target", "ping", []byte(`{"zen":"x"}`), func(r *http.Request) {
			r.Header.Del("X-GitHub-Hook-Installation-Target-Type")
			r.Header.Del("X-GitHub-Hook-Installation-Target-ID")
		}, 202},
		{"empty body", "dependabot_alert", nil, nil, 400},
		{"spaces only", "dependabot_alert", []byte("  \n"), nil, 400},
		{"truncated", "dependabot_alert", body[:len(body)-20], nil, 400},
		{"invalid UTF-8", "dependabot_alert", bytes.Replace(body, []byte("lodash"), []byte("lod\xffsh"), 1), nil, 400},
		{"an array", "dependabot_alert", []byte(`[1]`), nil, 400},
		{"a string", "ping", []byte(`"ping"`), nil, 400},
		{"more after the object", "ping", []byte(`{} {}`), nil, 400},
		{"too deep", "ping", []byte(strings.Repeat(`{"a":`, 2000)), nil, 400},
		{"no event", "", body, nil, 400},
		{"event of odd letters", "Dependabot Alert", body, nil, 400},
		{"no delivery", "ping", body, func(r *http.Request) { r.Header.Del("X-GitHub-Delivery") }, 400},
		{"delivery no GUID", "ping", body, func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", "1234") }, 400},
		{"form", "dependabot_alert", []byte("payload=%7B%7D"), func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415},
		{"no content type", "dependabot_alert", body, func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"another charset", "dependabot_alert", body, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-16") }, 415},
		{"compressed", "dependabot_alert", body, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		{"26 MiB", "push", make([]byte, 26<<20), nil, 413},
		{"26 MiB without a length", "push", make([]byte, 26<<20), func(r *http.Request) { r.ContentLength = -1 }, 413},
		{"GET", "ping", nil, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		{"OPTIONS", "ping", nil, func(r *http.Request) { r.Method = http.MethodOptions }, 405},
		{"another path", "ping", body, func(r *http.Request) { r.URL.Path = "/ingest/other" }, 404},
		{"body cut off", "ping", body, func(r *http.Request) { r.Body = io.NopCloser(&brokenReader{}) }, 400},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, q := newStage()
			w := serve(s, post(c.event, c.body, c.change))
			if w.Code != c.want {
				t.Errorf("answer %d %s, want %d", w.Code, w.Body, c.want)
			}
			if c.want != 202 && (len(q.events) != 0 || !strings.Contains(w.Body.String(), `"error"`)) {
				t.Errorf("refused with %d events and %s", len(q.events), w.Body)
			}
		})
	}
}

type brokenReader struct{}

func (*brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestDeliveryPublishes(t *testing.T) {
	t.Run("nouns and what follows them", func(t *testing.T) {
		s, q := newStage()
		serve(s, post("dependabot_alert", []byte(dependabotAlert), func(r *http.Request) { r.Header.Set("traceparent", "00-abc") }))
		if len(q.events) != 1 || q.events[0].Type != event.Observed || q.events[0].Trace != "00-abc" {
			t.Fatalf("events %+v", q.events)
		}
		var o graph.Observation
		if err := q.events[0].Into(&o); err != nil {
			t.Fatal(err)
		}
		want := graph.Alert{ID: "github-4711-dependabot-3", Kind: graph.Dependabot, Repository: "github-4711", Number: 3, State: graph.Open,
			Title: "Command injection", Severity: "high", CreatedAt: time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC),
			Dependency: &graph.Dependency{Ecosystem: "npm", Package: "lodash", Manifest: "package-lock.json", Scope: "runtime", GHSA: "GHSA-35jh-r3h4-6jhm",
				CVEs: []string{"CVE-2021-23337"}, Vulnerable: "< 4.17.21", FixedIn: "4.17.21"}}
		if diff := cmp.Diff([]graph.Alert{want}, o.Alerts); diff != "" {
			t.Error(diff)
		}
		if len(o.Repositories) != 1 || !o.Repositories[0].Partial || o.Repositories[0].Installation != 5 || o.Repositories[0].Org != "github-org-9" {
			t.Errorf("repositories %+v", o.Repositories)
		}
	})
	t.Run("another hook that hears the same event has ids of its own", func(t *testing.T) {
		s, q := newStage()
		serve(s, post("dependabot_alert", []byte(dependabotAlert), nil))
		serve(s, post("dependabot_alert", []byte(dependabotAlert), func(r *http.Request) { r.Header.Set("X-GitHub-Hook-ID", "78") }))
		if len(q.events) != 2 || q.events[0].ID == q.events[1].ID {
			t.Errorf("ids %v", eventIDs(q.events))
		}
	})
	t.Run("503 while the queue does not take it", func(t *testing.T) {
		s, q := newStage()
		q.err = errors.New("down")
		if w := serve(s, post("dependabot_alert", []byte(dependabotAlert), nil)); w.Code != 503 || strings.Contains(w.Body.String(), "down") {
			t.Errorf("answer %d %s", w.Code, w.Body)
		}
		q.err = nil
		if w := serve(s, post("dependabot_alert", []byte(dependabotAlert), nil)); w.Code != 202 || len(q.events) != 1 {
			t.Errorf("answer %d %s", w.Code, w.Body)
		}
	})
	t.Run("the queue is not waited for longer than GitHub waits", func(t *testing.T) {
		s, _ := newStage()
		s.Publish = func(ctx context.Context, _ []event.Event) error {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > 9*time.Second {
				t.Errorf("deadline %v %v", end, ok)
			}
			return nil
		}
		serve(s, post("dependabot_alert", []byte(dependabotAlert), nil))
	})
	t.Run("an observation too large for one message is split", func(t *testing.T) {
		s, q := newStage()
		var many []string
		for i := 1; i <= 250; i++ {
			many = append(many, fmt.Sprintf(`{"id":%d,"full_name":"acme/%s%d"}`, i, strings.Repeat("x", 300), i))
		}
		body := `{"action":"deleted","installation":{"id":5,"account":{"id":9,"login":"acme"}},"repositories":[` + strings.Join(many, ",") + `]}`
		if got := ids(t, serve(s, post("installation", []byte(body), nil))); len(got) < 3 || len(got) != len(q.events) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
			t.Errorf("%d ids", len(got))
		}
	})
	t.Run("an installation outside the allow-list is taken quietly", func(t *testing.T) {
		s, q := newStage()
		s.Verifier.Installations = []int64{6}
		w := serve(s, post("dependabot_alert", []byte(dependabotAlert), nil))
		if w.Code != 202 || len(q.events) != 0 || len(ids(t, w)) != 0 || s.Counts.Tally().Disallowed != 1 {
			t.Errorf("answer %d %s, %d events, %+v", w.Code, w.Body, len(q.events), s.Counts.Tally())
		}
	})
}

func TestCounts(t *testing.T) {
	s, _ := newStage()
	serve(s, post("dependabot_alert", []byte(dependabotAlert), nil))
	serve(s, post("star", []byte(`{}`), nil))
	serve(s, post("ping", []byte(`{`), nil))
	serve(s, post("ping", []byte(`{}`), func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }))
	serve(s, post("meta", []byte(`{"action":"deleted"}`), nil))
	got := s.Counts.Tally()
	want := Tally{Received: 5, Verified: 4, Published: 1, Unhandled: map[string]int{"star": 1}, Last: now, LastVerified: now,
		Refused: map[string]int{"the body is not valid JSON": 1, "X-Hub-Signature-256 is missing; set a secret on the webhook": 1},
		Skipped: map[string]int{"the webhook was deleted on GitHub": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range 2 * maxNames {
		s.Counts.unhandled(strings.Repeat("x", i+1))
	}
	if n := len(slices.Collect(maps.Keys(s.Counts.Tally().Unhandled))); n > maxNames+1 {
		t.Errorf("%d names kept", n)
	}
}
