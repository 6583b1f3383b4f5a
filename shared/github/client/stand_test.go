package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"throughline/shared/graph"
)

// fixtures gives a path among the outside examples, or skips the test.
func fixtures(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("FIXTURES")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "fixtures")
	}
	file := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("the outside fixtures are not here (set FIXTURES): %v", err)
	}
	return file
}

func example(t testing.TB, operation, name string) string {
	t.Helper()
	raw, err := os.ReadFile(fixtures(t, "github", "rest", operation, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// privateKey is made once: it takes a while.
var privateKey = sync.OnceValue(func() []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
})

// description is GitHub's own, read once.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	root := os.Getenv("FIXTURES")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "fixtures")
	}
	raw, err := os.ReadFile(filepath.Join(root, "github", "openapi.json"))
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(raw)
})

// extras are requests that GitHub documents or has served for years and that its description lacks.
var extras = map[string]string{
	"GET /repos/{owner}/{repo}/collaborators/{login}/permission": "documented under collaborators",
	"GET /repositories/{id}":                                     "the lookup by number, to which GitHub redirects renamed repositories",
	"POST /graphql":                                              "GraphQL has a schema of its own",
	"GET /users/{username}/attestations/{digest}":                "documented beside the organisation's; cut from the description at hand",
	"POST /users/{username}/attestations/bulk-list":              "documented beside the organisation's; cut from the description at hand",
}

// stand answers as GitHub for one organisation, and checks every request against GitHub's description.
type stand struct {
	t      *testing.T
	server *httptest.Server
	mux    *http.ServeMux
	now    time.Time

	mu       sync.Mutex
	requests []string
	tokens   int
}

const installations = `[{"id":5,"account":{"login":"acme","id":9,"type":"Organization"},"suspended_at":null,
  "repository_selection":"all","html_url":"https://github.example/settings/5","permissions":{"metadata":"read","vulnerability_alerts":"write","contents":"read","issues":"read"},"events":["push"]},
{"id":6,"account":{"login":"gone","id":10,"type":"Organization"},"suspended_at":"2026-01-01T00:00:00Z"}]`

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{t: t, mux: http.NewServeMux(), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	s.json("GET /app", `{"id":42,"slug":"throughline"}`)
	s.json("GET /app/installations", installations)
	s.mux.HandleFunc("POST /app/installations/{id}/access_tokens", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.tokens++
		s.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"token":"ghs_42_%s","expires_at":%q}`, r.PathValue("id"), time.Now().Add(time.Hour).Format(time.RFC3339))
	})
	return s
}

// json serves a fixed answer.
func (s *stand) json(pattern, body string) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body)
	})
}

func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	s.mu.Unlock()
	if !strings.HasPrefix(r.URL.Path, "/_") {
		s.checkHeaders(r)
		s.checkDescription(r, body)
	}
	s.mux.ServeHTTP(w, r)
}

func (s *stand) checkHeaders(r *http.Request) {
	want := "token ghs_42_5"
	if strings.HasPrefix(r.URL.Path, "/app") {
		want = "Bearer ey"
	}
	if got := r.Header.Get("Authorization"); !strings.HasPrefix(got, want) {
		s.t.Errorf("%s %s: Authorization %.20q, want %q", r.Method, r.URL, got, want)
	}
	if r.Header.Get("X-GitHub-Api-Version") != "2022-11-28" && !strings.HasSuffix(r.URL.Path, "/access_tokens") {
		s.t.Errorf("%s %s: API version %q", r.Method, r.URL, r.Header.Get("X-GitHub-Api-Version"))
	}
}

// checkDescription validates the request against GitHub's description.
func (s *stand) checkDescription(r *http.Request, body []byte) {
	doc, err := description()
	if err != nil {
		return // the fixtures are not here
	}
	template, params := match(doc, r.Method, r.URL.EscapedPath())
	if template == "" {
		if _, known := extra(r); !known {
			s.t.Errorf("%s %s is not in GitHub's description", r.Method, r.URL.Path)
		}
		return
	}
	item := doc.Paths.Value(template)
	check := r.Clone(context.Background())
	check.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > 0 && check.Header.Get("Content-Type") == "" {
		check.Header.Set("Content-Type", "application/json")
	}
	query := check.URL.Query()
	if v, ok := query["after"]; ok && v[0] == "" && strings.HasSuffix(template, "/secret-scanning/alerts") {
		query.Del("after") // documented: an empty after begins a list with cursors
		check.URL.RawQuery = query.Encode()
	}
	err = openapi3filter.ValidateRequest(context.Background(), &openapi3filter.RequestValidationInput{
		Request: check, PathParams: params, QueryParams: query,
		Route:   &routers.Route{Spec: doc, Path: template, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	if err != nil {
		s.t.Errorf("%s %s against GitHub's description: %v", r.Method, r.URL, err)
	}
	for name := range query {
		if !declared(item, r.Method, name) {
			s.t.Errorf("%s %s: the description has no parameter %s", r.Method, template, name)
		}
	}
}

func declared(item *openapi3.PathItem, method, name string) bool {
	all := append(slices.Clone(item.Parameters), item.GetOperation(method).Parameters...)
	return all.GetByInAndName("query", name) != nil
}

func extra(r *http.Request) (string, bool) {
	for pattern := range extras {
		method, template, _ := strings.Cut(pattern, " ")
		if _, ok := fits(template, r.URL.EscapedPath()); ok && method == r.Method {
			return pattern, true
		}
	}
	return "", false
}

// match finds the template of a path; one with fewer parameters wins.
func match(doc *openapi3.T, method, path string) (string, map[string]string) {
	best, params := "", map[string]string(nil)
	for template, item := range doc.Paths.Map() {
		if item.GetOperation(method) == nil {
			continue
		}
		got, ok := fits(template, path)
		if ok && (best == "" || len(got) < len(params)) {
			best, params = template, got
		}
	}
	return best, params
}

func fits(template, path string) (map[string]string, bool) {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) < len(have) && strings.HasSuffix(template, "/contents/{path}") {
		have = append(have[:len(want)-1:len(want)-1], strings.Join(have[len(want)-1:], "%2F"))
	}
	if len(want) != len(have) {
		return nil, false
	}
	params := map[string]string{}
	for i, part := range want {
		if strings.HasPrefix(part, "{") && strings.HasSuffix(part, "}") {
			value, err := url.PathUnescape(have[i])
			if err != nil || value == "" {
				return nil, false
			}
			params[part[1:len(part)-1]] = value
		} else if part != have[i] {
			return nil, false
		}
	}
	return params, true
}

// client makes a client of the stand.
func (s *stand) client(change func(*Options)) *Client {
	s.t.Helper()
	o := Options{URL: s.server.URL, Host: "github", AppID: 42, PrivateKey: privateKey(), Now: func() time.Time { return s.now }}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// asked lists the requests that were not about the App itself, and forgets them.
func (s *stand) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.requests {
		if !strings.Contains(r, " /app") {
			all = append(all, r)
		}
	}
	s.requests = nil
	return all
}

func (s *stand) read(c *Client, scope, cursor string) graph.Collected {
	s.t.Helper()
	got, err := c.Read(context.Background(), graph.Collection{Source: "github", Scope: scope, Cursor: cursor, Run: "run-1"})
	if err != nil {
		s.t.Fatalf("%s: %v", scope, err)
	}
	return got
}

// withRepository puts an id and a name into the repository of each alert of an example.
func withRepository(t *testing.T, text string, id int64) string {
	t.Helper()
	var alerts []map[string]any
	if err := json.Unmarshal([]byte(text), &alerts); err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		a["repository"] = map[string]any{"id": id, "name": "shop", "full_name": "acme/shop", "private": true, "owner": map[string]any{"login": "acme", "id": 9}}
	}
	raw, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
