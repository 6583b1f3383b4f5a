package decision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"throughline/shared/graph"
)

// Values of a policy that the rules compare with.
const (
	FloorBOD = "bod-26-04"
	noFloor  = "none"

	ClockReached = "reached"
	ClockBOD     = "bod"

	assumeExposed  = "exposed"
	assumeInternal = "internal"
	assumeNone     = "none"

	ActionIssue   = "issue"
	ActionAssign  = "assign"
	ActionCopilot = "copilot"
	ActionNothing = "nothing"

	dueUpgrade = "upgrade"
	dueNone    = "none"
)

// Policy is the effective policy: what the file says, and the default for what it leaves out.
type Policy struct {
	Version int `json:"version"`
	// Floor is bod-26-04, or none: may be slower than the directive, and every issue then says so.
	Floor string `json:"floor"`
	// Clock is reached or bod; see Clock.
	Clock string    `json:"clock"`
	Tiers TierRules `json:"tiers"`
	NoFix NoFix     `json:"no_fix"`
	// Thresholds turn EPSS into threat.
	Thresholds Thresholds `json:"thresholds"`
	Weights    Weights    `json:"weights"`
	Windows    Windows    `json:"windows"`
	// Guard is how many issues one cause may open without approval.
	Guard  int    `json:"guard"`
	Assume Assume `json:"assume"`
	// NoFrom lists the sources whose no counts.
	NoFrom     []string         `json:"no_from"`
	RulesOff   []string         `json:"rules_off"`
	Acceptance AcceptanceLimits `json:"acceptance"`
	Code       CodeRules        `json:"code"`

	// Where the values stand in their file, for warnings that come later.
	file string
	at   map[string]position
}

// TierRules holds what each tier asks for.
type TierRules struct {
	P0 TierRule `json:"P0"`
	P1 TierRule `json:"P1"`
	P2 TierRule `json:"P2"`
	P3 TierRule `json:"P3"`
	P4 TierRule `json:"P4"`
}

// TierRule is the due time and the actions of one tier.
type TierRule struct {
	Due     string   `json:"due"` // "<days>d", upgrade, none
	Actions []string `json:"actions"`
}

// NoFix holds the actions of findings without a fixed version; nil keeps those of the tier.
type NoFix struct {
	P0 []string `json:"P0,omitzero"`
	P1 []string `json:"P1,omitzero"`
	P2 []string `json:"P2,omitzero"`
	P3 []string `json:"P3,omitzero"`
	P4 []string `json:"P4,omitzero"`
}

// Thresholds turn the highest EPSS of the last days into a level of threat.
type Thresholds struct {
	EPSSLikely   float64 `json:"epss_likely"`
	EPSSPossible float64 `json:"epss_possible"`
	EPSSDays     int     `json:"epss_days"`
	EPSSModel    string  `json:"epss_model"`
}

// Weights are the points of the score; see Terms.
type Weights struct {
	Threat       int `json:"threat"`
	Severity     int `json:"severity"`
	Internet     int `json:"internet"`
	Sensitive    int `json:"sensitive"`
	Critical     int `json:"critical"`
	Lateral      int `json:"lateral"`
	WorkloadsMax int `json:"workloads_max"`
}

// Windows are the days of the evidence rule and of stability.
type Windows struct {
	FactorDays     int `json:"factor_days"`
	LowerAfterDays int `json:"lower_after_days"`
}

// Assume tells how missing facts are read.
type Assume struct {
	Exposure   string `json:"exposure"`   // exposed, internal
	Unassessed string `json:"unassessed"` // P2, none
}

// AcceptanceLimits bound who may lower a tier and for how long.
type AcceptanceLimits struct {
	MaxDays    MaxDays  `json:"max_days"`
	VEXAuthors []string `json:"vex_authors"`
}

// MaxDays is the longest an acceptance of each tier may last. P4 has no limit: there is nothing to lower.
type MaxDays struct {
	P0 int `json:"P0"`
	P1 int `json:"P1"`
	P2 int `json:"P2"`
	P3 int `json:"P3"`
}

// CodeRules lists the weaknesses that give total control.
type CodeRules struct {
	TotalCWE []int `json:"total_cwe"`
}

// DefaultPolicy is a new copy of the policy that holds when no file says otherwise.
func DefaultPolicy() *Policy {
	return &Policy{
		Version: 1, Floor: FloorBOD, Clock: ClockReached,
		Tiers: TierRules{
			P0: TierRule{"3d", []string{ActionIssue, ActionAssign}},
			P1: TierRule{"14d", []string{ActionIssue, ActionAssign}},
			P2: TierRule{"60d", []string{ActionIssue}},
			P3: TierRule{dueUpgrade, []string{ActionNothing}},
			P4: TierRule{dueNone, []string{ActionNothing}},
		},
		NoFix:      NoFix{P2: []string{ActionNothing}},
		Thresholds: Thresholds{EPSSLikely: 0.10, EPSSPossible: 0.03, EPSSDays: 30, EPSSModel: "v4"},
		Weights: Weights{
			Threat: 25, Severity: 15, Internet: 25, Sensitive: 18, Critical: 18, Lateral: 12, WorkloadsMax: 6,
		},
		Windows: Windows{FactorDays: 7, LowerAfterDays: 14},
		Guard:   50,
		Assume:  Assume{Exposure: assumeExposed, Unassessed: "P2"},
		NoFrom:  []string{"configuration", "person", "mdc-contextual"}, RulesOff: []string{},
		Acceptance: AcceptanceLimits{MaxDays: MaxDays{P0: 14, P1: 60, P2: 180, P3: 365}, VEXAuthors: []string{}},
		Code:       CodeRules{TotalCWE: []int{77, 78, 88, 89, 94, 95, 98, 287, 306, 434, 502, 798, 917, 1336}},
	}
}

// Hash names the policy: "sha256:" and the SHA-256 of its JSON with sorted keys. Comments and layout do not change it.
func (p *Policy) Hash() string {
	sum := sha256.Sum256(p.canonical())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonical passes through a map, because encoding/json sorts the keys of maps only. No step can fail on a Policy.
func (p *Policy) canonical() []byte {
	text, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	var loose map[string]any
	if err := json.Unmarshal(text, &loose); err != nil {
		return nil
	}
	sorted, err := json.Marshal(loose)
	if err != nil {
		return nil
	}
	return sorted
}

// Actions is what a tier asks for: issue, assign, copilot, or nothing. Where no fixed version exists the policy may ask
// for less; the tier itself never changes for it.
func (p *Policy) Actions(t graph.Tier, fixExists bool) []string {
	if actions := p.NoFix.of(t); !fixExists && actions != nil {
		return actions
	}
	return p.rule(t).Actions
}

// rule is what a tier asks for; the rule of P4 for a tier that does not exist.
func (p *Policy) rule(t graph.Tier) *TierRule {
	switch t {
	case graph.P0:
		return &p.Tiers.P0
	case graph.P1:
		return &p.Tiers.P1
	case graph.P2:
		return &p.Tiers.P2
	case graph.P3:
		return &p.Tiers.P3
	}
	return &p.Tiers.P4
}

func (n *NoFix) of(t graph.Tier) []string {
	if at := n.at(t); at != nil {
		return *at
	}
	return nil
}

func (n *NoFix) at(t graph.Tier) *[]string {
	switch t {
	case graph.P0:
		return &n.P0
	case graph.P1:
		return &n.P1
	case graph.P2:
		return &n.P2
	case graph.P3:
		return &n.P3
	case graph.P4:
		return &n.P4
	}
	return nil
}

func (p *Policy) due(t graph.Tier, triage bool) string {
	due := p.rule(t).Due
	if triage {
		due += "+triage"
	}
	return due
}

// on tells whether a rule is switched on.
func (p *Policy) on(rule string) bool {
	return !slices.Contains(p.RulesOff, rule)
}
