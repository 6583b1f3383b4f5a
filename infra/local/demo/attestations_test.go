package demo_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
)

// TestAttestationsNameTheirRepository asks for every image in every way, and for the blob behind bundle_url.
func TestAttestationsNameTheirRepository(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	x := d.Expected()
	var digests []string
	attestedDigest := ""
	for _, img := range x.ImageList {
		digests = append(digests, img.Closure...)
	}
	bulk := c.ask("POST", "/orgs/throughline-demo/attestations/bulk-list", object{"subject_digests": digests}, 200).(object)["attestations_subject_digests"].(object)
	for _, img := range x.ImageList {
		attested := slices.Contains(img.Evidence, "attestation")
		single := c.ask("GET", "/orgs/throughline-demo/attestations/"+img.Digest, nil, 200).(object)["attestations"].([]any)
		many, _ := bulk[img.Digest].([]any)
		if len(single) != len(many) || (len(single) == 1) != attested {
			t.Errorf("image %d, evidence %v: %d attestations alone, %d in bulk", img.Index, img.Evidence, len(single), len(many))
			continue
		}
		for _, manifest := range img.Closure[1:] {
			if bulk[manifest] != nil {
				t.Errorf("image %d: a manifest is attested by itself", img.Index)
			}
		}
		if !attested {
			continue
		}
		one := single[0].(object)
		attestedDigest = img.Digest
		if int64(one["repository_id"].(float64)) != img.Repository {
			t.Errorf("image %d: attested by %v, built by %d", img.Index, one["repository_id"], img.Repository)
		}
		checkStatement(t, one["bundle"], img.Digest, img.Commit, img.Repository)
		_, _, packed, err := get(http.DefaultClient, one["bundle_url"].(string))
		raw, snappyErr := snappy.Decode(nil, packed)
		var blob any
		if err != nil || snappyErr != nil || json.Unmarshal(raw, &blob) != nil {
			t.Errorf("image %d: the blob is no bundle: %v %v", img.Index, err, snappyErr)
			continue
		}
		checkStatement(t, blob, img.Digest, img.Commit, img.Repository)
	}
	req, err := http.NewRequest("GET", d.GitHubURL()+"/orgs/throughline-demo/attestations/"+attestedDigest, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-GitHub-Api-Version", "2026-03-10")
	r, err := c.c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(text), `"bundle_url":`) || strings.Contains(string(text), `"bundle":`) {
		t.Errorf("API version 2026-03-10 has no bundle: %s %v", text, err)
	}
}

func checkStatement(t *testing.T, bundle any, digest, commit string, repository int64) {
	t.Helper()
	envelope := bundle.(object)["dsseEnvelope"].(object)
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	var s struct {
		Subject   []struct{ Digest map[string]string }
		Predicate struct {
			BuildDefinition struct {
				InternalParameters struct {
					GitHub struct {
						RepositoryID string `json:"repository_id"`
					}
				}
				ResolvedDependencies []struct{ Digest map[string]string }
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(payload, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	built := s.Predicate.BuildDefinition
	if "sha256:"+s.Subject[0].Digest["sha256"] != digest || built.ResolvedDependencies[0].Digest["gitCommit"] != commit || built.InternalParameters.GitHub.RepositoryID != number(repository) {
		t.Errorf("the statement says %+v, want %s of %s at %d", s, digest, commit, repository)
	}
}
