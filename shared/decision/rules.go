package decision

import (
	"slices"

	"throughline/shared/graph"
)

// verdict collects the rules that fire; tier and rule are those of the most urgent, of equals the first.
type verdict struct {
	tier   graph.Tier
	rule   string
	triage bool
	table  Table
	fired  [10]Fired
	n      int
}

func (v *verdict) add(rule string, tier graph.Tier) {
	v.fired[v.n] = Fired{rule, tier}
	v.n++
}

// gives lets a rule compete for the tier; any tier is more urgent than none.
func (v *verdict) gives(rule string, tier graph.Tier) {
	v.add(rule, tier)
	if tier.MoreUrgent(v.tier) {
		v.tier, v.rule = tier, rule
	}
}

func (v *verdict) list() []Fired { return slices.Clone(v.fired[:v.n]) }

// judge decides everything but R0.
func (f *facts) judge(p *Policy) verdict {
	var v verdict
	switch {
	case f.kind == Malware:
		v.gives("M1", graph.P0)
		v.triage = true
	case f.kind == Secret:
		f.judgeSecret(&v)
	case f.running == graph.No:
		f.judgeAbsent(&v)
	case f.running == graph.Yes:
		f.judgeRunning(p, &v)
	default:
		f.judgeRunning(p, &v)
		v.slower()
	}
	return v
}

// judgeRunning applies the table and the raising rules. A factor raises only if it is known to be yes.
func (f *facts) judgeRunning(p *Policy, v *verdict) {
	asked, r := f.ask(p)
	v.table = asked
	v.gives("R1", r.tier)
	if f.kind == Vuln && !f.assessed && f.threat < exploited && p.Assume.Unassessed != assumeNone {
		v.gives("R1u", graph.P2)
	}
	f.raise(p, v)
	// Another rule may reach P0 too; the search for compromise belongs to the rows of the table that ask for it.
	v.triage = r.triage
}

func (f *facts) raise(p *Policy, v *verdict) {
	severe := f.severity >= highSeverity || f.counts(f.total)
	jewels := f.sensitive == graph.Yes || f.critical == graph.Yes
	leads := jewels || f.lateral == graph.Yes
	open := f.internet == graph.Yes
	toxic := open && leads && severe
	if toxic && f.threat >= likely && p.on("R2") {
		v.gives("R2", graph.P0)
	}
	if f.threat == exploited && severe && jewels && p.on("R3") {
		v.gives("R3", graph.P0)
	}
	if toxic && p.on("R4") {
		v.gives("R4", graph.P1)
	}
	if f.threat >= likely && severe && (open || leads) && p.on("R5") {
		v.gives("R5", graph.P1)
	}
	if severe && (open || leads) && p.on("R6") {
		v.gives("R6", graph.P2)
	}
	if f.threat >= likely && p.on("R7") {
		v.gives("R7", graph.P2)
	}
}

// judgeAbsent is R9: nothing else applies to what is not deployed.
func (f *facts) judgeAbsent(v *verdict) {
	if f.threat == exploited {
		v.gives("R9", graph.P2)
		return
	}
	v.gives("R9", graph.P4)
}

// slower is R8: nobody knows whether it runs. The table gives P3 at worst, so there is a slower tier.
func (v *verdict) slower() {
	v.tier = graph.Tiers[v.tier.Rank()+1]
	v.rule = "R8/" + v.rule
	v.triage = false
	v.add("R8", v.tier)
}

func (f *facts) judgeSecret(v *verdict) {
	switch f.threat {
	case exploited:
		v.gives("S1", graph.P0)
		v.triage = f.leaked
	case likely:
		rank := graph.P2.Rank()
		if f.leaked {
			rank--
		}
		if f.sensitive == graph.Yes || f.critical == graph.Yes {
			rank--
		}
		v.gives("S2", graph.Tiers[rank])
	default:
		v.gives("S3", graph.P4)
	}
}
