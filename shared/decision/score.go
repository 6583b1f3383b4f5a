package decision

import (
	"math/bits"

	"throughline/shared/graph"
)

// Terms are the parts of a score. Base is 200 for each tier above P4; the others sum to at most 199, so tiers never
// overlap.
type Terms struct {
	Base      int `json:"base"`
	Threat    int `json:"threat"`
	Severity  int `json:"severity"`
	Internet  int `json:"internet"`
	Sensitive int `json:"sensitive"`
	Critical  int `json:"critical"`
	Lateral   int `json:"lateral"`
	Workloads int `json:"workloads"`
}

// Sum is the score.
func (t Terms) Sum() int {
	return t.Base + t.Threat + t.Severity + t.Internet + t.Sensitive + t.Critical + t.Lateral + t.Workloads
}

func (f *facts) terms(tier graph.Tier, p *Policy) Terms {
	w := &p.Weights
	return Terms{
		Base:      200 * (graph.P4.Rank() - tier.Rank()),
		Threat:    w.Threat * f.threat,
		Severity:  w.Severity * f.severity,
		Internet:  weigh(w.Internet, f.internet),
		Sensitive: weigh(w.Sensitive, f.sensitive),
		Critical:  weigh(w.Critical, f.critical),
		Lateral:   weigh(w.Lateral, f.lateral),
		Workloads: min(w.WorkloadsMax, bits.Len(uint(f.workloads)+1)-1),
	}
}

// weigh gives an unknown factor half its weight, so that it stands between no and yes.
func weigh(weight int, a graph.Answer) int {
	switch a {
	case graph.Yes:
		return weight
	case graph.Unknown:
		return weight / 2
	}
	return 0
}
