package prioritize

import (
	"context"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// inventory is what each scope that lists what runs has said of a finding that no workload was seen to run: no, at its
// last complete reading. A round reads it once, and only when a finding asks. Without scopes to ask, the mark of the
// exposure alone counts.
func (r *round) inventory(ctx context.Context) ([]graph.Reading, error) {
	if r.scopes != nil {
		return r.scopes, nil
	}
	if len(r.Inventory) == 0 && r.exposure.Inventory {
		r.scopes = []graph.Reading{{Source: inventorySource, Says: graph.No, ReadAt: r.now}}
	}
	for _, id := range r.Inventory {
		scope, err := graph.Get[graph.Scope](ctx, r.Store, graph.ScopeKey(id))
		if err != nil {
			return nil, err
		}
		reading := graph.Reading{Source: inventorySource, Path: id, ReadAt: scope.Value.StartedAt}
		if r.exposure.Inventory {
			reading.Says = graph.No
		}
		r.scopes = append(r.scopes, reading)
	}
	return r.scopes, nil
}

const inventorySource = "complete inventory, no workload runs it"

// absence is when the first scope of the inventory becomes too old to say what does not run; zero when none says so now.
func (r *round) absence() time.Time {
	var first time.Time
	for _, s := range r.scopes {
		if s.Path != "" && decision.Says(s, r.now, r.policy) == graph.No {
			first = earlier(first, r.old(s))
		}
	}
	return first
}

// old is when a reading becomes too old to say no.
func (r *round) old(s graph.Reading) time.Time {
	return s.ReadAt.AddDate(0, 0, r.policy.Windows.FactorDays).Add(time.Second)
}
