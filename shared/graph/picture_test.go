package graph

import (
	"bytes"
	"fmt"
	"testing"
)

// A picture of a thousand nodes is folded to what a person can read, and nothing of it is lost for a file.
func TestThousandNodesAreFolded(t *testing.T) {
	v := RepositoryView{Repository: Repository{ID: "github-1", Owner: "acme", Name: "api"}, Exposure: Exposure{Repository: "github-1", Images: true}}
	for i := range 300 {
		d := Digest(fmt.Sprintf("sha256:%064x", i))
		v.Exposure.Artifacts = append(v.Exposure.Artifacts, ExposedArtifact{Digest: d, Name: fmt.Sprint("image-", i)})
		for k := range 3 {
			v.Exposure.Workloads = append(v.Exposure.Workloads, ExposedWorkload{ID: WorkloadID(fmt.Sprintf("w-%d-%d", i, k)), Name: fmt.Sprintf("pod-%d-%d", i, k), Digests: []Digest{d}})
		}
	}
	p := v.Picture()
	if len(p.Nodes) > maxNodes || p.Folded+len(p.Nodes) < 1200 {
		t.Errorf("%d nodes are drawn, %d folded", len(p.Nodes), p.Folded)
	}
	drawn := map[string]bool{}
	for _, n := range p.Nodes {
		drawn[n.ID] = true
	}
	for _, e := range p.Edges {
		if !drawn[e.From] || !drawn[e.To] {
			t.Errorf("the edge from %s to %s leads nowhere", e.From, e.To)
		}
	}
	if svg := p.SVG(); len(svg) > 40_000 || !bytes.Contains(svg, []byte("and 291 more")) {
		t.Errorf("%d bytes of SVG", len(svg))
	}
	if whole := p.Whole(); len(whole.Nodes) != 1201 || len(whole.Edges) != 1200 {
		t.Errorf("the whole has %d nodes and %d edges", len(whole.Nodes), len(whole.Edges))
	}
}
