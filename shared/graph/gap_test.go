package graph

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGapsNameStageReasonAndMend(t *testing.T) {
	digest := func(c string) Digest {
		return Digest("sha256:" + c + "000000000000000000000000000000000000000000000000000000000000000")
	}
	c := Coverage{At: time.Unix(1, 0), Methods: map[Method]int{AttestationRecord: 3},
		Unmapped:  []ArtifactLine{{Digest: digest("a"), Workloads: 2}, {Digest: digest("b"), Workloads: 1}, {Digest: digest("c")}},
		Inquiries: []Inquiry{{About: string(digest("b")), Left: []string{"github inquiries:x"}}, {About: "registry.example/api:1", Left: []string{"registry image:registry.example/api:1"}}},
		Refusals:  []Refusal{{Source: "azure", Scope: "findings", Why: "403"}, {Source: "github", Scope: "dependabot:shop", Why: "Dependabot alerts are off"}},
		Runs:      []RunReport{{Scope: "azure workloads"}, {Scope: "github dependabot:shop", Complete: true}}}
	var got []string
	for _, g := range c.gaps() {
		got = append(got, g.Stage+": "+g.What)
		if g.Why == "" || g.Mend == "" {
			t.Errorf("%+v", g)
		}
	}
	want := []string{"source: github dependabot:shop is not read", "pipeline: 1 running images have no repository", "pipeline: 3 images are attested, and no signature was verified",
		"registry: 1 tags that workloads run are not resolved to digests", "runtime: azure findings is not read", "runtime: azure workloads was not read to its end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if gaps := (Coverage{}).gaps(); gaps == nil || len(gaps) > 0 {
		t.Errorf("%v", gaps)
	}
}
