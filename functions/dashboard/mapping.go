package dashboard

import (
	"html/template"
	"net/http"

	"throughline/shared/graph"
)

// picture is the mapping graph as part of a page. Its texts are escaped where it is drawn.
func picture(p graph.Picture) template.HTML { return template.HTML(p.SVG()) }

type repository struct {
	graph.RepositoryView
	Picture template.HTML
}

func (p *pages) repository(r *http.Request) (content, error) {
	id, err := p.graph().RepositoryNamed(r.Context(), r.PathValue("owner")+"/"+r.PathValue("name"))
	if err != nil {
		return content{}, err
	}
	v, err := p.graph().Repository(r.Context(), id)
	return content{v.Repository.FullName(), repository{v, picture(v.Picture())}}, err
}

type artifact struct {
	graph.ArtifactView
	Picture template.HTML
	Mend    string // when no repository is known
}

func (p *pages) artifact(r *http.Request) (content, error) {
	d, err := graph.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return content{}, badRequest{err}
	}
	v, err := p.graph().Artifact(r.Context(), d)
	if err != nil {
		return content{}, err
	}
	a := artifact{ArtifactView: v, Picture: picture(v.Picture()), Mend: mend}
	for _, e := range v.Evidence {
		if e.Counts() {
			a.Mend = ""
		}
	}
	title := d.Short()
	if len(v.Artifact.Names) > 0 {
		title = v.Artifact.Names[0]
	}
	return content{title, a}, nil
}

// mend is how an image without an origin gets one.
const mend = "Let its build attest where it comes from (actions/attest-build-provenance in the workflow), add the label org.opencontainers.image.source to the image, or declare it in the catalogue file."

type workload struct {
	graph.WorkloadView
	Picture template.HTML
}

func (p *pages) workload(r *http.Request) (content, error) {
	v, err := p.graph().Workload(r.Context(), graph.WorkloadID(r.PathValue("id")))
	return content{v.Workload.Name, workload{v, picture(v.Picture())}}, err
}
