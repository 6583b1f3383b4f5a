package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/functions/assign"
	"throughline/functions/resync"
	"throughline/shared/decision"
	"throughline/shared/graph"
)

// remarks counts the comments on issues.
type remarks struct{ made []string }

func (r *remarks) CommentIssue(_ context.Context, _ graph.Repository, number int, body string) error {
	r.made = append(r.made, fmt.Sprintf("#%d %s", number, body))
	return nil
}

// FindComments gives all of them: none was written by anybody else.
func (r *remarks) FindComments(context.Context, graph.Repository, int, time.Time) ([]string, error) {
	return r.made, nil
}

// TestFlappingExposureIsShownOnceUpAndOnceDown lets exposure come and go daily for thirty days, and looks for as long again
// at what people see: the tier of the finding, the issues, and the comments on them. The clock is the test's; the timer
// asks for what has aged, and every message goes through prioritize and assign.
func TestFlappingExposureIsShownOnceUpAndOnceDown(t *testing.T) {
	configuration := func(says graph.Answer) func(p *pipeline) graph.Observation {
		return func(p *pipeline) graph.Observation {
			w := running()
			w.UpdatedAt = p.now
			w.Readings = []graph.Reading{{Factor: graph.InternetExposed, Source: "configuration", Says: says, ReadAt: p.now}}
			return graph.Observation{Workloads: []graph.Workload{w}}
		}
	}
	gone := func(p *pipeline) graph.Observation {
		return graph.Observation{Absent: []graph.Absence{{Kind: graph.KindWorkload, ID: string(running().ID)}},
			Scope: &graph.Scope{ID: "azure workloads", Run: fmt.Sprint(p.now.Unix()), StartedAt: p.now, Complete: true}}
	}
	for name, c := range map[string]struct {
		begin   func(*pipeline) graph.Observation
		on, off func(*pipeline) graph.Observation
		want    []graph.Tier
	}{
		"the ingress comes and goes":  {configuration(graph.No), configuration(graph.Yes), configuration(graph.No), []graph.Tier{graph.P3, graph.P2, graph.P3}},
		"the workload comes and goes": {configuration(graph.Yes), configuration(graph.Yes), gone, []graph.Tier{graph.P4, graph.P2, graph.P4}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipeline(t)
			p.policy.Assume.Unassessed, p.policy.Floor = "none", "none"
			p.correlate.Inventory = []string{"azure workloads"}
			comments := &remarks{}
			policy, clock, log := func() *decision.Policy { return p.policy }, func() time.Time { return p.now }, slog.New(slog.DiscardHandler)
			p.stages["assign"] = (&assign.Stage{Store: p.store, Tracker: p.tracker, Speaker: comments, Policy: policy, Mode: assign.Auto,
				Marker: assign.Marker{Key: []byte("0123456789abcdef")}, Process: "test", Now: clock, Log: log}).Handle
			timer := &resync.Stage{Store: p.store, Now: clock, Log: log}

			see := func(o graph.Observation) {
				o.Source, o.ObservedAt = "test", p.now
				p.observe(o)
			}
			see(graph.Observation{Repositories: []graph.Repository{shop()}, Evidence: []graph.Evidence{built()}, Alerts: quietAlerts(1)})
			see(c.begin(p))
			p.answer(digestAPI)
			see(c.off(p))
			see(graph.Observation{Scope: &graph.Scope{ID: "azure workloads", Run: "first", StartedAt: p.now, Complete: true}})
			var shown []graph.Tier
			look := func() {
				if tier := p.summary("github-4711-dependabot-1").Tier; len(shown) == 0 || shown[len(shown)-1] != tier {
					shown = append(shown, tier)
				}
			}
			look()
			for hour := 1; hour <= 75*24; hour++ {
				p.now = p.now.Add(time.Hour)
				if day := hour / 24; hour%24 == 0 && day <= 30 {
					see([]func(*pipeline) graph.Observation{c.off, c.on}[day%2](p))
				} else if hour%24 == 0 {
					see(c.off(p))
				}
				due, err := timer.Tick(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				p.settle(due)
				look()
				if hour == 40*24 {
					want := fmt.Sprintf("computed `%s` today: %s from ", c.want[2], c.want[2])
					if body := p.tracker.issues[0].Body; !strings.Contains(body, want) {
						t.Errorf("while the drop is held the issue does not say %q:\n%s", want, body)
					}
				}
			}
			if !slices.Equal(shown, c.want) {
				t.Errorf("shown were %v, want %v", shown, c.want)
			}
			if len(p.tracker.issues) != 1 || len(comments.made) > 2 {
				t.Errorf("%d issues, comments %q; want one issue and at most two comments", len(p.tracker.issues), comments.made)
			}
		})
	}
}
