package decision

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"throughline/shared/graph"
)

// policy reads the whole file. The keys stand in the order of the file as shipped.
func (r *policyReader) policy(n ast.Node, p *Policy) {
	r.mapping("", n,
		field{"version", r.whole(&p.Version)},
		field{"floor", r.raw(&p.Floor)},
		field{"clock", r.raw(&p.Clock)},
		field{"tiers", r.tiers(p)},
		field{"no_fix", r.noFix(p)},
		field{"thresholds", r.group(
			field{"epss_likely", r.number(&p.Thresholds.EPSSLikely)},
			field{"epss_possible", r.number(&p.Thresholds.EPSSPossible)},
			field{"epss_days", r.whole(&p.Thresholds.EPSSDays)},
			field{"epss_model", r.text(&p.Thresholds.EPSSModel)})},
		field{"weights", r.group(
			field{"threat", r.whole(&p.Weights.Threat)},
			field{"severity", r.whole(&p.Weights.Severity)},
			field{"internet", r.whole(&p.Weights.Internet)},
			field{"sensitive", r.whole(&p.Weights.Sensitive)},
			field{"critical", r.whole(&p.Weights.Critical)},
			field{"lateral", r.whole(&p.Weights.Lateral)},
			field{"workloads_max", r.whole(&p.Weights.WorkloadsMax)})},
		field{"windows", r.group(
			field{"factor_days", r.whole(&p.Windows.FactorDays)},
			field{"lower_after_days", r.whole(&p.Windows.LowerAfterDays)})},
		field{"guard", r.whole(&p.Guard)},
		field{"assume", r.group(
			field{"exposure", r.raw(&p.Assume.Exposure)},
			field{"unassessed", r.raw(&p.Assume.Unassessed)})},
		field{"no_from", r.texts(&p.NoFrom)},
		field{"rules_off", r.texts(&p.RulesOff)},
		field{"acceptance", r.group(
			field{"max_days", r.group(
				field{"P0", r.whole(&p.Acceptance.MaxDays.P0)},
				field{"P1", r.whole(&p.Acceptance.MaxDays.P1)},
				field{"P2", r.whole(&p.Acceptance.MaxDays.P2)},
				field{"P3", r.whole(&p.Acceptance.MaxDays.P3)})},
			field{"vex_authors", r.texts(&p.Acceptance.VEXAuthors)})},
		field{"code", r.group(field{"total_cwe", r.wholes(&p.Code.TotalCWE)})},
	)
}

func (r *policyReader) group(fields ...field) func(string, ast.Node) {
	return func(path string, n ast.Node) { r.mapping(path, n, fields...) }
}

func (r *policyReader) tiers(p *Policy) func(string, ast.Node) {
	var fields []field
	for _, t := range graph.Tiers {
		rule := p.rule(t)
		fields = append(fields, field{string(t), r.group(
			field{"due", r.raw(&rule.Due)}, field{"actions", r.texts(&rule.Actions)})})
	}
	return r.group(fields...)
}

func (r *policyReader) noFix(p *Policy) func(string, ast.Node) {
	var fields []field
	for _, t := range graph.Tiers {
		fields = append(fields, field{string(t), r.texts(p.NoFix.at(t))})
	}
	return func(path string, n ast.Node) {
		// The file names all tiers that differ: the default for P2 does not stay beside them.
		p.NoFix = NoFix{}
		r.mapping(path, n, fields...)
	}
}

func (r *policyReader) check(p *Policy) {
	if p.Version != 1 {
		r.fail("version", "%d is not supported (1)", p.Version)
	}
	r.oneOf("floor", p.Floor, FloorBOD, noFloor)
	r.oneOf("clock", p.Clock, ClockReached, ClockBOD)
	r.checkDues(p)
	r.checkAssumptions(p)
	r.checkActions(p)
	r.checkThresholds(p)
	r.checkWeights(p)
	r.checkRanges(p)
	r.checkLists(p)
}

func (r *policyReader) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		r.fail(path, "%q is not one of %s", value, strings.Join(allowed, ", "))
	}
}

// dueForm bounds the days at six digits, so that no date leaves the calendar.
var dueForm = regexp.MustCompile(`^[1-9][0-9]{0,5}d$`)

// length makes due times comparable: days, then upgrade, then none. It is 0 for anything else.
func length(due string) int {
	switch {
	case due == dueUpgrade:
		return math.MaxInt - 1
	case due == dueNone:
		return math.MaxInt
	case dueForm.MatchString(due):
		return days(due)
	}
	return 0
}

// days is the number in "<days>d"; 0 when there is none.
func days(due string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(due, "d"))
	if err != nil {
		return 0
	}
	return n
}

// bodDue is the slowest that the directive allows for each tier; P4 is not its concern.
var bodDue = [...]string{"3d", "14d", "60d", dueUpgrade}

func (r *policyReader) checkDues(p *Policy) {
	longest := graph.Tier("")
	for i, t := range graph.Tiers {
		due, path := p.rule(t).Due, "tiers."+string(t)+".due"
		n := length(due)
		if n == 0 {
			r.fail(path, "%q is not <days>d, upgrade or none", due)
			continue
		}
		if longest != "" && n < length(p.rule(longest).Due) {
			r.fail(path, "%s is shorter than %s (%s)", due, longest, p.rule(longest).Due)
		} else {
			longest = t
		}
		if p.Floor == FloorBOD && i < len(bodDue) && n > length(bodDue[i]) {
			r.fail(path, "%s is slower than BOD 26-04 (%s); set floor: none to allow it", due, bodDue[i])
		}
	}
}

func (r *policyReader) checkAssumptions(p *Policy) {
	r.assumption(p, "assume.exposure", p.Assume.Exposure, assumeExposed, assumeInternal)
	r.assumption(p, "assume.unassessed", p.Assume.Unassessed, string(graph.P2), assumeNone)
}

func (r *policyReader) assumption(p *Policy, path, value, strict, slow string) {
	r.oneOf(path, value, strict, slow)
	if value == slow && p.Floor == FloorBOD {
		r.fail(path, "%s is slower than BOD 26-04; set floor: none to allow it", value)
	}
}

func (r *policyReader) checkActions(p *Policy) {
	for i, t := range graph.Tiers {
		path := "tiers." + string(t) + ".actions"
		r.actions(path, p.rule(t).Actions)
		if actions := p.NoFix.of(t); actions != nil {
			r.actions("no_fix."+string(t), actions)
		}
		if slices.Contains(p.rule(t).Actions, ActionIssue) {
			continue
		}
		for _, slower := range graph.Tiers[i:] {
			if slices.Contains(p.rule(slower).Actions, ActionIssue) {
				r.warn(path, "%s opens no issue but %s does", t, slower)
				break
			}
		}
	}
}

func (r *policyReader) actions(path string, actions []string) {
	for i, a := range actions {
		r.oneOf(fmt.Sprintf("%s[%d]", path, i), a, ActionIssue, ActionAssign, ActionCopilot, ActionNothing)
	}
	if slices.Contains(actions, ActionNothing) && len(actions) > 1 {
		r.fail(path, "nothing cannot stand with others")
		return
	}
	for _, a := range []string{ActionAssign, ActionCopilot} {
		if slices.Contains(actions, a) && !slices.Contains(actions, ActionIssue) {
			r.fail(path, "%s needs issue", a)
		}
	}
}

func (r *policyReader) checkThresholds(p *Policy) {
	t := p.Thresholds
	within := r.fraction("thresholds.epss_likely", t.EPSSLikely)
	within = r.fraction("thresholds.epss_possible", t.EPSSPossible) && within
	if within && t.EPSSLikely <= t.EPSSPossible {
		r.fail("thresholds.epss_likely", "%s must be greater than epss_possible (%s)",
			decimal(t.EPSSLikely), decimal(t.EPSSPossible))
	}
	if t.EPSSModel == "" {
		r.fail("thresholds.epss_model", "must name a model, for example v4")
	}
}

func (r *policyReader) fraction(path string, v float64) bool {
	within := v >= 0 && v <= 1
	if !within {
		r.fail(path, "%s is outside 0..1", decimal(v))
	}
	return within
}

// decimal writes a threshold as people write probabilities, with two digits or more.
func decimal(v float64) string {
	whole, part, _ := strings.Cut(strconv.FormatFloat(v, 'f', -1, 64), ".")
	for len(part) < 2 {
		part += "0"
	}
	return whole + "." + part
}

// maxPoints is what the terms beside the base may sum to, so that tiers never overlap.
const maxPoints = 199

func (r *policyReader) checkWeights(p *Policy) {
	w := p.Weights
	negative := false
	for _, one := range []struct {
		key   string
		value int
	}{
		{"threat", w.Threat}, {"severity", w.Severity}, {"internet", w.Internet}, {"sensitive", w.Sensitive},
		{"critical", w.Critical}, {"lateral", w.Lateral}, {"workloads_max", w.WorkloadsMax},
	} {
		if one.value < 0 {
			negative = true
			r.fail("weights."+one.key, "%d is outside 0..%d", one.value, maxPoints)
		}
	}
	sum := exploited*w.Threat + criticalSeverity*w.Severity +
		w.Internet + w.Sensitive + w.Critical + w.Lateral + w.WorkloadsMax
	if !negative && sum > maxPoints {
		r.fail("weights", "3·threat + 3·severity + internet + sensitive + critical + lateral + workloads_max = %d, at most %d",
			sum, maxPoints)
	}
}

func (r *policyReader) within(path string, v, low, high int) {
	if v < low || v > high {
		r.fail(path, "%d is outside %d..%d", v, low, high)
	}
}

func (r *policyReader) checkRanges(p *Policy) {
	const tenYears = 3650
	r.within("thresholds.epss_days", p.Thresholds.EPSSDays, 1, 365)
	r.within("windows.factor_days", p.Windows.FactorDays, 1, 30)
	r.within("windows.lower_after_days", p.Windows.LowerAfterDays, 1, 90)
	r.within("guard", p.Guard, 0, 1_000_000)
	r.within("acceptance.max_days.P0", p.Acceptance.MaxDays.P0, 1, tenYears)
	r.within("acceptance.max_days.P1", p.Acceptance.MaxDays.P1, 1, tenYears)
	r.within("acceptance.max_days.P2", p.Acceptance.MaxDays.P2, 1, tenYears)
	r.within("acceptance.max_days.P3", p.Acceptance.MaxDays.P3, 1, tenYears)
	for i, n := range p.Code.TotalCWE {
		r.within(fmt.Sprintf("code.total_cwe[%d]", i), n, 1, 99_999)
	}
}

func (r *policyReader) checkLists(p *Policy) {
	for i, source := range p.NoFrom {
		r.oneOf(fmt.Sprintf("no_from[%d]", i), source, "configuration", "person", "mdc-contextual")
	}
	for i, rule := range p.RulesOff {
		if !slices.Contains([]string{"R2", "R3", "R4", "R5", "R6", "R7"}, rule) {
			r.fail(fmt.Sprintf("rules_off[%d]", i), "%s cannot be switched off (R2..R7)", keyName(rule))
		}
	}
	for i, author := range p.Acceptance.VEXAuthors {
		if author == "" {
			r.fail(fmt.Sprintf("acceptance.vex_authors[%d]", i), "an author needs a name")
		}
	}
}

// Surroundings are the facts outside the policy file that it can be at odds with.
type Surroundings struct {
	// EPSSModel is the model of the feed, for example v4; empty when not known yet.
	EPSSModel string
	// Copilot tells that a user credential for handing over to the coding agent is configured.
	Copilot bool
}

// Warnings tells where the policy is at odds with its surroundings, in the order of its file.
func (p *Policy) Warnings(s Surroundings) []Problem {
	r := &policyReader{file: p.file, at: p.at}
	for _, t := range graph.Tiers {
		r.copilot("tiers."+string(t)+".actions", p.rule(t).Actions, s)
		r.copilot("no_fix."+string(t), p.NoFix.of(t), s)
	}
	if model := p.Thresholds.EPSSModel; s.EPSSModel != "" && s.EPSSModel != model {
		r.warn("thresholds.epss_model", "feed is %s, thresholds were chosen for %s", keyName(s.EPSSModel), keyName(model))
	}
	SortProblems(r.problems)
	return r.problems
}

func (r *policyReader) copilot(path string, actions []string, s Surroundings) {
	if !s.Copilot && slices.Contains(actions, ActionCopilot) {
		r.warn(path, "copilot has no user credential configured; issues will wait for a person")
	}
}
