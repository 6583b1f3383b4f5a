package estate

import (
	"fmt"
	"strings"
)

// Catalogue is the declared catalogue as YAML: which repository builds an image that carries no evidence of its own, who
// owns what runs it, and which of it people hold for critical. Only images with the evidence Declared are in it.
func (e *Estate) Catalogue() string {
	var images, workloads strings.Builder
	seen := map[string]bool{}
	for _, img := range e.Images {
		if !img.Evidence.Has(Declared) || seen[img.Reference()] {
			continue
		}
		seen[img.Reference()] = true
		fmt.Fprintf(&images, "  - pattern: %q\n    repository: %q\n", img.Reference(), e.FullName(img.Repo))
		if img.Context != "" {
			fmt.Fprintf(&images, "    contexts: [%q]\n", img.Context)
		}
	}
	for _, w := range e.Workloads {
		img := e.Images[w.Image]
		if !img.Evidence.Has(Declared) {
			continue
		}
		owner := "@" + e.Org.Login + "/" + e.Teams[e.Repositories[img.Repo].Team].Slug
		fmt.Fprintf(&workloads, "  - name: %q\n    owner: %q\n", w.Name, owner)
		if w.Factors[Critical] {
			workloads.WriteString("    critical: \"yes\"\n")
		}
	}
	return "# written by the demo: what its people declare about images that carry no evidence\nimages:\n" + images.String() + "workloads:\n" + workloads.String()
}
