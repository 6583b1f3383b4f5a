package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/golang/snappy"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// maxDigests is how many digests one bulk call takes.
const maxDigests = 1024

// association is the note on evidence that rests on GitHub's association alone.
const association = "GitHub's own association of repository and digest"

// Attestation is one attestation record of a digest.
type Attestation struct {
	Digest graph.Digest
	// RepositoryID is GitHub's own association.
	RepositoryID int64
	// Bundle is the Sigstore bundle as JSON; nil when GitHub only names the address and nobody asked for it.
	Bundle []byte
	// BundleURL is short-lived, and its body is compressed.
	BundleURL string
}

// readDigest reads the attestation records of one image, from every account until one knows it.
func readDigest(ctx context.Context, r *reading) error {
	digest, err := graph.ParseDigest(r.subject)
	if err != nil {
		return &Refused{Status: http.StatusNotFound, Request: "scope " + r.Scope, Why: err.Error()}
	}
	all, err := r.installed(ctx, directoryAge)
	if err != nil {
		return err
	}
	var failed error
	for _, i := range all {
		if i.suspended {
			continue
		}
		found, err := r.Attestations(ctx, i.account.Login, digest)
		var refused *Refused
		if errors.As(err, &refused) {
			r.skip("attestations of " + i.account.Login + " cannot be read")
			continue
		}
		if err != nil {
			failed = err
			continue
		}
		evidence, err := r.evidence(ctx, found)
		if err != nil {
			return err
		}
		if len(evidence) > 0 {
			r.out.Observation.Evidence = evidence
			return nil
		}
	}
	return failed
}

// readRepositoryAttestations asks for the attestations of the images that the graph holds for a repository.
func readRepositoryAttestations(ctx context.Context, r *reading) error {
	if r.options.Digests == nil {
		return nil
	}
	id := graph.RepositoryID(r.subject)
	digests, err := r.options.Digests(ctx, id)
	if err != nil || len(digests) == 0 {
		return err
	}
	p, err := r.locate(ctx, id)
	if err != nil {
		return err
	}
	r.out.Observation.Evidence, err = r.BulkAttestations(ctx, p.owner, digests)
	return err
}

// readPendingDigests asks for the attestations of the images whose origin is not known, a page of them at a time.
func readPendingDigests(ctx context.Context, r *reading) error {
	if r.options.Pending == nil {
		return nil
	}
	digests, next, err := r.options.Pending(ctx, r.subject, r.Cursor)
	if err != nil {
		return err
	}
	r.out.Next = next
	r.out.Observation.Evidence, err = r.BulkAttestations(ctx, r.subject, digests)
	return err
}

// readInquiries asks every account about the digests of a round. An account that refuses has answered.
func readInquiries(ctx context.Context, r *reading) error {
	if r.options.Asked == nil {
		return nil
	}
	digests, next, err := r.options.Asked(ctx, r.subject, r.Cursor)
	if err != nil || len(digests) == 0 {
		return err
	}
	r.out.Next, r.out.Observation.Answered = next, digests
	var refused *Refused
	all, err := r.installed(ctx, directoryAge)
	if errors.As(err, &refused) {
		r.skip("installations cannot be read")
		return nil
	}
	if err != nil {
		return err
	}
	for _, i := range all {
		if i.suspended {
			continue
		}
		found, err := r.BulkAttestations(ctx, i.account.Login, digests)
		if errors.As(err, &refused) {
			r.skip("attestations of " + i.account.Login + " cannot be read")
			continue
		}
		if err != nil {
			return err
		}
		r.out.Observation.Evidence = append(r.out.Observation.Evidence, found...)
	}
	return nil
}

// Attestations lists the attestation records of a digest that an account's repositories made.
func (c *Client) Attestations(ctx context.Context, login string, d graph.Digest) ([]Attestation, error) {
	a, i, err := c.account(ctx, login)
	if err != nil {
		return nil, err
	}
	kind := "orgs"
	if i.account.Type == "User" {
		kind = "users"
	}
	var all []Attestation
	for where := path(kind, login, "attestations", string(d)) + "?per_page=100"; where != ""; {
		got, err := c.read(ctx, a, http.MethodGet, where, nil)
		if isGone(err) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Object(); cur.Field(); {
				if string(cur.Key()) == "attestations" {
					all = append(all, readAttestations(cur, d)...)
				}
			}
		})
		if err != nil {
			return nil, err
		}
		where = got.next
	}
	return all, nil
}

func readAttestations(c *scan.Cursor, d graph.Digest) []Attestation {
	var all []Attestation
	for c.Array(); c.Element(); {
		found := Attestation{Digest: d}
		for c.Object(); c.Field(); {
			switch string(c.Key()) {
			case "repository_id":
				found.RepositoryID = c.Int()
			case "bundle_url":
				found.BundleURL = c.String()
			case "bundle":
				if c.IsObject() {
					found.Bundle = slices.Clone(c.Raw())
				}
			}
		}
		all = append(all, found)
	}
	return all
}

// BulkAttestations reads the attestation records of many digests, 1,024 a call, as evidence.
func (c *Client) BulkAttestations(ctx context.Context, login string, digests []graph.Digest) ([]graph.Evidence, error) {
	a, i, err := c.account(ctx, login)
	if err != nil {
		return nil, err
	}
	kind := "orgs"
	if i.account.Type == "User" {
		kind = "users"
	}
	var all []Attestation
	for part := range slices.Chunk(digests, maxDigests) {
		found, err := c.bulk(ctx, a, path(kind, login)+"/attestations/bulk-list", part)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return c.evidence(ctx, all)
}

// bulk asks for one part, following GitHub's pages. The schema has a map of digest to records, the examples an array of
// such maps.
func (c *Client) bulk(ctx context.Context, a *access, where string, part []graph.Digest) ([]Attestation, error) {
	var all []Attestation
	body := map[string]any{"subject_digests": part}
	for after := ""; ; {
		address := where + "?per_page=100"
		if after != "" {
			address += "&after=" + path(after)
		}
		got, err := c.read(ctx, a, http.MethodPost, address, body)
		if err != nil {
			return nil, err
		}
		next := ""
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Object(); cur.Field(); {
				switch string(cur.Key()) {
				case "attestations_subject_digests":
					all = append(all, readSubjects(cur)...)
				case "page_info":
					next = readPageInfo(cur)
				}
			}
		})
		if err != nil || next == "" || next == after {
			return all, err
		}
		after = next
	}
}

func readSubjects(c *scan.Cursor) []Attestation {
	var all []Attestation
	if !c.IsObject() {
		for c.Array(); c.Element(); {
			all = append(all, readSubjects(c)...)
		}
		return all
	}
	for c.Object(); c.Field(); {
		digest, err := graph.ParseDigest(string(c.Key()))
		if err != nil {
			continue
		}
		all = append(all, readAttestations(c, digest)...)
	}
	return all
}

// readPageInfo is the cursor of the next page, empty when there is none.
func readPageInfo(c *scan.Cursor) string {
	more, next := false, ""
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "has_next":
			more = c.Bool()
		case "next":
			next = c.String()
		}
	}
	if !more {
		return ""
	}
	return next
}

// evidence turns records into evidence, one for each digest, repository and method: several attestations (provenance, bill
// of materials) of one build say the same. What counts is kept before what is refused, what tells the commit before what
// does not.
func (c *Client) evidence(ctx context.Context, records []Attestation) ([]graph.Evidence, error) {
	type edge struct {
		digest     graph.Digest
		repository graph.RepositoryID
		method     graph.Method
	}
	best := map[edge]graph.Evidence{}
	for _, record := range records {
		if record.RepositoryID < 1 {
			continue
		}
		said, err := c.witness(ctx, record)
		if err != nil {
			return nil, err
		}
		for _, e := range said {
			key := edge{e.Digest, e.Repository, e.Method}
			if have, ok := best[key]; !ok || worth(e) > worth(have) {
				best[key] = e
			}
		}
	}
	all := slices.Collect(maps.Values(best))
	slices.SortFunc(all, func(a, b graph.Evidence) int {
		return cmp.Or(cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Method.Rank(), b.Method.Rank()))
	})
	return all, nil
}

func worth(e graph.Evidence) int {
	n := 0
	if e.Refused == "" {
		n += 2
	}
	if e.Commit != "" {
		n++
	}
	return n
}

// witness is what one record says: GitHub's association and, where signatures are checked, what the signature proves. An
// attestation that is refused takes its association with it.
func (c *Client) witness(ctx context.Context, record Attestation) ([]graph.Evidence, error) {
	e := graph.Evidence{Digest: record.Digest, Method: graph.AttestationRecord, Repository: graph.NewRepositoryID(c.host, record.RepositoryID),
		Note: association, SeenAt: c.options.Now().UTC()}
	bundle, err := c.Bundle(ctx, record)
	if err != nil {
		e.Note += "; its statement could not be read: " + err.Error()
		return []graph.Evidence{e}, nil
	}
	readStatement(bundle, &e)
	if c.options.Verify == nil {
		e.Note += "; the signature is not checked here"
		return []graph.Evidence{e}, nil
	}
	proven, refused, err := c.options.Verify(ctx, bundle, record.Digest)
	if err != nil {
		return nil, fmt.Errorf("check the attestation of %s: %w", record.Digest.Short(), err)
	}
	proven.SeenAt = e.SeenAt
	if refused != "" {
		e.Refused = refused
		proven = e
		proven.Method, proven.Note = graph.VerifiedAttestation, ""
	}
	return []graph.Evidence{proven, e}, nil
}

const maxBundle = 4 << 20

// Bundle gives the Sigstore bundle of a record as JSON, from the record itself or from the address that it names. That
// address lies outside the API and gets no token.
func (c *Client) Bundle(ctx context.Context, record Attestation) ([]byte, error) {
	if record.Bundle != nil {
		return record.Bundle, nil
	}
	if record.BundleURL == "" {
		return nil, errors.New("the record has no bundle")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, record.BundleURL, nil)
	if err != nil || r.URL.Scheme != "https" && r.URL.Scheme != c.base.Scheme {
		return nil, errors.New("the bundle's address is not usable")
	}
	got, err := c.plain.Do(r)
	if err != nil {
		return nil, errors.New("the bundle's address does not answer") // the address holds a signature: keep it out of messages
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the bundle's address answers %d", got.StatusCode)
	}
	packed, err := io.ReadAll(io.LimitReader(got.Body, maxBundle))
	if err != nil {
		return nil, errors.New("the bundle did not arrive whole")
	}
	if size, err := snappy.DecodedLen(packed); err == nil && size <= maxBundle {
		if raw, err := snappy.Decode(nil, packed); err == nil {
			return raw, nil
		}
	}
	if scan.Check(packed) == nil { // some proxies unpack on the way
		return packed, nil
	}
	return nil, errors.New("the bundle is neither compressed as announced nor JSON")
}
