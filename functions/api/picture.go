package api

import (
	"bytes"
	"encoding/csv"
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
	case "csv":
		w.Header().Set("Content-Disposition", `attachment; filename="mapping.csv"`)
		send(w, r, "text/csv; charset=utf-8", edges(p.Whole()))
	case "", "json":
		tagged(w, r, p)
	default:
		problem(w, http.StatusBadRequest, "format: want svg, dot, csv or json")
	}
}

// edges lists the edges of a picture with what they join.
func edges(p graph.Picture) []byte {
	nodes := map[string]graph.Node{}
	for _, n := range p.Nodes {
		nodes[n.ID] = n
	}
	lines := [][]string{{"from", "from name", "edge", "to", "to name"}}
	for _, e := range p.Edges {
		lines = append(lines, []string{inert(e.From), inert(nodes[e.From].Label), inert(e.Label), inert(e.To), inert(nodes[e.To].Label)})
	}
	var b bytes.Buffer
	_ = csv.NewWriter(&b).WriteAll(lines) // a buffer takes everything
	return b.Bytes()
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
