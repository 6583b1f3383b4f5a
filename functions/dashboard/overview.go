package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"throughline/shared/graph"
)

// overview is the first page.
type overview struct {
	graph.Overview
	Funnel []bar
	Tiers  []tierRow
	First  []graph.Fix // the three to fix this week
	Due    int
	Late   int
	Mapped graph.Coverage
	Charts []chart
	Budget []graph.Allowance
}

// chart is a table with the words around it.
type chart struct {
	table
	Title, Text, Alt string
	Empty            string // why there is nothing to draw
}

// bar is one step of the funnel. Width is in twentieths of the widest.
type bar struct {
	Name, Text, Link string
	Count, Width     int
}

type tierRow struct {
	Tier         graph.Tier
	Count, Width int
	Due, Late    int
}

func (p *pages) count(ctx context.Context) (graph.Overview, error) {
	return p.counts.get(ctx, p.Now(), func(ctx context.Context) (graph.Overview, error) { return graph.TakeOverview(ctx, p.Store, p.Now()) })
}

func (p *pages) cover(ctx context.Context) (graph.Coverage, error) {
	return p.mapped.get(ctx, p.Now(), func(ctx context.Context) (graph.Coverage, error) { return graph.TakeCoverage(ctx, p.Store, p.Now()) })
}

func (p *pages) overview(r *http.Request) (content, error) {
	o, err := p.count(r.Context())
	if err != nil {
		return content{}, err
	}
	c, err := p.cover(r.Context())
	if err != nil {
		return content{}, err
	}
	b, err := p.budgets.get(r.Context(), p.Now(), func(ctx context.Context) ([]graph.Allowance, error) {
		return graph.Allowances(ctx, p.Store, p.Now(), p.Limits)
	})
	if err != nil {
		return content{}, err
	}
	v := overview{Overview: o, Mapped: c, First: first(o.Fixes), Charts: drawings(o), Budget: b}
	v.Funnel = []bar{
		{"All open findings", "every alert and runtime finding that nobody closed", "/findings", o.Open, share(o.Open, o.Open)},
		{"Deployed", "a workload runs the code", "", o.Deployed, share(o.Deployed, o.Open)},
		{"Exposed", "and that workload is reachable from the internet", "/findings?risk=internet-exposed", o.Exposed, share(o.Exposed, o.Open)},
		{"Urgent", "and the rule puts it at P0 or P1", "", o.Urgent, share(o.Urgent, o.Open)},
	}
	most := 0
	for _, n := range o.Tiers {
		most = max(most, n)
	}
	for _, t := range graph.Tiers {
		v.Tiers = append(v.Tiers, tierRow{t, o.Tiers[t], share(o.Tiers[t], most), o.DueSoon[t], o.Overdue[t]})
		v.Due += o.DueSoon[t]
		v.Late += o.Overdue[t]
	}
	return content{"What matters in production", v}, nil
}

// drawings are the charts of the first page.
func drawings(o graph.Overview) []chart {
	open, taken := trend(o), times(o)
	all := []chart{
		{table: open, Title: "Open and verified", Text: "Findings open at the end of each day, and fixes proven to run since the first of them."},
		{table: taken, Title: "Mean time to fix", Text: "Days from first seen until nothing ran without the fix, by tier."},
	}
	if n := len(open.Rows); n > 0 {
		first, last := open.Rows[0], open.Rows[n-1]
		all[0].Alt = fmt.Sprintf("Open findings went from %.0f on %s to %.0f on %s; %.0f were verified.", first.Values[0], first.Name, last.Values[0], last.Name, last.Values[1])
	}
	for _, l := range taken.Rows {
		if l.Values[1] > 0 {
			all[1].Alt += fmt.Sprintf("%s: %g days over %.0f. ", l.Name, l.Values[0], l.Values[1])
		}
	}
	if all[1].Alt == "" {
		all[1].Empty = "No fix is proven to run yet."
	}
	return all
}

// share is n of all in twentieths; what is there is seen.
func share(n, all int) int {
	if n == 0 || all == 0 {
		return 0
	}
	return max(1, n*20/all)
}

// first are the three most urgent fixes that are open.
func first(fixes []graph.Fix) []graph.Fix {
	var top []graph.Fix
	for _, f := range fixes {
		if f.Open > 0 && f.Tier != "" && len(top) < 3 {
			top = append(top, f)
		}
	}
	return top
}

// fixList is the page of remediations.
type fixList struct {
	Items    []graph.Fix
	Statuses []statusCount
	Status   string
	Total    int
	Next     string
	Agents   graph.AgentRecord
}

type statusCount struct {
	Status string
	Count  int
}

// perPage is how many fixes a page shows.
const perPage = 100

func (p *pages) fixes(r *http.Request) (content, error) {
	o, err := p.count(r.Context())
	if err != nil {
		return content{}, err
	}
	status := r.URL.Query().Get("status")
	l := fixList{Status: status, Agents: o.Agents}
	for s, n := range o.Statuses {
		l.Statuses = append(l.Statuses, statusCount{s, n})
	}
	slices.SortFunc(l.Statuses, func(a, b statusCount) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Status, b.Status)) })
	from, err := offset(r.URL.Query().Get("from"), len(o.Fixes))
	if err != nil {
		return content{}, err
	}
	for i := range o.Fixes { // by index: thousands of lines are not copied to show a hundred
		if f := &o.Fixes[i]; status == "" || cmp.Or(f.Status, string(graph.StatusOpen)) == status {
			if l.Total >= from && len(l.Items) < perPage {
				l.Items = append(l.Items, *f)
			}
			l.Total++
		}
	}
	if from+perPage < l.Total {
		q := r.URL.Query()
		q.Set("from", strconv.Itoa(from+perPage))
		l.Next = "/fixes?" + q.Encode()
	}
	return content{"Fixes", l}, nil
}

func offset(raw string, all int) (int, error) {
	if raw == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 0 {
		return 0, badRequest{fmt.Errorf("from: %q is not a number", raw)}
	}
	return min(n, all), nil
}
