package dashboard

import (
	"net/http"
	"net/url"

	"throughline/shared/graph"
)

// listing is the ordered list of findings; its whole state is in the address.
type listing struct {
	Filter   graph.Filter
	Filtered bool
	Items    []graph.Summary
	Next     string
	First    string // the first page, when this is not it
	CSV      string
	Campaign string // where a campaign over this list is begun
	Tiers    []graph.Tier
	Factors  []graph.Factor
	Kinds    []graph.AlertKind
	States   []graph.AlertState
	Statuses []graph.Status
	Sorts    []graph.Sort
	Name     string // of the repository filtered by
}

var statuses = []graph.Status{graph.StatusOpen, graph.StatusAssigned, graph.StatusInProgress, graph.StatusFixedInCode, graph.StatusRollingOut,
	graph.StatusVerified, graph.StatusAccepted, graph.StatusReopened}

func (p *pages) list(r *http.Request) (content, error) {
	q := r.URL.Query()
	f, err := p.Filter(q)
	if err != nil {
		return content{}, badRequest{err}
	}
	name := q.Get("repository")
	if name != "" {
		if f.Repository, err = p.graph().RepositoryNamed(r.Context(), name); err != nil {
			return content{}, err
		}
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	items, cursor, err := graph.Worklist(r.Context(), p.Store, f)
	if err != nil {
		return content{}, err
	}
	l := listing{Filter: f, Items: items, Tiers: graph.Tiers[:], Factors: graph.Factors[:], Kinds: append(graph.AlertKinds[:], graph.RuntimeKind),
		States: []graph.AlertState{graph.Fixed, graph.Dismissed, graph.AllStates}, Statuses: statuses, Sorts: graph.Sorts[1:], Name: name}
	l.addresses(q, cursor)
	return content{"Findings", l}, nil
}

// addresses are those of the other pages and of the same list as a file.
func (l *listing) addresses(q url.Values, cursor string) {
	clean := url.Values{}
	for k, vs := range q {
		if k != "cursor" && k != "action" && vs[0] != "" {
			clean.Set(k, vs[0])
		}
	}
	l.Filtered = len(clean) > 0
	l.CSV = address("/api/findings.csv", clean)
	l.Campaign = address("/campaigns", url.Values{"filter": {clean.Encode()}})
	if l.Filter.Cursor != "" {
		l.First = address("/findings", clean)
	}
	if cursor != "" {
		clean.Set("cursor", cursor)
		l.Next = address("/findings", clean)
	}
}

func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
