package provenance

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

func TestSourceRepository(t *testing.T) {
	for label, want := range map[string]string{
		"https://github.com/shop/api":                         "github.com shop/api",
		"https://github.com/shop/api.git":                     "github.com shop/api",
		" http://www.GitHub.com/Shop/Api/ ":                   "github.com Shop/Api",
		"https://github.com/shop/api/tree/main/services/a":    "github.com shop/api",
		"https://token@github.com/shop/api":                   "github.com shop/api",
		"https://ghes.example:8443/shop/api":                  "ghes.example shop/api",
		"git+https://github.com/shop/api@refs/heads/main":     "github.com shop/api",
		"git://github.com/shop/api.git#v1":                    "github.com shop/api",
		"ssh://git@github.com/shop/api.git":                   "github.com shop/api",
		"git@github.com:shop/api.git":                         "github.com shop/api",
		"github.com/shop/api":                                 "github.com shop/api",
		"https://gitlab.com/shop/api":                         "gitlab.com shop/api",
		"shop/api":                                            "",
		"https://github.com/shop":                             "",
		"https://github.com/":                                 "",
		"https://github.com/sh op/api":                        "",
		"https://github.com/shop/<script>":                    "",
		"ftp://github.com/shop/api":                           "",
		"javascript:alert(1)":                                 "",
		"https://github.com/../api":                           "",
		"":                                                    "",
		"https://github.com/" + strings.Repeat("a/", 3) + "b": "github.com a/a",
	} {
		host, repository, ok := SourceRepository(label)
		if got := strings.TrimSpace(host + " " + repository); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", label, got, want)
		}
	}
}

func artifact(digest string, layers, source, revision string) graph.Artifact {
	a := graph.Artifact{Digest: graph.Digest(digest), Names: []string{"x.io/" + digest}, Labels: map[string]string{}}
	if layers != "" {
		a.Layers = strings.Split(layers, "")
	}
	if source != "" {
		a.Labels[labelSource] = "https://github.com/" + source
	}
	if revision != "" {
		a.Labels[labelRevision] = revision
	}
	return a
}

func TestJudgeLabels_inherited_labels_are_refused(t *testing.T) {
	base, own := artifact("base", "ab", "shop/base", sha), strings.Repeat("cd", 20)
	named := artifact("named", "xy", "shop/base", sha)
	named.Base = "base"
	indexed := artifact("indexed", "xy", "Shop/Base", "")
	indexed.Base = "index"
	base.Indexes = []graph.Digest{"index"}
	for name, c := range map[string]struct {
		a       graph.Artifact
		refused bool
		commit  string
	}{
		"by layers":                      {artifact("1", "abc", "shop/base", sha), true, ""},
		"by digest":                      {named, true, ""},
		"by the index's digest":          {indexed, true, ""},
		"own source":                     {artifact("2", "abc", "shop/api", own), false, own},
		"own source, inherited revision": {artifact("3", "abc", "shop/api", sha), false, ""},
		"own revision, inherited source": {artifact("4", "abc", "shop/base", own), true, own},
		"another image":                  {artifact("5", "acb", "shop/base", sha), false, sha},
		"the base itself":                {base, false, sha},
		"same layers":                    {artifact("6", "ab", "shop/base", sha), false, sha},
		"revision that is no commit":     {artifact("7", "z", "shop/api", "v1.2"), false, ""},
	} {
		got := JudgeLabels(c.a, []graph.Artifact{artifact("other", "q", "shop/q", ""), base})
		if len(got) != 1 || (got[0].Refused != "") != c.refused || got[0].Commit != c.commit || got[0].Digest != c.a.Digest {
			t.Errorf("%s: %+v", name, got)
		}
		if c.refused && got[0].Refused != "label inherited from the base image x.io/base@base" {
			t.Errorf("%s: %s", name, got[0].Refused)
		}
	}
}

func TestJudgeLabels_only_on_our_hosts(t *testing.T) {
	a := artifact("1", "", "shop/api", "")
	if got := JudgeLabels(a, nil, "ghes.example"); got != nil {
		t.Errorf("%+v", got)
	}
	a.Labels[labelSource] = "https://ghes.example/shop/api"
	if got := JudgeLabels(a, nil, "github.com", "ghes.example"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if got := JudgeLabels(graph.Artifact{}, nil); got != nil {
		t.Errorf("no label says %+v", got)
	}
}

// TestJudgeLabels_more_bases_never_add_belief holds that knowing more images can only take evidence away.
func TestJudgeLabels_more_bases_never_add_belief(t *testing.T) {
	drawn := rapid.Custom(func(t *rapid.T) graph.Artifact {
		return artifact(rapid.StringMatching("[a-c]").Draw(t, "digest"), rapid.StringMatching("[ab]{0,3}").Draw(t, "layers"),
			rapid.SampledFrom([]string{"", "shop/a", "shop/b"}).Draw(t, "source"), rapid.SampledFrom([]string{"", sha}).Draw(t, "revision"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a := drawn.Draw(t, "image")
		bases := rapid.SliceOfN(drawn, 0, 4).Draw(t, "bases")
		few, all := JudgeLabels(a, bases[:len(bases)/2]), JudgeLabels(a, bases)
		if len(few) != len(all) {
			t.Fatalf("%v and %v", few, all)
		}
		for i := range few {
			if few[i].Refused != "" && all[i].Refused == "" || few[i].Commit == "" && all[i].Commit != "" {
				t.Fatalf("%+v became %+v", few[i], all[i])
			}
		}
	})
}

func FuzzSourceRepository(f *testing.F) {
	f.Add("https://github.com/shop/api")
	f.Add("git@github.com:shop/api")
	f.Fuzz(func(t *testing.T, label string) {
		host, repository, ok := SourceRepository(label)
		if ok && (host == "" || !repositoryForm.MatchString(repository)) || !ok && host+repository != "" {
			t.Errorf("%q: %q %q %v", label, host, repository, ok)
		}
	})
}
