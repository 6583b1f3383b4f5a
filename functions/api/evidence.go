package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openvex/go-vex/pkg/vex"

	"throughline/shared/graph"
)

// PayloadType is what an envelope of evidence holds: an in-toto statement.
const PayloadType = "application/vnd.in-toto+json"

// statement is an in-toto statement: what is true of the subjects.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// evidence gives the signed statement that a fix was proven to run: GET /api/evidence/{remediation}. It says of every image
// with the fix, as OpenVEX, that its vulnerabilities are fixed. What is signed is what stands in the graph since the closing.
func (a *API) evidence(r *http.Request) (any, error) {
	id := graph.RemediationID(r.PathValue("remediation"))
	if a.Sign == nil {
		return nil, userError{http.StatusNotFound, "evidence is not signed here: set EVIDENCE_KEY to a private key (PEM)"}
	}
	repository, _, ok := strings.Cut(string(id), "-fix-")
	if !ok {
		return nil, fmt.Errorf("remediation %s: %w", id, graph.ErrNotFound)
	}
	m, err := graph.Get[graph.Remediation](r.Context(), a.Store, graph.RemediationKey(graph.RepositoryID(repository), id))
	if err != nil {
		return nil, err
	}
	if !m.Exists() {
		return nil, fmt.Errorf("remediation %s: %w", id, graph.ErrNotFound)
	}
	if m.Value.Status != graph.StatusVerified || m.Value.Closed == nil || m.Value.Proof == nil {
		return nil, userError{http.StatusNotFound, fmt.Sprintf("remediation %s is %s: there is evidence once it is closed as verified", id, m.Value.Status)}
	}
	s, err := a.statement(r.Context(), m.Value)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	return a.Sign(r.Context(), PayloadType, body)
}

func (a *API) statement(ctx context.Context, m graph.Remediation) (statement, error) {
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: vex.Context}
	var products []vex.Product
	for _, d := range m.Proof.Fixed {
		image, err := graph.Get[graph.Artifact](ctx, a.Store, graph.ArtifactKey(d))
		if err != nil {
			return s, err
		}
		name := string(d)
		if len(image.Value.Names) > 0 {
			name = image.Value.Names[0]
		}
		hash := strings.TrimPrefix(string(d), "sha256:")
		s.Subject = append(s.Subject, subject{name, map[string]string{"sha256": hash}})
		products = append(products, vex.Product{Component: vex.Component{ID: purl(name, d), Hashes: map[vex.Algorithm]vex.Hash{vex.SHA256: vex.Hash(hash)}}})
	}
	if len(s.Subject) == 0 { // nothing runs an image of it: the statement is about the fix itself
		s.Subject = []subject{fixSubject(m)}
		products = []vex.Product{{Component: vex.Component{ID: "urn:throughline:" + string(m.ID)}}}
	}
	names, err := a.vulnerabilities(ctx, m)
	if err != nil {
		return s, err
	}
	at := m.Closed.At
	doc := vex.VEX{Metadata: vex.Metadata{Context: vex.ContextLocator(), ID: "urn:throughline:" + string(m.ID) + ":" + at.UTC().Format("20060102T150405Z"), Author: "Throughline", Timestamp: &at, Version: 1}}
	for _, n := range names {
		doc.Statements = append(doc.Statements, vex.Statement{Vulnerability: vex.Vulnerability{Name: vex.VulnerabilityID(n)}, Products: products, Status: vex.StatusFixed, StatusNotes: notes(m)})
	}
	s.Predicate, err = json.Marshal(&doc)
	return s, err
}

// purl names an image as package managers do.
func purl(name string, d graph.Digest) string {
	last := name[strings.LastIndex(name, "/")+1:]
	if strings.Contains(last, ":") {
		last = "image"
	}
	p := "pkg:oci/" + strings.ToLower(last) + "@" + url.QueryEscape(string(d))
	if strings.Contains(name, "/") {
		p += "?repository_url=" + url.QueryEscape(strings.ToLower(name))
	}
	return p
}

func fixSubject(m graph.Remediation) subject {
	if m.Proof.Commit != "" {
		return subject{string(m.ID), map[string]string{"gitCommit": m.Proof.Commit}}
	}
	sum := sha256.Sum256([]byte(m.ID))
	return subject{string(m.ID), map[string]string{"sha256": hex.EncodeToString(sum[:])}}
}

func notes(m graph.Remediation) string {
	text := fmt.Sprintf("every finding closed by %s", m.Proof.FixedAt.UTC().Format("2006-01-02T15:04:05Z"))
	if m.Proof.Commit != "" {
		text += "; fixed by commit " + m.Proof.Commit
	}
	if m.Proof.Total > 0 {
		text += fmt.Sprintf("; %d of %d workloads run it and nothing without it was seen since %s", m.Proof.Running, m.Proof.Total, m.Proof.CleanSince.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return text
}

// vulnerabilities are the names of what was fixed: CVEs, else the advisory, else the fix itself.
func (a *API) vulnerabilities(ctx context.Context, m graph.Remediation) ([]string, error) {
	var names []string
	for id := range m.Seen {
		f, err := graph.Get[graph.Finding](ctx, a.Store, graph.FindingKey(m.Repository, id))
		if err != nil {
			return nil, err
		}
		names = append(names, f.Value.CVEs...)
		if d := dependencyOf(f.Value); len(f.Value.CVEs) == 0 && d != nil && d.GHSA != "" {
			names = append(names, d.GHSA)
		}
	}
	if len(names) == 0 {
		names = []string{m.FixKey}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func dependencyOf(f graph.Finding) *graph.Dependency {
	if f.Alert == nil {
		return nil
	}
	return f.Alert.Dependency
}
