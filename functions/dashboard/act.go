package dashboard

import (
	"encoding/json"
	"net/http"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// deeds is the page of what people did.
type deeds struct {
	Items []graph.Action
	Next  string
}

func (p *pages) actions(r *http.Request) (content, error) {
	items, next, err := graph.Actions(r.Context(), p.Store, r.URL.Query().Get("cursor"))
	d := deeds{Items: items}
	if next != "" {
		q := r.URL.Query()
		q.Set("cursor", next)
		q.Del("action")
		d.Next = address("/actions", q)
	}
	return content{"Actions", d}, err
}

// planned is the page that asks what a policy would change.
type planned struct {
	Text   string // the policy to begin with
	Result *result
	More   int // tiers that change beyond those listed
	Other  int // issues, likewise
}

// result is the answer of POST /api/plan.
type result struct {
	Warnings []string           `json:"warnings"`
	Findings int                `json:"findings"`
	Before   map[graph.Tier]int `json:"before"`
	After    map[graph.Tier]int `json:"after"`
	Changed  int                `json:"changed"`
	Open     int                `json:"open"`
	Change   int                `json:"change"`
	Close    int                `json:"close"`
	Waits    bool               `json:"waits"`
	Tiers    []struct {
		Finding  graph.FindingID `json:"finding"`
		From, To graph.Tier
		Rule     string `json:"rule"`
	} `json:"tiers"`
	Issues []struct {
		Action   string `json:"action"`
		Issue    int    `json:"issue"`
		URL      string `json:"url"`
		From, To graph.Tier
		Fix      graph.RemediationID `json:"remediation"`
	} `json:"issues"`
}

// Rows compare the tiers.
func (r result) Rows() []tierRow {
	var rows []tierRow
	for _, t := range graph.Tiers {
		rows = append(rows, tierRow{Tier: t, Count: r.Before[t], Due: r.After[t], Late: r.After[t] - r.Before[t]})
	}
	return rows
}

// plan shows the answer of the form that came back here: a plan is kept with its action.
func (p *pages) plan(r *http.Request) (content, error) {
	v := planned{Text: string(decision.DefaultPolicyText)}
	done := p.done(r)
	if done == nil || done.What != "plan" || !done.Worked() {
		return content{"What would a policy change?", v}, nil
	}
	if err := json.Unmarshal(done.Answer, &v.Result); err != nil {
		return content{}, badRequest{err}
	}
	v.More, v.Other = v.Result.Changed-len(v.Result.Tiers), v.Result.Open+v.Result.Change+v.Result.Close-len(v.Result.Issues)
	return content{"What would a policy change?", v}, nil
}
