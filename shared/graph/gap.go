package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Gap is what is missing on the way from source to runtime: at which stage, why, and the mend.
type Gap struct {
	Stage string `json:"stage"` // source, pipeline, registry, runtime
	What  string `json:"what"`
	Why   string `json:"why"`
	Mend  string `json:"mend"`
}

// The stages of the way, in their order.
var stages = []string{"source", "pipeline", "registry", "runtime"}

// sources are the systems that are read: the stage that they tell of, and how a refusal of theirs is mended.
var sources = map[string]struct{ stage, mend string }{
	"github":   {"source", "grant the GitHub App the permission that the reason names, for all repositories, and start a full reading"},
	"registry": {"registry", "let the managed identity pull from the registry (AcrPull), or name a mirror in REGISTRY_MIRRORS"},
	"azure":    {"runtime", "give the managed identity Reader and Security Reader on AZURE_SCOPES"},
	"feeds":    {"source", "let the app reach the publishers of the feeds, or put them into FEEDS_DIR"},
}

// gaps tells what stands in the way of a whole mapping.
func (c Coverage) gaps() []Gap {
	gaps := []Gap{}
	add := func(stage, what, why, mend string) { gaps = append(gaps, Gap{stage, what, why, mend}) }
	for _, r := range c.Refusals {
		from := sources[r.Source]
		add(cmp.Or(from.stage, "source"), r.Source+" "+r.Scope+" is not read", r.Why, cmp.Or(from.mend, "see the reason"))
	}
	for _, r := range c.Runs {
		source, scope, _ := strings.Cut(r.Scope, " ")
		if from, known := sources[source]; known && !r.Complete {
			add(from.stage, source+" "+scope+" was not read to its end", "a page has not been answered yet", "wait; when it lasts, look at the parked messages")
		}
	}
	asking := map[Digest]bool{}
	tags := 0
	for _, i := range c.Inquiries {
		if _, err := ParseDigest(i.About); err != nil {
			tags++
			continue
		}
		asking[Digest(i.About)] = true
	}
	silent := 0
	for _, l := range c.Unmapped {
		if l.Workloads > 0 && !asking[l.Digest] {
			silent++
		}
	}
	if tags > 0 {
		add("registry", fmt.Sprintf("%d tags that workloads run are not resolved to digests", tags), "the registry has not answered for them", "let the managed identity pull from it; or deploy by digest")
	}
	if silent > 0 {
		add("pipeline", fmt.Sprintf("%d running images have no repository", silent), "neither attestation, package, label, workflow nor catalogue tells who built them",
			"attest them in the workflow that builds them (actions/attest-build-provenance), label them (org.opencontainers.image.source), or declare them in the catalogue")
	}
	if c.Methods[AttestationRecord] > 0 && c.Methods[VerifiedAttestation] == 0 {
		add("pipeline", fmt.Sprintf("%d images are attested, and no signature was verified", c.Methods[AttestationRecord]), "no trusted root is configured", "set ATTESTATION_ROOTS to tuf, or to a file with trusted roots")
	}
	slices.SortStableFunc(gaps, func(a, b Gap) int { return cmp.Compare(slices.Index(stages, a.Stage), slices.Index(stages, b.Stage)) })
	return gaps
}
