package dashboard

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// finding is one finding with everything that explains it.
type finding struct {
	graph.FindingView
	URL      string
	Picture  template.HTML
	Why      *why // of the workload that decides
	Others   []graph.WorkloadDecision
	More     int    // workloads beyond those listed
	Silent   string // why there is no issue; empty when there is one
	Timeline []graph.Entry
	Agent    graph.AgentState // how far the coding agent is; empty: it was not given the fix
	Copilot  bool             // the fix may be given to it
}

// why is a stored explanation in words.
type why struct {
	decision.Explanation
	Workload string
	Meaning  string
	Rules    []firedRule
	Facts    []input
	IfOnly   []string
	Missing  []decision.Gap
	Notes    []string
	Parts    []part
}

type firedRule struct {
	Rule, Text string
	Tier       graph.Tier
	Decides    bool
}

type input struct {
	Name string
	decision.Fact
}

// part is one term of the score.
type part struct {
	Name  string
	Value int
}

// listed is how many workloads a page shows.
const listed = 50

func (p *pages) finding(r *http.Request) (content, error) {
	v, err := p.graph().Finding(r.Context(), graph.FindingID(r.PathValue("id")))
	if err != nil {
		return content{}, err
	}
	f := finding{FindingView: v, Picture: picture(v.Picture()), Silent: silent(v), Timeline: timeline(v)}
	f.Agent, f.Copilot = p.agent(v)
	title := string(v.Finding.ID)
	switch {
	case v.Finding.Alert != nil:
		title, f.URL = cmp.Or(v.Finding.Alert.Title, title), v.Finding.Alert.URL
	case v.Finding.Runtime != nil:
		title = cmp.Or(v.Finding.Runtime.Title, title)
	}
	if d := v.Finding.Decision; d != nil {
		if f.Why, err = explain(*d, p.rule()); err != nil {
			return content{}, fmt.Errorf("finding %s: %w", v.Finding.ID, err)
		}
		f.Others = d.Workloads[:min(len(d.Workloads), listed)]
		f.More = len(d.Workloads) - len(f.Others)
	}
	return content{title, f}, nil
}

// agent tells how far the coding agent is with the fix, and whether it may be given to it.
func (p *pages) agent(v graph.FindingView) (graph.AgentState, bool) {
	m := v.Remediation
	if m == nil || m.Issue == nil {
		return "", false
	}
	state := m.Agent()
	if state != "" {
		state = state.Late(m.Handover.Done, p.Now())
	}
	free := state == "" || state == graph.AgentRefused
	return state, free && p.Copilot && m.Issue.State == "open" && p.rule().HandOver([]graph.Finding{v.Finding}) == ""
}

// explain puts the stored explanation of the deciding workload into words.
func explain(d graph.Decision, p *decision.Policy) (*why, error) {
	if len(d.Workloads) == 0 || len(d.Workloads[0].Explanation) == 0 {
		return nil, nil
	}
	var e decision.Explanation
	if err := json.Unmarshal(d.Workloads[0].Explanation, &e); err != nil {
		return nil, fmt.Errorf("stored explanation: %w", err)
	}
	w := &why{Explanation: e, Workload: d.Workloads[0].Name, Meaning: ruleText(e.Rule), Facts: inputs(e.Inputs), Missing: e.Gaps(p), Parts: parts(e.Terms)}
	for _, f := range e.Fired {
		w.Rules = append(w.Rules, firedRule{f.Rule, ruleText(f.Rule), f.Tier, strings.HasSuffix(e.Rule, f.Rule) && f.Tier == e.Tier})
	}
	for _, flip := range e.Flips {
		w.IfOnly = append(w.IfOnly, flip.Text(e.Inputs))
	}
	if d.Published != d.Tier {
		w.Notes = append(w.Notes, "Computed now: "+string(d.Tier)+". A less urgent tier is shown only after it has stood for the quiet days of the policy.")
	}
	for _, note := range []string{e.VoidedText(), e.SecondLookText()} {
		if note != "" {
			w.Notes = append(w.Notes, note)
		}
	}
	if d.Provisional {
		w.Notes = append(w.Notes, "Provisional: the first inventory is not complete yet, so this may still change and nothing is opened.")
	}
	return w, nil
}

// inputs lists every fact that the kind of finding is decided by, known or not.
func inputs(in decision.Inputs) []input {
	all := []input{
		{"In CISA's catalogue of exploited flaws", in.KEV}, {"Exploitation", in.Exploitation}, {"In an exploit kit", in.ExploitKit},
		{"Proof of concept verified", in.Verified}, {"EPSS", in.EPSS}, {"Severity", in.Severity}, {"Automatable", in.Automatable},
		{"Technical impact", in.Impact}, {"CVSS", in.CVSS}, {"Weakness", in.CWE}, {"Validity of the secret", in.Validity}, {"Leaked publicly", in.Leaked},
		{"Runs", in.Running}, {"Workloads", in.Workloads}, {"Internet-exposed", in.Internet}, {"Sensitive data", in.Sensitive},
		{"Critical resource", in.Critical}, {"Lateral movement", in.Lateral}, {"VEX statement", in.VEX}, {"Accepted at", in.Accepted},
	}
	matter := map[decision.Kind][]string{
		decision.Vuln:   {"In CISA's catalogue of exploited flaws", "EPSS", "Severity", "Automatable", "Technical impact", "Runs", "Internet-exposed", "Sensitive data", "Critical resource", "Lateral movement"},
		decision.Code:   {"Severity", "Weakness", "Runs", "Internet-exposed", "Sensitive data", "Critical resource", "Lateral movement"},
		decision.Secret: {"Validity of the secret", "Leaked publicly", "Sensitive data", "Critical resource"},
	}[in.Kind]
	return slices.DeleteFunc(all, func(i input) bool { return i.Value == "" && !slices.Contains(matter, i.Name) })
}

func parts(t decision.Terms) []part {
	all := []part{{"base of the tier", t.Base}, {"threat", t.Threat}, {"severity", t.Severity}, {"internet", t.Internet}, {"sensitive data", t.Sensitive},
		{"critical resource", t.Critical}, {"lateral movement", t.Lateral}, {"number of workloads", t.Workloads}}
	return slices.DeleteFunc(all, func(p part) bool { return p.Value == 0 })
}

// ruleTexts say what each rule of the public policy is about.
var ruleTexts = map[string]string{
	"R0": "accepted by a person, or a VEX statement says not affected", "R1": "the table of CISA directive 26-04",
	"R1u": "nobody has assessed this vulnerability yet", "R2": "exposed, severe, with a second risk factor, and exploitation is likely",
	"R3": "exploited, severe, and it reaches sensitive data or a critical resource", "R4": "exposed, severe, with a second risk factor",
	"R5": "exploitation is likely, severe, with a risk factor", "R6": "severe, with a risk factor", "R7": "exploitation is likely",
	"R8": "not known whether it is deployed: one tier slower", "R9": "not deployed", "S1": "the secret is active",
	"S2": "not known whether the secret is active", "S3": "the secret is revoked", "M1": "malware: it has run wherever it was installed or built",
}

// ruleText explains a rule; R8/R5 is rule R8 around R5.
func ruleText(rule string) string {
	outer, inner, nested := strings.Cut(rule, "/")
	if nested && ruleTexts[inner] != "" {
		return ruleTexts[outer] + " (otherwise: " + ruleTexts[inner] + ")"
	}
	return ruleTexts[outer]
}

// silent tells why a finding has no issue.
func silent(v graph.FindingView) string {
	m, f := v.Remediation, v.Finding
	switch {
	case m != nil && m.Issue != nil:
		return ""
	case len(f.Known) > 0:
		return "The alert " + string(f.Known[0]) + " knows all of its vulnerabilities, so its issue stands for this finding too."
	case m != nil && m.Held != "":
		return "Held back: " + m.Held + "."
	case m != nil && m.Unsettled():
		return "It is being opened right now."
	case f.State != graph.Open:
		return "The finding is " + string(f.State) + "; there is nothing left to do."
	case f.Decision == nil:
		return "It is not decided yet."
	case f.Decision.Provisional:
		return "The first inventory is not complete yet; until then nothing is opened."
	case !f.Repository.Mapped():
		return "No repository is known that builds this image, so there is nobody to give it to. The page Coverage tells how to mend that."
	}
	return "The policy asks for no issue at tier " + string(f.Decision.Published) + "; it is tracked here."
}

// timeline is what happened to the finding and its remediation, newest last.
func timeline(v graph.FindingView) []graph.Entry {
	var es []graph.Entry
	if !v.Finding.FirstSeen.IsZero() {
		es = append(es, graph.Entry{At: v.Finding.FirstSeen, Actor: "source", What: "first seen"})
	}
	if d := v.Finding.Decision; d != nil {
		for i, h := range d.History {
			e := graph.Entry{At: h.At, Actor: cmp.Or(h.By, "throughline"), What: "decided " + string(h.Tier), Why: h.Reason}
			if i > 0 {
				e.What = "computed " + string(h.Tier) + " instead of " + string(d.History[i-1].Tier)
			}
			es = append(es, e)
		}
	}
	if v.Remediation != nil {
		es = append(es, v.Remediation.Timeline...)
		for _, p := range v.Remediation.PullRequests {
			es = append(es, graph.Entry{At: p.UpdatedAt, Actor: cmp.Or(p.Author, "unknown"), What: "pull request #" + strconv.Itoa(p.Number) + " " + p.State, Why: p.Title})
		}
	}
	slices.SortStableFunc(es, func(a, b graph.Entry) int { return a.At.Compare(b.At) })
	return es
}

// age is how long ago something was, in one unit.
func age(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour") + " ago"
	}
	return plural(int(d/(24*time.Hour)), "day") + " ago"
}

func plural(n int, unit string) string { return plurals(n, unit, unit+"s") }

func plurals(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
