package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"pgregory.net/rapid"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

const digest = graph.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")

// box is a letter box with one letter.
type box struct{ replayed []string }

func (b *box) List(context.Context, string) ([]Letter, string, error) {
	return []Letter{{ID: "p1", Queue: "correlate", Reason: "cannot be decoded", At: time.Unix(0, 0).UTC(), Body: "{}"}}, "", nil
}

func (b *box) Replay(_ context.Context, id string) error {
	if id != "p1" {
		return fmt.Errorf("parked message %s: %w", id, graph.ErrNotFound)
	}
	b.replayed = append(b.replayed, id)
	return nil
}

func (b *box) Dead(_ context.Context, queue string, _ int) ([]Letter, error) {
	if queue != "assign" {
		return nil, nil
	}
	return []Letter{{ID: "7", Queue: queue, Reason: "MaxDeliveryCountExceeded", At: time.Unix(0, 0).UTC(), Body: "{}"}}, nil
}

func (b *box) ReplayDead(_ context.Context, queue string, _ int) (int, error) {
	b.replayed = append(b.replayed, queue)
	return 3, nil
}

func TestDeadLetters(t *testing.T) {
	a := newAPI(t)
	if w := request(a.Handler(), "GET", "/api/deadletters"); w.Code != http.StatusOK || strings.Count(w.Body.String(), `"queue":"assign"`) != 1 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := request(a.Handler(), "POST", "/api/deadletters/assign/replay"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"3"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := request(a.Handler(), "POST", "/api/deadletters/nobody/replay"); w.Code != http.StatusNotFound || len(a.Letters.(*box).replayed) != 1 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func newAPI(t *testing.T) *API {
	t.Helper()
	return &API{Store: graph.NewMemory(), Letters: &box{}, Publish: func(context.Context, []event.Event) error { return nil },
		Resync: func(context.Context) ([]event.Event, error) { return nil, nil },
		Health: func(context.Context) (any, bool) { return map[string]any{"store": "ok"}, true }, Readiness: func(context.Context) ([]graph.Readiness, error) { return nil, nil }, Access: Access{Local: true}, Policy: decision.DefaultPolicy, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func request(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func put(t interface{ Fatal(...any) }, s graph.Store, k graph.Key, kind graph.Kind, noun any) {
	w, err := graph.NewWrite(k, kind, graph.Any, noun)
	if err == nil {
		err = s.Write(context.Background(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// populate fills a store with one of everything.
func populate(t *testing.T, s graph.Store) {
	t.Helper()
	put(t, s, graph.StateKey(graph.OrgsPartition, "github-org-1"), "org", graph.Org{ID: "github-org-1", Login: "acme"})
	name := graph.Name{Repository: "github-1", FullName: "acme/api", Org: "github-org-1"}
	put(t, s, graph.StateKey(graph.RepositoriesPartition, "github-1"), "name", name)
	put(t, s, graph.NameKey("github", "acme/api"), "name", name)
	put(t, s, graph.RepositoryKey("github-1"), graph.KindRepository, graph.Repository{ID: "github-1", Org: "github-org-1", Owner: "acme", Name: "api"})
	runner := graph.ExposedWorkload{ID: "w-1", Name: "api", Kind: "Pod", Digests: []graph.Digest{digest}, Readings: []graph.Reading{{Factor: graph.InternetExposed, Says: graph.Yes}}}
	x := graph.Exposure{Repository: "github-1", Org: "github-org-1", FullName: "acme/api", Images: true, Workloads: []graph.ExposedWorkload{runner}, Artifacts: []graph.ExposedArtifact{{Digest: digest, Name: "r.example/<api>&", Method: graph.ImageLabel}}}
	put(t, s, graph.ExposureKey("github-1"), graph.KindExposure, x.Sealed())
	put(t, s, graph.ArtifactKey(digest), graph.KindArtifact, graph.Artifact{Digest: digest, Names: []string{"r.example/<api>&"}})
	put(t, s, graph.StateKey(graph.ArtifactsPartition, string(digest)), "line", graph.ArtifactLine{Digest: digest, Workloads: 1})
	put(t, s, graph.RunnerKey(digest, "w-1"), graph.KindRunner, runner)
	put(t, s, graph.WorkloadKey("w-1"), graph.KindWorkload, graph.Workload{ID: "w-1", Name: "api", Running: []graph.Running{{Digest: digest}}})
	put(t, s, graph.StateKey(graph.PlacesPartition, "w-1"), "place", graph.Place{Workload: "w-1", Path: "/x"})
	put(t, s, graph.ScopeKey("github all"), "scope", graph.Scope{ID: "github all", Run: "1", Complete: true})
	put(t, s, graph.RefusalKey("azure all"), "refusal", graph.Refusal{Source: "azure", Scope: "all", Why: "403"})
	f := graph.Finding{ID: "github-1-dependabot-1", Repository: "github-1", Kind: graph.Dependabot, State: graph.Open, Remediation: "github-1-fix-1", Alert: &graph.Alert{ID: "github-1-dependabot-1", Kind: graph.Dependabot, Title: "=cmd()"},
		Decision: &graph.Decision{Tier: graph.P1, Published: graph.P1, Rule: "R5", Workloads: []graph.WorkloadDecision{{Workload: "w-1", Name: "api", Explanation: json.RawMessage(`{"rule":"R5"}`)}}}}
	put(t, s, graph.FindingKey("github-1", f.ID), graph.KindFinding, f)
	m := graph.Remediation{ID: "github-1-fix-1", Repository: "github-1", Status: graph.StatusOpen}
	put(t, s, graph.RemediationKey("github-1", m.ID), graph.KindRemediation, m)
	if err := graph.SaveSummary(context.Background(), s, graph.Summarise(f, x, &m)); err != nil {
		t.Fatal(err)
	}
}

func TestAnswersFitTheDescription(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	fits, h := fitting(t), a.Handler()
	paths := []string{"/api/graph?from=repository:github-1", "/api/graph?from=finding:github-1-dependabot-1", "/api/graph?from=artifact:" + string(digest), "/api/graph?from=workload:w-1", "/api/blast?image=" + string(digest), "/api/blast?cve=CVE-2026-1",
		"/api/findings?tier=P9", "/api/findings/nothing", "/api/graph?from=moon:1", "/api/artifacts/sha256:1", "/api/findings?cursor=x&limit=1"}
	post(h, "/api/resync", `{"reason":"to be listed"}`, "")
	for _, e := range a.routes() {
		if e.method == http.MethodGet {
			paths = append(paths, filled(e.path))
		}
	}
	for _, path := range paths {
		fits(http.MethodGet, path, request(h, http.MethodGet, path))
	}
}

// fitting gives a check of answers against the description.
func fitting(t *testing.T) func(method, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	strict(doc)
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return func(method, path string, w *httptest.ResponseRecorder) {
		t.Helper()
		r := httptest.NewRequest(method, path, nil)
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header()}
		if err := openapi3filter.ValidateResponse(t.Context(), out.SetBodyBytes(w.Body.Bytes())); err != nil {
			t.Errorf("%s %s answers %d outside the description: %v", method, path, w.Code, err)
		}
	}
}

// strict makes fields that are not described a fault.
func strict(doc *openapi3.T) {
	no := false
	for _, ref := range doc.Components.Schemas {
		if len(ref.Value.Properties) > 0 {
			ref.Value.AdditionalProperties = openapi3.BoolSchema{Has: &no}
		}
	}
}

func TestUnchangedAnswersAreNotSentAgain(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	h := a.Handler()
	first := request(h, http.MethodGet, "/api/findings")
	tag := first.Header().Get("ETag")
	if again := request(h, http.MethodGet, "/api/findings", "If-None-Match", "W/"+tag); tag == "" || again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("with tag %q the answer is %d with %d bytes", tag, again.Code, again.Body.Len())
	}
	put(t, a.Store, graph.SummaryKey("github-org-1", "github-1-dependabot-2"), graph.KindSummary, graph.Summary{ID: "github-1-dependabot-2", State: graph.Open, Rank: "P2"})
	if changed := request(h, http.MethodGet, "/api/findings", "If-None-Match", tag); changed.Code != http.StatusOK {
		t.Errorf("after a change the answer is %d", changed.Code)
	}
}

func TestFileIsInertAndWhole(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	for n := range 450 {
		id := graph.FindingID(fmt.Sprintf("github-1-dependabot-%d", n+2))
		put(t, a.Store, graph.SummaryKey("github-org-1", id), graph.KindSummary, graph.Summary{ID: id, State: graph.Open, Tier: graph.P2, Rank: fmt.Sprintf("P2-%04d", n), Title: "@sum"})
	}
	lines, err := csv.NewReader(request(a.Handler(), http.MethodGet, "/api/findings.csv").Body).ReadAll()
	if err != nil || len(lines) != 452 {
		t.Fatalf("%d lines, %v; want 452", len(lines), err)
	}
	if lines[1][8] != "'=cmd()" || lines[2][8] != "'@sum" {
		t.Errorf("a spreadsheet would run %q, %q", lines[1][8], lines[2][8])
	}
}

func TestPictures(t *testing.T) {
	a := newAPI(t)
	populate(t, a.Store)
	svg := request(a.Handler(), http.MethodGet, "/api/graph?from=repository:acme/api&format=svg")
	d := xml.NewDecoder(svg.Body)
	texts := ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := token.(xml.CharData); ok {
			texts += string(c) + "\n"
		}
	}
	for _, want := range []string{"acme/api", "r.example/<api>&", "Internet-exposed"} {
		if !strings.Contains(texts, want) {
			t.Errorf("the picture does not show %s", want)
		}
	}
	if dot := request(a.Handler(), http.MethodGet, "/api/graph?from=workload:w-1&format=dot"); !strings.Contains(dot.Body.String(), `"workload:w-1" -> "factor:internet-exposed"`) && !strings.Contains(dot.Body.String(), `-> "workload:w-1"`) {
		t.Errorf("no edge in %s", dot.Body)
	}
}

func TestFormsComeBackToTheirPage(t *testing.T) {
	a := newAPI(t)
	h := a.Handler()
	for _, c := range []struct{ path, to, site, where string }{
		{"/api/parked/p1/replay", "/parked", "same-origin", "/parked"},
		{"/api/parked/p2/replay", "/parked", "same-origin", "/parked"},
		{"/api/plan?most=100", "/plan", "same-origin", "/plan"},
		{"/api/parked/p1/replay", "//evil.example", "same-origin", ""},
		{"/api/parked/p1/replay", "https://evil.example", "same-origin", ""},
		{"/api/parked/p1/replay", "/parked", "cross-site", ""},
	} {
		r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader("return="+c.to))
		r.Host = "127.0.0.1"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", c.site)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got, action, _ := strings.Cut(w.Header().Get("Location"), "?action=")
		if got != c.where || (c.where != "") != (action != "") {
			t.Errorf("%+v leads to %q (%d)", c, w.Header().Get("Location"), w.Code)
		}
		if c.site == "cross-site" && w.Code != http.StatusForbidden {
			t.Errorf("another site may act: %d", w.Code)
		}
	}
	if n := len(a.Letters.(*box).replayed); n != 3 {
		t.Errorf("replayed %d times, want 3", n)
	}
}

// Paging shows every finding that stands all the time exactly once, while others come and go.
func TestPagingMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := graph.NewMemory()
		put(t, s, graph.StateKey(graph.OrgsPartition, "github-org-1"), "org", graph.Org{ID: "github-org-1"})
		a := &API{Store: s, Access: Access{Local: true}, Log: slog.New(slog.DiscardHandler)}
		h := a.Handler()
		line := func(id string) {
			put(t, s, graph.SummaryKey("github-org-1", graph.FindingID(id)), graph.KindSummary, graph.Summary{ID: graph.FindingID(id), State: graph.Open, Rank: id})
		}
		ranks := rapid.SliceOfNDistinct(rapid.StringMatching(`P[0-4]-[0-9]{3}`), 0, 40, rapid.ID).Draw(t, "standing")
		for _, r := range ranks {
			line(r + "-stays")
		}
		limit, seen := rapid.IntRange(1, 9).Draw(t, "limit"), []string{}
		for path := fmt.Sprintf("/api/findings?limit=%d", limit); ; {
			var answer list[graph.Summary]
			if err := json.Unmarshal(request(h, http.MethodGet, path).Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			for _, i := range answer.Items {
				seen = append(seen, string(i.ID))
			}
			if answer.Next == "" {
				break
			}
			line(rapid.StringMatching(`P[0-4]-[0-9]{3}-new`).Draw(t, "new"))
			path = fmt.Sprintf("/api/findings?limit=%d&cursor=%s", limit, answer.Next)
		}
		for _, r := range ranks {
			if n := len(slices.DeleteFunc(slices.Clone(seen), func(s string) bool { return s != r+"-stays" })); n != 1 {
				t.Fatalf("%s is shown %d times", r, n)
			}
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != len(seen) {
			t.Fatalf("a finding is shown twice: %v", seen)
		}
	})
}
