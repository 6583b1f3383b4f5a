// Package azure is a small Azure: Resource Graph over the workloads and Defender findings of an estate, governance
// assignments, and the registries that hold its images.
//
// As Azure does: Kusto queries with strict property names; paging by $skipToken, which comes only when id is projected and
// is the only sign that more follows (resultTruncated says "false" all the same); 100 rows a page unless asked, 1,000 at
// most; 15 queries in 5 seconds with quota headers; scopes, CVE details at tenant scope only; lower-case row ids beside
// mixed-case ids inside; governance assignments by PUT; registries by the OCI distribution API.
//
// It does not: check tokens (any bearer token, or none, on loopback), join tables, push images, or know resources other
// than those that run containers.
package azure

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/fault"
	"throughline/infra/local/demo/journal"
	"throughline/infra/local/demo/world"
)

// Server answers requests. It has no goroutines of its own.
type Server struct {
	world   *world.World
	journal *journal.Journal
	log     *slog.Logger
	clock   *fault.Clock
	faults  *fault.Switch
	quota   *quota
	paths   []estate.AttackPath
	crossed map[int][]int // attack paths by workload

	environments []string // of the Container Apps

	mu          sync.Mutex
	assignments map[string]*assignment // by lower-case id
	listed      []*assignment          // in the order of ids, until one changes
	version     int                    // of the assignments
	tables      map[string]*table
	results     map[string]*result
}

// Config is what a server stands on.
type Config struct {
	World   *world.World
	Journal *journal.Journal
	Log     *slog.Logger
}

// Open reads the state that the journal kept.
func Open(c Config) (*Server, error) {
	s := &Server{
		world: c.World, journal: c.Journal, log: c.Log, clock: fault.NewClock(), faults: fault.NewSwitch(c.World.Seed + 1),
		assignments: map[string]*assignment{}, tables: map[string]*table{}, results: map[string]*result{},
	}
	s.quota = newQuota(s.clock)
	s.paths, s.crossed = s.world.AttackPaths(), map[int][]int{}
	for n, p := range s.paths {
		s.crossed[p.Workload] = append(s.crossed[p.Workload], n)
	}
	for i, w := range s.world.Workloads {
		if open, internal := s.environmentsOf(i); w.IsContainerApp() {
			s.environments = append(s.environments, open, internal)
		}
	}
	slices.Sort(s.environments)
	s.environments = slices.Compact(s.environments)
	return s, s.loadAssignments()
}

// Faults are the switches of this server.
func (s *Server) Faults() *fault.Switch { return s.faults }

// Handler serves ARM, the registries under /v2/ and the switches under /_.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/_faults", s.faults.Handler())
	mux.HandleFunc("/_limits", s.quota.serve)
	mux.HandleFunc("GET /_demo/workloads", s.adminWorkloads)
	mux.HandleFunc("POST /_demo/workloads/{workload}", s.adminWorkload)
	mux.HandleFunc("/v2/", s.registry)
	mux.HandleFunc("/", s.arm)
	return s.faults.Wrap(mux, s.faulty)
}

// arm routes what net/http's patterns cannot: ids of any depth and any case.
func (s *Server) arm(w http.ResponseWriter, r *http.Request) {
	path := strings.ToLower(strings.TrimSuffix(r.URL.Path, "/"))
	if r.URL.Query().Get("api-version") == "" {
		fail(w, http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
		return
	}
	switch {
	case path == "/providers/microsoft.resourcegraph/resources" && r.Method == http.MethodPost:
		s.resourceGraph(w, r)
	case strings.Contains(path, "/providers/microsoft.security/assessments/") && strings.Contains(path, "/governanceassignments"):
		s.governance(w, r)
	default:
		fail(w, http.StatusNotFound, "InvalidResourceType", "The resource type could not be found at '"+r.URL.Path+"'.")
	}
}

func write(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a client that left is no business of ours
}

func fail(w http.ResponseWriter, status int, code, message string) {
	write(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func (s *Server) faulty(w http.ResponseWriter, r *http.Request, rule *fault.Rule) {
	code := map[int]string{401: "InvalidAuthenticationToken", 403: "AuthorizationFailed", 429: "RateLimiting", 503: "ServiceUnavailable"}[rule.Status]
	if code == "" {
		code = "InternalServerError"
	}
	message := rule.Message
	if message == "" {
		message = http.StatusText(rule.Status)
	}
	if rule.Status == http.StatusTooManyRequests {
		w.Header().Set("X-Ms-User-Quota-Remaining", "0")
		w.Header().Set("X-Ms-User-Quota-Resets-After", "00:00:05")
	}
	fail(w, rule.Status, code, message)
}
