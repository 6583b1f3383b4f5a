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
	// Describe adds KEV, exploitation, automatability, impact and EPSS of the CVE to the inputs.
	Describe(cve string, in *decision.Inputs)
	// Version changes with each edition of a feed.
	Version() string
}

// Stage is the function prioritize.
type Stage struct {
	Store  graph.Store
	Policy func() *decision.Policy
	Feeds  intelligence // nil: no feed is connected
	Now    func() time.Time
	Log    *slog.Logger
}

// Handle decides what the event names.
func (s *Stage) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	var l event.Lag
	if err := e.Into(&l); err != nil {
		return nil, err
	}
	if !l.Repository.Valid() {
		return nil, event.Permanent(fmt.Errorf("prioritize %s: repository %q is not an identity", e.ID, l.Repository))
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
	if !l.Exposure {
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
	now      time.Time
	due      map[graph.RemediationID]bool
	events   []event.Event
}

func (s *Stage) round(ctx context.Context, l event.Lag) (*round, error) {
	x, err := graph.Get[graph.Exposure](ctx, s.Store, graph.ExposureKey(l.Repository))
	if err != nil {
		return nil, err
	}
	r := &round{Stage: s, exposure: x.Value, policy: s.Policy(), now: s.Now(), due: map[graph.RemediationID]bool{}}
	if x.Exists() {
		return r, nil
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

// decided notes that every finding was looked at under this exposure.
func (r *round) decided(ctx context.Context, version string) error {
	_, _, err := graph.Update(ctx, r.Store, graph.ExposureKey(r.exposure.Repository), graph.KindExposure, func(old graph.Versioned[graph.Exposure]) (graph.Exposure, bool, error) {
		next := old.Value
		if !old.Exists() || next.Version != version || next.Decided == version {
			return next, false, nil
		}
		next.Decided = version
		return next, true, nil
	})
	return err
}

// finding decides one finding, keeps its line in the worklist, and notes its remediation when that lags.
func (r *round) finding(ctx context.Context, id graph.FindingID) error {
	var was *graph.Decision
	now, changed, err := graph.Update(ctx, r.Store, graph.FindingKey(r.exposure.Repository, id), graph.KindFinding, func(old graph.Versioned[graph.Finding]) (graph.Finding, bool, error) {
		was = old.Value.Decision
		if !old.Exists() {
			return old.Value, false, nil
		}
		return r.decide(ctx, old.Value)
	})
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
	basis := graph.Basis{Subject: f.Subject(), Joined: graph.Version(f.Matches, f.Known), Exposure: r.exposure.Version, Policy: r.policy.Hash()}
	if r.Feeds != nil {
		basis.Feeds = r.Feeds.Version()
	}
	if f.Based == basis {
		return f, false, nil
	}
	f.Based = basis
	if f.State != graph.Open {
		return f, true, nil
	}
	next, decided, err := r.decision(f)
	if err != nil {
		return f, false, err
	}
	if !decided {
		f.Decision = nil
		return f, true, nil
	}
	f.Decision = &next
	return f, true, nil
}
