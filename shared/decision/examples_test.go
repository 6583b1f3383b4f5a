package decision

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

// given builds inputs from "fact=value" words; factors not named are no, and it runs once, as in the worked examples.
func given(kind Kind, words string) Inputs {
	in := Inputs{Finding: "github-1-dependabot-1", Kind: kind}
	say := func(v string) Fact { return Fact{Value: v, Source: "example"} }
	in.Internet, in.Lateral, in.Sensitive, in.Critical = say("no"), say("no"), say("no"), say("no")
	in.Running, in.Workloads = say("yes"), say("1")
	for word := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(word, "=")
		if name == "factors" {
			in.Internet, in.Lateral, in.Sensitive, in.Critical = say(value), say(value), say(value), say(value)
			continue
		}
		*in.fact(name) = say(value)
		if name == "running" && value != "yes" {
			in.Workloads = say("0")
		}
	}
	if err := in.Validate(); err != nil {
		panic(fmt.Sprintf("example %q: %v", words, err))
	}
	return in
}

func (in *Inputs) fact(name string) *Fact {
	facts := map[string]*Fact{
		"kev": &in.KEV, "exploitation": &in.Exploitation, "exploit_kit": &in.ExploitKit, "verified": &in.Verified,
		"epss": &in.EPSS, "severity": &in.Severity, "automatable": &in.Automatable, "impact": &in.Impact, "cvss": &in.CVSS,
		"cwe": &in.CWE, "internet": &in.Internet, "lateral": &in.Lateral, "sensitive": &in.Sensitive, "critical": &in.Critical,
		"running": &in.Running, "workloads": &in.Workloads, "validity": &in.Validity, "leaked": &in.Leaked, "vex": &in.VEX,
		"accepted": &in.Accepted,
	}
	if f, found := facts[name]; found {
		return f
	}
	panic("no fact " + name)
}

// example is one worked example: the answer, the range, the facts asked for, and the flips that the text names.
type example struct {
	name, in    string
	kind        Kind
	want        string
	best, worst graph.Tier
	needs       []string
	flips       []string
	exactly     bool // flips are all there are
}

var workedExamples = []example{
	{name: "1 exposed crown jewel, exploited", kind: Vuln,
		in:   "kev=yes exploitation=active epss=0.94 severity=critical automatable=yes impact=total internet=yes critical=yes workloads=3",
		want: "P0 R1 965 3d+triage", best: graph.P0, worst: graph.P0, flips: []string{"running=no P2"}, exactly: true},
	{name: "2 the same on an internal batch job", kind: Vuln,
		in:   "kev=yes exploitation=active epss=0.94 severity=critical automatable=yes impact=total",
		want: "P0 R1 921 3d+triage", best: graph.P0, worst: graph.P0, flips: []string{"running=no P2"}},
	{name: "3 medium and exposed", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.004 severity=medium automatable=no impact=partial internet=yes",
		want: "P2 R1 441 60d", best: graph.P2, worst: graph.P2, flips: []string{"internet=no P3"}},
	{name: "4 the same, internal", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.004 severity=medium automatable=no impact=partial",
		want: "P3 R1 216 upgrade", best: graph.P3, worst: graph.P3, flips: []string{"internet=yes P2", "threat=exploited P1"}},
	{name: "5 all four factors unknown", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.01 severity=high automatable=no impact=total factors=unknown",
		want: "P1 R1 667 14d", best: graph.P3, worst: graph.P1, needs: []string{"internet"}},
	{name: "6 likely, with sensitive data", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.25 severity=high automatable=no impact=total sensitive=yes",
		want: "P1 R5 699 14d", best: graph.P1, worst: graph.P1, exactly: true,
		flips: []string{"threat=none P2", "threat=possible P2", "threat=exploited P0", "internet=yes P0", "sensitive=no P2", "running=no P4"}},
	{name: "7 likely and toxic", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.15 severity=high automatable=no impact=partial internet=yes critical=yes",
		want: "P0 R2 924 3d", best: graph.P0, worst: graph.P0, flips: []string{"internet=no P1"}},
	{name: "8 not assessed, internal", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.002 severity=medium cvss=CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:N",
		want: "P2 R1u 416 60d", best: graph.P2, worst: graph.P2, flips: []string{"threat=exploited P1"}},
	{name: "9 exploited, no known image", kind: Vuln,
		in:   "kev=yes exploitation=active epss=0.61 severity=high automatable=no impact=total factors=unknown running=unknown",
		want: "P2 R8/R1 541 60d", best: graph.P2, worst: graph.P0, needs: []string{"internet", "sensitive", "critical", "running"},
		flips: []string{"running=yes P0"}},
	{name: "10 deployed nowhere", kind: Vuln,
		in:   "kev=no exploitation=none epss=0.2 severity=critical automatable=yes impact=total running=no",
		want: "P4 R9 95 none", best: graph.P4, worst: graph.P4, flips: []string{"threat=exploited P2", "running=yes P2"}, exactly: true},
	{name: "11 SQL injection, exposed", kind: Code,
		in:   "severity=critical cwe=CWE-89 internet=yes sensitive=yes workloads=2",
		want: "P1 R1 689 14d", best: graph.P1, worst: graph.P1, flips: []string{"internet=no P2"}},
	{name: "12 active secret in public code", kind: Secret,
		in:   "validity=active leaked=yes factors=unknown running=unknown",
		want: "P0 S1 954 3d+triage", best: graph.P0, worst: graph.P0, flips: []string{"validity=inactive P4"}, exactly: true},
}

func TestWorkedExamples(t *testing.T) {
	p := DefaultPolicy()
	for _, x := range workedExamples {
		t.Run(x.name, func(t *testing.T) {
			in := given(x.kind, x.in)
			e := Explain(in, p)
			if got := fmt.Sprintf("%s %s %d %s", e.Tier, e.Rule, e.Score, e.Due); got != x.want {
				t.Errorf("got %s, want %s", got, x.want)
			}
			if want := (Range{x.best, x.worst}); e.Range != want {
				t.Errorf("range %v, want %v", e.Range, want)
			}
			if diff := cmp.Diff(append([]string{}, x.needs...), e.NeedsEvidence); diff != "" {
				t.Errorf("needs evidence (-want +got):\n%s", diff)
			}
			var flips []string
			for _, f := range e.Flips {
				flips = append(flips, fmt.Sprintf("%s=%s %s", f.Fact, f.To, f.Tier))
			}
			for _, want := range x.flips {
				if !slices.Contains(flips, want) {
					t.Errorf("no flip %s in %v", want, flips)
				}
			}
			if x.exactly && len(flips) != len(x.flips) {
				t.Errorf("flips %v, want exactly %v", flips, x.flips)
			}
		})
	}
}

// The table alone gives less in examples 6 and 7.
func TestTableAlone(t *testing.T) {
	p := DefaultPolicy()
	for i, want := range map[int]graph.Tier{5: graph.P3, 6: graph.P2} {
		d := Decide(given(workedExamples[i].kind, workedExamples[i].in), p)
		if d.Fired[0] != (Fired{"R1", want}) {
			t.Errorf("example %d: table gives %v, want %s", i+1, d.Fired[0], want)
		}
	}
}

// Every row of the directive, in the order of the published file.
func TestTable(t *testing.T) {
	rows := []struct {
		kev, exposed, automatable, impact string
		tier                              graph.Tier
		timeline                          string
	}{
		{"no", "no", "no", "partial", graph.P3, "upgrade"},
		{"yes", "no", "no", "partial", graph.P1, "14d"},
		{"no", "yes", "no", "partial", graph.P2, "60d"},
		{"no", "no", "yes", "partial", graph.P2, "60d"},
		{"no", "no", "no", "total", graph.P3, "upgrade"},
		{"yes", "yes", "no", "partial", graph.P1, "14d"},
		{"yes", "no", "yes", "partial", graph.P1, "14d"},
		{"no", "yes", "yes", "partial", graph.P1, "14d"},
		{"yes", "no", "no", "total", graph.P1, "14d"},
		{"no", "yes", "no", "total", graph.P1, "14d"},
		{"no", "no", "yes", "total", graph.P2, "60d"},
		{"yes", "yes", "yes", "partial", graph.P0, "3d"},
		{"yes", "yes", "no", "total", graph.P0, "3d+triage"},
		{"yes", "no", "yes", "total", graph.P0, "3d+triage"},
		{"no", "yes", "yes", "total", graph.P0, "3d"},
		{"yes", "yes", "yes", "total", graph.P0, "3d+triage"},
	}
	if TableVersion != "cisa_bod_26_04 1.0.0" {
		t.Errorf("these are the rows of 1.0.0, the table is %s", TableVersion)
	}
	p := DefaultPolicy()
	p.RulesOff = []string{"R2", "R3", "R4", "R5", "R6", "R7"}
	for i, r := range rows {
		in := given(Vuln, fmt.Sprintf("kev=%s internet=%s automatable=%s impact=%s severity=low epss=0", r.kev, r.exposed, r.automatable, r.impact))
		d := Decide(in, p)
		want := Table{graph.Answer(r.kev), graph.Answer(r.exposed), graph.Answer(r.automatable), r.impact, r.timeline}
		if d.Table != want || d.Tier != r.tier || d.Rule != "R1" || d.Due != r.timeline || d.Triage != strings.HasSuffix(r.timeline, "+triage") {
			t.Errorf("row %d: got %s %s %s %+v, want %s %+v", i, d.Tier, d.Rule, d.Due, d.Table, r.tier, want)
		}
	}
}
