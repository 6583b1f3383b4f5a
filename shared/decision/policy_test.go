package decision

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"throughline/shared/graph"
)

func TestShippedPolicyIsTheDefault(t *testing.T) {
	p, problems := ParsePolicy("policy.yaml", DefaultPolicyText)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	if diff := cmp.Diff(DefaultPolicy(), p, cmpopts.IgnoreUnexported(Policy{})); diff != "" {
		t.Errorf("policy.yaml is not DefaultPolicy (-default +file):\n%s", diff)
	}
}

func TestHash(t *testing.T) {
	want := DefaultPolicy().Hash()
	if !strings.HasPrefix(want, "sha256:") || len(want) != len("sha256:")+64 {
		t.Errorf("hash %s", want)
	}
	same, _ := ParsePolicy("p", []byte("# other words\nguard: 50\nversion: 1\n"))
	if got := same.Hash(); got != want {
		t.Errorf("comments and order change it: %s", got)
	}
	other, _ := ParsePolicy("p", []byte("guard: 51\n"))
	if got := other.Hash(); got == want {
		t.Error("another policy has the same hash")
	}
	silent, _ := ParsePolicy("p", []byte("no_fix: {P1: []}\n"))
	kept, _ := ParsePolicy("p", []byte("no_fix: {}\n"))
	if silent.Hash() == kept.Hash() {
		t.Error("no actions without a fix, and those of the tier, have the same hash")
	}
	keys := regexp.MustCompile(`"([a-z_0-9A-Z]+)":`).FindAllStringSubmatch(string(DefaultPolicy().canonical()), -1)
	if keys[0][1] != "acceptance" || keys[1][1] != "max_days" || keys[len(keys)-1][1] != "lower_after_days" {
		t.Errorf("keys are not sorted: %v", keys)
	}
}

// A default policy that somebody changes is his own.
func TestDefaultPolicyIsACopy(t *testing.T) {
	DefaultPolicy().NoFrom[0] = "nobody"
	if got := DefaultPolicy().NoFrom[0]; got != "configuration" {
		t.Errorf("no_from[0] is %s", got)
	}
}

func TestActions(t *testing.T) {
	p, problems := ParsePolicy("p", []byte("no_fix: {P0: [issue], P1: [issue], P3: [], P4: [issue]}\n"))
	if p == nil {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		tier graph.Tier
		fix  bool
		want []string
	}{
		{graph.P0, true, []string{"issue", "assign"}}, {graph.P0, false, []string{"issue"}},
		{graph.P1, true, []string{"issue", "assign"}}, {graph.P1, false, []string{"issue"}},
		{graph.P2, true, []string{"issue"}}, {graph.P2, false, []string{"issue"}},
		{graph.P3, true, []string{"nothing"}}, {graph.P3, false, []string{}},
		{graph.P4, true, []string{"nothing"}}, {graph.P4, false, []string{"issue"}},
	} {
		if diff := cmp.Diff(c.want, p.Actions(c.tier, c.fix)); diff != "" {
			t.Errorf("%s, fix %v (-want +got):\n%s", c.tier, c.fix, diff)
		}
	}
	if got := DefaultPolicy().Actions(graph.P2, false); !cmp.Equal(got, []string{"nothing"}) {
		t.Errorf("P2 without a fix: %v", got)
	}
}

func TestWarnings(t *testing.T) {
	p, problems := ParsePolicy("policy.yaml", []byte("tiers:\n  P1: {actions: [issue, copilot]}\nno_fix:\n  P0: [issue, copilot]\nthresholds: {epss_model: v4}\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, w := range p.Warnings(Surroundings{EPSSModel: "v5"}) {
		got = append(got, w.String())
	}
	want := []string{
		"policy.yaml:2:17: warning: tiers.P1.actions: copilot has no user credential configured; issues will wait for a person",
		"policy.yaml:4:7: warning: no_fix.P0: copilot has no user credential configured; issues will wait for a person",
		"policy.yaml:5:26: warning: thresholds.epss_model: feed is v5, thresholds were chosen for v4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range []Surroundings{{EPSSModel: "v4", Copilot: true}, {Copilot: true}} {
		if got := p.Warnings(s); len(got) > 0 {
			t.Errorf("%+v: %v", s, got)
		}
	}
	if got := DefaultPolicy().Warnings(Surroundings{EPSSModel: "v5"}); len(got) != 1 || got[0].Line != 1 || got[0].Column != 1 {
		t.Errorf("the default policy: %v", got)
	}
}

// Each rule decides some case, and no longer when it is switched off.
func TestRulesOff(t *testing.T) {
	for rule, words := range map[string]string{
		"R2": "kev=no epss=0.2 severity=high automatable=no impact=partial internet=yes lateral=yes",
		"R3": "kev=yes severity=high automatable=no impact=partial critical=yes",
		"R4": "kev=no severity=high automatable=no impact=partial internet=yes sensitive=yes",
		"R5": "kev=no epss=0.2 severity=high automatable=no impact=partial lateral=yes",
		"R6": "kev=no severity=high automatable=no impact=partial lateral=yes",
		"R7": "kev=no epss=0.2 severity=low automatable=no impact=partial",
	} {
		on, off := DefaultPolicy(), DefaultPolicy()
		off.RulesOff = []string{rule}
		with, without := Decide(given(Vuln, words), on), Decide(given(Vuln, words), off)
		if with.Rule != rule || !with.Tier.MoreUrgent(without.Tier) {
			t.Errorf("%s: %s %s with it, %s %s without", rule, with.Tier, with.Rule, without.Tier, without.Rule)
		}
	}
}

// Without the floor an organisation may read missing facts the other way.
func TestAssumptions(t *testing.T) {
	slow, problems := ParsePolicy("p", []byte("floor: none\nassume: {exposure: internal, unassessed: none}\n"))
	if slow == nil {
		t.Fatal(problems)
	}
	exposure, unassessed := given(Vuln, "severity=low automatable=no impact=partial internet=unknown"), given(Vuln, "severity=low")
	for in, want := range map[*Inputs]graph.Tier{&exposure: graph.P3, &unassessed: graph.P3} {
		if d := Decide(*in, slow); d.Tier != want {
			t.Errorf("%+v: %s", *in, d.Tier)
		}
		if d := Decide(*in, DefaultPolicy()); d.Tier != graph.P2 {
			t.Errorf("by default %s", d.Tier)
		}
	}
	if slow.SlowerNotice() == "" || DefaultPolicy().SlowerNotice() != "" {
		t.Error("only a policy without a floor says so")
	}
	if got := Explain(exposure, slow).Gaps(slow); len(got) > 0 && strings.Contains(got[0].Text, "treated as exposed") {
		t.Errorf("%v", got)
	}
	slow.Tiers.P0.Due = "2d"
	if got := Decide(given(Vuln, "kev=yes severity=high automatable=yes impact=total"), slow).Due; got != "2d+triage" {
		t.Errorf("due %s", got)
	}
}

// Each row is a file and all it is told, in order.
func TestParsePolicy(t *testing.T) {
	for name, c := range policyCases {
		t.Run(name, func(t *testing.T) {
			p, problems := ParsePolicy("policy.yaml", []byte(c.text))
			var got []string
			failed := false
			for _, problem := range problems {
				got = append(got, strings.TrimPrefix(problem.String(), "policy.yaml:"))
				failed = failed || !problem.Warning
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if failed != (p == nil) {
				t.Errorf("errors %v, but policy %v", failed, p)
			}
		})
	}
}

var policyCases = map[string]struct {
	text string
	want []string
}{
	"misspelt key": {"threshold: {epss_days: 3}\n", []string{
		"1:1: error: threshold: unknown key (did you mean thresholds?)"}},
	"misspelt inner key": {"tiers:\n  P1:\n    dew: 14d\n", []string{
		"3:5: error: tiers.P1.dew: unknown key (did you mean due?)"}},
	"foreign key":                   {"colour: blue\n", []string{"1:1: error: colour: unknown key"}},
	"key that would break the line": {"\"a\\nb\": 1\n", []string{`1:1: error: "a\nb": unknown key`}},
	"tier given twice": {"version: 1\nfloor: bod-26-04\n# note\n\ntiers:\n  P1: {due: 14d}\n  P2: {due: 60d}\n  P1: {due: 7d}\n", []string{
		"8:3: error: tiers.P1: given twice, first on line 6"}},
	"weight as text": {"weights: {threat: high}\n", []string{
		`1:19: error: weights.threat: expected a whole number, got "high"`}},
	"weight with a fraction": {"weights: {threat: 2.5}\n", []string{
		`1:19: error: weights.threat: expected a whole number, got 2.5`}},
	"weight beyond reason": {"weights: {threat: 99999999999}\n", []string{
		`1:19: error: weights.threat: expected a whole number, got 99999999999`}},
	"mapping expected": {"weights: 3\nwindows:\ntiers: [P0]\n", []string{
		"1:10: error: weights: expected a mapping, got 3",
		"2:9: error: windows: expected a mapping, got nothing",
		"3:8: error: tiers: expected a mapping, got a list"}},
	"list expected": {"no_from: person\ncode: {total_cwe: {a: 1}}\n", []string{
		`1:10: error: no_from: expected a list, got "person"`,
		"2:19: error: code.total_cwe: expected a list, got a mapping"}},
	"number expected": {"thresholds: {epss_likely: often, epss_possible: .nan}\n", []string{
		`1:27: error: thresholds.epss_likely: expected a number, got "often"`,
		`1:49: error: thresholds.epss_possible: expected a number, got .nan`}},
	"text expected": {"thresholds:\n  epss_model: 4\nrules_off: [4]\n", []string{
		"2:15: error: thresholds.epss_model: expected text, got 4",
		"3:13: error: rules_off[0]: expected text, got 4"}},
	"text expected, otherwise": {"floor: [none]\nclock: |\n  bod\nno_from:\n  - {a: 1}\n", []string{
		"1:8: error: floor: expected text, got a list",
		"2:8: error: clock: expected text, got a block of text",
		"5:5: error: no_from[0]: expected text, got a mapping"}},
	"key too short to guess": {"tiers: {ab: 1, P9: 2, tires: 3}\ntires: {}\n", []string{
		"1:9: error: tiers.ab: unknown key",
		"1:16: error: tiers.P9: unknown key (did you mean P0?)",
		"1:23: error: tiers.tires: unknown key",
		"2:1: error: tires: unknown key (did you mean tiers?)"}},
	"alias": {"guard: &g 5\nversion: *g\n", []string{
		"1:8: error: guard: expected a whole number, got an anchor, alias or tag",
		"2:10: error: version: expected a whole number, got an anchor, alias or tag"}},
	"other version":     {"version: 2\n", []string{"1:10: error: version: 2 is not supported (1)"}},
	"no YAML":           {"tiers: [1\nguard: 5\n", []string{"2:1: error: yaml: ',' or ']' must be specified"}},
	"two documents":     {"guard: 5\n---\nguard: 6\n", []string{"3:1: error: yaml: more than one document"}},
	"nothing":           {"# only a note\n", []string{"1:1: warning: yaml: the file says nothing; every default holds"}},
	"not UTF-8":         {"guard: \xff\n", []string{"1:1: error: yaml: not UTF-8"}},
	"too long":          {"#" + strings.Repeat("x", maxPolicyBytes), []string{"1:1: error: yaml: 16385 bytes, at most 16384"}},
	"just not too long": {"#" + strings.Repeat("x", maxPolicyBytes-1), []string{"1:1: warning: yaml: the file says nothing; every default holds"}},
	"empty key":         {"'': 1\n", []string{`1:1: error: "": unknown key`}},
	"numbers at the bound": {"guard: 1000000000\nversion: -1000000000\n", []string{
		"1:8: error: guard: 1000000000 is outside 0..1000000",
		"2:10: error: version: -1000000000 is not supported (1)"}},
	"numbers beyond the bound": {"guard: 1000000001\nversion: -1000000001\nwindows: {factor_days: 99999999999999999999999}\n", []string{
		"1:8: error: guard: expected a whole number, got 1000000001",
		"2:10: error: version: expected a whole number, got -1000000001",
		`3:24: error: windows.factor_days: expected a whole number, got "99999999999999999999999"`}},
	"a list": {"- 1\n", []string{"1:1: error: yaml: expected a mapping, got a list"}},

	"due form": {"tiers:\n  P1: {due: 2w}\n  P2: {due: 0d}\n", []string{
		`2:13: error: tiers.P1.due: "2w" is not <days>d, upgrade or none`,
		`3:13: error: tiers.P2.due: "0d" is not <days>d, upgrade or none`}},
	"due order": {"tiers:\n  P1: {due: 2d}\n", []string{"2:13: error: tiers.P1.due: 2d is shorter than P0 (3d)"}},
	"due order with upgrade": {"floor: none\ntiers:\n  P2: {due: upgrade}\n  P3: {due: 90d}\n  P4: {due: upgrade}\n", []string{
		"4:13: error: tiers.P3.due: 90d is shorter than P2 (upgrade)"}},
	"due order against a default": {"tiers: {P1: {due: 14d}}\nfloor: none\nclock: bod\nno_fix: {}\nguard: 1\n", nil},
	"under the floor": {"tiers:\n  P0: {due: 4d}\n  P1: {due: 15d}\n  P2: {due: 90d}\n  P3: {due: none}\n", []string{
		"2:13: error: tiers.P0.due: 4d is slower than BOD 26-04 (3d); set floor: none to allow it",
		"3:13: error: tiers.P1.due: 15d is slower than BOD 26-04 (14d); set floor: none to allow it",
		"4:13: error: tiers.P2.due: 90d is slower than BOD 26-04 (60d); set floor: none to allow it",
		"5:13: error: tiers.P3.due: none is slower than BOD 26-04 (upgrade); set floor: none to allow it"}},
	"assumptions under the floor": {"assume: {exposure: internal, unassessed: none}\n", []string{
		"1:20: error: assume.exposure: internal is slower than BOD 26-04; set floor: none to allow it",
		"1:42: error: assume.unassessed: none is slower than BOD 26-04; set floor: none to allow it"}},
	"without a floor": {"floor: none\ntiers: {P2: {due: 90d}}\nassume: {exposure: internal, unassessed: none}\n", nil},
	"words": {"floor: low\nclock: sun\nassume: {exposure: no, unassessed: P3}\n", []string{
		`1:8: error: floor: "low" is not one of bod-26-04, none`,
		`2:8: error: clock: "sun" is not one of reached, bod`,
		`3:20: error: assume.exposure: "no" is not one of exposed, internal`,
		`3:36: error: assume.unassessed: "P3" is not one of P2, none`}},

	"actions": {"tiers:\n  P0: {actions: [issue, tweet]}\n  P2: {actions: [copilot]}\n  P3: {actions: [assign]}\n  P4: {actions: [nothing, issue]}\n", []string{
		`2:25: error: tiers.P0.actions[1]: "tweet" is not one of issue, assign, copilot, nothing`,
		"3:17: error: tiers.P2.actions: copilot needs issue",
		"3:17: warning: tiers.P2.actions: P2 opens no issue but P4 does",
		"4:17: error: tiers.P3.actions: assign needs issue",
		"4:17: warning: tiers.P3.actions: P3 opens no issue but P4 does",
		"5:17: error: tiers.P4.actions: nothing cannot stand with others"}},
	"issue for the less urgent only": {"tiers:\n  P0: {actions: [nothing]}\n  P1: {actions: []}\n", []string{
		"2:17: warning: tiers.P0.actions: P0 opens no issue but P2 does",
		"3:17: warning: tiers.P1.actions: P1 opens no issue but P2 does"}},
	"no_fix": {"no_fix:\n  P1:\n  - assign\n  P2: [issue]\n", []string{"3:3: error: no_fix.P1: assign needs issue"}},

	"EPSS order": {"thresholds: {epss_likely: 0.02}\n", []string{
		"1:27: error: thresholds.epss_likely: 0.02 must be greater than epss_possible (0.03)"}},
	"EPSS order, the other way": {"thresholds: {epss_possible: 0.1}\n", []string{
		"1:13: error: thresholds.epss_likely: 0.10 must be greater than epss_possible (0.10)"}},
	"EPSS range": {"thresholds: {epss_likely: 1.5, epss_possible: -1, epss_days: 0, epss_model: ''}\n", []string{
		"1:27: error: thresholds.epss_likely: 1.50 is outside 0..1",
		"1:47: error: thresholds.epss_possible: -1.00 is outside 0..1",
		"1:62: error: thresholds.epss_days: 0 is outside 1..365",
		"1:77: error: thresholds.epss_model: must name a model, for example v4"}},
	"EPSS bounds": {"thresholds: {epss_likely: 1, epss_possible: 0}\n", nil},
	"EPSS out of range is not compared": {"thresholds: {epss_likely: 0.02, epss_possible: 2}\n", []string{
		"1:48: error: thresholds.epss_possible: 2.00 is outside 0..1"}},
	"EPSS out of range is not compared either": {"thresholds: {epss_likely: -0.125}\n", []string{
		"1:27: error: thresholds.epss_likely: -0.125 is outside 0..1"}},
	"no weight at all": {"weights: {threat: 0, severity: 0, internet: 0, sensitive: 0, critical: 0, lateral: 0, workloads_max: 0}\n", nil},
	"a negative weight is not summed": {"weights: {threat: 70, severity: -1}\n", []string{
		"1:33: error: weights.severity: -1 is outside 0..199"}},
	"days after upgrade": {"floor: none\ntiers: {P2: {due: upgrade}, P3: {due: 999999d}}\n", []string{
		"2:39: error: tiers.P3.due: 999999d is shorter than P2 (upgrade)"}},
	"a million days": {"floor: none\ntiers: {P3: {due: 1000000d}}\n", []string{
		`2:19: error: tiers.P3.due: "1000000d" is not <days>d, upgrade or none`}},
	"weights sum": {"weights:\n  threat: 30\n", []string{
		"2:3: error: weights: 3·threat + 3·severity + internet + sensitive + critical + lateral + workloads_max = 214, at most 199"}},
	"weights sum to 199": {"weights: {workloads_max: 6, internet: 25}\n", nil},
	"weights sum to 200": {"weights: {workloads_max: 7}\n", []string{
		"1:10: error: weights: 3·threat + 3·severity + internet + sensitive + critical + lateral + workloads_max = 200, at most 199"}},
	"negative weights": {"weights: {threat: -1, severity: -1, internet: -1, sensitive: -1, critical: -1, lateral: -1, workloads_max: -1}\n", []string{
		"1:19: error: weights.threat: -1 is outside 0..199",
		"1:33: error: weights.severity: -1 is outside 0..199",
		"1:47: error: weights.internet: -1 is outside 0..199",
		"1:62: error: weights.sensitive: -1 is outside 0..199",
		"1:76: error: weights.critical: -1 is outside 0..199",
		"1:89: error: weights.lateral: -1 is outside 0..199",
		"1:108: error: weights.workloads_max: -1 is outside 0..199"}},
	"windows": {"windows: {factor_days: 31, lower_after_days: 0}\nguard: -1\n", []string{
		"1:24: error: windows.factor_days: 31 is outside 1..30",
		"1:46: error: windows.lower_after_days: 0 is outside 1..90",
		"2:8: error: guard: -1 is outside 0..1000000"}},
	"longest windows": {"windows: {factor_days: 30, lower_after_days: 90}\nthresholds: {epss_days: 365}\nguard: 0\nacceptance: {max_days: {P0: 3650, P1: 1, P2: 3650, P3: 3650}}\n", nil},
	"windows too long": {"windows: {factor_days: 0, lower_after_days: 91}\nthresholds: {epss_days: 366}\nguard: 1000001\n", []string{
		"1:24: error: windows.factor_days: 0 is outside 1..30",
		"1:45: error: windows.lower_after_days: 91 is outside 1..90",
		"2:25: error: thresholds.epss_days: 366 is outside 1..365",
		"3:8: error: guard: 1000001 is outside 0..1000000"}},
	"acceptance": {"acceptance: {max_days: {P0: 0, P1: 0, P2: 3651, P3: 0, P4: 1}, vex_authors: [a, '']}\n", []string{
		"1:29: error: acceptance.max_days.P0: 0 is outside 1..3650",
		"1:36: error: acceptance.max_days.P1: 0 is outside 1..3650",
		"1:43: error: acceptance.max_days.P2: 3651 is outside 1..3650",
		"1:53: error: acceptance.max_days.P3: 0 is outside 1..3650",
		"1:56: error: acceptance.max_days.P4: unknown key (did you mean P0?)",
		"1:81: error: acceptance.vex_authors[1]: an author needs a name"}},
	"lists": {"rules_off: [R1]\nno_from: [person, scanner]\ncode: {total_cwe: [89, 0, 100000, x]}\n", []string{
		"1:13: error: rules_off[0]: R1 cannot be switched off (R2..R7)",
		`2:19: error: no_from[1]: "scanner" is not one of configuration, person, mdc-contextual`,
		"3:24: error: code.total_cwe[1]: 0 is outside 1..99999",
		"3:27: error: code.total_cwe[2]: 100000 is outside 1..99999",
		`3:35: error: code.total_cwe[3]: expected a whole number, got "x"`}},
	"all rules off": {"rules_off: [R2, R3, R4, R5, R6, R7]\n", nil},
	"all in the order of the file": {"guard: -1\nclock: sun\nversion: 3\n", []string{
		"1:8: error: guard: -1 is outside 0..1000000",
		`2:8: error: clock: "sun" is not one of reached, bod`,
		"3:10: error: version: 3 is not supported (1)"}},
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"due", "due", 0}, {"due", "dew", 2}, {"threshold", "thresholds", 1},
		{"hresholds", "thresholds", 1}, {"gaurd", "guard", 2}, {"flour", "floor", 1}, {"kitten", "sitting", 3}, {"abcd", "bcda", 2},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := editDistance(c.b, c.a); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
