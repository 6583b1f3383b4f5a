// Package webhook verifies GitHub's deliveries and turns them into observations of the graph.
//
// A payload is a hint: what it leaves out is asked for by a collection that follows, and newest wins settles the order.
// Actions that the package does not know are read like any other; of events that nobody handles only the syntax is checked. A
// fact that makes no sense is skipped and counted, only a body that is no JSON object is refused.
package webhook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// Source names this source in observations, API the source that is asked for what a webhook leaves out.
const (
	Source = "github-webhook"
	API    = "github"
)

// Decoder turns deliveries into observations.
type Decoder struct {
	// Host is the key of the GitHub host in identities, see github.HostKey.
	Host string
	// AppID and AppSlug tell our own writes from those of others. When both are unset every issue counts as ours.
	AppID   int64
	AppSlug string
}

// Result is what a delivery says.
type Result struct {
	Observation graph.Observation
	// Follow are collections that complete what the delivery leaves out.
	Follow []graph.Collection
	// Handled is false for an event that nobody handles; of its body only the syntax was checked.
	Handled bool
	Action  string
	// Installation is the GitHub App installation that the delivery names, 0 when it names none.
	Installation int64
	// Skipped counts facts that made no sense, by reason.
	Skipped map[string]int
}

// events is the table of events: who turns the payload into nouns. What is missing here is accepted and not read.
var events = map[string]func(*payload, *Result){
	"code_scanning_alert":            sayAlert,
	"dependabot_alert":               sayAlert,
	"secret_scanning_alert":          sayAlert,
	"secret_scanning_alert_location": sayAlert,
	"repository_vulnerability_alert": sayLegacyAlert,
	"repository":                     sayRepository,
	"package":                        sayPackage,
	"registry_package":               sayPackage,
	"workflow_run":                   sayWorkflowRun,
	"push":                           sayPush,
	"issues":                         sayIssue,
	"issue_comment":                  sayComment,
	"pull_request":                   sayPullRequest,
	"installation":                   sayInstallation,
	"installation_repositories":      sayInstallationRepositories,
	"meta":                           sayMeta,
	"ping":                           func(*payload, *Result) {},
}

// Events lists the events that are handled, sorted.
func Events() []string { return slices.Sorted(maps.Keys(events)) }

// Decode reads a delivery that was verified. now is when it arrived. Every error is a *Refusal: the body is no JSON
// object.
func (d Decoder) Decode(delivery Delivery, body []byte, now time.Time) (Result, error) {
	if len(body) == 0 {
		return Result{}, malformed("the body is empty")
	}
	say, handled := events[delivery.Event]
	if !handled {
		// Its content does not matter, but what is cut off or is no JSON at all was not sent by GitHub.
		if err := scan.Check(body); err != nil {
			return Result{}, syntax(err)
		}
		return Result{}, nil
	}
	p := payload{decoder: d, event: delivery.Event, now: now}
	if err := p.read(body); err != nil {
		return Result{}, err
	}
	r := Result{Handled: true, Action: p.action, Installation: p.installation.id}
	r.Observation = graph.Observation{Source: Source, ObservedAt: now}
	say(&p, &r)
	return r, nil
}

func (r *Result) skip(reason string) {
	if r.Skipped == nil {
		r.Skipped = map[string]int{}
	}
	r.Skipped[reason]++
}

func (r *Result) follow(format string, args ...any) {
	r.Follow = append(r.Follow, graph.Collection{Source: API, Scope: fmt.Sprintf(format, args...)})
}

func syntax(err error) error {
	var s *scan.SyntaxError
	if errors.As(err, &s) {
		return &Refusal{Reason: "the body is not valid JSON", Detail: s.Error()}
	}
	return err
}
