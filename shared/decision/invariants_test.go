package decision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"throughline/shared/graph"
)

var epoch = time.Date(2026, 9, 1, 4, 0, 0, 0, time.UTC)

func draw(t *rapid.T, label string, values ...string) Fact {
	f := Fact{Value: rapid.SampledFrom(values).Draw(t, label)}
	if f.Value != "" {
		f.Source, f.At = "drawn", epoch
	}
	return f
}

// drawInputs gives raw inputs of any kind, without contradictions.
func drawInputs(t *rapid.T) Inputs {
	three := []string{"", "no", "unknown", "yes"}
	in := Inputs{
		Finding: "github-1-dependabot-" + strconv.Itoa(rapid.IntRange(1, 30).Draw(t, "finding")), Workload: "w-1",
		Kind: rapid.SampledFrom([]Kind{Vuln, Vuln, Vuln, Code, Secret, Malware}).Draw(t, "kind"),
		At:   epoch, Detected: epoch.Add(-day), CVE: "CVE-2026-1",
		KEV: draw(t, "kev", "", "no", "no", "yes"), Exploitation: draw(t, "exploitation", "", "none", "none", "poc", "active"),
		ExploitKit: draw(t, "kit", "", "no", "yes"), Verified: draw(t, "verified", "", "no", "yes"),
		EPSS:        draw(t, "epss", "", "0", "0.0299", "0.03", "0.0999", "0.1", "0.5", "1"),
		Severity:    draw(t, "severity", "", "unknown", "none", "low", "medium", "high", "critical"),
		Automatable: draw(t, "automatable", "", "no", "yes"), Impact: draw(t, "impact", "", "partial", "total"),
		CVSS:     draw(t, "cvss", "", "AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:3.1/AV:N/AC:L", estimates[0], estimates[1], estimates[2], estimates[3]),
		CWE:      draw(t, "cwe", "", "CWE-20", "CWE-078;CWE-20", "CWE-79;CWE-89"),
		Internet: draw(t, "internet", three...), Lateral: draw(t, "lateral", three...),
		Sensitive: draw(t, "sensitive", three...), Critical: draw(t, "critical", three...),
		Running: draw(t, "running", three...), Validity: draw(t, "validity", "", "unknown", "active", "inactive"),
		Leaked: draw(t, "leaked", "", "no", "yes"),
		VEX:    draw(t, "vex", "", "", "", "", "affected", "not_affected"), Accepted: draw(t, "accepted", "", "", "", "P0", "P1", "P2", "P3", "P4"),
	}
	if in.Running.Value == "yes" {
		in.Workloads = Fact{Value: strconv.Itoa(rapid.IntRange(1, 300).Draw(t, "workloads"))}
	}
	if err := in.Validate(); err != nil {
		t.Fatalf("drawn inputs: %v", err)
	}
	return in
}

func withoutR0(in Inputs) Inputs {
	in.VEX, in.Accepted = Fact{}, Fact{}
	return in
}

// Invariant 1.
func TestSameInputsSameDecision(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		e := Explain(in, p)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var stored Explanation
		// Through a map, so that keys change their order on the way.
		var loose map[string]any
		if err := json.Unmarshal(text, &loose); err != nil {
			t.Fatal(err)
		}
		shuffled, err := json.Marshal(loose)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(shuffled, &stored); err != nil {
			t.Fatal(err)
		}
		if stored.Inputs != in {
			t.Fatalf("inputs changed on the way:\n%+v\n%+v", in, stored.Inputs)
		}
		if diff := cmp.Diff(e, stored); diff != "" {
			t.Fatalf("the explanation changed on the way:\n%s", diff)
		}
		if diff := cmp.Diff(e.Decision, Decide(stored.Inputs, p)); diff != "" {
			t.Fatalf("the stored inputs decide otherwise:\n%s", diff)
		}
		reversed := in
		reversed.CWE.Value = strings.Join(reverse(strings.Split(in.CWE.Value, ";")), ";")
		if a, b := Decide(in, p), Decide(reversed, p); !cmp.Equal(a, b) {
			t.Fatalf("order of weaknesses decides: %v %v", a, b)
		}
	})
}

func reverse(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func TestOrderOfWorkloadsDoesNotDecide(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		var ds []Decision
		for i := range rapid.IntRange(1, 5).Draw(t, "n") {
			d := Decide(drawInputs(t), p)
			d.Workload = "w-" + strconv.Itoa(i)
			if rapid.Bool().Draw(t, "dated") {
				d.DueAt = epoch.AddDate(0, 0, rapid.IntRange(0, 3).Draw(t, "due"))
			}
			ds = append(ds, d)
		}
		want := MostUrgent(ds)
		if got := MostUrgent(rapid.Permutation(ds).Draw(t, "order")); !cmp.Equal(want, got) {
			t.Fatalf("order decides:\n%+v\n%+v", want, got)
		}
		for _, d := range ds {
			if d.Tier.MoreUrgent(want.Tier) || d.Score > want.Score || d.Triage && !want.Triage {
				t.Fatalf("%+v is more urgent than %+v", d, want)
			}
			if !d.DueAt.IsZero() && (want.DueAt.IsZero() || d.DueAt.Before(want.DueAt)) {
				t.Fatalf("due %v is earlier than %v", d.DueAt, want.DueAt)
			}
		}
	})
}

// ladders are the raw values of each fact, towards risk.
var ladders = map[string][]string{
	"kev": {"no", "yes"}, "exploitation": {"none", "poc", "active"}, "exploit_kit": {"no", "yes"}, "verified": {"no", "yes"},
	"epss": {"0", "0.0299", "0.03", "0.0999", "0.1", "0.5", "1"}, "severity": {"none", "low", "medium", "unknown", "high", "critical"},
	"automatable": {"no", "yes"}, "impact": {"partial", "total"},
	"internet": {"no", "unknown", "yes"}, "lateral": {"no", "unknown", "yes"},
	"sensitive": {"no", "unknown", "yes"}, "critical": {"no", "unknown", "yes"},
	"running": {"no", "unknown", "yes"}, "validity": {"inactive", "unknown", "active"}, "leaked": {"no", "yes"},
	"cwe": {"CWE-20", "CWE-20;CWE-89"},
}

// drawStep moves one fact towards risk, and gives the inputs on both sides.
func drawStep(t *rapid.T) (from, to Inputs) {
	from = drawInputs(t)
	names := []string{"workloads", "vex", "accepted", "assessed"}
	for name := range ladders {
		names = append(names, name)
	}
	slices.Sort(names)
	name := rapid.SampledFrom(names).Draw(t, "fact")
	to = from
	switch name {
	case "vex", "accepted":
		*to.fact(name) = Fact{}
	case "workloads":
		if from.Running.Value == "yes" {
			n, err := strconv.Atoi(from.Workloads.Value)
			if err != nil {
				t.Fatal(err)
			}
			to.Workloads.Value = strconv.Itoa(n + rapid.IntRange(1, 100).Draw(t, "more"))
		}
	case "assessed":
		// Losing the assessment moves towards risk where the values stay: the estimate takes over.
		i := rapid.IntRange(0, 3).Draw(t, "values")
		from.Automatable.Value, from.Impact.Value = [...]string{"no", "yes"}[i&1], [...]string{"partial", "total"}[i>>1]
		from.CVSS.Value = estimates[i]
		to = from
		to.Automatable, to.Impact = Fact{}, Fact{}
	default:
		ladder := ladders[name]
		i := rapid.IntRange(0, len(ladder)-2).Draw(t, "rung")
		from.fact(name).Value, to.fact(name).Value = ladder[i], ladder[i+1]
		if name == "running" {
			from.setRunning(from.Running)
			to.setRunning(to.Running)
		}
	}
	return from, to
}

func monotonic(p *Policy, from, to Inputs) string {
	a, b := Decide(from, p), Decide(to, p)
	if a.Tier.MoreUrgent(b.Tier) || b.Score < a.Score {
		return fmt.Sprintf("%s %s %d becomes %s %s %d\n%+v\n%+v", a.Tier, a.Rule, a.Score, b.Tier, b.Rule, b.Score, from, to)
	}
	return ""
}

// Invariant 2.
func TestTowardsRiskNeverLessUrgent(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawStep(t)
		if err := monotonic(p, from, to); err != "" {
			t.Fatal(err)
		}
	})
}

// Invariants 3, 4 and 6 for single decisions.
func TestEveryDecisionIsSound(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		if err := sound(in, Decide(in, p)); err != "" {
			t.Fatalf("%s: %+v", err, in)
		}
		if err := notSlower(withoutR0(in), p); err != "" {
			t.Fatal(err)
		}
	})
}

// notSlower is invariant 4: a running vulnerability is never slower than the table and the two fallbacks, in tier and in
// days.
func notSlower(in Inputs, p *Policy) string {
	if in.Kind != Vuln || in.Running.Value != "yes" {
		return ""
	}
	f := read(&in, p)
	s := state{threat: f.threat, factors: [4]int{map[graph.Answer]int{graph.Unknown: 1, graph.Yes: 2}[f.internet]}}
	if !f.assessed {
		s.assess = nothingKnown
	}
	d, want := Decide(in, p), s.table(f.counts(f.automatable), f.counts(f.total))
	if want.MoreUrgent(d.Tier) || d.Tier == graph.P4 {
		return fmt.Sprintf("%s is slower than %s: %+v", d.Tier, want, in)
	}
	if length(p.rule(d.Tier).Due) > length(bodDue[d.Tier.Rank()]) {
		return fmt.Sprintf("%s is due %s", d.Tier, d.Due)
	}
	return ""
}

// Invariant 5.
func TestUnknownLiesBetweenNoAndYes(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		if err := unknownBetween(drawInputs(t), p); err != "" {
			t.Fatal(err)
		}
	})
}

func unknownBetween(in Inputs, p *Policy) string {
	at := func(fact, value string) Decision {
		return Decide(Flip{Fact: fact, To: value}.Apply(in), p)
	}
	for fact, values := range map[string][3]string{
		factInternet: {"no", "unknown", "yes"}, factLateral: {"no", "unknown", "yes"}, factSensitive: {"no", "unknown", "yes"},
		factCritical: {"no", "unknown", "yes"}, factRunning: {"no", "unknown", "yes"}, factValidity: {"inactive", "unknown", "active"},
	} {
		no, unknown, yes := at(fact, values[0]), at(fact, values[1]), at(fact, values[2])
		if no.Score > unknown.Score || unknown.Score > yes.Score {
			return fmt.Sprintf("%s: no %d, unknown %d, yes %d: %+v", fact, no.Score, unknown.Score, yes.Score, in)
		}
	}
	if in.Kind != Vuln && in.Kind != Code {
		return ""
	}
	in = withoutR0(in)
	in.Internet, in.Lateral, in.Sensitive, in.Critical = Fact{}, Fact{}, Fact{}, Fact{}
	if d := Decide(in, p); !slices.Contains([]string{"R1", "R1u", "R7", "R9"}, strings.TrimPrefix(d.Rule, "R8/")) {
		return fmt.Sprintf("%s decides with all factors unknown: %+v", d.Rule, in)
	}
	return ""
}

// The rest of invariant 6.
func TestSecretAndMalwareDoNotDependOnDeployment(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		in.Kind = rapid.SampledFrom([]Kind{Secret, Malware}).Draw(t, "kind")
		want := Decide(in, p)
		for _, v := range []string{"no", "unknown", "yes"} {
			d := Decide(Flip{Fact: factRunning, To: v}.Apply(in), p)
			if d.Tier != want.Tier || d.Rule != want.Rule || d.Due != want.Due {
				t.Fatalf("running %s: %s %s instead of %s %s", v, d.Tier, d.Rule, want.Tier, want.Rule)
			}
		}
	})
}

// drawHistory gives changes at whole hours, in any order.
func drawHistory(t *rapid.T) []TierChange {
	var h []TierChange
	for range rapid.IntRange(1, 12).Draw(t, "changes") {
		h = append(h, TierChange{
			At:   epoch.Add(time.Duration(rapid.IntRange(0, 60*24).Draw(t, "hour")) * time.Hour),
			Tier: rapid.SampledFrom(graph.Tiers[:]).Draw(t, "tier"),
		})
	}
	return h
}

// Invariant 7.
func TestPublishedRaisesAtOnceAndDropsLate(t *testing.T) {
	hold := DefaultPolicy().Hold()
	rapid.Check(t, func(t *rapid.T) {
		h := ordered(drawHistory(t))
		now := epoch.Add(time.Duration(rapid.IntRange(0, 90*24).Draw(t, "now")) * time.Hour)
		got := Publish(h, now, hold)
		// The most urgent tier that was in force at some moment of the window, from the definition. Changes are at whole
		// hours, so half hours meet every tier that was in force at all.
		want := graph.Tier("")
		for at := now; at.After(now.Add(-hold)); at = at.Add(-time.Hour / 2) {
			for _, computed := range computedAt(h, at) {
				if want == "" || computed.MoreUrgent(want) {
					want = computed
				}
			}
		}
		if got != want {
			t.Fatalf("published %q at %v, want %q: %+v", got, now, want, h)
		}
		if pub := PublishedAt(h, now, hold); pub.Tier != got || pub.Held() != (pub.Then != "" && pub.Computed != got) {
			t.Fatalf("%+v, published %s", pub, got)
		}
		if again := Publish(Compact(h, now, hold), now.Add(3*time.Hour), hold); again != Publish(h, now.Add(3*time.Hour), hold) && !changesWithin(h, now, 3*time.Hour) {
			t.Fatalf("compact changes %s", again)
		}
	})
}

// computedAt are the tiers computed in force at a moment: the last one, with others of the very same moment.
func computedAt(h []TierChange, at time.Time) []graph.Tier {
	var out []graph.Tier
	for i, c := range h {
		if c.At.Equal(at) || c.At.Before(at) && (i+1 == len(h) || h[i+1].At.After(at)) {
			out = append(out, c.Tier)
		}
	}
	return out
}

func changesWithin(h []TierChange, now time.Time, d time.Duration) bool {
	return slices.ContainsFunc(h, func(c TierChange) bool { return c.At.After(now) && !c.At.After(now.Add(d)) })
}

// Invariant 8.
func TestFlipsAndRangeHold(t *testing.T) {
	p := DefaultPolicy()
	rapid.Check(t, func(t *rapid.T) {
		in := drawInputs(t)
		e := Explain(in, p)
		for _, f := range e.Flips {
			changed := f.Apply(in)
			if err := changed.Validate(); err != nil {
				t.Fatalf("%+v leads to a contradiction: %v", f, err)
			}
			if got := Decide(changed, p).Tier; got != f.Tier || got == e.Tier {
				t.Fatalf("%+v, but %s (was %s)", f, got, e.Tier)
			}
		}
		if e.Range.Worst.Rank() > e.Tier.Rank() || e.Tier.Rank() > e.Range.Best.Rank() {
			t.Fatalf("%s outside %+v", e.Tier, e.Range)
		}
		if (len(e.NeedsEvidence) == 0) != (e.Range.Best == e.Range.Worst) {
			t.Fatalf("needs %v, range %+v", e.NeedsEvidence, e.Range)
		}
		if in.Kind == Malware && len(e.Flips) > 0 {
			t.Fatalf("flips of malware: %v", e.Flips)
		}
	})
}

// drawPolicy gives the text of a policy that may or may not be accepted under the floor.
func drawPolicy(t *rapid.T) []byte {
	p := DefaultPolicy()
	number := func(label string, low, high int) int { return rapid.IntRange(low, high).Draw(t, label) }
	p.Tiers.P0.Due = strconv.Itoa(number("P0", 1, 3)) + "d"
	p.Tiers.P1.Due = strconv.Itoa(number("P1", 3, 15)) + "d"
	p.Tiers.P2.Due = rapid.SampledFrom([]string{"20d", "60d", "61d", "upgrade"}).Draw(t, "P2")
	p.Tiers.P3.Due = rapid.SampledFrom([]string{"60d", "300d", "upgrade", "none"}).Draw(t, "P3")
	p.Thresholds.EPSSPossible = rapid.Float64Range(0, 0.5).Draw(t, "possible")
	p.Thresholds.EPSSLikely = rapid.Float64Range(0, 1).Draw(t, "likely")
	p.Weights = Weights{
		Threat: number("threat", 0, 35), Severity: number("severity", 0, 30), Internet: number("internet", 0, 40),
		Sensitive: number("sensitive", 0, 30), Critical: number("critical", 0, 30), Lateral: number("lateral", 0, 30),
		WorkloadsMax: number("workloads", 0, 12),
	}
	p.Assume.Exposure = rapid.SampledFrom([]string{"exposed", "exposed", "exposed", "internal"}).Draw(t, "exposure")
	p.Assume.Unassessed = rapid.SampledFrom([]string{"P2", "P2", "P2", "none"}).Draw(t, "unassessed")
	p.RulesOff = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"R2", "R3", "R4", "R5", "R6", "R7"}), func(r string) string { return r }).Draw(t, "off")
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Invariant 9.
func TestAcceptedPoliciesKeepTheInvariants(t *testing.T) {
	accepted := 0
	// Most drawn policies are refused; draw until enough were accepted to say something.
	for range 30 {
		if accepted >= 20 {
			break
		}
		rapid.Check(t, func(t *rapid.T) {
			p, problems := ParsePolicy("drawn", drawPolicy(t))
			if p == nil {
				if len(problems) == 0 {
					t.Fatal("refused without a reason")
				}
				return
			}
			accepted++
			in := drawInputs(t)
			from, to := drawStep(t)
			for _, err := range []string{sound(in, Decide(in, p)), notSlower(withoutR0(in), p), unknownBetween(in, p), monotonic(p, from, to)} {
				// Other days than the default make other due times; all else must hold.
				if err != "" && !strings.HasPrefix(err, "triage and due disagree") {
					t.Fatal(err)
				}
			}
		})
	}
	if accepted < 20 {
		t.Errorf("only %d policies were accepted", accepted)
	}
}
