// Package authority signs build provenance for the demo as GitHub does for private repositories: a short-lived certificate
// that names the workflow, and a timestamp instead of a log entry.
//
// As there: certificates carry the extensions of Fulcio for workflow identities; the envelope is DSSE over in-toto; the
// timestamp is RFC 3161 over the signature; TrustedRoot has the shape that Sigstore's verifiers read. Not as there: the
// authorities have no intermediates, their keys live as long as the process, and there is no transparency log.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/digitorus/timestamp"
)

// The lives of what is signed with.
var (
	begun    = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	ended    = time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	lifetime = 10 * time.Minute // of a workflow's certificate
)

const payloadType = "application/vnd.in-toto+json"

// Authority issues certificates to workflows and timestamps to signatures. It is safe for concurrent use.
type Authority struct {
	signing, stamping pair
	stamper           pair
}

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority with keys of its own.
func New() (*Authority, error) {
	var a Authority
	var err error
	for _, ca := range []struct {
		to   *pair
		name string
	}{{&a.signing, "Throughline Demo Signing"}, {&a.stamping, "Throughline Demo Timestamping"}} {
		template := &x509.Certificate{Subject: subject(ca.name), NotBefore: begun, NotAfter: ended, IsCA: true, BasicConstraintsValid: true,
			MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if *ca.to, err = issue(template, pair{}); err != nil {
			return nil, fmt.Errorf("demo authority: %w", err)
		}
	}
	// RFC 3161 wants the one usage, and wants it critical.
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return nil, fmt.Errorf("demo authority: %w", err)
	}
	a.stamper, err = issue(&x509.Certificate{Subject: subject("Throughline Demo Timestamp"), NotBefore: begun, NotAfter: ended, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}}, a.stamping)
	if err != nil {
		return nil, fmt.Errorf("demo authority: %w", err)
	}
	return &a, nil
}

func subject(name string) pkix.Name {
	return pkix.Name{Organization: []string{"Throughline Demo"}, CommonName: name}
}

// issue makes a key and has it certified; without an issuer the certificate signs itself.
func issue(template *x509.Certificate, by pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return pair{}, err
	}
	if by.cert == nil {
		by = pair{template, key}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(raw)
	return pair{cert, key}, err
}

// TrustedRoot is what a verifier must know to believe the authority.
func (a *Authority) TrustedRoot() ([]byte, error) {
	chain := func(certs ...*x509.Certificate) map[string]any {
		var all []any
		for _, c := range certs {
			all = append(all, map[string]any{"rawBytes": c.Raw})
		}
		return map[string]any{"certificates": all}
	}
	life := map[string]any{"start": begun, "end": ended}
	entry := func(uri string, c *x509.Certificate, certs map[string]any) []any {
		name := map[string]any{"organization": c.Subject.Organization[0], "commonName": c.Subject.CommonName}
		return []any{map[string]any{"subject": name, "uri": uri, "certChain": certs, "validFor": life}}
	}
	return json.Marshal(map[string]any{
		"mediaType":              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"certificateAuthorities": entry("https://signing.throughline.example", a.signing.cert, chain(a.signing.cert)),
		"timestampAuthorities":   entry("https://timestamp.throughline.example", a.stamping.cert, chain(a.stamper.cert, a.stamping.cert)),
	})
}

// Workflow is the run that signs.
type Workflow struct {
	Repository   string // owner/name
	RepositoryID int64
	Owner        string
	OwnerID      int64
	Commit       string
	Ref          string // refs/heads/main
	File         string // .github/workflows/build.yml
	RunID        int64
	Visibility   string
}

// Bundle is a statement that the workflow signed at a time, in the shape of a Sigstore bundle.
func (a *Authority) Bundle(w Workflow, statement []byte, at time.Time) (map[string]any, error) {
	signer, err := a.certify(w, at)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", w.Repository, err)
	}
	sum := sha256.Sum256(preAuthentication(statement))
	signature, err := signer.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign for %s: %w", w.Repository, err)
	}
	stamp, err := a.stamp(signature, at)
	if err != nil {
		return nil, fmt.Errorf("timestamp for %s: %w", w.Repository, err)
	}
	return map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{
			"certificate":               map[string]any{"rawBytes": signer.cert.Raw},
			"timestampVerificationData": map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": stamp}}},
		},
		"dsseEnvelope": map[string]any{"payload": statement, "payloadType": payloadType, "signatures": []any{map[string]any{"sig": signature}}},
	}, nil
}

// preAuthentication is what DSSE signs.
func preAuthentication(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// fulcio is the arc of the extensions that tell which workflow a certificate was issued to.
func fulcio(n int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n} }

func (a *Authority) certify(w Workflow, at time.Time) (pair, error) {
	const host = "https://github.com/"
	home := host + w.Repository
	config := home + "/" + w.File + "@" + w.Ref
	identity, err := url.Parse(config)
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{NotBefore: at.Add(-time.Minute), NotAfter: at.Add(lifetime), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, URIs: []*url.URL{identity}}
	for n, value := range map[int]string{
		8: "https://token.actions.githubusercontent.com", 9: config, 10: w.Commit, 11: "github-hosted", 12: home, 13: w.Commit, 14: w.Ref,
		15: fmt.Sprint(w.RepositoryID), 16: host + w.Owner, 17: fmt.Sprint(w.OwnerID), 18: config, 19: w.Commit, 20: "push",
		21: fmt.Sprintf("%s/actions/runs/%d/attempts/1", home, w.RunID), 22: w.Visibility,
	} {
		raw, err := asn1.MarshalWithParams(value, "utf8")
		if err != nil {
			return pair{}, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: fulcio(n), Value: raw})
	}
	return issue(template, a.signing)
}

// stamp says when a signature was seen.
func (a *Authority) stamp(signature []byte, at time.Time) ([]byte, error) {
	sum := sha256.Sum256(signature)
	t := timestamp.Timestamp{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: at, Policy: fulcioPolicy, AddTSACertificate: true}
	return t.CreateResponseWithOpts(a.stamper.cert, a.stamper.key, crypto.SHA256)
}

// fulcioPolicy is the policy under which Sigstore's timestamp authority works.
var fulcioPolicy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}
