package decision

import (
	"encoding/json"
	"strings"
	"testing"

	"throughline/shared/graph"
)

// A policy is loaded or refused with reasons; each reason is one line at a place of the file, in order.
func FuzzParsePolicy(f *testing.F) {
	f.Add(DefaultPolicyText)
	for _, c := range policyCases {
		if len(c.text) < 1000 {
			f.Add([]byte(c.text))
		}
	}
	f.Add([]byte(strings.Repeat("[", 1000)))
	f.Add([]byte("\xef\xbb\xbfguard: 5\r\n"))
	f.Add([]byte("? a\n: b\n"))
	f.Add([]byte("tiers: !!map {P0: &a {due: 3d}, P1: *a}\n<<: {a: 1}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, problems := ParsePolicy("p", text)
		failed, line := false, 0
		for _, problem := range problems {
			failed = failed || !problem.Warning
			if problem.Line < line || problem.Line < 1 || problem.Column < 1 || strings.ContainsAny(problem.String(), "\n\r") {
				t.Errorf("problem %q", problem)
			}
			line = problem.Line
		}
		if failed == (p != nil) {
			t.Fatalf("policy %v, problems %v", p, problems)
		}
		if p == nil {
			return
		}
		again, problems := ParsePolicy("p", p.canonical())
		if again == nil || again.Hash() != p.Hash() {
			t.Fatalf("the effective policy reads back otherwise: %v", problems)
		}
		for _, words := range []string{"kev=yes", "epss=0.2", "severity=high internet=yes critical=yes"} {
			in := given(Vuln, words)
			if p.Floor == FloorBOD {
				if err := sound(in, Decide(in, p)); err != "" && !strings.HasPrefix(err, "triage") {
					t.Fatal(err)
				}
			}
		}
	})
}

// Any text gives two answers or none, and a rating that is a severity.
func FuzzEstimate(f *testing.F) {
	for _, v := range append(estimates[:], "", "CVSS:3.1", "CVSS:3.1/AV:N/AC:L", "AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:4.0/", "CVSS:3.0/AV:N//") {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, vector string) {
		a, ti := Estimate(vector)
		if a.Known() != ti.Known() || a.OrUnknown() != a || ti.OrUnknown() != ti {
			t.Errorf("%q: %q, %q", vector, a, ti)
		}
		if a.Known() && !strings.HasPrefix(vector, "CVSS:3.") && !strings.HasPrefix(vector, "CVSS:4.0/") {
			t.Errorf("%q has an estimate", vector)
		}
		if s := BaseSeverity(vector); s != "" && HighestSeverity(Fact{Value: s}).Value != s {
			t.Errorf("%q: severity %q", vector, s)
		}
		if PickVector(Fact{Value: vector}).Value != vector {
			t.Errorf("%q is not picked", vector)
		}
	})
}

// Inputs that validate decide; a decision is sound whatever they are.
func FuzzInputs(f *testing.F) {
	for _, x := range workedExamples {
		text, err := json.Marshal(given(x.kind, x.in))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"kind":"vuln","workloads":{"value":"99999999999999999999"}}`))
	f.Add([]byte(`{"kind":"vuln","running":{"value":"yes"},"workloads":{"value":"9223372036854775807"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var in Inputs
		if json.Unmarshal(text, &in) != nil {
			return
		}
		d := Decide(in, DefaultPolicy())
		if d.Tier.Rank() >= len(graph.Tiers) || d.Rule == "" || d.Due == "" || len(d.Fired) == 0 {
			t.Fatalf("%+v", d)
		}
		if in.Validate() == nil {
			if err := sound(in, d); err != "" {
				t.Fatal(err)
			}
		}
	})
}

func FuzzReadVEX(f *testing.F) {
	p := DefaultPolicy()
	p.Acceptance.VEXAuthors = []string{"ours"}
	for _, s := range []string{justified, impactOnly, underWay, component, nameless, badStatus} {
		f.Add(vexText("ours", s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadVEX(text)
		if err != nil {
			return
		}
		fact := s.About(VEXSubject{Vulnerabilities: []string{"CVE-2026-1"}, Products: []string{"pkg:oci/api"}}, p)
		if fact.Value == NotAffected && !strings.Contains(fact.Source, ": ") {
			t.Errorf("lowered without a justification: %+v", fact)
		}
	})
}
