package decision

import "throughline/shared/graph"

// TableVersion names the edition of the table of CISA Binding Operational Directive 26-04 in force here, as published
// by CERTCC/SSVC. The timelines are reviewed once per fiscal year; a new edition replaces the rows below.
const TableVersion = "cisa_bod_26_04 1.0.0"

// Table is one question to the BOD 26-04 table with its answer.
type Table struct {
	KEV         graph.Answer `json:"kev"`
	Exposed     graph.Answer `json:"exposed"`
	Automatable graph.Answer `json:"automatable"`
	Impact      string       `json:"impact"`   // partial, total
	Timeline    string       `json:"timeline"` // 3d, 3d+triage, 14d, 60d, upgrade
}

// The four questions of the table, as bits of the index into bod2604.
const (
	inKEV = 1 << iota
	isExposed
	isAutomatable
	isTotal
)

type row struct {
	tier     graph.Tier
	timeline string
	triage   bool
}

// bod2604 is the table; the comments give the row in the published file and in Table 1 of the directive.
var bod2604 = [16]row{
	0:                                   {graph.P3, "upgrade", false},  // 0, 16
	inKEV:                               {graph.P1, "14d", false},      // 1, 12
	isExposed:                           {graph.P2, "60d", false},      // 2, 8
	isAutomatable:                       {graph.P2, "60d", false},      // 3, 14
	isTotal:                             {graph.P3, "upgrade", false},  // 4, 15
	inKEV | isExposed:                   {graph.P1, "14d", false},      // 5, 4
	inKEV | isAutomatable:               {graph.P1, "14d", false},      // 6, 10
	isExposed | isAutomatable:           {graph.P1, "14d", false},      // 7, 6
	inKEV | isTotal:                     {graph.P1, "14d", false},      // 8, 11
	isExposed | isTotal:                 {graph.P1, "14d", false},      // 9, 7
	isAutomatable | isTotal:             {graph.P2, "60d", false},      // 10, 13
	inKEV | isExposed | isAutomatable:   {graph.P0, "3d", false},       // 11, 2
	inKEV | isExposed | isTotal:         {graph.P0, "3d+triage", true}, // 12, 3
	inKEV | isAutomatable | isTotal:     {graph.P0, "3d+triage", true}, // 13, 9
	isExposed | isAutomatable | isTotal: {graph.P0, "3d", false},       // 14, 5
	inKEV | isExposed | isAutomatable | isTotal: {graph.P0, "3d+triage", true}, // 15, 1
}

// ask puts the facts to the table. An unknown exposure of a running workload counts as exposed, here and nowhere else.
func (f *facts) ask(p *Policy) (Table, row) {
	assumed := f.internet == graph.Unknown && f.running == graph.Yes && p.Assume.Exposure == assumeExposed
	index := 0
	if f.threat == exploited {
		index |= inKEV
	}
	if f.internet == graph.Yes || assumed {
		index |= isExposed
	}
	if f.counts(f.automatable) {
		index |= isAutomatable
	}
	if f.counts(f.total) {
		index |= isTotal
	}
	t := Table{KEV: bit(index, inKEV), Exposed: bit(index, isExposed), Automatable: bit(index, isAutomatable), Impact: "partial"}
	if index&isTotal != 0 {
		t.Impact = "total"
	}
	t.Timeline = bod2604[index].timeline
	return t, bod2604[index]
}

func bit(index, b int) graph.Answer {
	if index&b != 0 {
		return graph.Yes
	}
	return graph.No
}
