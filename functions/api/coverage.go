package api

import (
	"net/http"

	"throughline/shared/graph"
)

func (a *API) coverage(r *http.Request) (any, error) {
	return graph.TakeCoverage(r.Context(), a.Store, a.Now())
}

func (a *API) runs(r *http.Request) (any, error) {
	runs, err := graph.Runs(r.Context(), a.Store)
	return page(runs, ""), err
}
