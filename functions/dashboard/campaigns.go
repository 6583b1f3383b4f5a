package dashboard

import (
	"net/http"
	"net/url"

	"throughline/shared/graph"
)

// drive is the page of campaigns.
type drive struct {
	Items []graph.Campaign
	Query string // the filter to begin with
}

func (p *pages) campaigns(r *http.Request) (content, error) {
	all, err := graph.Campaigns(r.Context(), p.Store)
	if err != nil {
		return content{}, err
	}
	o, err := p.count(r.Context())
	return content{"Campaigns", drive{o.Follow(all), plainQuery(r.URL.Query().Get("filter"))}}, err
}

// plainQuery is a filter as an address has it; anything else is nothing.
func plainQuery(raw string) string {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return ""
	}
	return q.Encode()
}
