package decision

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var claims = regexp.MustCompile(`(?i)\b(isolated|safe|safely|secure|harmless|protected|not exploitable|unexploitable|no risk|not vulnerable|unreachable|not reachable|cannot be reached|not exposed)\b`)

// For an absence no text claims safety.
func TestNoTextClaimsSafety(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Place = Place{Name: "api", Repository: "shop/tools", Cluster: "aks-prod", Subscription: "sub-1"}
		if rapid.Bool().Draw(t, "dated") {
			in.Feeds = Feeds{KEV: Feed{Date: epoch}, EPSS: Feed{Date: epoch.Add(-9 * day)}, Vulnrichment: Feed{Date: epoch.Add(-99 * day)}}
		}
		in.Running.Source = rapid.SampledFrom([]string{"", InventoryIncomplete, NoKnownImage, DevelopmentScope}).Draw(t, "why")
		e := Explain(in, p)
		texts := []string{e.VoidedText(), p.SlowerNotice(), MissedUpgrade}
		for _, g := range e.Gaps(p) {
			if g.Text == "" || g.Fact == "" || strings.ContainsAny(g.Text, "\n\t") || strings.Contains(g.Text, "  ") || !strings.HasSuffix(g.Text, ".") {
				t.Fatalf("gap %+v", g)
			}
			texts = append(texts, g.Text)
		}
		for _, f := range e.Flips {
			if flipTexts[f.Fact+" "+f.To] == "" {
				t.Fatalf("no words for %+v", f)
			}
			texts = append(texts, f.Text(in))
		}
		for _, text := range texts {
			if claim := claims.FindString(text); claim != "" {
				t.Fatalf("%q claims %q", text, claim)
			}
		}
	})
}

// Every missing fact that needs evidence has a text, and no other has one.
func TestGapsFollowTheExplanation(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		e := Explain(drawInputs(t), p)
		told := make(map[string]bool)
		for _, g := range e.Gaps(p) {
			told[g.Fact] = true
		}
		for _, fact := range e.NeedsEvidence {
			if !told[fact] {
				t.Fatalf("%s is missing and not told", fact)
			}
		}
		for _, fact := range e.AwaitingData {
			// One text speaks of both values that CISA publishes.
			if !told[fact] && !(fact == factImpact && told[factAutomatable]) {
				t.Fatalf("%s is awaited and not told", fact)
			}
		}
	})
}

func TestRequests(t *testing.T) {
	p := DefaultPolicy()
	explain := func(finding, words, cluster, subscription string) Explanation {
		in := given(Vuln, words)
		in.Finding, in.Place = finding, Place{Name: "api", Cluster: cluster, Subscription: subscription}
		return Explain(in, p)
	}
	internet := "kev=no epss=0.01 severity=high automatable=no impact=total internet=unknown"
	data := "kev=no epss=0.2 severity=high automatable=no impact=total sensitive=unknown critical=unknown"
	got := Requests([]Explanation{
		explain("1", data, "aks-prod", "sub-1"),
		explain("1", internet, "aks-prod", "sub-1"),
		explain("2", internet, "aks-prod", "sub-1"),
		explain("3", internet, "aks-test", "sub-1"),
		explain("4", internet, "", ""),
		explain("2", internet, "aks-prod", "sub-1"),
	}, p)
	want := []Request{
		{"cluster aks-prod", []string{"internet"}, 2},
		{"cluster aks-test", []string{"internet"}, 1},
		{"subscription sub-1", []string{"critical", "sensitive"}, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExplainerGivesTheSame(t *testing.T) {
	p := DefaultPolicy()
	in := given(Vuln, "kev=yes")
	if diff := cmp.Diff(Explain(in, p), NewExplainer(p).Explain(in)); diff != "" {
		t.Error(diff)
	}
}

func TestFixedWords(t *testing.T) {
	accepted := given(Vuln, "kev=yes")
	accepted.Accepted.Value = "P3"
	nameless := Explain(accepted, DefaultPolicy())
	if got := nameless.VoidedText(); got != "Accepted at P3 (no name given). The tier is now P0 by rule R1, so the acceptance no longer holds." {
		t.Errorf("%q", got)
	}
	west := time.Date(2026, 5, 3, 23, 0, 0, 0, time.FixedZone("west", -3*3600))
	if got := calendarDay(west, time.Time{}); got != "4 May" {
		t.Errorf("days are those of UTC: %s", got)
	}
	scope := given(Vuln, "running=unknown epss=0.2")
	scope.Running.Source = InventoryIncomplete
	if got := Explain(scope, DefaultPolicy()).Gaps(DefaultPolicy()); !strings.HasPrefix(got[0].Text, "Inventory of what runs incomplete. ") {
		t.Errorf("%v", got)
	}
	if MissedUpgrade != "missed an upgrade" {
		t.Errorf("%q", MissedUpgrade)
	}
}
