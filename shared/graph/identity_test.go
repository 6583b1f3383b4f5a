package graph_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

func TestIdentities(t *testing.T) {
	r := graph.NewRepositoryID("github", 4711)
	digest := graph.Digest("sha256:" + strings.Repeat("ab", 32))
	for _, test := range []struct{ got, want string }{
		{string(r), "github-4711"},
		{string(graph.NewOrgID("ghes", 7)), "ghes-org-7"},
		{string(graph.NewAlertID(r, graph.Dependabot, 88)), "github-4711-dependabot-88"},
		{string(graph.NewRemediationID(r, "pkg:npm/lodash")), "github-4711-fix-692895694a374534"},
		{string(graph.NewWorkloadID("/Subscriptions/S/x")), string(graph.NewWorkloadID("/subscriptions/s/X"))},
		{digest.Short(), "sha256:abababababab"},
		{graph.Digest("sha256:ab").Short(), "sha256:ab"},
		{r.Host(), "github"},
		{graph.RepositoryID("my-host-12").Host(), "my-host"},
		{graph.RepositoryID("nothing").Host(), ""},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
	if w := graph.NewWorkloadID("/subscriptions/s"); len(w) != len("w-")+20 {
		t.Errorf("workload id %q", w)
	}
	if r.Number() != 4711 || graph.RepositoryID("github-x").Number() != 0 || graph.RepositoryID("").Number() != 0 {
		t.Error("numbers of repositories")
	}
}

func TestRepositoryIDValid(t *testing.T) {
	for id, want := range map[graph.RepositoryID]bool{"github-1": true, "a-b-2": true, "": false, "github": false, "github-": false, "-1": false, "github-0": false, "github-x": false, "github-99999999999999999999": false} {
		if got := id.Valid(); got != want {
			t.Errorf("%q: valid %t, want %t", id, got, want)
		}
	}
}

func TestAlertIDsAreTakenApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := graph.NewRepositoryID(rapid.StringMatching(`[a-z][a-z0-9-]{0,9}[a-z0-9]`).Draw(t, "host"), rapid.Int64Min(1).Draw(t, "id"))
		kind := rapid.SampledFrom(graph.AlertKinds[:]).Draw(t, "kind")
		number := rapid.IntRange(1, 1<<40).Draw(t, "number")
		id := graph.NewAlertID(r, kind, number)
		gotR, gotKind, gotNumber, ok := graph.ParseAlertID(id)
		if !ok || gotR != r || gotKind != kind || gotNumber != number {
			t.Fatalf("%s: %s %s %d %t", id, gotR, gotKind, gotNumber, ok)
		}
		if strings.ContainsAny(string(id), `/\?#`) {
			t.Fatalf("%s cannot stand in an address", id)
		}
	})
	for _, id := range []graph.FindingID{"", "runtime-0f1e", "github-1", "github-1-dependabot-", "github-1-dependabot-0", "github-1-dependabot-x", "github-dependabot-1", "github-1-malware-1", "-dependabot-1"} {
		if r, kind, number, ok := graph.ParseAlertID(id); ok {
			t.Errorf("%q is taken for alert %s %s %d", id, r, kind, number)
		}
	}
}

func FuzzParseAlertID(f *testing.F) {
	for _, id := range []string{"github-4711-dependabot-88", "runtime-x", "", "a-1-secret_scanning-1-code_scanning-2"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if r, _, number, ok := graph.ParseAlertID(graph.FindingID(id)); ok && (number < 1 || !r.Valid()) {
			t.Errorf("%q: %q, %d", id, r, number)
		}
	})
}

func TestParseDigest(t *testing.T) {
	hex := strings.Repeat("0aF9", 16)
	for text, want := range map[string]graph.Digest{"sha256:" + hex: graph.Digest("sha256:" + strings.ToLower(hex)), "SHA256:" + strings.ToUpper(hex): graph.Digest("sha256:" + strings.ToLower(hex))} {
		if got, err := graph.ParseDigest(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", hex, "sha256:", "sha256:" + hex[1:], "sha256:" + hex + "00", "sha512:" + hex, "sha256:" + strings.Repeat("g", 64), "sha256: " + hex[1:], "sha256:" + hex[:62] + "é"} {
		if got, err := graph.ParseDigest(text); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("ab", 32))
	f.Add("sha256:zz")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := graph.ParseDigest(text)
		if err != nil {
			return
		}
		if again, err := graph.ParseDigest(string(d)); err != nil || again != d || len(d) != 71 || strings.ToLower(text) != string(d) {
			t.Errorf("%q: %q", text, d)
		}
	})
}

func TestUnmappedImagesHaveStandIns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digests := rapid.SliceOfNDistinct(rapid.StringMatching(`sha256:[0-9a-f]{64}`), 2, 2, rapid.ID).Draw(t, "digests")
		a, b := graph.Unmapped(graph.Digest(digests[0])), graph.Unmapped(graph.Digest(digests[1]))
		if !a.Valid() || a.Mapped() || a == b || a != graph.Unmapped(graph.Digest(digests[0])) {
			t.Fatalf("%s and %s", a, b)
		}
	})
	if !graph.NewRepositoryID("github", 1).Mapped() || graph.RepositoryID("").Mapped() {
		t.Error("mapped repositories")
	}
}

// TestKeysCanBeStored holds that whatever a source names, its key is one that every store takes, and another for another name.
func TestKeysCanBeStored(t *testing.T) {
	name := rapid.OneOf(rapid.StringN(1, 40, -1), rapid.StringN(150, 300, -1), rapid.SampledFrom([]string{"azure /subscriptions/a/b", "a b", "a/b", "a.b", strings.Repeat("日", 90), strings.Repeat("é", 199)}))
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		makers := map[string]func(string) graph.Key{
			"scope": graph.ScopeKey, "run": graph.RunKey, "refusal": graph.RefusalKey,
			"held": func(s string) graph.Key {
				return graph.HeldKey("github org:acme", graph.Absence{Kind: graph.KindFinding, ID: s})
			},
		}
		for what, make := range makers {
			k := make(a)
			if err := k.Check(); err != nil || strings.ContainsAny(k.ID, `/\?#%`) {
				t.Fatalf("%s of %q: %s, %v", what, a, k, err)
			}
			if (make(b) == k) != (a == b) {
				t.Fatalf("%s of %q and %q: %s and %s", what, a, b, k, make(b))
			}
		}
	})
}
