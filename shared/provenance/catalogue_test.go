package provenance

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

const catalogueFile = `
# who builds what
images:
  - pattern: shopacr.azurecr.io/shop/*
    repository: shop/monorepo
    contexts: [services/api, /services/web/]
  - {pattern: "**/tools/debug-?", repository: platform/tools}
workloads:
  - path: /subscriptions/*/resourceGroups/rg-shop/**
    owner: team-shop
    critical: yes
  - name: shop-admin
    internet: no
    author: ada
    reason: behind the VPN
    expires: 2026-09-30
signers:
  - repository: shop/*
    workflow: shop/build/.github/workflows/*
    ref: refs/tags/**
  - repository: platform/**
`

var noon = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

func parsed(t *testing.T, file string) *Catalogue {
	t.Helper()
	c, err := ParseCatalogue([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalogue_patterns_declare_images(t *testing.T) {
	c := parsed(t, catalogueFile)
	for name, want := range map[string]string{
		"shopacr.azurecr.io/shop/api":      "shop/monorepo",
		"SHOPACR.azurecr.io/Shop/api":      "shop/monorepo",
		"shopacr.azurecr.io/shop/api/deep": "",
		"shopacr.azurecr.io/shopping":      "",
		"other.io/shop/api":                "",
		"quay.io/a/b/tools/debug-7":        "platform/tools",
		"tools/debug-7":                    "platform/tools",
		"quay.io/tools/debug-77":           "",
	} {
		got := c.Evidence(graph.Artifact{Digest: "sha256:1", Names: []string{"x.io/y", name}}, noon)
		switch {
		case want == "" && len(got) != 0, want != "" && (len(got) != 1 || got[0].RepositoryName != want || got[0].Method != graph.Declared):
			t.Errorf("%s: %+v, want %q", name, got, want)
		}
	}
	got := c.Evidence(graph.Artifact{Names: []string{"shopacr.azurecr.io/shop/api"}}, noon)
	if !cmp.Equal(got[0].Contexts, []string{"services/api", "services/web"}) {
		t.Errorf("contexts %v", got[0].Contexts)
	}
}

func TestCatalogue_workloads_carry_what_a_person_says(t *testing.T) {
	c := parsed(t, catalogueFile)
	w := graph.Workload{Name: "Shop-Admin", Path: "/subscriptions/1/resourceGroups/RG-Shop/providers/Microsoft.Web/sites/shop-admin"}
	got := c.Readings(w, noon)
	if len(got) != 2 || got[0].Factor != graph.InternetExposed || got[0].Says != graph.No || got[0].Source != "person" ||
		got[0].Raw != "declared no, by ada, because behind the VPN, until 2026-09-30" || !got[0].YesAt.IsZero() {
		t.Fatalf("%+v", got)
	}
	if got[1].Factor != graph.CriticalResource || got[1].Says != graph.Yes || !got[1].YesAt.Equal(noon) {
		t.Errorf("%+v", got[1])
	}
	if c.Owner(w) != "team-shop" || c.Owner(graph.Workload{Name: "else"}) != "" {
		t.Error("owner")
	}
	lastDay := time.Date(2026, 9, 30, 23, 59, 0, 0, time.UTC)
	if got := c.Readings(w, lastDay)[0]; got.Says != graph.No {
		t.Errorf("on the last day: %+v", got)
	}
	if got := c.Readings(w, lastDay.Add(time.Minute))[0]; got.Says != graph.Unknown || !strings.HasSuffix(got.Raw, "(expired)") {
		t.Errorf("expired: %+v", got)
	}
}

func TestCatalogue_a_missing_catalogue_declares_nothing(t *testing.T) {
	var none *Catalogue
	if none.Evidence(graph.Artifact{}, noon) != nil || none.Readings(graph.Workload{}, noon) != nil || none.Owner(graph.Workload{}) != "" {
		t.Error("nil says something")
	}
	for _, file := range []string{"", "# nothing\n", "images:\nworkloads: []\n"} {
		if c := parsed(t, file); len(c.Evidence(graph.Artifact{Names: []string{"a/b"}}, noon)) != 0 {
			t.Errorf("%q says something", file)
		}
	}
}

func TestParseCatalogue_names_every_fault_with_its_place(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"syntax":       {"images: [\n", []string{"catalogue: 1:9:"}},
		"not a map":    {"- a\n", []string{"1:1: want a mapping with images, workloads, signers"}},
		"unknown keys": {"images:\n  - pattern: a/b\n    repo: x/y\nworkload: []\n", []string{`3:5: unknown key "repo"`, `want pattern and repository`, `4:1: unknown key "workload"`}},
		"no list":      {"images: 7\n", []string{"1:9: want a list"}},
		"two at once": {"images:\n  - pattern: a[/b\n    repository: nobody\nworkloads:\n  - name: x\n    path: y\n    critical: maybe\n    expires: soon\n",
			[]string{`2:14: pattern "a[/b"`, `3:17: repository "nobody": want owner/name`, "either path or name", `7:15: critical "maybe": want yes or no`, `8:14: expires "soon"`}},
		"bare no":        {"workloads:\n  - name: x\n    internet: no\n", []string{"a no needs author, reason and expires"}},
		"nested":         {"images:\n  - pattern: {a: b}\n    repository: x/y\n", []string{"2:14: want a text", "2:5: image: want pattern and repository"}},
		"signers":        {"signers:\n  - workflow: a[/b\n", []string{`2:15`, "signer: want repository"}},
		"two documents":  {"images: []\n---\nimages: []\n", []string{"want one document"}},
		"a key repeated": {"workloads:\n  - {name: a, name: b}\n", []string{"name"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCatalogue([]byte(c.file))
			if err == nil {
				t.Fatal("no fault")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q", err, want)
				}
			}
		})
	}
}

func TestCatalogue_signers(t *testing.T) {
	p := parsed(t, catalogueFile).Signers()
	for _, c := range []struct {
		repository, signer string
		want               bool
	}{
		{"shop/api", "https://github.com/shop/build/.github/workflows/release.yml@refs/tags/v1/x", true},
		{"shop/api", "https://github.com/shop/build/.github/workflows/release.yml@refs/heads/main", false},
		{"shop/api", "https://github.com/shop/api/.github/workflows/release.yml@refs/tags/v1", false},
		{"shop/api", "ada@shop.example", false},
		{"platform/tools", "https://github.com/Platform/tools/.github/workflows/x.yml@refs/heads/main", true},
		{"platform/tools", "https://github.com/platform/other/.github/workflows/x.yml@refs/heads/main", false},
		{"platform/tools", "https://github.com/platform/tools/other/x.yml@refs/heads/main", false},
		{"else/where", "https://github.com/any/body/.github/workflows/x.yml@refs/heads/main", true},
	} {
		if got := p.Allows(c.repository, c.signer); got != c.want {
			t.Errorf("%s by %s: %v", c.repository, c.signer, got)
		}
	}
	var none *Catalogue
	if !none.Signers().Allows("a/b", "anybody") {
		t.Error("a missing catalogue forbids")
	}
}

func TestHint(t *testing.T) {
	repositories := []graph.Repository{{ID: "github-1", Owner: "shop", Name: "api"}, {ID: "github-2", Owner: "back", Name: "api"}, {ID: "github-3", Owner: "shop", Name: "Web"}, {ID: "github-4", Owner: "old", Name: "gone", Deleted: true}}
	for name, want := range map[string][]graph.RepositoryID{
		"x.azurecr.io/shop/api":  {"github-1"},
		"x.azurecr.io/other/web": {"github-3"},
		"x.azurecr.io/other/api": nil,
		"x.azurecr.io/old/gone":  nil,
		"web":                    {"github-3"},
	} {
		var got []graph.RepositoryID
		for _, e := range Hint(graph.Artifact{Digest: "sha256:1", Names: []string{name, name}}, repositories) {
			got = append(got, e.Repository)
			if e.Counts() {
				t.Errorf("%s: a hint counts", name)
			}
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func FuzzParseCatalogue(f *testing.F) {
	f.Add([]byte(catalogueFile))
	f.Add([]byte("images: &a\n  - *a\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseCatalogue(raw)
		if err == nil {
			c.Evidence(graph.Artifact{Names: []string{"a/b/c"}}, noon)
			c.Readings(graph.Workload{Path: "/a/b", Name: "c"}, noon)
		}
	})
}
