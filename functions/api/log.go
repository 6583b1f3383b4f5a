package api

import (
	"net/http"

	"throughline/shared/graph"
)

// decisionLog checks the decision log of a repository: GET /api/log/{owner}/{name}.
func (a *API) decisionLog(r *http.Request) (any, error) {
	id, err := a.graph().RepositoryNamed(r.Context(), r.PathValue("owner")+"/"+r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return graph.LogCheck{Store: a.Store, Verify: a.VerifyLog}.Of(r.Context(), id)
}
