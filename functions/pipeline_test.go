package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/functions/assign"
	"throughline/functions/correlate"
	"throughline/functions/prioritize"
	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// pipeline runs the stages in one process over the memory store, in the order in which events are said.
type pipeline struct {
	t         testing.TB
	said      func(event.Event) // hears every message; nil: nobody does
	store     graph.Store
	now       time.Time
	policy    *decision.Policy
	tracker   *tracker
	correlate *correlate.Stage
	stages    map[string]func(context.Context, event.Event) ([]event.Event, error)
	asked     []graph.Collection
	later     []event.Event // what assign hears when its time has come
	handled   map[string]int
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	return newPipelineOver(t, graph.NewMemory())
}

func newPipelineOver(t testing.TB, store graph.Store) *pipeline {
	t.Helper()
	p := &pipeline{t: t, store: store, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), tracker: &tracker{}, handled: map[string]int{}}
	clock := func() time.Time { return p.now }
	p.policy = decision.DefaultPolicy()
	policy := func() *decision.Policy { return p.policy }
	log := slog.New(slog.DiscardHandler)
	p.correlate = &correlate.Stage{Store: p.store, Now: clock, Log: log}
	p.stages = map[string]func(context.Context, event.Event) ([]event.Event, error){
		"correlate":  p.correlate.Handle,
		"prioritize": (&prioritize.Stage{Store: p.store, Policy: policy, Now: clock, Log: log}).Handle,
		"assign": (&assign.Stage{Store: p.store, Tracker: p.tracker, Policy: policy, Mode: assign.Auto,
			Marker: assign.Marker{Key: []byte("0123456789abcdef")}, Process: "test", Now: clock, Log: log}).Handle,
		"collect": func(_ context.Context, e event.Event) ([]event.Event, error) {
			var c graph.Collection
			err := e.Into(&c)
			p.asked = append(p.asked, c)
			return nil, err
		},
	}
	return p
}

// observe says an observation and lets the stages work until nothing is left to say.
func (p *pipeline) observe(o graph.Observation) {
	p.t.Helper()
	events, err := event.NewObserved("/test", o, -1)
	if err != nil {
		p.t.Fatal(err)
	}
	p.settle(events)
}

// answer lets every source that was asked about a digest have nothing to say.
func (p *pipeline) answer(d graph.Digest) {
	p.observe(graph.Observation{Source: "github", ObservedAt: p.now, Answered: []graph.Digest{d}})
	for _, c := range p.asked {
		if strings.HasSuffix(c.Scope, string(d)) {
			p.observe(graph.Observation{Source: c.Source, ObservedAt: p.now, Scope: &graph.Scope{ID: c.Source + " " + c.Scope, Run: "answer", StartedAt: p.now, Complete: true}})
		}
	}
}

func (p *pipeline) settle(events []event.Event) {
	p.t.Helper()
	for n := 0; len(events) > 0; n++ {
		if n > 10_000 {
			p.t.Fatalf("the stages do not come to rest: %+v", events[0])
		}
		e := events[0]
		if e.Type == event.Prioritized && e.NotBefore.After(p.now) {
			p.later, events = append(p.later, e), events[1:]
			continue
		}
		route, ok := event.RouteOf(e.Type)
		if !ok {
			p.t.Fatalf("no route for %s", e.Type)
		}
		p.handled[route.HeardBy]++
		if p.said != nil {
			p.said(e)
		}
		said, err := p.stages[route.HeardBy](context.Background(), e)
		if err != nil {
			p.t.Fatalf("%s: %v", route.HeardBy, err)
		}
		events = append(events[1:], said...)
	}
}

// wait lets time pass, and the stages hear what was to come in it.
func (p *pipeline) wait(d time.Duration) {
	p.t.Helper()
	p.now = p.now.Add(d)
	due := p.later
	p.later = nil
	p.settle(due)
}

func (p *pipeline) summary(id graph.FindingID) graph.Summary {
	p.t.Helper()
	items, _, err := graph.Worklist(context.Background(), p.store, graph.Filter{State: graph.AllStates, Limit: 200})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, i := range items {
		if i.ID == id {
			return i
		}
	}
	p.t.Fatalf("finding %s is not in the worklist", id)
	return graph.Summary{}
}

// tracker is an organisation's issues, as far as assign sees them.
type tracker struct {
	mu     sync.Mutex
	issues []graph.Issue
	edits  int
	// lose makes the next creations take effect and still answer an error.
	lose int
}

func (k *tracker) CreateIssue(_ context.Context, r graph.Repository, d graph.IssueDraft) (graph.Issue, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := graph.Issue{Repository: r.ID, Number: len(k.issues) + 1, State: "open", Title: d.Title, Body: d.Body, Labels: d.Labels, Assignees: d.Assignees, URL: fmt.Sprintf("https://github.example/%s/issues/%d", r.FullName(), len(k.issues)+1)}
	k.issues = append(k.issues, i)
	if k.lose > 0 {
		k.lose--
		return graph.Issue{}, fmt.Errorf("connection reset")
	}
	return i, nil
}

func (k *tracker) EditIssue(_ context.Context, _ graph.Repository, number int, e graph.IssueEdit) (graph.Issue, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := &k.issues[number-1]
	if e.Title != nil {
		i.Title = *e.Title
	}
	if e.Body != nil {
		i.Body = *e.Body
	}
	if e.Labels != nil {
		i.Labels = e.Labels
	}
	k.edits++
	return *i, nil
}

func (k *tracker) FindIssues(_ context.Context, r graph.Repository, _ time.Time) ([]graph.Issue, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var own []graph.Issue
	for _, i := range k.issues {
		if i.Repository == r.ID {
			own = append(own, i)
		}
	}
	return own, nil
}

var (
	digestAPI = graph.Digest("sha256:" + strings.Repeat("a", 64))
	at        = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
)

func shop() graph.Repository {
	return graph.Repository{ID: "github-4711", Org: "github-org-1", Owner: "shop", Name: "api", Visibility: "private", URL: "https://github.com/shop/api", UpdatedAt: at}
}

func log4shell() graph.Alert {
	epss := 0.94
	return graph.Alert{ID: "github-4711-dependabot-88", Kind: graph.Dependabot, Repository: "github-4711", Number: 88, State: graph.Open, Title: "Remote code injection in Log4j",
		Severity: "critical", URL: "https://github.com/shop/api/security/dependabot/88", CreatedAt: at, UpdatedAt: at,
		Dependency: &graph.Dependency{Ecosystem: "maven", Package: "org.apache.logging.log4j:log4j-core", Manifest: "pom.xml", Scope: "runtime", GHSA: "GHSA-jfh8-c2jp-5v3q",
			CVEs: []string{"CVE-2021-44228"}, CVSS: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}, EPSS: &epss, FixedIn: "2.15.0"}}
}

func running() graph.Workload {
	path := "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/aks/namespaces/shop/deployments/api/containers/api"
	return graph.Workload{ID: graph.NewWorkloadID(path), Path: path, Name: "api", Kind: "Deployment", Cluster: "aks", Scope: "azure workloads", UpdatedAt: at,
		Running:  []graph.Running{{Digest: digestAPI, Image: "acr.example/shop/api@" + string(digestAPI)}},
		Readings: []graph.Reading{{Factor: graph.InternetExposed, Source: "mdc", Says: graph.Yes, Raw: "Exposure to the Internet", ReadAt: at.Add(96 * time.Hour)}, {Factor: graph.CriticalResource, Source: "mdc", Says: graph.Yes, ReadAt: at.Add(96 * time.Hour)}}}
}

func built() graph.Evidence {
	return graph.Evidence{Digest: digestAPI, Method: graph.AttestationRecord, Repository: "github-4711", Commit: "c0ffee", SeenAt: at}
}

func TestAlertBecomesAnIssueWithItsPath(t *testing.T) {
	p := newPipeline(t)
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}})
	if s := p.summary("github-4711-dependabot-88"); !strings.HasPrefix(s.Rule, "R8/") {
		t.Errorf("before anything is known of production the rule is %s, want R8/…", s.Rule)
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}})
	p.answer(digestAPI)
	s := p.summary("github-4711-dependabot-88")
	if s.Tier != graph.P0 || s.Rule == "" || s.Running != graph.Yes || s.WorkloadsAll != 1 || len(s.Risks) != 2 || s.Issue == 0 {
		t.Errorf("with an exposed workload: %+v", s)
	}
	if len(p.tracker.issues) != 1 {
		t.Fatalf("%d issues, want 1", len(p.tracker.issues))
	}
	body := p.tracker.issues[0].Body
	for _, want := range []string{"aks / api", "internet-exposed", "CVE-2021-44228", "2.15.0"} {
		if !strings.Contains(body, want) {
			t.Errorf("the issue does not say %q:\n%s", want, body)
		}
	}
}

func TestSameFactsInAnyOrderGiveTheSameGraph(t *testing.T) {
	parts := []graph.Observation{
		{Repositories: []graph.Repository{shop()}},
		{Alerts: []graph.Alert{log4shell()}},
		{Evidence: []graph.Evidence{built()}},
		{Workloads: []graph.Workload{running()}},
	}
	var first string
	for _, order := range [][]int{{0, 1, 2, 3}, {0, 3, 2, 1}, {0, 2, 1, 3}, {0, 3, 1, 2}} {
		p := newPipeline(t)
		for _, i := range order {
			parts[i].Source, parts[i].ObservedAt = "test", p.now
			p.observe(parts[i])
		}
		p.answer(digestAPI)
		s := p.summary("github-4711-dependabot-88")
		got := fmt.Sprint(s.Tier, s.Rule, s.Score, s.Risks, s.Workloads, s.Issue, len(p.tracker.issues))
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("order %v gives %s, the first gave %s", order, got, first)
		}
	}
}

func TestRepeatingEverythingSaysNothing(t *testing.T) {
	p := newPipeline(t)
	all := graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}}
	p.observe(all)
	p.answer(digestAPI)
	before, edits := p.handled["prioritize"]+p.handled["assign"], p.tracker.edits
	p.observe(all)
	if after := p.handled["prioritize"] + p.handled["assign"]; after != before {
		t.Errorf("repeating unchanged facts caused %d messages downstream", after-before)
	}
	if p.tracker.edits != edits || len(p.tracker.issues) != 1 {
		t.Errorf("repeating unchanged facts: %d edits more, %d issues", p.tracker.edits-edits, len(p.tracker.issues))
	}
}

func TestLostAnswerOfACreationOpensNoSecondIssue(t *testing.T) {
	p := newPipeline(t)
	p.tracker.lose = 1
	all := graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}}
	inner := p.stages["assign"]
	tries := 0
	p.stages["assign"] = func(ctx context.Context, e event.Event) ([]event.Event, error) {
		said, err := inner(ctx, e)
		if err != nil { // the host abandons the message and it comes again
			tries++
			return []event.Event{e}, nil
		}
		return said, nil
	}
	p.observe(all)
	p.answer(digestAPI)
	if tries == 0 || len(p.tracker.issues) != 1 {
		t.Errorf("%d failed tries, %d issues, want one issue", tries, len(p.tracker.issues))
	}
	if s := p.summary("github-4711-dependabot-88"); s.Issue != 1 {
		t.Errorf("the worklist does not know the issue: %+v", s)
	}
}

func TestRuntimeFindingIsKnownByItsAlert(t *testing.T) {
	p := newPipeline(t)
	seen := graph.RuntimeFinding{ID: "runtime-11111111-1111-1111-1111-111111111111", Assessment: "/x", Title: "Update log4j", Digest: digestAPI, Software: "log4j", FixedIn: "2.15.0",
		CVEs: []graph.CVE{{ID: "CVE-2021-44228", Severity: "Critical"}}, Severity: "Critical", State: graph.Open, UpdatedAt: at, FirstSeen: at}
	other := seen
	other.ID, other.Software, other.Title = "runtime-22222222-2222-2222-2222-222222222222", "openssl", "Update openssl"
	other.CVEs = []graph.CVE{{ID: "CVE-2022-3602", Severity: "High"}}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, RuntimeFindings: []graph.RuntimeFinding{seen, other}, Workloads: []graph.Workload{running()}})
	p.answer(digestAPI)
	if s := p.summary(seen.ID); !s.Unmapped {
		t.Errorf("a runtime finding without a repository is listed as mapped: %+v", s)
	}
	if len(p.tracker.issues) != 0 {
		t.Errorf("%d issues without a repository to open them on", len(p.tracker.issues))
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Alerts: []graph.Alert{log4shell()}})
	p.answer(digestAPI)
	if s := p.summary(seen.ID); s.Unmapped || !s.Known || s.Org != "github-org-1" {
		t.Errorf("after the mapping and the alert: %+v", s)
	}
	if s := p.summary(other.ID); s.Known || s.Issue == 0 {
		t.Errorf("the finding that no alert knows has no issue: %+v", s)
	}
	var titles []string
	for _, i := range p.tracker.issues {
		titles = append(titles, i.Title)
	}
	if len(titles) != 2 {
		t.Errorf("issues %q, want one for log4j and one for openssl", titles)
	}
}

func TestAbsenceRetiresOnlyWhatACompleteScopeMissed(t *testing.T) {
	p := newPipeline(t)
	p.correlate.Inventory = []string{"azure workloads"}
	w := running()
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{w}})
	p.answer(digestAPI)
	if len(p.tracker.issues) != 0 {
		t.Error("an issue was opened before the first inventory was complete")
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Scope: &graph.Scope{ID: "azure workloads", Run: "r0", StartedAt: p.now, Complete: true}})
	if len(p.tracker.issues) != 1 {
		t.Errorf("%d issues after the first inventory, want 1", len(p.tracker.issues))
	}
	gone := []graph.Absence{{Kind: graph.KindWorkload, ID: string(w.ID)}}
	p.now = p.now.Add(time.Hour)
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Absent: gone, Scope: &graph.Scope{ID: "azure workloads", Run: "r1", StartedAt: p.now}})
	if s := p.summary("github-4711-dependabot-88"); s.Running != graph.Yes {
		t.Fatalf("an incomplete scope retired a workload: %+v", s)
	}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Absent: gone, Scope: &graph.Scope{ID: "azure workloads", Run: "r1", StartedAt: p.now, Complete: true}})
	s := p.summary("github-4711-dependabot-88")
	if s.Running != graph.No || s.Rule != "R9" {
		t.Errorf("after the workload is gone: %+v", s)
	}
	if s.Tier != graph.P0 {
		t.Errorf("a drop shows after the quiet days only, but the published tier is %s", s.Tier)
	}
}
