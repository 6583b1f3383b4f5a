package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/functions/api"
	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// quietAlerts are alerts of tier P3: of medium severity, on a workload that is known to be internal.
func quietAlerts(n int) []graph.Alert {
	var all []graph.Alert
	for i := range n {
		a := log4shell()
		a.Number, a.ID, a.Severity = i+1, graph.NewAlertID("github-4711", graph.Dependabot, i+1), "medium"
		d := *a.Dependency
		d.Package, d.CVEs, d.CVSS, d.EPSS = fmt.Sprintf("p%d", i), []string{fmt.Sprintf("CVE-2026-%05d", i)}, []string{"CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:L/A:L"}, nil
		a.Dependency = &d
		all = append(all, a)
	}
	return all
}

// guarded is a repository with some alerts of tier P3, under a policy that has just begun to ask for issues of that tier.
func guarded(t *testing.T, alerts int) *pipeline {
	p := newPipeline(t)
	p.policy.Assume.Unassessed = "none"
	w := running()
	w.Readings = []graph.Reading{{Factor: graph.InternetExposed, Source: "configuration", Says: graph.No, ReadAt: p.now}}
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Repositories: []graph.Repository{shop()}, Workloads: []graph.Workload{w}, Evidence: []graph.Evidence{built()},
		Artifacts: []graph.Artifact{{Digest: digestAPI, UpdatedAt: at}}})
	p.answer(digestAPI)
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Alerts: quietAlerts(alerts)})
	if n := len(p.tracker.issues); n != 0 {
		t.Fatalf("%d issues of tier P3", n)
	}
	stricter := *p.policy
	stricter.Tiers.P3 = decision.TierRule{Due: "upgrade", Actions: []string{decision.ActionIssue}}
	p.policy, p.now = &stricter, p.now.Add(time.Hour)
	p.settle([]event.Event{lag(t)})
	return p
}

// A new policy would open more issues than its guard lets through: all of them wait until a person approves.
func TestGuardHoldsBackWhatANewPolicyWouldOpen(t *testing.T) {
	const alerts = 60
	p := guarded(t, alerts)
	p.wait(graph.Quiet)
	if n := len(p.tracker.issues); n != 0 {
		t.Fatalf("%d issues were opened", n)
	}
	if s := p.summary("github-4711-dependabot-1"); s.Tier != graph.P3 {
		t.Errorf("the tier is %s: tiers change all the same", s.Tier)
	}
	p.settle([]event.Event{lag(t)}) // looking again opens nothing
	p.wait(time.Hour)
	if n := len(p.tracker.issues); n != 0 {
		t.Fatalf("%d issues", n)
	}
	cause := p.approve(t)
	if !strings.HasPrefix(cause, "policy sha256:") {
		t.Errorf("cause %q", cause)
	}
	if n := len(p.tracker.issues); n != alerts {
		t.Errorf("%d issues after the approval", n)
	}
	// What comes by itself is never held back.
	more := quietAlerts(alerts + 1)[alerts:]
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Alerts: more})
	if n := len(p.tracker.issues); n != alerts+1 {
		t.Errorf("%d issues after an alert of its own", n)
	}
}

// As many as the guard lets through are opened, once it is known that there are no more of them.
func TestGuardLetsThroughWhatANewPolicyOpens(t *testing.T) {
	const alerts = 50
	p := guarded(t, alerts)
	if n := len(p.tracker.issues); n != 0 {
		t.Errorf("%d issues before it is known how many there would be", n)
	}
	p.wait(graph.Quiet)
	if n := len(p.tracker.issues); n != alerts {
		t.Errorf("%d issues, the guard lets %d through", n, alerts)
	}
	p.settle([]event.Event{lag(t)})
	if n := len(p.tracker.issues); n != alerts || len(p.later) > 0 {
		t.Errorf("%d issues after another look", n)
	}
}

func lag(t *testing.T) event.Event {
	t.Helper()
	e, err := event.NewLag("/test", event.Lag{Repository: "github-4711", Exposure: true})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// approve lets a person approve of the one cause that holds issues back, and the stages go on.
func (p *pipeline) approve(t *testing.T) string {
	t.Helper()
	guards, err := graph.Graph{Store: p.store}.Guards(context.Background())
	if err != nil || len(guards) != 1 {
		t.Fatalf("guards %+v, %v", guards, err)
	}
	var said []event.Event
	a := api.API{Store: p.store, Access: api.Access{Local: true}, Now: func() time.Time { return p.now }, Log: slog.New(slog.DiscardHandler),
		Publish: func(_ context.Context, es []event.Event) error { said = append(said, es...); return nil }}
	ask := func(body string) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/api/guards/"+guards[0].ID+"/approve", strings.NewReader(body))
		a.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if code := ask(`{}`); code != http.StatusUnprocessableEntity {
		t.Errorf("an approval without a reason: %d", code)
	}
	if code := ask(`{"reason":"the team is ready"}`); code != http.StatusOK {
		t.Fatalf("approval: %d", code)
	}
	p.settle(said)
	return guards[0].Cause
}

// What was due with the next image, and is in an image that was deployed since, has missed an upgrade: the issue says so.
func TestFindingThatMissedAnUpgradeSaysSo(t *testing.T) {
	p := guarded(t, 1)
	p.wait(graph.Quiet)
	if n := len(p.tracker.issues); n != 1 || strings.Contains(p.tracker.issues[0].Body, decision.MissedUpgrade) {
		t.Fatalf("%d issues before the upgrade", n)
	}
	next := graph.Digest("sha256:" + strings.Repeat("b", 64))
	w, evidence := running(), built()
	w.UpdatedAt, w.Running, w.Readings = p.now, []graph.Running{{Digest: next, Image: "acr.example/shop/api@" + string(next)}}, []graph.Reading{{Factor: graph.InternetExposed, Source: "configuration", Says: graph.No, ReadAt: p.now}}
	evidence.Digest = next
	p.observe(graph.Observation{Source: "test", ObservedAt: p.now, Workloads: []graph.Workload{w}, Evidence: []graph.Evidence{evidence}})
	p.answer(next)
	if s := p.summary("github-4711-dependabot-1"); s.Tier != graph.P3 || s.Running != graph.Yes {
		t.Fatalf("after the upgrade: %+v", s)
	}
	if body := p.tracker.issues[0].Body; !strings.Contains(body, "It has missed an upgrade.") {
		t.Errorf("the issue does not say that it missed an upgrade:\n%s", body)
	}
}
