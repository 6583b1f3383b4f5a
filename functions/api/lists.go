package api

import (
	"net/http"

	"throughline/shared/graph"
)

// artifacts lists all images with the repository that they map to.
func (a *API) artifacts(r *http.Request) (any, error) {
	lines, err := graph.ArtifactLines(r.Context(), a.Store)
	return page(lines, ""), err
}

// workloads lists everything that runs or ran.
func (a *API) workloads(r *http.Request) (any, error) {
	places, err := graph.Places(r.Context(), a.Store)
	return page(places, ""), err
}
