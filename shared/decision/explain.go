package decision

import (
	"slices"
	"strconv"

	"throughline/shared/graph"
)

// Explanation is stored with every decision. Decide on its Inputs under the same policy gives the same Decision.
type Explanation struct {
	Decision
	Inputs Inputs `json:"inputs"`
	Range  Range  `json:"range"`
	// NeedsEvidence names the unknown facts that alone would change the tier; all unknown facts when none does alone but
	// they do together. It is empty exactly when the range is one tier.
	NeedsEvidence []string `json:"needs_evidence"`
	// AwaitingData names the facts that others have not published yet.
	AwaitingData []string `json:"awaiting_data"`
	Flips        []Flip   `json:"flips"`
	// Published is filled in by the caller from PublishedAt.
	Published Published `json:"published,omitzero"`
	Data      Data      `json:"data"`
}

// Range is the tier when every unknown fact turns out harmless, and when every one turns out harmful.
type Range struct {
	Best  graph.Tier `json:"best"`
	Worst graph.Tier `json:"worst"`
}

// NeedsLabel tells whether the issue is labelled for missing evidence: the range crosses the line between P1 and P2.
func (r Range) NeedsLabel() bool {
	return r.Best.Rank() > graph.P1.Rank() && r.Worst.Rank() <= graph.P1.Rank()
}

// Data names the policy and the editions of the feeds that a decision rests on.
type Data struct {
	Policy       string `json:"policy"`
	EPSS         string `json:"epss,omitempty"`
	KEV          string `json:"kev,omitempty"`
	Vulnrichment string `json:"vulnrichment,omitempty"`
}

// Flip is a counterfactual: with this one fact at this value the tier would be Tier.
type Flip struct {
	Fact string     `json:"fact"`
	To   string     `json:"to"`
	Tier graph.Tier `json:"tier"`
}

// The facts of flips and of missing evidence.
const (
	factThreat      = "threat"
	factInternet    = "internet"
	factLateral     = "lateral"
	factSensitive   = "sensitive"
	factCritical    = "critical"
	factRunning     = "running"
	factAutomatable = "automatable"
	factImpact      = "impact"
	factValidity    = "validity"
	factLeaked      = "leaked"
	factSeverity    = "severity"
	factEPSS        = "epss"
)

// Explain decides and says why, what would change the answer, and which facts are missing.
func Explain(in Inputs, p *Policy) Explanation { return explain(&in, p, p.Hash()) }

// Explainer explains under one policy, whose hash it has taken once: for many findings in a row.
type Explainer struct {
	policy *Policy
	hash   string
}

// NewExplainer is for a policy that does not change any more.
func NewExplainer(p *Policy) Explainer { return Explainer{p, p.Hash()} }

// Explain gives what the function Explain gives.
func (e Explainer) Explain(in Inputs) Explanation { return explain(&in, e.policy, e.hash) }

func explain(in *Inputs, p *Policy, hash string) Explanation {
	e := Explanation{
		Decision: decide(in, p), Inputs: *in, AwaitingData: awaiting(in),
		Data: Data{
			Policy: hash, EPSS: in.Feeds.EPSS.Version, KEV: in.Feeds.KEV.Version,
			Vulnrichment: in.Feeds.Vulnrichment.Version,
		},
	}
	e.Flips = flips(in, p, e.Tier)
	e.Range, e.NeedsEvidence = evidenceRange(in, p, e.Tier)
	return e
}

// flips tries every other value of every fact that the kind of finding depends on.
func flips(in *Inputs, p *Policy, tier graph.Tier) []Flip {
	found := []Flip{}
	f := read(in, p)
	for _, t := range f.trials(in) {
		for _, value := range t.values {
			if value == t.now {
				continue
			}
			flip := Flip{Fact: t.fact, To: value}
			changed := flip.Apply(*in)
			if flip.Tier = decide(&changed, p).Tier; flip.Tier != tier && flip.reached(&changed, p) {
				found = append(found, flip)
			}
		}
	}
	return found
}

// reached guards against a policy under which a level of threat cannot occur, as with an EPSS threshold of 0.
func (f Flip) reached(changed *Inputs, p *Policy) bool {
	return f.Fact != factThreat || threatNames[threat(changed, p)] == f.To
}

// trial is one fact with the values it can take and the one it has; an unknown fact has none of them.
type trial struct {
	fact, now string
	values    []string
}

var (
	yesNo      = []string{"yes", "no"}
	impacts    = []string{"total", "partial"}
	validities = []string{"active", "inactive"}
)

func (f *facts) trials(in *Inputs) []trial {
	deployed := []trial{
		{factInternet, string(f.internet), yesNo}, {factLateral, string(f.lateral), yesNo},
		{factSensitive, string(f.sensitive), yesNo}, {factCritical, string(f.critical), yesNo},
		{factRunning, string(f.running), yesNo},
	}
	switch f.kind {
	case Malware:
		return nil
	case Secret:
		return []trial{
			{factValidity, in.Validity.Value, validities}, {factLeaked, string(yesIf(f.leaked)), yesNo},
			deployed[2], deployed[3],
		}
	case Code:
		return deployed
	}
	all := append([]trial{{factThreat, threatNames[f.threat], threatNames[:]}}, deployed...)
	return append(all, trial{factAutomatable, string(f.automatable), yesNo}, trial{factImpact, impactName(f.total), impacts})
}

// impactName is empty for an unknown impact.
func impactName(total graph.Answer) (name string) {
	switch total {
	case graph.Yes:
		name = "total"
	case graph.No:
		name = "partial"
	}
	return name
}

// Apply sets the one fact of the flip.
func (f Flip) Apply(in Inputs) Inputs {
	fact := Fact{Value: f.To, Source: "counterfactual"}
	switch f.Fact {
	case factThreat:
		in.setThreat(f.To)
	case factInternet:
		in.Internet = fact
	case factLateral:
		in.Lateral = fact
	case factSensitive:
		in.Sensitive = fact
	case factCritical:
		in.Critical = fact
	case factRunning:
		in.setRunning(fact)
	case factAutomatable:
		in.Automatable = fact
	case factImpact:
		in.Impact = fact
	case factValidity:
		in.Validity = fact
	case factLeaked:
		in.Leaked = fact
	}
	return in
}

func (in *Inputs) setThreat(level string) {
	say := func(v string) Fact { return Fact{Value: v, Source: "counterfactual"} }
	in.KEV, in.Exploitation, in.ExploitKit, in.Verified, in.EPSS = say("no"), say("none"), say("no"), say("no"), say("0")
	switch level {
	case threatNames[exploited]:
		in.KEV = say("yes")
	case threatNames[likely]:
		in.ExploitKit = say("yes")
	case threatNames[possible]:
		in.Exploitation = say("poc")
	}
}

// setRunning keeps the number of workloads in step: at least one exactly when it runs.
func (in *Inputs) setRunning(fact Fact) {
	in.Running = fact
	n := 0
	if fact.Value == string(graph.Yes) {
		n = max(1, count(in.Workloads.Value))
	}
	in.Workloads.Value = strconv.Itoa(n)
}

// gap is an unknown fact with its harmless and its harmful value.
type gap struct{ fact, harmless, harmful string }

// unknown lists the facts that evidence from the running system, or from the secret's issuer, would settle.
func (f *facts) unknown(in *Inputs) []gap {
	var out []gap
	for _, t := range f.trials(in) {
		switch {
		case slices.Contains(t.values, t.now):
		case t.fact == factValidity:
			out = append(out, gap{t.fact, "inactive", "active"})
		case t.fact != factAutomatable && t.fact != factImpact:
			out = append(out, gap{t.fact, "no", "yes"})
		}
	}
	return out
}

func evidenceRange(in *Inputs, p *Policy, tier graph.Tier) (Range, []string) {
	f := read(in, p)
	gaps := f.unknown(in)
	best, worst := *in, *in
	all, alone := []string{}, []string{}
	for _, g := range gaps {
		best = Flip{Fact: g.fact, To: g.harmless}.Apply(best)
		worst = Flip{Fact: g.fact, To: g.harmful}.Apply(worst)
		all = append(all, g.fact)
		if g.changes(in, p, tier) {
			alone = append(alone, g.fact)
		}
	}
	r := Range{decide(&best, p).Tier, decide(&worst, p).Tier}
	switch {
	case r.Best == r.Worst:
		return r, []string{}
	case len(alone) == 0:
		return r, all
	}
	return r, alone
}

func (g gap) changes(in *Inputs, p *Policy, tier graph.Tier) bool {
	harmless, harmful := g.tiers(in, p)
	return harmless != tier || harmful != tier
}

// tiers are those with this fact alone harmless, and alone harmful.
func (g gap) tiers(in *Inputs, p *Policy) (harmless, harmful graph.Tier) {
	low, high := Flip{Fact: g.fact, To: g.harmless}.Apply(*in), Flip{Fact: g.fact, To: g.harmful}.Apply(*in)
	return decide(&low, p).Tier, decide(&high, p).Tier
}

// awaiting lists what Vulnrichment, the advisory and EPSS have not said.
func awaiting(in *Inputs) []string {
	out := []string{}
	if in.Kind == Vuln && in.Automatable.Value == "" {
		out = append(out, factAutomatable)
	}
	if in.Kind == Vuln && in.Impact.Value == "" {
		out = append(out, factImpact)
	}
	if (in.Kind == Vuln || in.Kind == Code) && (in.Severity.Value == "" || in.Severity.Value == "unknown") {
		out = append(out, factSeverity)
	}
	if in.Kind == Vuln && in.EPSS.Value == "" {
		out = append(out, factEPSS)
	}
	return out
}
