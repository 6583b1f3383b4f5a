package api

import (
	"net/http"

	"throughline/shared/graph"
)

// Summary counts what the graph holds.
type Summary struct {
	Alerts          int                `json:"alerts"`
	RuntimeFindings int                `json:"runtimeFindings"`
	Repositories    int                `json:"repositories"`
	Artifacts       int                `json:"artifacts"`
	Workloads       int                `json:"workloads"`
	MappedArtifacts int                `json:"mappedArtifacts"`
	Tiers           map[graph.Tier]int `json:"tiers"` // open findings
	Issues          map[string]int     `json:"issues"`
}

func (a *API) summary(r *http.Request) (any, error) {
	s := Summary{Tiers: map[graph.Tier]int{}, Issues: map[string]int{"open": 0, "closed": 0}}
	for _, t := range graph.Tiers {
		s.Tiers[t] = 0
	}
	names, err := graph.Names(r.Context(), a.Store)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if !n.Deleted {
			s.Repositories++
		}
	}
	lines, err := graph.ArtifactLines(r.Context(), a.Store)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		s.Artifacts++
		if l.Repository != "" {
			s.MappedArtifacts++
		}
	}
	places, err := graph.Places(r.Context(), a.Store)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		if !p.Gone {
			s.Workloads++
		}
	}
	err = a.count(r, &s)
	return s, err
}

// count goes through the whole worklist.
func (a *API) count(r *http.Request, s *Summary) error {
	type issue struct {
		repository graph.RepositoryID
		number     int
	}
	seen := map[issue]bool{}
	f := graph.Filter{State: graph.AllStates, Limit: 200}
	for {
		items, next, err := graph.Worklist(r.Context(), a.Store, f)
		if err != nil {
			return err
		}
		for _, i := range items {
			if i.Kind == graph.RuntimeKind {
				s.RuntimeFindings++
			} else {
				s.Alerts++
			}
			if i.State == graph.Open && i.Tier != "" {
				s.Tiers[i.Tier]++
			}
			if key := (issue{i.Repository, i.Issue}); i.Issue != 0 && !seen[key] {
				seen[key] = true
				s.Issues[i.IssueState]++
			}
		}
		if next == "" {
			return nil
		}
		f.Cursor = next
	}
}
