package attestation

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"throughline/shared/graph"
	"throughline/shared/provenance"
)

// attestation reads a file among the outside fixtures.
func attestation(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("FIXTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "fixtures")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "github", "attestations", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no fixtures: set FIXTURES (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newVerifier(t testing.TB, trust Trust) *Verifier {
	t.Helper()
	trust.Roots = attestation(t, "trusted-root-public-good.json")
	v, err := NewVerifier(trust)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The subjects of the bundles whose statements name a SHA-256.
const (
	wheel      = graph.Digest("sha256:ae57936def59bc4c75edd3a837d89bcefc6d3a5e31d55a6fa7a71624f92c3c3b")
	reusable   = graph.Digest("sha256:49a3aa6075e0f49f82843e74b5baa614ad2a588e6675612bf108a0a008c5ac25")
	custom     = graph.Digest("sha256:afa27b44d43b02a9fea41d13cedc2e4016cfcf87c5dbf990e593669aa8ce286d")
	elsewhere  = graph.Digest("sha256:abababababababababababababababababababababababababababababababab")
	noSubjects = elsewhere
)

// TestVerifier_bundles holds the table of what is genuine and what maps. The npm statements name their subject by
// SHA-512, so they are genuine but about no image.
func TestVerifier_bundles(t *testing.T) {
	v := newVerifier(t, Trust{})
	for _, c := range []struct {
		name    string
		refused string // why it is not genuine; empty: it is
		maps    string // the repository it maps to; empty: none
		why     string // why it maps nothing
	}{
		{"custom-issuer", "", "github-851894824", ""},
		{"reusable-workflow", "", "github-804070735", ""},
		{"sigstore-go-npm-provenance", "", "github-495574555", ""},
		{"sigstore-js-npm", "", "github-495574555", ""},
		{"sigstore-go-dsse", "", "", "brian@dehamer.com signed it, who is no workflow of a repository"},
		{"actions-attest-demo", "not enough verified log entries", "", ""},
		{"sigstore-go-npm-publish", "transparency log certificate does not match", "", ""},
		{"sigstore-go-dsse-2sigs", "exactly one signature is required", "", ""},
		{"invalid-signature", "transparency log signature does not match", "", ""},
		{"missing-cert", "missing bundle content", "", ""},
		{"missing-verification-material", "missing verification material", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			result, err := v.genuine(attestation(t, "bundle."+c.name+".json"), verify.WithoutArtifactUnsafe())
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("%v, want %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			e, err := v.evidence(result)
			if c.maps == "" {
				if !errors.Is(err, ErrUnmapped) || !strings.Contains(err.Error(), c.why) || e.Repository != "" {
					t.Fatalf("%+v, %v", e, err)
				}
				return
			}
			if err != nil || string(e.Repository) != c.maps || e.Method != graph.VerifiedAttestation || len(e.Commit) != 40 {
				t.Fatalf("%+v, %v", e, err)
			}
		})
	}
}

func TestVerifier_the_certificate_names_the_repository(t *testing.T) {
	v := newVerifier(t, Trust{})
	got, err := v.Verify(attestation(t, "bundle.reusable-workflow.json"), reusable)
	if err != nil {
		t.Fatal(err)
	}
	want := graph.Evidence{
		Digest: reusable, Method: graph.VerifiedAttestation, Repository: "github-804070735", RepositoryName: "malancas/attest-demo",
		Commit: "95baf27389e83e6a5c48f42e190d48d7abcea19e", Ref: "refs/heads/main", Workflow: ".github/workflows/shared.yml",
		Run:    "https://github.com/malancas/attest-demo/actions/runs/9228858953/attempts/1",
		Signer: "https://github.com/github/artifact-attestations-workflows/.github/workflows/attest.yml@09b495c3f12c7881b3cc17209a327792065c1a1d",
		SeenAt: time.Date(2024, 5, 24, 19, 14, 24, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !got.Counts() {
		t.Error("verified evidence does not count")
	}
}

func TestVerifier_refuses_what_is_about_something_else(t *testing.T) {
	v := newVerifier(t, Trust{})
	for name, digest := range map[string]graph.Digest{"reusable-workflow": wheel, "custom-issuer": reusable, "sigstore-js-npm": noSubjects, "sigstore-go-dsse": wheel} {
		if e, err := v.Verify(attestation(t, "bundle."+name+".json"), digest); err == nil || e.Repository != "" {
			t.Errorf("%s maps %s: %+v", name, digest, e)
		}
	}
	if _, err := v.Verify(attestation(t, "bundle.custom-issuer.json"), "sha256:short"); err == nil {
		t.Error("a digest of the wrong length is taken")
	}
}

func TestVerifier_trust_is_narrowed(t *testing.T) {
	raw := attestation(t, "bundle.reusable-workflow.json")
	for name, c := range map[string]struct {
		trust Trust
		ok    bool
	}{
		"every signer":        {Trust{}, true},
		"other repository":    {Trust{Signers: provenance.SignerPolicy{Rules: []provenance.SignerRule{{Repository: "shop/*"}}}}, true},
		"own workflows only":  {Trust{Signers: provenance.SignerPolicy{Rules: []provenance.SignerRule{{Repository: "**"}}}}, false},
		"this workflow":       {Trust{Signers: provenance.SignerPolicy{Rules: []provenance.SignerRule{{Repository: "malancas/*", Workflow: "github/artifact-attestations-workflows/**"}}}}, true},
		"this workflow, tags": {Trust{Signers: provenance.SignerPolicy{Rules: []provenance.SignerRule{{Repository: "malancas/*", Workflow: "github/**", Ref: "refs/tags/**"}}}}, false},
		"other issuer":        {Trust{Issuers: []string{"https://ghes.example/_services/token"}}, false},
		"other host":          {Trust{Hosts: map[string]string{"ghes.example": "ghes"}}, false},
	} {
		_, err := newVerifier(t, c.trust).Verify(raw, reusable)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnmapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifier_a_changed_bundle_is_refused(t *testing.T) {
	v := newVerifier(t, Trust{})
	var b map[string]any
	if err := json.Unmarshal(attestation(t, "bundle.reusable-workflow.json"), &b); err != nil {
		t.Fatal(err)
	}
	envelope := b["dsseEnvelope"].(map[string]any)
	payload := envelope["payload"].(string)
	envelope["payload"] = strings.Replace(payload, payload[40:44], "QUFB", 1)
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := v.Verify(raw, reusable); err == nil {
		t.Errorf("accepted: %+v", e)
	}
}

func TestNewVerifier_wants_roots(t *testing.T) {
	for _, roots := range []string{"", "{}", "{", `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`} {
		if _, err := NewVerifier(Trust{Roots: []byte(roots)}); err == nil {
			t.Errorf("%q is taken as a root", roots)
		}
	}
	twice := bytes.Repeat(attestation(t, "trusted-root-public-good.json"), 2)
	if v, err := NewVerifier(Trust{Roots: twice}); err != nil || len(v.domains) != 2 {
		t.Errorf("two roots: %v", err)
	}
}

func TestDecodeBundle(t *testing.T) {
	raw := []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`)
	for name, body := range map[string][]byte{"snappy": snappy.Encode(nil, raw), "plain": append([]byte("\n "), raw...)} {
		if got, err := DecodeBundle(body); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	bomb := binary.AppendUvarint(nil, 1<<31)
	for name, body := range map[string][]byte{"empty": {}, "noise": []byte("hello"), "cut": snappy.Encode(nil, raw)[:10], "bomb": append(bomb, 0xff, 0xff)} {
		if got, err := DecodeBundle(body); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzDecodeBundle(f *testing.F) {
	f.Add(snappy.Encode(nil, []byte(`{"a":1}`)))
	f.Add([]byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, err := DecodeBundle(body); err == nil && len(got) > maxBundle {
			t.Errorf("%d bytes", len(got))
		}
	})
}

func FuzzVerify(f *testing.F) {
	for _, name := range []string{"custom-issuer", "missing-cert", "invalid-signature", "sigstore-go-dsse-2sigs"} {
		f.Add(attestation(f, "bundle."+name+".json"))
	}
	v := newVerifier(f, Trust{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := v.Verify(raw, elsewhere); err == nil {
			t.Errorf("accepted for a digest that nobody signed: %+v", e)
		}
	})
}
