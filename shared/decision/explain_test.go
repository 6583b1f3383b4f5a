package decision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An estimate is the value that the fact has: having it published is no other value of the fact.
func TestFlipsOfEstimatedValues(t *testing.T) {
	p := DefaultPolicy()
	for vector, want := range map[string][]string{estimates[0]: {"total"}, estimates[2]: {"partial"}, "": {"total", "partial"}} {
		in := given(Vuln, "kev=no epss=0 severity=low automatable=no")
		in.CVSS.Value = vector
		f := read(&in, p)
		for _, trial := range f.trials(&in) {
			if trial.fact != factImpact {
				continue
			}
			var tried []string
			for _, v := range trial.values {
				if v != trial.now {
					tried = append(tried, v)
				}
			}
			if diff := cmp.Diff(want, tried); diff != "" {
				t.Errorf("%q (-want +got):\n%s", vector, diff)
			}
		}
	}
	in := given(Vuln, "kev=no epss=0 severity=low automatable=no cvss="+estimates[2])
	for _, f := range Explain(in, p).Flips {
		if f.Fact == factImpact && f.To == "total" {
			t.Errorf("flip to the value it has: %+v", f)
		}
	}
}

// A flip sets its one fact and says that it is not real; a workload count keeps in step.
func TestApply(t *testing.T) {
	counterfactual := func(v string) Fact { return Fact{Value: v, Source: "counterfactual"} }
	base := given(Vuln, "running=no")
	for _, c := range []struct {
		flip   Flip
		change func(*Inputs)
	}{
		{Flip{Fact: "internet", To: "yes"}, func(in *Inputs) { in.Internet = counterfactual("yes") }},
		{Flip{Fact: "lateral", To: "yes"}, func(in *Inputs) { in.Lateral = counterfactual("yes") }},
		{Flip{Fact: "sensitive", To: "yes"}, func(in *Inputs) { in.Sensitive = counterfactual("yes") }},
		{Flip{Fact: "critical", To: "yes"}, func(in *Inputs) { in.Critical = counterfactual("yes") }},
		{Flip{Fact: "automatable", To: "yes"}, func(in *Inputs) { in.Automatable = counterfactual("yes") }},
		{Flip{Fact: "impact", To: "total"}, func(in *Inputs) { in.Impact = counterfactual("total") }},
		{Flip{Fact: "validity", To: "active"}, func(in *Inputs) { in.Validity = counterfactual("active") }},
		{Flip{Fact: "leaked", To: "yes"}, func(in *Inputs) { in.Leaked = counterfactual("yes") }},
		{Flip{Fact: "running", To: "yes"}, func(in *Inputs) { in.Running, in.Workloads.Value = counterfactual("yes"), "1" }},
		{Flip{Fact: "running", To: "no"}, func(in *Inputs) { in.Running = counterfactual("no") }},
		{Flip{Fact: "threat", To: "likely"}, func(in *Inputs) {
			in.KEV, in.Exploitation, in.EPSS = counterfactual("no"), counterfactual("none"), counterfactual("0")
			in.ExploitKit, in.Verified = counterfactual("yes"), counterfactual("no")
		}},
		{Flip{Fact: "colour", To: "blue"}, func(*Inputs) {}},
	} {
		want := base
		c.change(&want)
		if diff := cmp.Diff(want, c.flip.Apply(base)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.flip, diff)
		}
	}
	many := given(Vuln, "workloads=7")
	if got := (Flip{Fact: "running", To: "yes"}).Apply(many).Workloads.Value; got != "7" {
		t.Errorf("%s workloads", got)
	}
}

func TestAwaitingData(t *testing.T) {
	p := DefaultPolicy()
	for _, c := range []struct {
		kind  Kind
		words string
		want  []string
	}{
		{Vuln, "", []string{"automatable", "impact", "severity", "epss"}},
		{Vuln, "automatable=no impact=total severity=low epss=0", []string{}},
		{Vuln, "impact=total severity=unknown epss=0", []string{"automatable", "severity"}},
		{Vuln, "automatable=no severity=high", []string{"impact", "epss"}},
		{Code, "", []string{"severity"}},
		{Code, "severity=unknown", []string{"severity"}},
		{Code, "severity=low", []string{}},
		{Secret, "", []string{}},
		{Malware, "", []string{}},
	} {
		if diff := cmp.Diff(c.want, Explain(given(c.kind, c.words), p).AwaitingData); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", c.kind, c.words, diff)
		}
	}
}
