package decision

import (
	"strconv"
	"testing"

	"throughline/shared/graph"
)

// state is one of the 46,656 states of a vulnerability under the default policy. Each field counts towards risk.
type state struct {
	factors  [4]int // internet, lateral, sensitive, critical: no, unknown, yes
	threat   int
	severity int
	// assess is 0..3 assessed with automatable (bit 0) and total (bit 1), 4..7 the same values estimated, 8 neither.
	assess int
	// deployed is no, unknown, one workload, seven.
	deployed int
}

const nothingKnown = 8

func eachState(visit func(state)) {
	for i := range 3 * 3 * 3 * 3 * 4 * 4 * 9 * 4 {
		var s state
		for k := range s.factors {
			s.factors[k], i = i%3, i/3
		}
		s.threat, i = i%4, i/4
		s.severity, i = i%4, i/4
		s.assess, i = i%9, i/9
		s.deployed = i
		visit(s)
	}
}

// estimates are vectors whose estimate is the index: automatable in bit 0, total in bit 1.
var estimates = [4]string{
	"CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:H/I:L/A:N",
	"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:L/A:N",
	"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
	"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:N/SC:N/SI:N/SA:N",
}

func (s state) inputs() Inputs {
	three := [...]string{"no", "unknown", "yes"}
	in := Inputs{Kind: Vuln}
	in.Internet.Value, in.Lateral.Value = three[s.factors[0]], three[s.factors[1]]
	in.Sensitive.Value, in.Critical.Value = three[s.factors[2]], three[s.factors[3]]
	in.EPSS.Value = [...]string{"0", "0.03", "0.1", "0"}[s.threat]
	in.KEV.Value = [...]string{"no", "no", "no", "yes"}[s.threat]
	in.Severity.Value = [...]string{"low", "medium", "high", "critical"}[s.severity]
	in.Running.Value = [...]string{"no", "unknown", "yes", "yes"}[s.deployed]
	in.Workloads.Value = [...]string{"0", "0", "1", "7"}[s.deployed]
	switch {
	case s.assess < 4:
		in.Automatable.Value = [...]string{"no", "yes"}[s.assess&1]
		in.Impact.Value = [...]string{"partial", "total"}[s.assess>>1]
	case s.assess < nothingKnown:
		in.CVSS.Value = estimates[s.assess-4]
	}
	return in
}

// steps are the states that one fact moved towards risk leads to.
func (s state) steps() []state {
	var out []state
	add := func(change func(*state)) {
		next := s
		change(&next)
		out = append(out, next)
	}
	for k := range s.factors {
		if s.factors[k] < 2 {
			add(func(n *state) { n.factors[k]++ })
		}
	}
	if s.threat < 3 {
		add(func(n *state) { n.threat++ })
	}
	if s.severity < 3 {
		add(func(n *state) { n.severity++ })
	}
	if s.deployed < 3 {
		add(func(n *state) { n.deployed++ })
	}
	for _, to := range [9][]int{{1, 2, 4}, {3, 5}, {3, 6}, {7}, {5, 6, 8}, {7}, {7}, {}, {7}}[s.assess] {
		add(func(n *state) { n.assess = to })
	}
	return out
}

// yardstick is what the directive and its two fallbacks give, written from the text and not from the code. It knows of
// no estimate: what CISA has not published is no.
func (s state) yardstick() graph.Tier {
	if s.assess >= 4 {
		return s.table(false, false)
	}
	return s.table(s.assess&1 == 1, s.assess&2 == 2)
}

func (s state) table(automatable, total bool) graph.Tier {
	kev, exposed := s.threat == 3, s.factors[0] > 0
	tier := graph.P3
	switch {
	case kev && exposed && (automatable || total), kev && automatable && total, exposed && automatable && total:
		tier = graph.P0
	case kev, exposed && (automatable || total):
		tier = graph.P1
	case exposed, automatable:
		tier = graph.P2
	}
	if s.assess >= 4 && !kev && tier == graph.P3 {
		tier = graph.P2
	}
	return tier
}

func TestEveryStateOfAVulnerability(t *testing.T) {
	p := DefaultPolicy()
	decided := make(map[state]Decision, 46_656)
	eachState(func(s state) { decided[s] = Decide(s.inputs(), p) })
	if len(decided) != 46_656 {
		t.Fatalf("%d states", len(decided))
	}
	steps, running, equal, faster, wrong := 0, 0, 0, 0, 0
	eachState(func(s state) {
		from := decided[s]
		if err := sound(s.inputs(), from); err != "" {
			wrong++
			t.Errorf("%+v: %s", s, err)
		}
		for _, next := range s.steps() {
			steps++
			if to := decided[next]; from.Tier.MoreUrgent(to.Tier) || to.Score < from.Score {
				wrong++
				t.Errorf("%+v %s %d → %+v %s %d", s, from.Tier, from.Score, next, to.Tier, to.Score)
			}
		}
		if s.deployed >= 2 {
			running++
			switch want := s.yardstick(); {
			case from.Tier == want:
				equal++
			case from.Tier.MoreUrgent(want):
				faster++
			default:
				wrong++
				t.Errorf("%+v: %s, the directive gives %s", s, from.Tier, want)
			}
		}
		if wrong > 10 {
			t.Fatal("and more")
		}
	})
	if steps != 301_968 || running != 23_328 || equal != 13_644 || faster != 9_684 {
		t.Errorf("steps %d, running %d, equal %d, faster %d", steps, running, equal, faster)
	}
}

// sound checks what holds for every single decision (invariants 3, 4 and 6); empty when all does.
func sound(in Inputs, d Decision) string {
	switch {
	case d.Score/200 != 4-d.Tier.Rank():
		return "tiers overlap: " + string(d.Tier) + " at " + strconv.Itoa(d.Score)
	case d.Score != d.Terms.Sum():
		return "the terms do not sum to the score"
	case d.Rule == "R9" && d.Tier != graph.P2 && d.Tier != graph.P4:
		return "R9 gives " + string(d.Tier)
	case len(d.Rule) > 2 && d.Rule[:3] == "R8/" && (d.Tier == graph.P0 || d.Triage):
		return "R8 gives " + d.Due
	case in.Kind == Code && d.Tier == graph.P0:
		return "code gives P0"
	case in.Kind == Vuln && in.Running.Value == "yes" && d.Rule != "R0" && d.Tier == graph.P4:
		return "a running vulnerability gives P4"
	case d.Triage != (d.Due == "3d+triage"):
		return "triage and due disagree: " + d.Due
	}
	return ""
}
