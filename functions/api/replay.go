package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// Replay is a decision of the past, decided again from its stored inputs under the policy of that time.
type Replay struct {
	Finding   graph.FindingID    `json:"finding"`
	At        time.Time          `json:"at"`
	Since     time.Time          `json:"since"` // it was first decided like this
	Until     time.Time          `json:"until,omitzero"`
	Published graph.Tier         `json:"published"`
	Tier      graph.Tier         `json:"tier"`
	Rule      string             `json:"rule"`
	Policy    string             `json:"policy"`
	Agrees    bool               `json:"agrees"`
	Workloads []ReplayedWorkload `json:"workloads"`
}

// ReplayedWorkload is the part of one workload.
type ReplayedWorkload struct {
	Workload graph.WorkloadID     `json:"workload,omitempty"`
	Name     string               `json:"name,omitempty"`
	Agrees   bool                 `json:"agrees"`
	Stored   decision.Explanation `json:"stored"`
	Replayed decision.Decision    `json:"replayed"`
}

// replayed answers GET /api/findings/{id}?at=<time>.
func (a *API) replayed(r *http.Request, id graph.FindingID, at string) (any, error) {
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return nil, userError{http.StatusBadRequest, fmt.Sprintf("at: %q is not a time like 2026-11-24T12:00:00Z", at)}
	}
	v, err := a.graph().Finding(r.Context(), id)
	if err != nil {
		return nil, err
	}
	d, until, err := a.graph().DecidedAt(r.Context(), v.Finding, when)
	if err != nil {
		return nil, err
	}
	out := Replay{Finding: id, At: when, Since: d.Since, Until: until, Published: d.Published, Tier: d.Tier, Rule: d.Rule, Agrees: true}
	policies := map[string]*decision.Policy{}
	for _, w := range d.Workloads {
		one, err := a.replayWorkload(r.Context(), w, policies)
		if err != nil {
			return nil, err
		}
		out.Workloads = append(out.Workloads, one)
		out.Agrees, out.Policy = out.Agrees && one.Agrees, one.Stored.Data.Policy
	}
	return out, nil
}

func (a *API) replayWorkload(ctx context.Context, w graph.WorkloadDecision, policies map[string]*decision.Policy) (ReplayedWorkload, error) {
	out := ReplayedWorkload{Workload: w.Workload, Name: w.Name}
	if err := json.Unmarshal(w.Explanation, &out.Stored); err != nil {
		return out, fmt.Errorf("explanation of workload %s: %w", w.Workload, err)
	}
	p, err := a.policyOf(ctx, out.Stored.Data.Policy, policies)
	if err != nil {
		return out, err
	}
	out.Replayed = decision.Decide(out.Stored.Inputs, p)
	// The date hangs on when the tier was reached, not on the inputs.
	out.Replayed.DueAt = out.Stored.Decision.DueAt
	out.Agrees, err = same(out.Stored.Decision, out.Replayed)
	return out, err
}

// same compares two decisions as they are stored.
func same(a, b decision.Decision) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}

// policyOf reads a policy of the past by its hash.
func (a *API) policyOf(ctx context.Context, hash string, known map[string]*decision.Policy) (*decision.Policy, error) {
	if p := known[hash]; p != nil {
		return p, nil
	}
	kept, err := graph.Get[decision.Policy](ctx, a.Store, graph.PolicyKey(hash))
	if err != nil {
		return nil, err
	}
	if !kept.Exists() || kept.Value.Hash() != hash {
		return nil, fmt.Errorf("policy %s: %w", hash, graph.ErrNotFound)
	}
	known[hash] = &kept.Value
	return &kept.Value, nil
}
