package github

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

func TestHostKey(t *testing.T) {
	for url, want := range map[string]string{
		"": "github", "https://api.github.com": "github", "https://API.GitHub.com/": "github", "::": "github",
		"https://ghe.example.com/api/v3": "ghe_example_com", "https://GHE.example.com:8443/api/v3/": "ghe_example_com",
		"https://api.acme.ghe.com": "acme_ghe_com", "http://127.0.0.1:7080": "127_0_0_1", "http://[::1]:80": "__1",
	} {
		got := HostKey(url)
		if got != want || !graph.NewRepositoryID(got, 1).Valid() {
			t.Errorf("HostKey(%q) = %q, want %q", url, got, want)
		}
	}
}

func TestCloses(t *testing.T) {
	for body, want := range map[string][]int{
		"":                                   nil,
		"fixes #1":                           {1},
		"Fixed: #1, CLOSES #2. resolved #1":  {1, 2},
		"close acme/shop#3 fix other/repo#4": {3},
		"resolves https://github.com/Acme/Shop/issues/5":  {5},
		"resolves https://github.com/acme/other/issues/5": nil,
		"see #6, prefixes #7, fix#8, fixes # 9":           nil,
		"fixes #0 fixes #99999999999":                     nil,
	} {
		if diff := cmp.Diff(want, closes(body, "acme/shop")); diff != "" {
			t.Errorf("%q: %s", body, diff)
		}
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]int{"CWE-79": 79, "external/cwe/cwe-089": 89, "cwe-": 0, "CWE-x": 0, "security": 0, "CWE-99999999999999999999": 0} {
		if n, ok := cwe(text); n != want && ok || ok != (want > 0) {
			t.Errorf("cwe(%q) = %d %v", text, n, ok)
		}
	}
	for word, want := range map[string]string{"Moderate": "medium", "CRITICAL": "critical", "": "", "error": "", "none": "none"} {
		if got := severity(word); got != want {
			t.Errorf("severity(%q) = %q", word, got)
		}
	}
}

func TestReadRepositoryInItsShortForms(t *testing.T) {
	for text, want := range map[string]graph.Repository{
		`{"id":1,"full_name":"acme/shop","private":true}`:  {ID: "github-1", Owner: "acme", Name: "shop", Visibility: "private"},
		`{"id":1,"full_name":"acme/shop","private":false}`: {ID: "github-1", Owner: "acme", Name: "shop", Visibility: "public"},
		// What is not said is not known: the graph counts it as public.
		`{"id":1,"full_name":"acme/shop"}`: {ID: "github-1", Owner: "acme", Name: "shop"},
		`{"id":1,"name":"shop","full_name":"acme/shop","private":true,"visibility":"internal","owner":{"login":"Acme","id":9},"updated_at":"2026-01-01T01:00:00+01:00"}`: {
			ID: "github-1", Org: "github-org-9", Owner: "Acme", Name: "shop", Visibility: "internal", UpdatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		got, err := ReadRepository(scan.New([]byte(text))).Noun("github", 0)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %s %v", text, diff, err)
		}
	}
	for _, text := range []string{`{}`, `[]`, `null`, `{"id":-1,"full_name":"a/b"}`, `{"id":1}`, `{"id":1,"full_name":"shop"}`, `{"id":"1","full_name":"a/b"}`} {
		if got, err := ReadRepository(scan.New([]byte(text))).Noun("github", 0); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
