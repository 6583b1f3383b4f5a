package attestation

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"throughline/infra/local/demo/authority"
	"throughline/shared/graph"
	"throughline/shared/provenance"
)

const built = graph.Digest("sha256:1212121212121212121212121212121212121212121212121212121212121212")

func demoStatement(t *testing.T, predicate string, d graph.Digest) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate,
		"subject": []any{map[string]any{"name": "registry.example/shop/api", "digest": map[string]any{"sha256": string(d)[7:]}}}, "predicate": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestVerifier_private_trust_domain holds what GitHub's own domain asks for: a certificate and a timestamp, and no log.
// The signer is an authority of the tests' own, of the same shape.
func TestVerifier_private_trust_domain(t *testing.T) {
	signing, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	root, err := signing.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	public := attestation(t, "trusted-root-public-good.json")
	at := time.Date(2026, 9, 1, 6, 0, 0, 0, time.UTC)
	run := authority.Workflow{Repository: "shop/api", RepositoryID: 4711, Owner: "shop", OwnerID: 1, Commit: "95baf27389e83e6a5c48f42e190d48d7abcea19e", Ref: "refs/heads/main",
		File: ".github/workflows/build.yml", RunID: 7, Visibility: "private"}
	const slsa = "https://slsa.dev/provenance/v1"
	only := func(rule provenance.SignerRule) Trust {
		return Trust{Signers: provenance.SignerPolicy{Rules: []provenance.SignerRule{rule}}}
	}
	for _, c := range []struct {
		name      string
		by        *authority.Authority
		trust     Trust
		predicate string
		of        graph.Digest
		verified  bool
		unmapped  bool // genuine, and maps nothing
	}{
		{"a workflow's provenance maps, long after its certificate expired", signing, Trust{}, slsa, built, true, false},
		{"another authority is a stranger", stranger, Trust{}, slsa, built, false, false},
		{"a statement about another image", signing, Trust{}, slsa, elsewhere, false, false},
		{"a bill of materials says nothing of the build", signing, Trust{}, "https://spdx.dev/Document", built, false, true},
		{"a signer that the policy allows", signing, only(provenance.SignerRule{Repository: "shop/*", Ref: "refs/heads/main"}), slsa, built, true, false},
		{"a signer that the policy does not allow", signing, only(provenance.SignerRule{Repository: "shop/*", Workflow: "shop/builder/**"}), slsa, built, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.trust.Roots = append(append([]byte{}, public...), root...)
			v, err := NewVerifier(c.trust)
			if err != nil {
				t.Fatal(err)
			}
			b, err := c.by.Bundle(run, demoStatement(t, c.predicate, c.of), at)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			e, err := v.Verify(raw, built)
			if (err == nil) != c.verified || errors.Is(err, ErrUnmapped) != c.unmapped {
				t.Fatalf("%+v, %v", e, err)
			}
			if c.verified && (e.Repository != "github-4711" || e.Commit != run.Commit || !e.SeenAt.Equal(at) || e.Workflow != run.File) {
				t.Errorf("%+v", e)
			}
			if !c.verified && e.Repository != "" {
				t.Errorf("refused and still maps: %+v", e)
			}
		})
	}
}
