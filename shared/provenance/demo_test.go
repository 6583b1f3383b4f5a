package provenance_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/demo"
	"throughline/shared/graph"
	"throughline/shared/provenance"
)

// TestDemo reads every image of an organisation and compares what labels and catalogue say with the truth of the one who
// made it up: nothing wrong may count, and nothing right may be missed.
func TestDemo(t *testing.T) {
	d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	env := map[string]string{}
	for _, setting := range d.Env() {
		name, value, _ := strings.Cut(setting, "=")
		env[name] = value
	}
	registry := &provenance.Registry{Mirrors: map[string]string{}}
	for _, mirror := range strings.Split(env["REGISTRY_MIRRORS"], ",") {
		host, place, _ := strings.Cut(mirror, "=")
		registry.Mirrors[host] = place
	}
	raw, err := os.ReadFile(env["CATALOGUE_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := provenance.ParseCatalogue(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}

	truth := d.Expected()
	names := map[int64]string{}
	for _, r := range truth.RepositoryList {
		names[r.ID] = r.FullName
	}
	var known []graph.Artifact
	for _, image := range truth.ImageList {
		got, err := registry.Read(t.Context(), graph.Collection{Source: "registry", Scope: "image:" + image.Reference + ":" + image.Tag})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Skipped) != 0 {
			t.Errorf("%s: skipped %v", image.Reference, got.Skipped)
		}
		var closure []string
		for _, a := range got.Observation.Artifacts {
			closure = append(closure, string(a.Digest))
		}
		slices.Sort(closure)
		want := slices.Sorted(slices.Values(image.Closure))
		if !slices.Equal(closure, want) {
			t.Errorf("%s: closure %v, want %v", image.Reference, closure, want)
		}
		known = append(known, got.Observation.Artifacts...)
	}
	for _, image := range truth.ImageList {
		compare(t, image, names[image.Repository], said(known, catalogue, image))
	}
}

// said is all that labels and catalogue say of an image, with every image known.
func said(known []graph.Artifact, catalogue *provenance.Catalogue, image demo.ExpectedImage) []graph.Evidence {
	var out []graph.Evidence
	for _, a := range known {
		if slices.Contains(image.Closure, string(a.Digest)) {
			out = append(out, provenance.JudgeLabels(a, known)...)
			out = append(out, catalogue.Evidence(a, time.Now())...)
		}
	}
	return out
}

func compare(t *testing.T, image demo.ExpectedImage, repository string, said []graph.Evidence) {
	t.Helper()
	right := map[graph.Method]bool{}
	for _, e := range said {
		wrong := e.RepositoryName != repository
		lie := e.Method == graph.ImageLabel && slices.Contains(image.Evidence, "foreign-label")
		if e.Refused == "" && wrong && !lie {
			t.Errorf("%s (%v): %s says %s, truly %q", image.Reference, image.Evidence, e.Method, e.RepositoryName, repository)
		}
		right[e.Method] = right[e.Method] || e.Refused == "" && !wrong && (e.Method != graph.ImageLabel || e.Commit == image.Commit)
	}
	for word, method := range map[string]graph.Method{"label": graph.ImageLabel, "catalogue": graph.Declared} {
		if slices.Contains(image.Evidence, word) && !right[method] {
			t.Errorf("%s (%v): no %s for %s: %+v", image.Reference, image.Evidence, word, repository, said)
		}
	}
}
