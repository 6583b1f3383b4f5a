// Package github is a small GitHub: REST, a little GraphQL, App authentication and webhooks, over one organisation.
//
// As GitHub does: App JWTs and installation tokens with permissions; page lists and cursor lists with Link headers and
// the filters of the alert lists; alerts, issues, comments, labels and assignees that change and stay changed; silent
// dropping of assignees who cannot be assigned; signed attestations, artifact metadata, campaigns; redirects after a rename;
// a coding agent that is assigned by a user's token only and opens one pull request; request limits and their headers; signed webhooks for everything that changes, sent once, recorded, redelivered on request.
//
// It does not: answer conditional requests, keep files other than CODEOWNERS, run workflows, search, or know more than one user's own token. Histories are linear, so compare never diverges.
package github

import (
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"throughline/infra/local/demo/authority"
	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/fault"
	"throughline/infra/local/demo/journal"
	"throughline/infra/local/demo/world"
)

// Server answers requests once Open has read its state; Run sends its webhooks.
type Server struct {
	world   *world.World
	journal *journal.Journal
	log     *slog.Logger
	clock   *fault.Clock
	faults  *fault.Switch
	limits  *limits
	key     *rsa.PrivateKey
	base    string // http://host:port
	hooks   *hooks
	// authority signs the attestations.
	authority *authority.Authority

	mu           sync.Mutex
	repos        []*repository
	byName       map[string]int // lower-case full name, old names included
	byID         map[int64]int
	books        [3]*book
	issues       map[int][]*Issue // by repository, in the order of their numbers
	records      map[string]*record
	campaigns    []*campaign
	installation installation
	nextID       int64
	requests     int64
}

// Config is what a server stands on. Base is the address it will be reached at.
type Config struct {
	World   *world.World
	Journal *journal.Journal
	Key     *rsa.PrivateKey
	Base    string
	Log     *slog.Logger
	// Authority signs the attestations.
	Authority *authority.Authority
}

// Open reads the state that the journal kept.
func Open(c Config) (*Server, error) {
	s := &Server{
		world: c.World, journal: c.Journal, key: c.Key, authority: c.Authority, base: c.Base, log: c.Log, clock: fault.NewClock(), faults: fault.NewSwitch(c.World.Seed),
		byName: map[string]int{}, byID: map[int64]int{}, issues: map[int][]*Issue{}, records: map[string]*record{},
	}
	s.limits = newLimits(s.clock)
	s.hooks = newHooks(s)
	for _, load := range []func() error{s.loadRepositories, s.loadAlerts, s.loadIssues, s.loadRecords, s.loadCampaigns, s.loadInstallation, s.hooks.load} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Handler serves everything: the API, the switches under /_ and, for people, an issue as a page.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux() // the demo's own switches; everything else is the API
	mux.Handle("/_faults", s.faults.Handler())
	mux.HandleFunc("/_limits", s.limits.serve)
	s.adminRoutes(mux)
	mux.HandleFunc("GET /_blobs/{digest}", s.bundleBlob)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.headers(w, "")
		write(w, problem(http.StatusNotFound, "Not Found"))
	})
	api := newRouter(mux)
	for _, r := range s.routes() {
		api.handle(r.pattern, s.serve(r))
	}
	api.handle("GET /{owner}/{repo}/issues/{number}", http.HandlerFunc(s.issuePage))
	return stripEnterprise(s.faults.Wrap(s.limits.wrap(api), s.faulty))
}

// stripEnterprise accepts the paths that clients use for GitHub Enterprise Server.
func stripEnterprise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := strings.CutPrefix(r.URL.Path, "/api/v3/"); ok {
			r.URL.Path, r.URL.RawPath = "/"+p, strings.TrimPrefix(r.URL.RawPath, "/api/v3")
		} else if r.URL.Path == "/api/graphql" {
			r.URL.Path = "/graphql"
		}
		next.ServeHTTP(w, r)
	})
}

// audience says who may call a route.
type audience int

const (
	anyone audience = iota
	app
	installed
)

type route struct {
	pattern string
	who     audience
	needs   string // permission=level, as X-Accepted-GitHub-Permissions shows it
	handle  func(*call) reply
}

func (s *Server) routes() []route {
	const metadata = "metadata=read"
	return []route{
		{"GET /app", app, "", s.getApp},
		{"GET /app/installations", app, "", s.listInstallations},
		{"GET /app/installations/{id}", app, "", s.getInstallation},
		{"POST /app/installations/{id}/access_tokens", app, "", s.createToken},
		{"GET /orgs/{org}/installation", app, "", s.getInstallation},
		{"GET /app/hook/deliveries", app, "", s.listDeliveries},
		{"GET /app/hook/deliveries/{id}", app, "", s.getDelivery},
		{"POST /app/hook/deliveries/{id}/attempts", app, "", s.redeliver},
		{"GET /rate_limit", anyone, "", s.rateLimit},
		{"GET /meta", anyone, "", s.meta},
		{"POST /graphql", installed, "", s.graphql},

		{"GET /installation/repositories", installed, metadata, s.installationRepositories},
		{"GET /orgs/{org}/repos", installed, metadata, s.orgRepositories},
		{"GET /repos/{owner}/{repo}", installed, metadata, s.getRepository},
		{"GET /repositories/{id}", installed, metadata, s.getRepository},
		{"GET /orgs/{org}/properties/values", installed, "organization_custom_properties=read", s.orgProperties},
		{"GET /repos/{owner}/{repo}/properties/values", installed, metadata, s.repoProperties},
		{"GET /orgs/{org}/teams/{slug}/members", installed, "members=read", s.teamMembers},
		{"GET /repos/{owner}/{repo}/contents/{path...}", installed, "contents=read", s.contents},
		{"GET /repos/{owner}/{repo}/codeowners/errors", installed, "contents=read", s.ownersErrors},
		{"GET /repos/{owner}/{repo}/commits", installed, "contents=read", s.listCommits},
		{"GET /repos/{owner}/{repo}/commits/{ref}", installed, "contents=read", s.getCommit},
		{"GET /repos/{owner}/{repo}/compare/{basehead...}", installed, "contents=read", s.compare},

		{"GET /orgs/{org}/code-scanning/alerts", installed, "security_events=read", s.orgAlerts(estate.CodeScanning)},
		{"GET /orgs/{org}/dependabot/alerts", installed, "vulnerability_alerts=read", s.orgAlerts(estate.Dependabot)},
		{"GET /orgs/{org}/secret-scanning/alerts", installed, "secret_scanning_alerts=read", s.orgAlerts(estate.SecretScanning)},
		{"GET /repos/{owner}/{repo}/code-scanning/alerts", installed, "security_events=read", s.repoAlerts(estate.CodeScanning)},
		{"GET /repos/{owner}/{repo}/dependabot/alerts", installed, "vulnerability_alerts=read", s.repoAlerts(estate.Dependabot)},
		{"GET /repos/{owner}/{repo}/secret-scanning/alerts", installed, "secret_scanning_alerts=read", s.repoAlerts(estate.SecretScanning)},
		{"GET /repos/{owner}/{repo}/code-scanning/alerts/{number}", installed, "security_events=read", s.getAlert(estate.CodeScanning)},
		{"GET /repos/{owner}/{repo}/dependabot/alerts/{number}", installed, "vulnerability_alerts=read", s.getAlert(estate.Dependabot)},
		{"GET /repos/{owner}/{repo}/secret-scanning/alerts/{number}", installed, "secret_scanning_alerts=read", s.getAlert(estate.SecretScanning)},
		{"PATCH /repos/{owner}/{repo}/code-scanning/alerts/{number}", installed, "security_events=write", s.patchAlert(estate.CodeScanning)},
		{"PATCH /repos/{owner}/{repo}/dependabot/alerts/{number}", installed, "vulnerability_alerts=write", s.patchAlert(estate.Dependabot)},
		{"PATCH /repos/{owner}/{repo}/secret-scanning/alerts/{number}", installed, "secret_scanning_alerts=write", s.patchAlert(estate.SecretScanning)},
		{"GET /repos/{owner}/{repo}/code-scanning/alerts/{number}/instances", installed, "security_events=read", s.alertInstances},
		{"GET /repos/{owner}/{repo}/secret-scanning/alerts/{number}/locations", installed, "secret_scanning_alerts=read", s.secretLocations},

		{"GET /repos/{owner}/{repo}/issues", installed, "issues=read", s.listIssues},
		{"POST /repos/{owner}/{repo}/issues", installed, "issues=write", s.createIssue},
		{"GET /repos/{owner}/{repo}/issues/{number}", installed, "issues=read", s.getIssue},
		{"PATCH /repos/{owner}/{repo}/issues/{number}", installed, "issues=write", s.editIssue},
		{"GET /repos/{owner}/{repo}/issues/{number}/comments", installed, "issues=read", s.listComments},
		{"POST /repos/{owner}/{repo}/issues/{number}/comments", installed, "issues=write", s.createComment},
		{"GET /repos/{owner}/{repo}/issues/comments/{id}", installed, "issues=read", s.getComment},
		{"PATCH /repos/{owner}/{repo}/issues/comments/{id}", installed, "issues=write", s.editComment},
		{"GET /repos/{owner}/{repo}/issues/{number}/labels", installed, "issues=read", s.issueLabels},
		{"POST /repos/{owner}/{repo}/issues/{number}/labels", installed, "issues=write", s.addLabels},
		{"PUT /repos/{owner}/{repo}/issues/{number}/labels", installed, "issues=write", s.setLabels},
		{"DELETE /repos/{owner}/{repo}/issues/{number}/labels/{name}", installed, "issues=write", s.removeLabel},
		{"POST /repos/{owner}/{repo}/issues/{number}/assignees", installed, "issues=write", s.addAssignees},
		{"DELETE /repos/{owner}/{repo}/issues/{number}/assignees", installed, "issues=write", s.removeAssignees},
		{"GET /repos/{owner}/{repo}/assignees", installed, "issues=read", s.listAssignees},
		{"GET /repos/{owner}/{repo}/assignees/{login}", installed, "issues=read", s.checkAssignee},
		{"GET /repos/{owner}/{repo}/collaborators/{login}/permission", installed, "metadata=read", s.permission},

		{"GET /repos/{owner}/{repo}/attestations/{digest}", installed, "attestations=read", s.attestations},
		{"GET /orgs/{org}/attestations/{digest}", installed, "attestations=read", s.attestations},
		{"POST /orgs/{org}/attestations/bulk-list", installed, "attestations=read", s.attestationsBulk},
		{"GET /orgs/{org}/attestations/repositories", installed, "attestations=read", s.attestationRepositories},
		{"POST /orgs/{org}/artifacts/metadata/storage-record", installed, "artifact_metadata=write", s.storageRecord},
		{"POST /orgs/{org}/artifacts/metadata/deployment-record", installed, "artifact_metadata=write", s.deploymentRecord},
		{"POST /orgs/{org}/artifacts/metadata/deployment-record/cluster/{cluster}", installed, "artifact_metadata=write", s.clusterRecords},
		{"POST /orgs/{org}/artifacts/metadata/deployment-record/cluster/{cluster}/jobs", installed, "artifact_metadata=write", s.clusterJob},
		{"GET /orgs/{org}/artifacts/metadata/deployment-record/cluster/{cluster}/jobs/{job}", installed, "artifact_metadata=read", s.getJob},
		{"GET /orgs/{org}/artifacts/{digest}/metadata/deployment-records", installed, "artifact_metadata=read", s.listRecords("deployment")},
		{"GET /orgs/{org}/artifacts/{digest}/metadata/storage-records", installed, "artifact_metadata=read", s.listRecords("storage")},

		{"GET /orgs/{org}/campaigns", installed, "organization_campaigns=read", s.listCampaigns},
		{"POST /orgs/{org}/campaigns", installed, "organization_campaigns=write", s.createCampaign},
		{"GET /orgs/{org}/campaigns/{number}", installed, "organization_campaigns=read", s.getCampaign},
		{"PATCH /orgs/{org}/campaigns/{number}", installed, "organization_campaigns=write", s.editCampaign},
	}
}

// serve checks who calls and what for, then answers.
func (s *Server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.headers(w, rt.needs)
		s.limits.count(rt.pattern)
		c := &call{s: s, r: r, repo: -1}
		if bad := c.admit(rt); bad != nil {
			write(w, *bad)
			return
		}
		write(w, rt.handle(c))
	})
}

// headers sets what every answer carries.
func (s *Server) headers(w http.ResponseWriter, needs string) {
	s.mu.Lock()
	s.requests++
	n := s.requests
	s.mu.Unlock()
	h := w.Header()
	h.Set("X-Github-Request-Id", fmt.Sprintf("%04X:%06X:%08X", n&0xffff, s.clock.Now().Unix()&0xffffff, n))
	h.Set("X-Github-Media-Type", "github.v3; format=json")
	h.Set("X-Github-Api-Version-Selected", "2022-11-28")
	if needs != "" {
		h.Set("X-Accepted-Github-Permissions", needs)
	}
}

// Faults are the switches of this server.
func (s *Server) Faults() *fault.Switch { return s.faults }

// tx collects what one request changes: documents and webhooks become durable together, then the webhooks are sent.
type tx struct {
	s       *Server
	entries []journal.Entry
	queued  []*delivery
	keep    bool // the caller sends the webhooks and notes them itself
}

func (t *tx) put(key string, value any) {
	// The value is rendered now, because its owner may change it again before the batch is written.
	raw, err := json.Marshal(value)
	if err != nil {
		raw = nil
	}
	t.entries = append(t.entries, journal.Entry{Key: key, Value: json.RawMessage(raw)})
}

// commit makes the changes durable; the caller holds s.mu. After an error the state in memory may be ahead of the disk,
// which the answer then says.
func (t *tx) commit() error {
	if len(t.entries) == 0 {
		return nil
	}
	if err := t.s.journal.Put(t.entries...); err != nil {
		return err
	}
	t.s.hooks.enqueue(t.queued)
	return nil
}
