package provenance

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"throughline/shared/graph"
)

// shelf is a registry in memory that stands for every registry.
type shelf struct {
	*httptest.Server
	t *testing.T
}

func newShelf(t *testing.T) (*shelf, *Registry) {
	t.Helper()
	s := &shelf{httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)))), t}
	t.Cleanup(s.Close)
	return s, &Registry{Mirrors: map[string]string{"*": strings.TrimPrefix(s.URL, "http://")}}
}

func (s *shelf) place(reference string) name.Reference {
	s.t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://") + "/" + reference)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

func (s *shelf) put(reference string, image v1.Image) graph.Digest {
	s.t.Helper()
	if err := remote.Write(s.place(reference), image); err != nil {
		s.t.Fatal(err)
	}
	return digestOf(s.t, image)
}

func (s *shelf) putIndex(reference string, index v1.ImageIndex) graph.Digest {
	s.t.Helper()
	if err := remote.WriteIndex(s.place(reference), index); err != nil {
		s.t.Fatal(err)
	}
	return digestOf(s.t, index)
}

func digestOf(t *testing.T, x interface{ Digest() (v1.Hash, error) }) graph.Digest {
	t.Helper()
	h, err := x.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return graph.Digest(h.String())
}

// built is an image with layers of its own on top of base (nil: none) and these labels.
func built(t *testing.T, base v1.Image, labels map[string]string) v1.Image {
	t.Helper()
	if base == nil {
		base = empty.Image
	}
	layer, err := random.Layer(64, "application/vnd.oci.image.layer.v1.tar+gzip")
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	for k, v := range labels {
		if config.Config.Labels == nil {
			config.Config.Labels = map[string]string{}
		}
		config.Config.Labels[k] = v
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

const sha = "0123456789abcdef0123456789abcdef01234567"

func from(repository string) map[string]string {
	return map[string]string{labelSource: "https://github.com/" + repository, labelRevision: sha, "maintainer": "nobody"}
}

func (s *shelf) read(r *Registry, reference string) graph.Collected {
	s.t.Helper()
	got, err := r.Read(context.Background(), graph.Collection{Source: "registry", Scope: "image:" + reference})
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func TestRegistry_labels_of_an_image_are_evidence(t *testing.T) {
	s, r := newShelf(t)
	digest := s.put("shopacr.azurecr.io/shop/api:1.4", built(t, nil, from("shop/api")))
	for _, reference := range []string{"shopacr.azurecr.io/shop/api:1.4", "shopacr.azurecr.io/shop/api@" + string(digest)} {
		got := s.read(r, reference).Observation
		if len(got.Artifacts) != 1 || len(got.Evidence) != 1 {
			t.Fatalf("%s: %+v", reference, got)
		}
		a, e := got.Artifacts[0], got.Evidence[0]
		if a.Digest != digest || a.Platform != "linux/amd64" || len(a.Layers) != 1 || !cmp.Equal(a.Names, []string{"shopacr.azurecr.io/shop/api"}) {
			t.Errorf("%s: artifact %+v", reference, a)
		}
		if a.Labels["maintainer"] != "" {
			t.Errorf("%s: keeps labels that are not of the OCI specification: %v", reference, a.Labels)
		}
		want := graph.Evidence{Digest: digest, Method: graph.ImageLabel, RepositoryName: "shop/api", Commit: sha, SeenAt: a.UpdatedAt}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("%s: evidence (-want +got)\n%s", reference, diff)
		}
		if tagged := strings.Contains(reference, ":1.4"); tagged != (len(a.Tags) == 1) {
			t.Errorf("%s: tags %v", reference, a.Tags)
		}
	}
}

func TestRegistry_index_and_manifests_form_one_closure(t *testing.T) {
	s, r := newShelf(t)
	amd, arm := built(t, nil, from("shop/web")), built(t, nil, from("shop/web"))
	record := built(t, nil, nil)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}},
		mutate.IndexAddendum{Add: record, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}})
	top := s.putIndex("docker.io/shop/web:2", index)
	got := s.read(r, "shop/web:2").Observation
	if len(got.Artifacts) != 4 {
		t.Fatalf("artifacts %+v", got.Artifacts)
	}
	a := got.Artifacts[0]
	want := []graph.Digest{digestOf(t, amd), digestOf(t, arm), digestOf(t, record)}
	if a.Digest != top || !cmp.Equal(a.Manifests, want) || !cmp.Equal(a.Tags, []string{"docker.io/shop/web:2", "shop/web:2"}) {
		t.Errorf("index %+v", a)
	}
	for i, child := range got.Artifacts[1:] {
		if !cmp.Equal(child.Indexes, []graph.Digest{top}) || child.Digest != want[i] {
			t.Errorf("manifest %d: %+v", i, child)
		}
	}
	if got.Artifacts[2].Platform != "linux/arm64/v8" {
		t.Errorf("platform %q", got.Artifacts[2].Platform)
	}
	said := map[graph.Digest]bool{}
	for _, e := range got.Evidence {
		said[e.Digest] = e.RepositoryName == "shop/web" && e.Refused == ""
	}
	if !said[top] || !said[want[0]] || !said[want[1]] || len(got.Evidence) != 3 {
		t.Errorf("evidence %+v", got.Evidence)
	}
}

func TestRegistry_label_of_the_named_base_is_refused(t *testing.T) {
	s, r := newShelf(t)
	base := built(t, nil, from("shop/base"))
	digest := s.put("shopacr.azurecr.io/base/go:1", base)
	s.put("shopacr.azurecr.io/shop/tool:1", built(t, base, map[string]string{labelBaseName: "shopacr.azurecr.io/base/go:1", labelBaseDigest: string(digest)}))
	got := s.read(r, "shopacr.azurecr.io/shop/tool:1").Observation
	if len(got.Evidence) != 1 || !strings.Contains(got.Evidence[0].Refused, "inherited from the base image shopacr.azurecr.io/base/go:1") || got.Evidence[0].Commit != "" {
		t.Fatalf("evidence %+v", got.Evidence)
	}
	if a := got.Artifacts[0]; a.Base != digest || a.BaseName != "shopacr.azurecr.io/base/go:1" || len(got.Artifacts) != 1 {
		t.Errorf("artifacts %+v", got.Artifacts)
	}
}

func TestRegistry_own_label_over_the_base_counts(t *testing.T) {
	s, r := newShelf(t)
	base := built(t, nil, from("shop/base"))
	digest := s.put("shopacr.azurecr.io/base/go:1", base)
	labels := from("shop/tool")
	labels[labelBaseName], labels[labelBaseDigest], labels[labelRevision] = "shopacr.azurecr.io/base/go:1", string(digest), strings.Repeat("ab", 20)
	s.put("shopacr.azurecr.io/shop/tool:1", built(t, base, labels))
	got := s.read(r, "shopacr.azurecr.io/shop/tool:1").Observation
	if len(got.Evidence) != 1 || got.Evidence[0].Refused != "" || got.Evidence[0].RepositoryName != "shop/tool" || got.Evidence[0].Commit != strings.Repeat("ab", 20) {
		t.Fatalf("evidence %+v", got.Evidence)
	}
}

func TestRegistry_what_cannot_be_read_is_counted(t *testing.T) {
	s, r := newShelf(t)
	for reference, want := range map[string]string{
		"shopacr.azurecr.io/shop/none:1": "image not found",
		"shop/UPPER case":                "image reference not understood",
		"":                               "image reference not understood",
	} {
		got := s.read(r, reference)
		if got.Skipped[want] != 1 || got.Observation.Len() != 0 {
			t.Errorf("%q: %+v", reference, got)
		}
	}
	direct := &Registry{}
	for _, reference := range []string{"127.0.0.1:1/a/b:1", "localhost:1/a/b:1", "169.254.169.254/a/b", "registry.internal/a/b", "[::1]:5/a/b"} {
		if got := s.read(direct, reference); got.Skipped["image reference not understood"] != 1 {
			t.Errorf("%q: asked: %+v", reference, got)
		}
	}
}

func TestRegistry_refusals(t *testing.T) {
	status, header := 0, http.Header{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	at := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	r := &Registry{Mirrors: map[string]string{"*": strings.TrimPrefix(server.URL, "http://")}, Now: func() time.Time { return at }}
	read := func() (graph.Collected, error) {
		return r.Read(context.Background(), graph.Collection{Source: "registry", Scope: "image:a.example/b:1"})
	}
	for _, s := range []int{401, 403} {
		status = s
		if got, err := read(); err != nil || got.Skipped["image not readable"] != 1 {
			t.Errorf("%d: %+v, %v", s, got, err)
		}
	}
	status = 500
	if got, err := read(); err == nil {
		t.Errorf("500: %+v", got)
	}
	status, header = 429, http.Header{"Retry-After": {"90"}}
	var limited *graph.Limited
	if _, err := read(); !errors.As(err, &limited) || !limited.Until.Equal(at.Add(90*time.Second)) {
		t.Errorf("429: %v", err)
	}
	if _, err := r.Read(context.Background(), graph.Collection{Source: "registry", Scope: "all"}); err == nil {
		t.Error("an unknown scope is read")
	}
}
