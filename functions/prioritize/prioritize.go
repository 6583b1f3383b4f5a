// Package prioritize decides every finding that lags behind its alert, its exposure or the policy.
//
// It gathers the facts, asks the public rule, and stores the answer with everything it was based on, so that an
// unchanged finding costs one read and any decision can be replayed. It emits the remediations that lag behind the
// decisions of their findings. It makes no rules of its own and opens no issues.
package prioritize

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// name is how the stage signs its events.
const name = "/functions/prioritize"

// pageSize is how many findings of a repository one message looks at when its exposure changed.
const pageSize = 50

// intelligence is what the public feeds say of a vulnerability. Facts that a feed does not give stay zero.
type intelligence interface {
	// Ready takes newer editions in, at once when now is true.
	Ready(ctx context.Context, now bool) error
	// Describe adds what the feeds say of the vulnerabilities, the most threatening of each fact, to the inputs.
	Describe(cves []string, in *decision.Inputs)
	// Version changes when what they say of these vulnerabilities does, as far as the policy can see it.
	Version(cves []string, p *decision.Policy) string
	// Listed is when the first of them entered KEV; zero when none did.
	Listed(cves []string) time.Time
}

// Stage is the function prioritize.
type Stage struct {
	Store  graph.Store
	Policy func() *decision.Policy
	Feeds  intelligence // nil: no feed is connected
	VEX    statements   // nil: no documents
	// Inventory are the ids of the scopes that together list everything that runs.
	Inventory []string
	Now       func() time.Time
	Log       *slog.Logger

	keeping sync.Mutex
	kept    string // hash of the policy that was last kept for replay
}

// Handle decides what the event names.
func (s *Stage) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	var l event.Lag
	if err := e.Into(&l); err != nil {
		return nil, err
	}
	if len(l.Others) == 0 {
		return s.lag(ctx, e.ID, l)
	}
	var out []event.Event
	for _, one := range l.Each() {
		said, err := s.lag(ctx, e.ID, one)
		if err != nil { // alone it comes again without holding up the others
			s.Log.WarnContext(ctx, "lag set apart", "repository", one.Repository, "why", err.Error())
			again, err := event.NewLag(name, one)
			if err != nil {
				return nil, err
			}
			said = []event.Event{again}
		}
		out = append(out, said...)
	}
	return out, nil
}

// lag decides what lags in one repository.
func (s *Stage) lag(ctx context.Context, id string, l event.Lag) ([]event.Event, error) {
	if !l.Repository.Valid() {
		return nil, event.Permanent(fmt.Errorf("prioritize %s: repository %q is not an identity", id, l.Repository))
	}
	r, err := s.round(ctx, l)
	if err != nil {
		return nil, fmt.Errorf("prioritize %s: %w", l.Repository, err)
	}
	if err := r.findings(ctx, l.Findings); err != nil {
		return nil, fmt.Errorf("prioritize %s: %w", l.Repository, err)
	}
	if err := r.bereaved(ctx, l.Remediations); err != nil {
		return nil, fmt.Errorf("prioritize %s: %w", l.Repository, err)
	}
	if !l.Exposure || l.Moved && l.Cursor == "" && !r.exposure.Lags() {
		return r.events, nil
	}
	if err := r.walk(ctx, l); err != nil {
		return nil, fmt.Errorf("prioritize %s: %w", l.Repository, err)
	}
	return r.events, nil
}

// round is the handling of one message: one repository, one exposure, one policy, one time.
type round struct {
	*Stage
	exposure graph.Exposure
	policy   *decision.Policy
	explain  decision.Explainer
	hash     string // of the policy
	now      time.Time
	scopes   []graph.Reading // of the inventory, once a finding has asked
	due      map[graph.RemediationID]bool
	events   []event.Event
	// relatives are the findings with a vulnerability, by side, that this round has asked for.
	relatives map[string][]graph.Finding
}

func (s *Stage) round(ctx context.Context, l event.Lag) (*round, error) {
	x, err := graph.Get[graph.Exposure](ctx, s.Store, graph.ExposureKey(l.Repository))
	if err != nil {
		return nil, err
	}
	r := &round{Stage: s, exposure: x.Value, policy: s.Policy(), now: s.Now(), due: map[graph.RemediationID]bool{}, relatives: map[string][]graph.Finding{}}
	r.explain, r.hash = decision.NewExplainer(r.policy), r.policy.Hash()
	if err := r.prepare(ctx, l.Feeds); err != nil || x.Exists() {
		return r, err
	}
	repository, err := graph.Get[graph.Repository](ctx, s.Store, graph.RepositoryKey(l.Repository))
	if err != nil {
		return nil, err
	}
	r.exposure = graph.Exposure{Repository: l.Repository, Org: repository.Value.Org, Public: repository.Value.Public()}
	if repository.Exists() {
		r.exposure.FullName = repository.Value.FullName()
	}
	return r, nil
}

func (r *round) findings(ctx context.Context, ids []graph.FindingID) error {
	for _, id := range ids {
		if err := r.finding(ctx, id); err != nil {
			return fmt.Errorf("finding %s: %w", id, err)
		}
	}
	return nil
}

// walk looks at one page of the repository's findings and asks for the next. When all were looked at under the
// exposure that the walk began with, the exposure no longer lags.
func (r *round) walk(ctx context.Context, l event.Lag) error {
	if l.Version == "" {
		l.Version = r.exposure.Version
	}
	q := graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(l.Repository), Kind: graph.KindFinding, OrderBy: "id", Limit: pageSize}
	if l.Cursor != "" {
		q.Where = []graph.Where{{Field: "id", Op: graph.Greater, Value: l.Cursor}}
	}
	page, cursor, err := graph.List[graph.Finding](ctx, r.Store, q)
	if err != nil {
		return err
	}
	for _, f := range page {
		if err := r.finding(ctx, f.ID); err != nil {
			return fmt.Errorf("finding %s: %w", f.ID, err)
		}
		l.Cursor = string(f.ID)
	}
	if cursor != "" || len(page) == pageSize {
		l.Findings, l.Remediations = nil, nil
		e, err := event.NewLag(name, l)
		r.events = append(r.events, e)
		return err
	}
	return r.decided(ctx, l.Version)
}

// decided notes that every finding was looked at under this exposure, and when its evidence must be looked at again.
func (r *round) decided(ctx context.Context, version string) error {
	if _, err := r.notSeen(ctx, r.exposure.Images); err != nil {
		return err
	}
	revisit := earlier(r.expiry(reach{workloads: r.exposure.Workloads}), r.absence())
	if !revisit.IsZero() && !revisit.Equal(r.exposure.Revisit) {
		if err := (graph.Revisit{Repository: r.exposure.Repository, At: revisit}).Note(ctx, r.Store); err != nil {
			return err
		}
	}
	_, _, err := graph.Update(ctx, r.Store, graph.ExposureKey(r.exposure.Repository), graph.KindExposure, func(old graph.Versioned[graph.Exposure]) (graph.Exposure, bool, error) {
		next := old.Value
		if !old.Exists() || next.Version != version || next.Decided == version && next.Revisit.Equal(revisit) {
			return next, false, nil
		}
		next.Decided, next.Revisit = version, revisit
		return next, true, nil
	})
	return err
}

// finding decides one finding, keeps its line in the worklist, and notes its remediation when that lags.
func (r *round) finding(ctx context.Context, id graph.FindingID) error {
	now, was, changed, err := r.renew(ctx, id)
	if err != nil || now.ID == "" {
		return err
	}
	return r.publish(ctx, now, was, changed)
}

// decide brings the decision up to date; false when nothing that it is based on has changed.
func (r *round) decide(ctx context.Context, f graph.Finding) (graph.Finding, bool, error) {
	if err := r.join(ctx, &f); err != nil {
		return f, false, err
	}
	basis := r.basis(f)
	if f.Based == basis && !(f.State == graph.Open && f.Decision.Aged(r.now)) {
		return f, false, nil
	}
	was := f.Based
	f.Based = basis
	if f.State != graph.Open {
		return f, true, nil
	}
	next, decided, err := r.decision(ctx, &f)
	if err != nil {
		return f, false, err
	}
	if !decided {
		f.Decision = nil
		return f, true, nil
	}
	before := f.Decision
	f.Decision = &next
	f.Based = r.basis(f)
	next.Wants = r.wantsIssue(f)
	next.Cause = r.cause(before, next, was, f.Based)
	f.Decision.Based = f.Based
	return f, true, nil
}

// basis is what a decision about the finding would be based on now.
func (r *round) basis(f graph.Finding) graph.Basis {
	b := graph.Basis{Subject: f.Subject(), Joined: graph.Version(f.Matches, f.Known), Exposure: r.exposure.Version, Number: r.exposure.Number, Policy: r.hash}
	if r.Feeds != nil {
		b.Feeds = r.Feeds.Version(f.CVEs, r.policy)
	}
	b.Stated = r.said(f)
	if f.Acceptance != nil {
		b.Accepted = graph.Version(f.Acceptance)
	}
	return b
}
