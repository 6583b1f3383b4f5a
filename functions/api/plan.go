package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// Plan is what a policy would change, without doing it.
type Plan struct {
	Policy   string             `json:"policy"`  // hash of the one asked about
	InForce  string             `json:"inForce"` // hash of the one in force
	Warnings []string           `json:"warnings,omitempty"`
	Findings int                `json:"findings"` // open and decided ones looked at
	Before   map[graph.Tier]int `json:"before"`
	After    map[graph.Tier]int `json:"after"`
	Changed  int                `json:"changed"` // findings that change tier
	Open     int                `json:"open"`    // issues that would open, change and close
	Change   int                `json:"change"`
	Close    int                `json:"close"`
	// Waits tells that more issues would open than the policy's guard lets through without approval.
	Waits  bool          `json:"waits"`
	Tiers  []TierPlan    `json:"tiers"`  // the most urgent first, at most those shown
	Issues []IssuePlan   `json:"issues"` // at most those shown
	Took   time.Duration `json:"tookNanoseconds"`
}

// TierPlan is one finding that would change tier.
type TierPlan struct {
	Finding    graph.FindingID    `json:"finding"`
	Repository graph.RepositoryID `json:"repository"`
	From       graph.Tier         `json:"from"`
	To         graph.Tier         `json:"to"`
	Rule       string             `json:"rule"`
}

// IssuePlan is one issue that would open, change or close.
type IssuePlan struct {
	Action      string              `json:"action"` // open, change, close
	Remediation graph.RemediationID `json:"remediation"`
	Repository  graph.RepositoryID  `json:"repository"`
	Issue       int                 `json:"issue,omitempty"`
	URL         string              `json:"url,omitempty"`
	From        graph.Tier          `json:"from,omitempty"`
	To          graph.Tier          `json:"to,omitempty"`
}

// shownPlans bounds the lists of an answer; the counts are whole.
const shownPlans = 1000

// largestPolicy is the largest policy file that is read.
const largestPolicy = 1 << 20

// PolicyErrors are the faults of a policy file, every one with its line.
type PolicyErrors []string

// Error gives one fault to a line.
func (p PolicyErrors) Error() string { return strings.Join(p, "\n") }

// plan answers POST /api/plan; the body is a policy file.
func (a *API) plan(r *http.Request) (any, error) {
	text, err := policyText(r)
	if err != nil {
		return nil, err
	}
	most, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("most"), strconv.Itoa(shownPlans)))
	if err != nil || most < 0 || most > shownPlans {
		return nil, userError{http.StatusBadRequest, fmt.Sprintf("most: want a number from 0 to %d", shownPlans)}
	}
	p, problems := decision.ParsePolicy(cmp.Or(r.URL.Query().Get("name"), "policy.yaml"), text)
	var faults PolicyErrors
	var warnings []string
	for _, problem := range problems {
		if problem.Warning {
			warnings = append(warnings, problem.String())
		} else {
			faults = append(faults, problem.String())
		}
	}
	if len(faults) > 0 {
		return nil, userError{http.StatusUnprocessableEntity, faults.Error()}
	}
	if a.Around != nil {
		around, err := a.Around(r.Context())
		if err != nil {
			return nil, err
		}
		for _, w := range p.Warnings(around) {
			warnings = append(warnings, w.String())
		}
	}
	if !slices.Equal(p.Acceptance.VEXAuthors, a.Policy().Acceptance.VEXAuthors) {
		warnings = append(warnings, "acceptance.vex_authors differs from the policy in force; what their VEX documents would lower is not part of this plan")
	}
	out, err := a.PlanPolicy(r.Context(), p)
	out.Warnings, out.Tiers, out.Issues = warnings, out.Tiers[:min(len(out.Tiers), most)], out.Issues[:min(len(out.Issues), most)]
	return out, err
}

// policyText is the body, or the field policy of a form.
func policyText(r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, largestAction))
	if err == nil && r.Header.Get("Content-Type") == formType {
		fields, _ := url.ParseQuery(string(text)) // what cannot be read is missing, and the policy says so
		text = []byte(strings.ReplaceAll(fields.Get("policy"), "\r\n", "\n"))
	}
	if err != nil || len(text) > largestPolicy {
		return nil, userError{http.StatusRequestEntityTooLarge, "a policy has at most 1 MB"}
	}
	return text, nil
}

// PlanPolicy decides every open finding again from its stored inputs under another policy, and writes nothing.
func (a *API) PlanPolicy(ctx context.Context, p *decision.Policy) (Plan, error) {
	began := time.Now()
	repositories, err := a.decidedRepositories(ctx)
	if err != nil {
		return Plan{}, err
	}
	work := planning{API: a, policy: p, inForce: a.Policy(), now: a.Now(), out: Plan{Policy: p.Hash(), Before: map[graph.Tier]int{}, After: map[graph.Tier]int{}}}
	work.out.InForce = work.inForce.Hash()
	work.recombine = p.Windows.FactorDays != work.inForce.Windows.FactorDays || !slices.Equal(p.NoFrom, work.inForce.NoFrom)
	if err := work.all(ctx, repositories); err != nil {
		return Plan{}, err
	}
	work.close()
	work.out.Took = time.Since(began)
	return work.out, nil
}

// decidedRepositories lists those that have findings: the known ones, and the stand-ins of images that map to none.
func (a *API) decidedRepositories(ctx context.Context) ([]graph.RepositoryID, error) {
	names, err := graph.Names(ctx, a.Store)
	if err != nil {
		return nil, err
	}
	seen := map[graph.RepositoryID]bool{}
	var all []graph.RepositoryID
	add := func(r graph.RepositoryID) {
		if r != "" && !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	for _, n := range names {
		add(n.Repository)
	}
	unmapped, err := graph.ListAll[graph.Summary](ctx, a.Store, graph.Query{Container: graph.WorklistContainer, Partition: string(graph.UnmappedOrg), Kind: graph.KindSummary, Limit: graph.MaxPage})
	for _, u := range unmapped {
		add(u.Repository)
	}
	return all, err
}

// planning is the making of one plan; out is guarded.
type planning struct {
	*API
	policy, inForce *decision.Policy
	now             time.Time
	recombine       bool // the evidence itself reads otherwise

	mu  sync.Mutex
	out Plan
}

// all goes through the repositories, a few at a time.
func (w *planning) all(ctx context.Context, repositories []graph.RepositoryID) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan graph.RepositoryID)
	faults := make([]error, 2*runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for i := range faults {
		group.Go(func() {
			for r := range queue {
				if err := w.repository(ctx, r); err != nil && faults[i] == nil {
					faults[i] = fmt.Errorf("plan %s: %w", r, err)
					stop()
				}
			}
		})
	}
	for _, r := range repositories {
		if ctx.Err() != nil {
			break
		}
		queue <- r
	}
	close(queue)
	group.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return ctx.Err()
}

// planned is a finding as far as a plan needs it; what is not named here is not decoded.
type planned struct {
	ID          graph.FindingID     `json:"id"`
	State       graph.AlertState    `json:"state"`
	Repository  graph.RepositoryID  `json:"repository"`
	Remediation graph.RemediationID `json:"remediation"`
	Known       []graph.FindingID   `json:"known"`
	Acceptance  *graph.Acceptance   `json:"acceptance"`
	Alert       *struct {
		Dependency *struct {
			FixedIn string `json:"fixedIn"`
		} `json:"dependency"`
	} `json:"alert"`
	Runtime *struct {
		FixedIn string `json:"fixedIn"`
	} `json:"runtime"`
	Decision *struct {
		Published   graph.Tier       `json:"published"`
		Score       int              `json:"score"`
		Due         string           `json:"due"`
		Provisional bool             `json:"provisional"`
		History     []graph.TierSpan `json:"history"`
		Workloads   []struct {
			Explanation struct {
				Inputs decision.Inputs `json:"inputs"`
			} `json:"explanation"`
		} `json:"workloads"`
	} `json:"decision"`
}

func (f *planned) fixExists() bool {
	switch {
	case f.Runtime != nil:
		return f.Runtime.FixedIn != ""
	case f.Alert != nil && f.Alert.Dependency != nil:
		return f.Alert.Dependency.FixedIn != ""
	}
	return true
}

// fix is what a policy makes of a remediation.
type fix struct {
	before, after   int // findings that ask for an issue
	was, is         graph.Tier
	wasScore, score int
	wasDue, due     string
	repository      graph.RepositoryID
	remediation     graph.RemediationID
}

// repository plans one repository.
func (w *planning) repository(ctx context.Context, r graph.RepositoryID) error {
	q := graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(r), Kind: graph.KindFinding, Limit: graph.MaxPage}
	exposure, err := w.exposure(ctx, r)
	if err != nil {
		return err
	}
	fixes := map[graph.RemediationID]*fix{}
	var local Plan
	local.Before, local.After = map[graph.Tier]int{}, map[graph.Tier]int{}
	for {
		page, cursor, err := graph.List[planned](ctx, w.Store, q)
		if err != nil {
			return err
		}
		for i := range page {
			w.finding(&page[i], exposure, &local, fixes)
		}
		if cursor == "" {
			break
		}
		q.Cursor = cursor
	}
	if err := w.issues(ctx, &local, fixes); err != nil {
		return err
	}
	w.add(local)
	return nil
}

// exposure is read only when the policy reads evidence otherwise.
func (w *planning) exposure(ctx context.Context, r graph.RepositoryID) (map[string][]graph.Reading, error) {
	if !w.recombine {
		return nil, nil
	}
	x, err := graph.Get[graph.Exposure](ctx, w.Store, graph.ExposureKey(r))
	readings := map[string][]graph.Reading{}
	for _, e := range x.Value.Workloads {
		readings[string(e.ID)] = e.Readings
	}
	return readings, err
}

// finding decides one finding again.
func (w *planning) finding(f *planned, readings map[string][]graph.Reading, out *Plan, fixes map[graph.RemediationID]*fix) {
	if f.State != graph.Open || f.Decision == nil {
		return
	}
	ds := w.decide(f, readings)
	top := decision.MostUrgent(ds)
	after := w.publish(f, decision.TierChange{At: w.now, Tier: top.Tier, Cause: decision.CauseOf(ds)})
	out.Findings++
	out.Before[f.Decision.Published]++
	out.After[after]++
	if after != f.Decision.Published {
		out.Changed++
		out.Tiers = append(out.Tiers, TierPlan{f.ID, f.Repository, f.Decision.Published, after, top.Rule})
	}
	if !f.Repository.Mapped() || len(f.Known) > 0 || f.Decision.Provisional {
		return
	}
	x := fixes[f.Remediation]
	if x == nil {
		x = &fix{repository: f.Repository, remediation: f.Remediation}
		fixes[f.Remediation] = x
	}
	if asks(w.inForce, f.Decision.Published, f) {
		x.before++
		if x.was == "" || f.Decision.Published.MoreUrgent(x.was) || f.Decision.Published == x.was && f.Decision.Score > x.wasScore {
			x.was, x.wasScore, x.wasDue = f.Decision.Published, f.Decision.Score, f.Decision.Due
		}
	}
	if asks(w.policy, after, f) {
		x.after++
		if x.is == "" || after.MoreUrgent(x.is) || after == x.is && top.Score > x.score {
			x.is, x.score, x.due = after, top.Score, top.Due
		}
	}
}

func asks(p *decision.Policy, t graph.Tier, f *planned) bool {
	return slices.Contains(p.Actions(t, f.fixExists()), decision.ActionIssue)
}

// decide decides again for each workload, from the stored inputs.
func (w *planning) decide(f *planned, readings map[string][]graph.Reading) []decision.Decision {
	var all []decision.Decision
	for i := range f.Decision.Workloads {
		in := f.Decision.Workloads[i].Explanation.Inputs
		in.Accepted = w.accepted(f)
		if rs, found := readings[in.Workload]; found {
			in.Internet = decision.Combine(rs, graph.InternetExposed, w.now, w.policy)
			in.Sensitive = decision.Combine(rs, graph.SensitiveData, w.now, w.policy)
			in.Critical = decision.Combine(rs, graph.CriticalResource, w.now, w.policy)
			in.Lateral = decision.Combine(rs, graph.LateralMovement, w.now, w.policy)
		}
		all = append(all, decision.Decide(in, w.policy))
	}
	return all
}

// accepted is the fact of the finding's acceptance under the new limits.
func (w *planning) accepted(f *planned) decision.Fact {
	if !f.Acceptance.Stands() {
		return decision.Fact{}
	}
	a := f.Acceptance
	return decision.Acceptance{By: a.By, Reason: a.Reason, At: a.At, Until: a.Until, Tier: a.Tier}.Fact(w.now, w.policy)
}

// publish is the tier that would be shown: what is held stays held.
func (w *planning) publish(f *planned, next decision.TierChange) graph.Tier {
	changes := make([]decision.TierChange, 0, len(f.Decision.History)+1)
	for _, h := range f.Decision.History {
		changes = append(changes, decision.TierChange{At: h.At, Tier: h.Tier, Cause: decision.Cause(h.Cause)})
	}
	return decision.Publish(decision.Continue(changes, next), w.now, w.policy.Hold())
}

// issues tells what becomes of each issue; only those that are touched are read.
func (w *planning) issues(ctx context.Context, out *Plan, fixes map[graph.RemediationID]*fix) error {
	for _, x := range fixes {
		opens, closes := x.before == 0 && x.after > 0, x.before > 0 && x.after == 0
		differs := x.before != x.after || x.was != x.is || x.wasScore != x.score || x.wasDue != x.due
		if !opens && !closes && !differs {
			continue
		}
		m, err := graph.Get[graph.Remediation](ctx, w.Store, graph.RemediationKey(x.repository, x.remediation))
		if err != nil {
			return err
		}
		plan := IssuePlan{Remediation: x.remediation, Repository: x.repository, From: x.was, To: x.is}
		open := m.Value.Issue != nil && m.Value.Issue.State == "open"
		if m.Value.Issue != nil {
			plan.Issue, plan.URL = m.Value.Issue.Number, m.Value.Issue.URL
		}
		switch {
		case opens && !open:
			plan.Action = "open"
			out.Open++
		case closes && open:
			plan.Action = "close"
			out.Close++
		case open:
			plan.Action = "change"
			out.Change++
		default:
			continue
		}
		out.Issues = append(out.Issues, plan)
	}
	return nil
}

// add takes the plan of one repository in.
func (w *planning) add(p Plan) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o := &w.out
	o.Findings, o.Changed = o.Findings+p.Findings, o.Changed+p.Changed
	o.Open, o.Change, o.Close = o.Open+p.Open, o.Change+p.Change, o.Close+p.Close
	for _, t := range graph.Tiers {
		o.Before[t] += p.Before[t]
		o.After[t] += p.After[t]
	}
	o.Tiers, o.Issues = append(o.Tiers, p.Tiers...), append(o.Issues, p.Issues...)
}

// close orders and shortens the lists.
func (w *planning) close() {
	o := &w.out
	slices.SortFunc(o.Tiers, func(a, b TierPlan) int {
		return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From), cmp.Compare(a.Finding, b.Finding))
	})
	slices.SortFunc(o.Issues, func(a, b IssuePlan) int {
		return cmp.Or(cmp.Compare(b.Action, a.Action), cmp.Compare(a.To, b.To), cmp.Compare(a.Remediation, b.Remediation))
	})
	o.Waits = o.Open > w.policy.Guard
	o.Tiers, o.Issues = first(o.Tiers), first(o.Issues)
}

// first never is nil, so that the answer has a list.
func first[T any](all []T) []T {
	return append([]T{}, all[:min(len(all), shownPlans)]...)
}
