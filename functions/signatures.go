package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"throughline/shared/graph"
	"throughline/shared/provenance/attestation"
)

// signatures checks the signatures of attestations for the GitHub client. Trusted roots that are fetched are fetched with
// the first attestation, and again when they are a day old.
type signatures struct {
	trust   attestation.Trust // with the roots that were given as files
	domains []attestation.RootRepository
	now     func() time.Time

	mu       sync.Mutex
	verifier *attestation.Verifier
	fetched  time.Time
}

// fetchRoots is the word in ATTESTATION_ROOTS for the public trust domains.
const fetchRoots = "tuf"

// rootAge is how long a fetched trusted root is used; a longer silence of its publisher does not end its use.
const rootAge = 24 * time.Hour

// openSignatures reads whom to trust; nil when nobody is named.
func (h *house) openSignatures() (*signatures, error) {
	if len(h.cfg.AttestationRoots) == 0 {
		return nil, nil
	}
	s := &signatures{now: h.clock.Now}
	s.trust.Hosts, s.trust.Issuers = signers(h.cfg.GitHubURL, h.hostKey())
	s.trust.Signers = h.catalogue.Signers()
	for _, root := range h.cfg.AttestationRoots {
		if root == fetchRoots {
			s.domains = attestation.PublicDomains()
			continue
		}
		text, err := os.ReadFile(root)
		if err != nil {
			return nil, fmt.Errorf("ATTESTATION_ROOTS: %w", err)
		}
		s.trust.Roots = slices.Concat(s.trust.Roots, text, []byte("\n"))
	}
	if len(s.trust.Roots) > 0 { // a file that is no trusted root is a mistake to be told at once
		v, err := attestation.NewVerifier(s.trust)
		if err != nil {
			return nil, fmt.Errorf("ATTESTATION_ROOTS: %w", err)
		}
		s.verifier = v
	}
	return s, nil
}

// signers are the GitHub host whose repositories may be named, with its key, and who issues the tokens of its workflows.
func signers(api, key string) (hosts map[string]string, issuers []string) {
	u, err := url.Parse(api)
	if err != nil || key == graph.DefaultHost {
		return map[string]string{"github.com": key}, nil
	}
	host := strings.TrimPrefix(u.Hostname(), "api.")
	if strings.HasSuffix(host, ".ghe.com") {
		return map[string]string{host: key}, []string{"https://token.actions." + host}
	}
	return map[string]string{host: key}, []string{"https://" + host + "/_services/token"}
}

// Verify gives the evidence of an attestation, or why it gives none.
func (s *signatures) Verify(ctx context.Context, bundle []byte, d graph.Digest) (graph.Evidence, string, error) {
	v, err := s.current(ctx)
	if err != nil {
		return graph.Evidence{}, "", err
	}
	e, err := v.Verify(bundle, d)
	switch {
	case err == nil:
		e.Note = "signed " + e.SeenAt.UTC().Format(time.RFC3339)
		return e, "", nil
	case errors.Is(err, attestation.ErrUnmapped):
		return e, err.Error(), nil
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	return graph.Evidence{}, fmt.Sprintf("%.300s", why), nil
}

// current is the verifier over the roots in force.
func (s *signatures) current(ctx context.Context) (*attestation.Verifier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verifier != nil && (len(s.domains) == 0 || s.now().Sub(s.fetched) < rootAge) {
		return s.verifier, nil
	}
	v, err := s.renewed(ctx)
	if err != nil && !s.fetched.IsZero() {
		return s.verifier, nil // yesterday's roots still hold
	}
	if err != nil {
		return nil, fmt.Errorf("trusted roots for attestations: %w", err)
	}
	s.verifier, s.fetched = v, s.now()
	return v, nil
}

func (s *signatures) renewed(ctx context.Context) (*attestation.Verifier, error) {
	trust := s.trust
	for _, d := range s.domains {
		root, err := d.Fetch(ctx)
		if err != nil {
			return nil, err
		}
		trust.Roots = bytes.Join([][]byte{trust.Roots, root}, []byte("\n"))
	}
	return attestation.NewVerifier(trust)
}
