package prioritize

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// decision asks the public rule once for each workload that runs the finding, or once when none is known.
func (r *round) decision(ctx context.Context, f *graph.Finding) (graph.Decision, bool, error) {
	base, decided := r.inputs(*f)
	if !decided {
		return graph.Decision{}, false, nil
	}
	where, err := r.reachOf(ctx, *f)
	if err != nil {
		return graph.Decision{}, false, err
	}
	base.Running = where.running
	if err := r.exempt(f, base, where); err != nil {
		return graph.Decision{}, false, err
	}
	base.Accepted = r.accepted(*f)
	all, err := r.explanations(*f, base, where)
	if err != nil {
		return graph.Decision{}, false, err
	}
	r.void(f, all)
	d, err := r.answer(*f, where, all)
	return d, true, err
}

func (r *round) explanations(f graph.Finding, base decision.Inputs, where reach) ([]decision.Explanation, error) {
	var all []decision.Explanation
	for _, w := range where.workloads {
		in := r.on(base, w, len(where.workloads))
		in.VEX = r.stated(f, where.imagesOn(w))
		all = append(all, r.explain.Explain(in))
	}
	if len(all) == 0 {
		base.VEX = r.stated(f, scanned(f))
		base.Workloads = decision.Fact{Value: strconv.Itoa(0), Source: "mapping graph"}
		all = append(all, r.explain.Explain(base))
	}
	for i := range all {
		if err := all[i].Inputs.Validate(); err != nil {
			return nil, fmt.Errorf("contradictory facts: %w", err)
		}
	}
	return all, nil
}

// answer makes the noun that is stored: the most urgent of all, with the others beside it.
func (r *round) answer(f graph.Finding, where reach, all []decision.Explanation) (graph.Decision, error) {
	slices.SortStableFunc(all, func(a, b decision.Explanation) int { return decision.Compare(a.Decision, b.Decision) })
	var ds []decision.Decision
	for _, e := range all {
		ds = append(ds, e.Decision)
	}
	top := decision.MostUrgent(ds)
	d := graph.Decision{Tier: top.Tier, Rule: top.Rule, Score: top.Score, Due: top.Due, Triage: top.Triage, Running: where.answer(), Based: f.Based, DecidedAt: r.now}
	published := r.stabilise(&d, f, decision.CauseOf(ds))
	d.Since = r.now
	upgraded(&d, f, where)
	d.Revisit, d.Expires = r.revisit(f, published), r.expiry(where)
	for _, e := range all {
		e.Published, e.DueAt = published, d.DueAt
		w, err := workloadDecision(e, nameIn(where, e))
		if err != nil {
			return d, err
		}
		d.Workloads = append(d.Workloads, w)
	}
	d.Version = versionOf(d)
	return d, nil
}

// nameIn is the workload's own name.
func nameIn(where reach, e decision.Explanation) string {
	for _, w := range where.workloads {
		if string(w.ID) == e.Workload {
			return w.Name
		}
	}
	return ""
}

func workloadDecision(e decision.Explanation, name string) (graph.WorkloadDecision, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return graph.WorkloadDecision{}, fmt.Errorf("store explanation: %w", err)
	}
	w := graph.WorkloadDecision{Workload: graph.WorkloadID(e.Workload), Name: name, Tier: e.Tier, Rule: e.Rule, Score: e.Score, Due: e.Due, Explanation: raw}
	for factor, f := range map[graph.Factor]decision.Fact{graph.InternetExposed: e.Inputs.Internet, graph.SensitiveData: e.Inputs.Sensitive,
		graph.CriticalResource: e.Inputs.Critical, graph.LateralMovement: e.Inputs.Lateral} {
		if f.Value == string(graph.Yes) {
			w.Factors = append(w.Factors, factor)
		}
	}
	slices.Sort(w.Factors)
	return w, nil
}

// stabilise adds what time does to a tier: a raise shows at once, a drop after the quiet days; due dates count from when
// a tier was reached.
func (r *round) stabilise(d *graph.Decision, f graph.Finding, cause decision.Cause) decision.Published {
	var history []graph.TierSpan
	reached := decision.Reached{}
	if f.Decision != nil && !f.Decision.Provisional {
		history, reached = f.Decision.History, decision.Reached(f.Decision.Reached)
	}
	changes := decision.Continue(changesOf(history), decision.TierChange{At: r.now, Tier: d.Tier, Cause: cause})
	now := decision.Reach(reached, changes)
	published := decision.PublishedAt(changes, r.now, r.policy.Hold())
	d.Provisional = r.exposure.Provisional
	d.Published = published.Tier
	clock := decision.Clock{Reached: now, Detected: f.FirstSeen}
	if r.Feeds != nil {
		clock.KEVAdded = r.Feeds.Listed(f.CVEs)
	}
	if due, dated := clock.Due(d.Published, r.policy); dated {
		d.DueAt = due
	}
	d.Reached = map[graph.Tier]time.Time(now)
	d.History = spans(decision.Compact(changes, r.now, r.policy.Hold()))
	return published
}

func changesOf(history []graph.TierSpan) []decision.TierChange {
	changes := make([]decision.TierChange, len(history))
	for i, h := range history {
		changes[i] = decision.TierChange{At: h.At, Tier: h.Tier, Cause: decision.Cause(h.Cause), By: h.By, Reason: h.Reason}
	}
	return changes
}

func spans(changes []decision.TierChange) []graph.TierSpan {
	out := make([]graph.TierSpan, len(changes))
	for i, c := range changes {
		out[i] = graph.TierSpan{At: c.At, Tier: c.Tier, Cause: string(c.Cause), By: c.By, Reason: c.Reason}
	}
	return out
}

// versionOf hashes what a decision says to a person; when it was made and how old its sources are does not count.
func versionOf(d graph.Decision) string {
	type line struct {
		Workload graph.WorkloadID
		Tier     graph.Tier
		Rule     string
		Score    int
		Factors  []graph.Factor
	}
	var lines []line
	for _, w := range d.Workloads {
		lines = append(lines, line{w.Workload, w.Tier, w.Rule, w.Score, w.Factors})
	}
	says := []any{d.Tier, d.Published, d.Rule, d.Score, d.Due, d.DueAt, d.Running, lines}
	if d.Missed {
		says = append(says, decision.MissedUpgrade)
	}
	return graph.Version(says...)
}
