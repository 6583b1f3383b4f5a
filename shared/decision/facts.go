package decision

import (
	"slices"
	"strconv"
	"strings"

	"throughline/shared/graph"
)

// The levels of threat.
const (
	quiet = iota
	possible
	likely
	exploited
)

// threatNames are the levels of threat as they are written in explanations.
var threatNames = [...]string{"none", "possible", "likely", "exploited"}

// The levels of severity.
const (
	lowSeverity = iota
	mediumSeverity
	highSeverity
	criticalSeverity
)

// facts is what raw inputs amount to under a policy: the facts that the rules speak of.
type facts struct {
	kind             Kind
	threat, severity int
	// automatable and total stay unknown when neither published nor estimated.
	automatable, total                              graph.Answer
	assessed                                        bool
	internet, lateral, sensitive, critical, running graph.Answer
	workloads                                       int
	leaked                                          bool
}

func read(in *Inputs, p *Policy) facts {
	f := facts{
		kind:      in.Kind,
		internet:  answer(in.Internet.Value),
		lateral:   answer(in.Lateral.Value),
		sensitive: answer(in.Sensitive.Value),
		critical:  answer(in.Critical.Value),
		running:   answer(in.Running.Value),
		workloads: count(in.Workloads.Value),
		leaked:    in.Leaked.Value == "yes",
	}
	switch in.Kind {
	case Code:
		f.readCode(in, p)
	case Secret:
		f.readSecret(in)
	case Malware:
		f.threat, f.severity = exploited, criticalSeverity
	default:
		f.readVuln(in, p)
	}
	return f
}

// count is the number of workloads; 0 for what is no number.
func count(v string) int {
	n, err := strconv.Atoi(v)
	if err != nil {
		return 0
	}
	return max(0, n)
}

func answer(v string) graph.Answer { return graph.Answer(v).OrUnknown() }

func (f *facts) readVuln(in *Inputs, p *Policy) {
	f.threat = threat(in, p)
	f.severity = severity(in.Severity.Value)
	f.automatable = answer(in.Automatable.Value)
	f.total = totalImpact(in.Impact.Value)
	f.assessed = f.automatable.Known() && f.total.Known()
	if f.assessed {
		return
	}
	automatable, total := Estimate(in.CVSS.Value)
	if !f.automatable.Known() {
		f.automatable = automatable
	}
	if !f.total.Known() {
		f.total = total
	}
}

// readCode: nobody can search the internet for a flaw that is not public, so no threat and not automatable.
func (f *facts) readCode(in *Inputs, p *Policy) {
	f.severity = severity(in.Severity.Value)
	f.automatable, f.total = graph.No, graph.No
	for rest := in.CWE.Value; rest != ""; {
		var n int
		if n, rest = nextCWE(rest); slices.Contains(p.Code.TotalCWE, n) {
			f.total = graph.Yes
		}
	}
}

// readSecret: whoever holds the secret is in, so reach from the internet is whether it is public.
func (f *facts) readSecret(in *Inputs) {
	f.threat, f.severity = liveness(in.Validity.Value), highSeverity
	f.internet = graph.No
	if f.leaked {
		f.internet = graph.Yes
	}
}

// liveness is the threat of a secret: what nobody has checked is possibly live.
func liveness(validity string) int {
	switch validity {
	case "active":
		return exploited
	case "inactive":
		return quiet
	}
	return likely
}

func threat(in *Inputs, p *Policy) int {
	if in.KEV.Value == "yes" || in.Exploitation.Value == "active" {
		return exploited
	}
	epss := probability(in.EPSS.Value)
	switch {
	case epss >= p.Thresholds.EPSSLikely || in.ExploitKit.Value == "yes":
		return likely
	case epss >= p.Thresholds.EPSSPossible || in.Exploitation.Value == "poc" || in.Verified.Value == "yes":
		return possible
	}
	return quiet
}

// probability is 0 for what is not given, or no number.
func probability(v string) float64 {
	if v != "" {
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			return n
		}
	}
	return 0
}

// severity counts an unknown severity as high.
func severity(v string) int {
	switch v {
	case "critical":
		return criticalSeverity
	case "medium":
		return mediumSeverity
	case "low", "none":
		return lowSeverity
	}
	return highSeverity
}

func totalImpact(v string) graph.Answer {
	switch v {
	case "total":
		return graph.Yes
	case "partial":
		return graph.No
	}
	return graph.Unknown
}

// counts tells whether automatable or total impact counts as yes: an unknown one only for what is already exploited.
func (f *facts) counts(a graph.Answer) bool {
	return a == graph.Yes || a == graph.Unknown && f.threat == exploited
}

// nextCWE reads the first number of a list such as "CWE-078;CWE-20"; not above 0 when it is no weakness.
func nextCWE(list string) (n int, rest string) {
	first, rest, _ := strings.Cut(list, ";")
	n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(first), "CWE-"))
	if err != nil {
		n = 0
	}
	return n, rest
}

// HighestSeverity is the fact for Inputs.Severity: the highest of what GitHub, Defender and the CVSS base rating say.
// A value that is not a severity is passed over; the zero fact means that nobody published one. Of equals the first wins.
func HighestSeverity(said ...Fact) Fact {
	order := [...]string{"none", "low", "medium", "high", "critical"}
	best, rank := Fact{}, -1
	for _, f := range said {
		if r := slices.Index(order[:], f.Value); r > rank {
			best, rank = f, r
		}
	}
	return best
}

// CodeSeverity is the severity of a code scanning alert: its security severity level, else what its SARIF level amounts
// to. An alert with neither a level nor a security tag is not decided at all.
func CodeSeverity(securityLevel, sarifLevel string, securityTag bool) (value string, decided bool) {
	if securityLevel != "" {
		return securityLevel, true
	}
	if !securityTag {
		return "", false
	}
	switch sarifLevel {
	case "error":
		return "high", true
	case "warning":
		return "medium", true
	case "note":
		return "low", true
	}
	return "unknown", true
}
