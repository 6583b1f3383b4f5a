package api

import (
	"net/http"

	"throughline/shared/graph"
)

// budget tells what may still be written through each installation, how many issues wait, and when the last of them will
// be open, as GET /api/budget.
func (a *API) budget(r *http.Request) (any, error) {
	all, err := graph.Allowances(r.Context(), a.Store, a.Now(), a.Limits)
	return page(all, ""), err
}

// due tells what is overdue and due within the week, by who has it, as GET /api/due.
func (a *API) due(r *http.Request) (any, error) {
	o, err := graph.TakeOverview(r.Context(), a.Store, a.Now())
	return o.Reminder(), err
}

// trend tells by day how many findings were open and how many fixes are proven to run, as GET /api/trend.
func (a *API) trend(r *http.Request) (any, error) {
	o, err := graph.TakeOverview(r.Context(), a.Store, a.Now())
	if err != nil {
		return nil, err
	}
	return trends{Days: o.Trend, Mended: o.Mended, Agents: o.Agents}, nil
}

// trends is the answer to GET /api/trend.
type trends struct {
	Days   []graph.Day               `json:"days"`   // oldest first
	Mended map[graph.Tier]graph.Mean `json:"mended"` // how long fixes took until proven
	Agents graph.AgentRecord         `json:"agents"` // what became of fixes given to Copilot
}
