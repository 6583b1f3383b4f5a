package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

func digestNo(n int) graph.Digest { return graph.Digest(fmt.Sprintf("sha256:%064x", n)) }

// bundleOf wraps a statement about a digest as GitHub does.
func bundleOf(d graph.Digest, commit string) string {
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"ghcr.io/acme/shop","digest":{"sha256":%q}}],
	"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"externalParameters":{"workflow":{"ref":"refs/heads/main","repository":"https://github.com/acme/shop","path":".github/workflows/build.yml"}},
	"resolvedDependencies":[{"uri":"git+https://github.com/acme/shop@refs/heads/main","digest":{"gitCommit":%q}},{"digest":{"gitCommit":"other"}}]},
	"runDetails":{"metadata":{"invocationId":"https://github.com/acme/shop/actions/runs/1/attempts/1"}}}}`, strings.TrimPrefix(string(d), "sha256:"), commit)
	return `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"` +
		base64.StdEncoding.EncodeToString([]byte(statement)) + `"}}`
}

func built(d graph.Digest, c *Client, commit string) graph.Evidence {
	return graph.Evidence{Digest: d, Method: graph.AttestationRecord, Repository: "github-4711", Commit: commit, Ref: "refs/heads/main",
		Workflow: ".github/workflows/build.yml", Run: "https://github.com/acme/shop/actions/runs/1/attempts/1", Note: association + "; the signature is not checked here", SeenAt: c.options.Now()}
}

func TestReadDigest(t *testing.T) {
	d := digestNo(1)
	t.Run("one evidence of several attestations", func(t *testing.T) {
		s := newStand(t)
		s.json("GET /orgs/acme/attestations/"+string(d), `{"attestations":[{"bundle":{"dsseEnvelope":{"payload":""}},"repository_id":4711},{"bundle":`+bundleOf(d, "c0ffee")+`,"repository_id":4711}]}`)
		c := s.client(nil)
		if diff := cmp.Diff([]graph.Evidence{built(d, c, "c0ffee")}, s.read(c, "digest:"+string(d), "").Observation.Evidence); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a bundle behind an address, compressed, is fetched without a token", func(t *testing.T) {
		s := newStand(t)
		s.mux.HandleFunc("GET /_blob", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("the token was sent to the bundle's address")
			}
			_, _ = w.Write(snappy.Encode(nil, []byte(bundleOf(d, "c0ffee"))))
		})
		s.json("GET /orgs/acme/attestations/"+string(d), `{"attestations":[{"bundle":null,"bundle_url":"`+s.server.URL+`/_blob?sig=secret","repository_id":4711}]}`)
		c := s.client(nil)
		if diff := cmp.Diff([]graph.Evidence{built(d, c, "c0ffee")}, s.read(c, "digest:"+string(d), "").Observation.Evidence); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the association counts although the statement cannot be read, and says so", func(t *testing.T) {
		for name, record := range map[string]string{
			"no bundle":       `{"repository_id":4711}`,
			"gone address":    `{"repository_id":4711,"bundle_url":"` + "http://127.0.0.1:1/x?sig=secret" + `"}`,
			"no JSON":         `{"repository_id":4711,"bundle":{"dsseEnvelope":{"payload":"////"}}}`,
			"another subject": `{"repository_id":4711,"bundle":` + bundleOf(digestNo(2), "c0ffee") + `}`,
		} {
			s := newStand(t)
			s.json("GET /orgs/acme/attestations/"+string(d), `{"attestations":[`+record+`]}`)
			got := s.read(s.client(nil), "digest:"+string(d), "").Observation.Evidence
			if len(got) != 1 || got[0].Repository != "github-4711" || got[0].Commit != "" || len(got[0].Note) <= len(association) || strings.Contains(got[0].Note, "secret") {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
	t.Run("nothing is known", func(t *testing.T) {
		s := newStand(t)
		if got := s.read(s.client(nil), "digest:"+string(d), ""); got.Observation.Len() != 0 || len(got.Observation.Absent) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestBulkAttestations(t *testing.T) {
	s := newStand(t)
	calls := 0
	s.mux.HandleFunc("POST /orgs/acme/attestations/bulk-list", func(w http.ResponseWriter, r *http.Request) {
		calls++
		var body struct {
			Digests []graph.Digest `json:"subject_digests"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Digests) == 0 || len(body.Digests) > 1024 {
			t.Errorf("%d digests, %v", len(body.Digests), err)
		}
		if body.Digests[0] == digestNo(1) && r.URL.Query().Get("after") == "" {
			fmt.Fprintf(w, `{"attestations_subject_digests":{%q:null,%q:[{"repository_id":4711,"bundle":%s}]},"page_info":{"has_next":true,"next":"p 2"}}`, digestNo(1), digestNo(2), bundleOf(digestNo(2), "c2"))
			return
		}
		if r.URL.Query().Get("after") == "p 2" {
			// the examples show an array where the schema has a map
			fmt.Fprintf(w, `{"attestations_subject_digests":[{%q:[{"repository_id":4711,"bundle":%s}]},{"nonsense":[]}],"page_info":{"has_next":false,"next":"x"}}`, digestNo(3), bundleOf(digestNo(3), "c3"))
			return
		}
		_, _ = io.WriteString(w, `{"attestations_subject_digests":{}}`)
	})
	var digests []graph.Digest
	for n := 1; n <= 1025; n++ {
		digests = append(digests, digestNo(n))
	}
	c := s.client(nil)
	got, err := c.BulkAttestations(context.Background(), "acme", digests)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]graph.Evidence{built(digestNo(2), c, "c2"), built(digestNo(3), c, "c3")}, got); diff != "" {
		t.Error(diff)
	}
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

func TestReadAttestationsOfWhatTheGraphHolds(t *testing.T) {
	s := newStand(t)
	s.json("GET /repositories/4711", `{"id":4711,"name":"shop","full_name":"acme/shop","owner":{"login":"acme","id":9}}`)
	s.json("POST /orgs/acme/attestations/bulk-list", fmt.Sprintf(`{"attestations_subject_digests":{%q:[{"repository_id":4711,"bundle":%s}]}}`, digestNo(7), bundleOf(digestNo(7), "c7")))
	c := s.client(func(o *Options) {
		o.Digests = func(_ context.Context, id graph.RepositoryID) ([]graph.Digest, error) {
			if id != "github-4711" {
				t.Errorf("asked for %s", id)
			}
			return []graph.Digest{digestNo(7)}, nil
		}
		o.Pending = func(_ context.Context, login, cursor string) ([]graph.Digest, string, error) {
			if cursor == "" {
				return []graph.Digest{digestNo(7)}, "second", nil
			}
			return nil, "", nil
		}
	})
	for _, scope := range []string{"attestations:github-4711", "digests:acme"} {
		got := s.read(c, scope, "")
		if diff := cmp.Diff([]graph.Evidence{built(digestNo(7), c, "c7")}, got.Observation.Evidence); diff != "" {
			t.Errorf("%s: %s", scope, diff)
		}
		if (got.Next == "second") != (scope == "digests:acme") {
			t.Errorf("%s: next %q", scope, got.Next)
		}
	}
	if got := s.read(c, "digests:acme", "second"); got.Next != "" || got.Observation.Len() != 0 {
		t.Errorf("%+v", got)
	}
}

func TestReadStatementOfRealBundles(t *testing.T) {
	files, err := filepath.Glob(fixtures(t, "github", "attestations") + "/bundle.*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d bundles: %v", len(files), err)
	}
	commits := 0
	for _, file := range files {
		bundle, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e := graph.Evidence{Digest: subjectOf(t, bundle)}
		if readStatement(bundle, &e); e.Commit != "" {
			commits++
			if len(e.Commit) != 40 || e.Run == "" || e.Workflow == "" {
				t.Errorf("%s: %+v", filepath.Base(file), e)
			}
		}
	}
	if commits < 3 {
		t.Errorf("only %d bundles told their commit", commits)
	}
}

// subjectOf is the first SHA-256 subject of a bundle's statement, by encoding/json.
func subjectOf(t *testing.T, bundle []byte) graph.Digest {
	var b struct {
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	var s struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(bundle, &b) != nil || json.Unmarshal(b.Envelope.Payload, &s) != nil || len(s.Subject) == 0 {
		return ""
	}
	return graph.Digest("sha256:" + s.Subject[0].Digest["sha256"])
}

func FuzzReadStatement(f *testing.F) {
	f.Add([]byte(bundleOf(digestNo(1), "c")))
	f.Add([]byte(`{"dsseEnvelope":{"payload":"e30="}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		e := graph.Evidence{Digest: digestNo(1)}
		readStatement(bundle, &e)
		if e.Repository != "" || e.Digest != digestNo(1) {
			t.Fatalf("the statement decides more than it may: %+v", e)
		}
	})
}

// TestReadInquiries holds that all digests of a round are asked for at once, that a verified signature is an evidence of
// its own, and that an attestation that is refused takes GitHub's association with it.
func TestReadInquiries(t *testing.T) {
	genuine, forged, later := digestNo(1), digestNo(2), digestNo(3)
	s := newStand(t)
	asked := 0
	s.mux.HandleFunc("POST /orgs/acme/attestations/bulk-list", func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintf(w, `{"attestations_subject_digests":{%q:[{"repository_id":4711,"bundle":%s}],%q:[{"repository_id":4711,"bundle":%s},{"repository_id":4711,"bundle":%s}]},"page_info":{}}`,
			genuine, bundleOf(genuine, "c1"), forged, bundleOf(forged, "forged"), bundleOf(forged, "worse"))
	})
	c := s.client(func(o *Options) {
		o.Asked = func(_ context.Context, round, cursor string) ([]graph.Digest, string, error) {
			if round != "r1" || cursor != "" {
				t.Errorf("round %q, cursor %q", round, cursor)
			}
			return []graph.Digest{genuine, forged, later}, "p2", nil
		}
		o.Verify = func(_ context.Context, _ []byte, d graph.Digest) (graph.Evidence, string, error) {
			if d == forged {
				return graph.Evidence{}, "the signature is not genuine", nil
			}
			return graph.Evidence{Digest: d, Method: graph.VerifiedAttestation, Repository: "github-4711", Commit: "c1"}, "", nil
		}
	})
	got := s.read(c, "inquiries:r1", "")
	if asked != 1 || got.Next != "p2" || len(got.Observation.Answered) != 3 {
		t.Errorf("%d calls, next %q, answered %v", asked, got.Next, got.Observation.Answered)
	}
	var said []string
	for _, e := range got.Observation.Evidence {
		said = append(said, fmt.Sprintf("%s %s counts=%v", e.Digest.Short(), e.Method, e.Counts()))
	}
	want := []string{genuine.Short() + " attestation-verified counts=true", genuine.Short() + " attestation-record counts=true",
		forged.Short() + " attestation-verified counts=false", forged.Short() + " attestation-record counts=false"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func TestVerificationThatCannotBeTriedIsTriedAgain(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("POST /orgs/acme/attestations/bulk-list", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"attestations_subject_digests":{%q:[{"repository_id":4711,"bundle":%s}]},"page_info":{}}`, digestNo(1), bundleOf(digestNo(1), "c1"))
	})
	c := s.client(func(o *Options) {
		o.Asked = func(context.Context, string, string) ([]graph.Digest, string, error) {
			return []graph.Digest{digestNo(1)}, "", nil
		}
		o.Verify = func(context.Context, []byte, graph.Digest) (graph.Evidence, string, error) {
			return graph.Evidence{}, "", io.ErrUnexpectedEOF
		}
	})
	if got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "inquiries:r1"}); err == nil {
		t.Errorf("an unverified association came through: %+v", got)
	}
}
