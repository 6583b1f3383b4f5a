package estate

import (
	"fmt"
	"strings"
)

// Catalogue is the declared catalogue as YAML: which repository builds an image that carries no evidence of its own, and
// who owns the repositories' workloads. Only images with the evidence Declared are in it.
func (e *Estate) Catalogue() string {
	var b strings.Builder
	b.WriteString("# written by the demo: what its people declare about images that carry no evidence\nimages:\n")
	for _, img := range e.Images {
		if img.Evidence.Has(Declared) && img.Release == 0 {
			fmt.Fprintf(&b, "  - image: %q\n    repository: %q\n", img.Reference()+"*", e.FullName(img.Repo))
		}
	}
	b.WriteString("workloads:\n")
	for _, w := range e.Workloads {
		img := e.Images[w.Image]
		if !img.Evidence.Has(Declared) {
			continue
		}
		owner := e.Org.Login + "/" + e.Teams[e.Repositories[img.Repo].Team].Slug
		fmt.Fprintf(&b, "  - workload: %q\n    owner: %q\n    criticality: %q\n", e.ResourceID(w), "@"+owner, map[bool]string{true: "high", false: "normal"}[w.Factors[Critical]])
	}
	return b.String()
}
