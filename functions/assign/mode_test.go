package assign

import (
	"testing"

	"throughline/shared/graph"
)

func TestModesByPattern(t *testing.T) {
	rules, err := ParseModes("shop/legacy-*=observe, SHOP/*=auto,other/x=approve,")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Mode{"legacy-web": Observe, "Legacy-API": Observe, "api": Auto} {
		if got := rules.Of(graph.Repository{Owner: "shop", Name: name}, Approve); got != want {
			t.Errorf("shop/%s: %s, want %s", name, got, want)
		}
	}
	if got := rules.Of(graph.Repository{Owner: "else", Name: "x"}, Approve); got != Approve {
		t.Errorf("else/x: %s, want the mode that holds otherwise", got)
	}
	for _, wrong := range []string{"shop", "shop/*", "shop/*=on", "=auto", "a/b/c=auto", "shop/[=auto"} {
		if _, err := ParseModes(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func TestModeOfARepositoryHolds(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	b.stage.Modes = Modes{{"shop/*", Approve}}
	f := b.finds(nil)
	b.handle(f.Remediation)
	if n := b.hub.calls["create"]; n != 0 {
		t.Fatalf("%d issues without approval", n)
	}
	if m := b.remediation(f.Remediation); m.Held == "" {
		t.Error("nothing says that it waits for a person")
	}
	m := b.remediation(f.Remediation)
	m.Approved = true
	put(b, graph.RemediationKey(repositoryID, f.Remediation), graph.KindRemediation, m)
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusOpen, "open")
}

func TestClickOpensAnIssueBelowTheTier(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	f := b.finds(func(f *graph.Finding) { f.Decision.Published, f.Decision.Tier = graph.P4, graph.P4 })
	b.handle(f.Remediation)
	if n := b.hub.calls["create"]; n != 0 {
		t.Fatalf("%d issues for P4", n)
	}
	m := b.remediation(f.Remediation)
	m.Approved = true
	put(b, graph.RemediationKey(repositoryID, f.Remediation), graph.KindRemediation, m)
	b.handle(f.Remediation)
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusOpen, "open")
}
