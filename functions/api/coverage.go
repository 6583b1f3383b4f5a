package api

import (
	"net/http"
	"time"

	"throughline/shared/graph"
)

func (a *API) coverage(r *http.Request) (any, error) {
	return graph.TakeCoverage(r.Context(), a.Store, time.Now().UTC())
}

func (a *API) runs(r *http.Request) (any, error) {
	runs, err := graph.Runs(r.Context(), a.Store)
	return page(runs, ""), err
}
