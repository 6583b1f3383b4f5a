// Package attestation verifies signed build provenance: which repository's workflow signed that it built a digest.
//
// Identity is what the certificate says, never what the statement says of itself. It works offline with trusted roots
// given as files, or fetches them by TUF. It is a room of its own because what it stands on is large.
package attestation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang/snappy"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"throughline/shared/graph"
	"throughline/shared/provenance"
)

const (
	// maxBundle bounds an attestation after decompression.
	maxBundle = 16 << 20
	// actionsIssuer issues the identities of workflows on github.com; enterprises may have a path of their own below it.
	actionsIssuer = "https://token.actions.githubusercontent.com"
	// provenanceType begins the type of a statement about how something was built; an SBOM or a scan may be signed by a
	// workflow that built nothing.
	provenanceType = "https://slsa.dev/provenance/"
)

// ErrUnmapped is what Verify answers for an attestation that is genuine but names no repository that may be believed.
var ErrUnmapped = errors.New("attestation maps to no repository")

// Trust says whom a Verifier believes.
type Trust struct {
	// Roots are trusted roots as Sigstore writes them, one JSON object after the other. A root with a transparency log
	// (Sigstore's public one) asks for a log entry, an observed time and a certificate timestamp; one without (GitHub's
	// own, for private repositories) asks for a signed timestamp.
	Roots []byte
	// Issuers are the token issuers whose workflows may sign; none means that of github.com.
	Issuers []string
	// Hosts are GitHub hosts with the keys that repositories of theirs have; none means github.com as github.
	Hosts map[string]string
	// Signers says which workflows may speak for which repositories; the zero value lets every workflow speak for the
	// repository that it ran in.
	Signers provenance.SignerPolicy
}

// Verifier checks attestations against trusted roots, without asking anybody. It is safe for concurrent use.
type Verifier struct {
	trust   Trust
	domains []*verify.Verifier
}

// NewVerifier reads the trusted roots.
func NewVerifier(t Trust) (*Verifier, error) {
	if len(t.Issuers) == 0 {
		t.Issuers = []string{actionsIssuer}
	}
	if len(t.Hosts) == 0 {
		t.Hosts = map[string]string{provenance.DefaultHost: "github"}
	}
	v := &Verifier{trust: t}
	for d := json.NewDecoder(bytes.NewReader(t.Roots)); d.More(); {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fmt.Errorf("trusted root %d: %w", len(v.domains)+1, err)
		}
		domain, err := domainOf(raw)
		if err != nil {
			return nil, fmt.Errorf("trusted root %d: %w", len(v.domains)+1, err)
		}
		v.domains = append(v.domains, domain)
	}
	if len(v.domains) == 0 {
		return nil, errors.New("trusted roots: want at least one")
	}
	return v, nil
}

// domainOf makes the verifier of one trust domain.
func domainOf(raw []byte) (*verify.Verifier, error) {
	trusted, err := root.NewTrustedRootFromJSON(raw)
	if err != nil {
		return nil, err
	}
	if len(trusted.FulcioCertificateAuthorities()) == 0 {
		return nil, errors.New("no certificate authority")
	}
	options := []verify.VerifierOption{verify.WithoutStatementPredicate()}
	if len(trusted.RekorLogs()) > 0 {
		options = append(options, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithSignedCertificateTimestamps(1))
	} else {
		options = append(options, verify.WithSignedTimestamps(1))
	}
	return verify.NewVerifier(trusted, options...)
}

// Verify checks that the bundle is genuine, that it is a statement about how the artifact was built, and that its signer
// may speak for the repository. The repository is that of the certificate, never that of the statement, which the
// workflow wrote itself. An attestation that is genuine but maps nothing answers an ErrUnmapped with the reason.
func (v *Verifier) Verify(raw []byte, digest graph.Digest) (graph.Evidence, error) {
	d, err := graph.ParseDigest(string(digest))
	if err != nil {
		return graph.Evidence{}, fmt.Errorf("verify attestation: %w", err)
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(string(d), "sha256:"))
	if err != nil {
		return graph.Evidence{}, fmt.Errorf("verify attestation: %w", err)
	}
	result, err := v.genuine(raw, verify.WithArtifactDigest("sha256", sum))
	if err != nil {
		return graph.Evidence{}, fmt.Errorf("verify attestation of %s: %w", d.Short(), err)
	}
	e, err := v.evidence(result)
	if err != nil {
		return graph.Evidence{}, fmt.Errorf("verify attestation of %s: %w", d.Short(), err)
	}
	e.Digest = d
	return e, nil
}

// genuine checks signature, log and certificate in the first trust domain that knows them.
func (v *Verifier) genuine(raw []byte, artifact verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	if len(raw) > maxBundle {
		return nil, fmt.Errorf("bundle is larger than %d bytes", maxBundle)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	var faults []error
	for _, domain := range v.domains {
		result, err := domain.Verify(b, verify.NewPolicy(artifact, verify.WithoutIdentitiesUnsafe()))
		if err == nil {
			return result, nil
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

// evidence reads the certificate of a genuine attestation.
func (v *Verifier) evidence(r *verify.VerificationResult) (graph.Evidence, error) {
	if r.Signature == nil || r.Signature.Certificate == nil {
		return graph.Evidence{}, fmt.Errorf("%w: signed by a key, not by a workflow", ErrUnmapped)
	}
	c := *r.Signature.Certificate
	host, repository, err := v.source(c)
	if err != nil {
		return graph.Evidence{}, err
	}
	if r.Statement == nil || !strings.HasPrefix(r.Statement.GetPredicateType(), provenanceType) {
		return graph.Evidence{}, fmt.Errorf("%w: it does not tell how the artifact was built", ErrUnmapped)
	}
	if !v.trust.Signers.Allows(repository, c.SubjectAlternativeName) {
		return graph.Evidence{}, fmt.Errorf("%w: %.200s may not speak for %s", ErrUnmapped, c.SubjectAlternativeName, repository)
	}
	id, err := strconv.ParseInt(c.SourceRepositoryIdentifier, 10, 64)
	if err != nil || id < 1 {
		return graph.Evidence{}, fmt.Errorf("%w: certificate without the repository's id", ErrUnmapped)
	}
	_, _, workflow, _ := provenance.SignerParts(c.BuildConfigURI)
	return graph.Evidence{
		Method: graph.VerifiedAttestation, Repository: graph.NewRepositoryID(host, id), RepositoryName: repository,
		Commit: provenance.Commit(c.SourceRepositoryDigest), Ref: c.SourceRepositoryRef, Workflow: workflow,
		Run: c.RunInvocationURI, Signer: c.SubjectAlternativeName, SeenAt: signedAt(r),
	}, nil
}

// source is the repository that the certificate names, with the key of its host.
func (v *Verifier) source(c certificate.Summary) (host, repository string, err error) {
	if c.SourceRepositoryURI == "" {
		return "", "", fmt.Errorf("%w: %.200s signed it, who is no workflow of a repository", ErrUnmapped, c.SubjectAlternativeName)
	}
	if !v.issuer(c.Issuer) {
		return "", "", fmt.Errorf("%w: token issuer %.200s is not trusted", ErrUnmapped, c.Issuer)
	}
	name, repository, ok := provenance.SourceRepository(c.SourceRepositoryURI)
	key, known := v.trust.Hosts[name]
	if !ok || !known {
		return "", "", fmt.Errorf("%w: source %.200s lies on no GitHub that is connected", ErrUnmapped, c.SourceRepositoryURI)
	}
	return key, repository, nil
}

// issuer tells whether workflows of the issuer may sign. An enterprise's own issuer lies below that of github.com.
func (v *Verifier) issuer(issuer string) bool {
	for _, known := range v.trust.Issuers {
		if issuer == known || known == actionsIssuer && strings.HasPrefix(issuer, known+"/") {
			return true
		}
	}
	return false
}

// signedAt is the earliest time at which somebody else saw the signature.
func signedAt(r *verify.VerificationResult) time.Time {
	var at time.Time
	for _, seen := range r.VerifiedTimestamps {
		if at.IsZero() || seen.Timestamp.Before(at) {
			at = seen.Timestamp
		}
	}
	return at.UTC()
}

// DecodeBundle reads the body behind a bundle_url: a bundle compressed with snappy, or as it is.
func DecodeBundle(body []byte) ([]byte, error) {
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(trimmed) {
		if len(trimmed) > maxBundle {
			return nil, fmt.Errorf("decode bundle: larger than %d bytes", maxBundle)
		}
		return trimmed, nil
	}
	n, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, fmt.Errorf("decode bundle: %w", err)
	}
	if n > maxBundle {
		return nil, fmt.Errorf("decode bundle: larger than %d bytes", maxBundle)
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("decode bundle: %w", err)
	}
	return raw, nil
}
