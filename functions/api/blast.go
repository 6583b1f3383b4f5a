package api

import (
	"net/http"
	"strings"

	"throughline/shared/graph"
)

// blast answers what stands behind an image (a base image too) or a vulnerability.
func (a *API) blast(r *http.Request) (any, error) {
	image, cve := r.URL.Query().Get("image"), r.URL.Query().Get("cve")
	switch {
	case image != "" && cve == "":
		d, err := graph.ParseDigest(image)
		if err != nil {
			return nil, userError{http.StatusBadRequest, err.Error()}
		}
		return a.graph().BlastOfImage(r.Context(), d)
	case cve != "" && image == "":
		return a.graph().BlastOfCVE(r.Context(), strings.ToUpper(cve))
	}
	return nil, userError{http.StatusBadRequest, "want image=<digest> or cve=<id>"}
}

// findingsIn lists the findings that lie in an image.
func (a *API) findingsIn(r *http.Request) (any, error) {
	d, err := graph.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return nil, userError{http.StatusBadRequest, err.Error()}
	}
	found, err := a.graph().FindingsIn(r.Context(), d)
	return page(found, ""), err
}
