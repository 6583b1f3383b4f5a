package decision

import "testing"

func benchmarkInputs() []Inputs {
	var all []Inputs
	for _, x := range workedExamples {
		all = append(all, given(x.kind, x.in))
	}
	return all
}

func BenchmarkDecide(b *testing.B) {
	all, p := benchmarkInputs(), DefaultPolicy()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if d := Decide(all[i%len(all)], p); d.Tier == "" {
			b.Fatal("no tier")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

func BenchmarkExplain(b *testing.B) {
	all, e := benchmarkInputs(), NewExplainer(DefaultPolicy())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if d := e.Explain(all[i%len(all)]); d.Tier == "" {
			b.Fatal("no tier")
		}
	}
}

// A decision allocates its list of rules, and the few letters of "R8/" or "+triage".
func TestDecideAllocatesLittle(t *testing.T) {
	p := DefaultPolicy()
	for _, x := range workedExamples {
		in := given(x.kind, x.in)
		if n := testing.AllocsPerRun(100, func() { Decide(in, p) }); n > 2 {
			t.Errorf("%s: %v allocations", x.name, n)
		}
	}
}
