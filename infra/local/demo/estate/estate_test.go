package estate

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func build(t testing.TB, seed int64, size string) *Estate {
	t.Helper()
	e, err := New(Config{Seed: seed, Size: size, Epoch: epoch})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSameSeedSameEstate(t *testing.T) {
	if a, b := build(t, 7, "small"), build(t, 7, "small"); !reflect.DeepEqual(a, b) {
		t.Error("two estates of one seed differ")
	}
	a, b := build(t, 7, "small"), build(t, 8, "small")
	if a.Images[0].Digest == b.Images[0].Digest || a.Repositories[0].ID == b.Repositories[0].ID || a.Commit(0, 3) == b.Commit(0, 3) {
		t.Error("two seeds share identities")
	}
	if slices.EqualFunc(a.Alerts[Dependabot], b.Alerts[Dependabot], func(x, y Alert) bool { return x == y }) {
		t.Error("two seeds share their alerts")
	}
}

func TestEpochMovesTimesOnly(t *testing.T) {
	a := build(t, 1, "small")
	b, err := New(Config{Seed: 1, Size: "small", Epoch: epoch.AddDate(0, 3, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Images {
		if a.Images[i].Digest != b.Images[i].Digest {
			t.Errorf("image %d has another digest on another day", i)
		}
	}
}

func TestUnknownSizeIsRefused(t *testing.T) {
	if _, err := New(Config{Size: "huge"}); err == nil {
		t.Error("an estate of no known size was built")
	}
}

// TestSmallEstateHasEveryCase holds for any seed, not just for the one that people look at.
func TestSmallEstateHasEveryCase(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := build(t, rapid.Int64().Draw(rt, "seed"), "small")
		if len(e.Repositories) < 6 || len(e.Images) != 12 || len(e.Workloads) != 20 {
			rt.Fatalf("%d repositories, %d images, %d workloads", len(e.Repositories), len(e.Images), len(e.Workloads))
		}
		if n := len(e.Alerts[0]) + len(e.Alerts[1]) + len(e.Alerts[2]); n != 150 {
			rt.Fatalf("%d alerts, want 150", n)
		}
		var public, archived, mono, without, owners int
		for i, r := range e.Repositories {
			public, archived = public+count(!r.Private), archived+count(r.Archived)
			mono, without, owners = mono+count(len(r.Units) > 1), without+count(len(e.ImagesOf(i)) == 0), owners+count(r.OwnersPath != "")
		}
		if public == 0 || archived == 0 || mono == 0 || without == 0 || owners < 3 || owners == len(e.Repositories) {
			rt.Fatalf("public %d, archived %d, monorepos %d, without image %d, with owners %d", public, archived, mono, without, owners)
		}
		seen := map[Evidence]bool{}
		var foreign, indexes, based int
		for _, img := range e.Images {
			for bit := Attested; bit <= ForeignLabel; bit <<= 1 {
				seen[bit] = seen[bit] || img.Evidence.Has(bit)
			}
			foreign, indexes, based = foreign+count(img.Repo < 0), indexes+count(img.Multi), based+count(img.Base >= 0)
		}
		if len(seen) != 6 || slices.Contains(mapValues(seen), false) || foreign != 2 || indexes == 0 || based < 3 {
			rt.Fatalf("evidence %v, foreign %d, indexes %d, on a base %d", seen, foreign, indexes, based)
		}
		kinds := map[string]bool{}
		for _, w := range e.Workloads {
			kinds[w.Kind()] = true
		}
		if len(kinds) != 5 {
			rt.Fatalf("platforms %v", kinds)
		}
	})
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func mapValues(m map[Evidence]bool) []bool {
	var out []bool
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

func TestAlertsAreNumberedAndUnique(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := build(t, rapid.Int64().Draw(rt, "seed"), "small")
		for _, k := range Kinds {
			next := map[int]int{}
			pairs := map[[3]any]bool{}
			for i, a := range e.Alerts[k] {
				if next[a.Repo]++; a.Number != next[a.Repo] {
					rt.Fatalf("%s %d of repository %d has number %d", k, next[a.Repo], a.Repo, a.Number)
				}
				if i > 0 && a.Created.Before(e.Alerts[k][i-1].Created) || a.Updated.Before(a.Created) || !a.Updated.Before(epoch.Add(time.Second)) {
					rt.Fatalf("%s %d is out of time: %+v", k, i, a)
				}
				if (a.State == "open") == !a.Closed.IsZero() {
					rt.Fatalf("%s is %s and was closed at %v", k, a.State, a.Closed)
				}
				if key := [3]any{a.Repo, a.Entry, a.Path}; k == Dependabot {
					if pairs[key] {
						rt.Fatalf("an advisory was raised twice for %s", a.Path)
					}
					pairs[key] = true
				}
			}
		}
	})
}

func TestContentHasTheDigestsThatItNames(t *testing.T) {
	e := build(t, 3, "small")
	for i, img := range e.Images {
		manifests, blobs := e.Content(img)
		have := map[string]int{}
		for _, d := range append(manifests, blobs...) {
			if DigestOf(d.Body) != d.Digest {
				t.Errorf("image %d: %s does not have its digest", i, d.MediaType)
			}
			have[d.Digest] = len(d.Body)
		}
		for _, m := range manifests {
			var doc struct {
				Config            *descriptor
				Layers, Manifests []descriptor
			}
			if err := json.Unmarshal(m.Body, &doc); err != nil {
				t.Fatal(err)
			}
			for _, d := range append(doc.Layers, doc.Manifests...) {
				if have[d.Digest] != d.Size {
					t.Errorf("image %d names %s of %d bytes, there are %d", i, d.Digest, d.Size, have[d.Digest])
				}
			}
		}
		if img.Base >= 0 {
			baseOf, own := e.layers(e.Images[img.Base], "amd64"), e.layers(img, "amd64")
			for n := range baseOf {
				if baseOf[n].Digest != own[n].Digest {
					t.Errorf("image %d does not begin with the layers of its base", i)
				}
			}
		}
	}
}

func TestLabelsInheritAndContradict(t *testing.T) {
	e := build(t, 5, "small")
	for i, img := range e.Images {
		source := strings.TrimPrefix(e.Labels(img)["org.opencontainers.image.source"], "https://github.com/")
		switch {
		case img.Evidence.Has(InheritedLabel):
			if want := e.FullName(e.Images[img.Base].Repo); source != want || img.Repo == e.Images[img.Base].Repo {
				t.Errorf("image %d: label %q, want the base's %q", i, source, want)
			}
		case img.Evidence.Has(ForeignLabel):
			if source == "" || source == e.FullName(img.Repo) {
				t.Errorf("image %d: label %q contradicts nothing", i, source)
			}
		case img.Evidence.Has(Labelled):
			if source != e.FullName(img.Repo) {
				t.Errorf("image %d: label %q, want %q", i, source, e.FullName(img.Repo))
			}
		}
	}
}

func TestSomeFindingsHaveAnAlertAndSomeHaveNone(t *testing.T) {
	e := build(t, 1, "small")
	var with, without int
	for i := range e.Images {
		for _, p := range e.Software(i) {
			with, without = with+count(p.FromAlert), without+count(!p.FromAlert)
		}
	}
	if with < 5 || without < 5 {
		t.Errorf("%d packages of images have a Dependabot alert, %d have none", with, without)
	}
}

func TestLargePlanHasTheSizeThatGoalsSpeakOf(t *testing.T) {
	for seed := range int64(5) {
		p := largePlan(seed, 1)
		attested := 0
		for _, i := range p.images {
			attested += count(i.evidence.Has(Attested))
		}
		if len(p.repositories) != 2000 || len(p.images) != 10_000 || len(p.workloads) != 50_000 || p.alerts != [3]int{40_000, 18_000, 2_000} || attested != 5_000 {
			t.Errorf("seed %d: %d repositories, %d images (%d attested), %d workloads, alerts %v", seed, len(p.repositories), len(p.images), attested, len(p.workloads), p.alerts)
		}
	}
}

func TestLargeEstate(t *testing.T) {
	if os.Getenv("THROUGHLINE_LONG") == "" {
		t.Skip("set THROUGHLINE_LONG=1 for the large estate")
	}
	a, b := build(t, 2, "large"), build(t, 2, "large")
	if !reflect.DeepEqual(a, b) {
		t.Error("two large estates of one seed differ")
	}
	digests := map[string]bool{}
	for i, img := range a.Images {
		for _, d := range img.Closure() {
			if digests[d] {
				t.Fatalf("image %d shares the digest %s with another", i, d)
			}
			digests[d] = true
		}
	}
	for _, k := range Kinds {
		for _, x := range a.Alerts[k] {
			if x.State != "open" {
				t.Fatalf("a %s alert is %s, all should be open", k, x.State)
			}
		}
	}
}
