package api

import (
	"net/http"
	"strings"

	"throughline/shared/graph"
)

// drawing gives a part of the mapping graph as SVG, DOT or JSON.
func (a *API) drawing(w http.ResponseWriter, r *http.Request) {
	p, err := a.picture(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	switch format := r.URL.Query().Get("format"); format {
	case "svg":
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("Content-Disposition", `inline; filename="mapping.svg"`)
		send(w, r, "image/svg+xml", p.SVG())
	case "dot":
		send(w, r, "text/vnd.graphviz; charset=utf-8", p.DOT())
	case "", "json":
		tagged(w, r, p)
	default:
		problem(w, http.StatusBadRequest, "format: want svg, dot or json")
	}
}

func (a *API) picture(r *http.Request) (graph.Picture, error) {
	what, id, _ := strings.Cut(r.URL.Query().Get("from"), ":")
	ctx, g := r.Context(), a.graph()
	switch what {
	case "repository":
		repository := graph.RepositoryID(id)
		if strings.Contains(id, "/") {
			var err error
			if repository, err = g.RepositoryNamed(ctx, id); err != nil {
				return graph.Picture{}, err
			}
		}
		v, err := g.Repository(ctx, repository)
		return v.Picture(), err
	case "finding":
		v, err := g.Finding(ctx, graph.FindingID(id))
		return v.Picture(), err
	case "artifact":
		d, err := graph.ParseDigest(id)
		if err != nil {
			return graph.Picture{}, userError{http.StatusBadRequest, err.Error()}
		}
		v, err := g.Artifact(ctx, d)
		return v.Picture(), err
	case "workload":
		v, err := g.Workload(ctx, graph.WorkloadID(id))
		return v.Picture(), err
	}
	return graph.Picture{}, userError{http.StatusBadRequest, "from: want repository:<id>, finding:<id>, artifact:<digest> or workload:<id>"}
}
