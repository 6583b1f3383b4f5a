package decision

import (
	"slices"
	"strings"

	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"

	"throughline/shared/graph"
)

// metrics are the CVSS metrics that the estimate reads, in CVSS 3 and CVSS 4 alike.
type metrics struct {
	version                    string
	av, ac, at, pr, ui, vc, vi byte
}

// Estimate reads from a CVSS 3.0, 3.1 or 4.0 vector whether an attack can be automated and gives total control. A vector
// of another version, a broken one, or one that lacks a metric it needs leaves both unknown. The supplement AU of
// CVSS 4.0 is not used.
func Estimate(vector string) (automatable, total graph.Answer) {
	m, ok := parseVector(vector)
	if !ok {
		return graph.Unknown, graph.Unknown
	}
	easy := m.av == 'N' && m.ac == 'L' && m.at == 'N' && m.pr == 'N' && m.ui == 'N'
	return yesIf(easy), yesIf(m.vc == 'H' && m.vi == 'H')
}

func yesIf(b bool) graph.Answer {
	if b {
		return graph.Yes
	}
	return graph.No
}

func parseVector(vector string) (m metrics, ok bool) {
	var rest string
	m.version, rest, ok = strings.Cut(vector, "/")
	switch {
	case !ok:
		return m, false
	case m.version == "CVSS:3.0", m.version == "CVSS:3.1":
		// CVSS 3 has no attack requirements.
		m.at = 'N'
	case m.version != "CVSS:4.0":
		return m, false
	}
	for more := true; more; {
		var metric string
		metric, rest, more = strings.Cut(rest, "/")
		if !m.set(metric) {
			return m, false
		}
	}
	return m, m.av != 0 && m.ac != 0 && m.at != 0 && m.pr != 0 && m.ui != 0 && m.vc != 0 && m.vi != 0
}

// set takes one "AV:N"; false when it is malformed or given twice. Metrics that the estimate does not read pass.
func (m *metrics) set(metric string) bool {
	name, value, found := strings.Cut(metric, ":")
	if !found || name == "" || value == "" {
		return false
	}
	four := m.version == "CVSS:4.0"
	switch {
	case name == "AV":
		return put(&m.av, value, "NALP")
	case name == "AC":
		return put(&m.ac, value, "LH")
	case name == "PR":
		return put(&m.pr, value, "NLH")
	case name == "AT" && four:
		return put(&m.at, value, "NP")
	case name == "UI" && four:
		return put(&m.ui, value, "NPA")
	case name == "UI":
		return put(&m.ui, value, "NR")
	case name == "VC" && four, name == "C" && !four:
		return put(&m.vc, value, "HLN")
	case name == "VI" && four, name == "I" && !four:
		return put(&m.vi, value, "HLN")
	}
	return true
}

func put(at *byte, value, allowed string) bool {
	if *at != 0 || len(value) != 1 || !strings.Contains(allowed, value) {
		return false
	}
	*at = value[0]
	return true
}

// PickVector is the fact for Inputs.CVSS out of several: by Source cna, then cisa, nvd, ghsa, then anybody else, the
// first that the estimate can read; the first of all when none can be read. Of equals the first given wins.
func PickVector(vectors ...Fact) Fact {
	order := []string{"cna", "cisa", "nvd", "ghsa"}
	rank := func(f Fact) int {
		if i := slices.Index(order, strings.ToLower(f.Source)); i >= 0 {
			return i
		}
		return len(order)
	}
	sorted := slices.Clone(vectors)
	slices.SortStableFunc(sorted, func(a, b Fact) int { return rank(a) - rank(b) })
	for _, f := range sorted {
		if _, ok := parseVector(f.Value); ok {
			return f
		}
	}
	if len(sorted) == 0 {
		return Fact{}
	}
	return sorted[0]
}

// BaseSeverity is the base rating of a complete CVSS 3.0, 3.1 or 4.0 vector: none, low, medium, high or critical. It is
// empty for anything else.
func BaseSeverity(vector string) string {
	if score, ok := baseScore(vector); ok {
		if rating, err := cvss31.Rating(score); err == nil {
			return strings.ToLower(rating)
		}
	}
	return ""
}

func baseScore(vector string) (score float64, ok bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := cvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := cvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := cvss40.ParseVector(vector); err == nil {
			return v.Score(), true
		}
	}
	return score, false
}
