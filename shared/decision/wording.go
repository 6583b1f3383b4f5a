package decision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// SlowerNotice is what every issue says under a policy with floor: none; empty under the floor.
func (p *Policy) SlowerNotice() string {
	if p.Floor == FloorBOD {
		return ""
	}
	return "The policy in force may be slower than BOD 26-04."
}

// MissedUpgrade is what an issue of due "upgrade" says when the next image built and deployed still has the finding.
const MissedUpgrade = "missed an upgrade"

// Text says what a team can do or what to watch, and the tier that follows: "remove the public ingress → P1". in are the
// inputs that were explained. It names only this one change; two together may give something else.
func (f Flip) Text(in Inputs) string { return f.condition(&in) + " → " + string(f.Tier) }

// condition finds words for every flip that Explain gives.
func (f Flip) condition(in *Inputs) string {
	what := f.Fact + " " + f.To
	switch {
	case what == "internet no" && in.Internet.Value != "yes":
		return "if no public ingress leads to it"
	case what == "running no" && in.Running.Value != "yes":
		return "if it does not run"
	}
	return flipTexts[what]
}

var flipTexts = map[string]string{
	"threat none":       "if it is no longer expected to be exploited",
	"threat possible":   "if its threat is no more than possible",
	"threat likely":     "if its threat is likely (EPSS or an exploit kit)",
	"threat exploited":  "if it enters KEV",
	"internet yes":      "if it can be reached from the internet",
	"internet no":       "remove the public ingress",
	"lateral yes":       "if it opens a way to other resources",
	"lateral no":        "close its way to other resources",
	"sensitive yes":     "if it handles sensitive data",
	"sensitive no":      "move the sensitive data away from it",
	"critical yes":      "if it becomes a critical resource",
	"critical no":       "if it is no longer a critical resource",
	"running yes":       "if it runs",
	"running no":        "take it out of deployment",
	"automatable yes":   "if the attack can be automated",
	"automatable no":    "if the attack cannot be automated",
	"impact total":      "if the attack gives total control",
	"impact partial":    "if the attack gives partial control only",
	"validity active":   "if the secret is active",
	"validity inactive": "revoke the secret",
	"leaked yes":        "if the secret becomes public",
	"leaked no":         "if the secret was never public",
}

// HeldText is "P3 from 26 May", what an issue says while a drop is held; empty when nothing is.
func (p Published) HeldText() string {
	if !p.Held() {
		return ""
	}
	return string(p.Then) + " from " + calendarDay(p.From, time.Time{})
}

// VoidedText is why an issue reopens although its risk was accepted; empty when no acceptance was voided.
func (e Explanation) VoidedText() string {
	if !e.Voided {
		return ""
	}
	return fmt.Sprintf("Accepted at %s (%s). The tier is now %s by rule %s, so the acceptance no longer holds.",
		e.Inputs.Accepted.Value, cmp.Or(e.Inputs.Accepted.Source, "no name given"), e.Tier, e.Rule)
}

// SecondLookText asks for a new look at a VEX statement; empty when there is no need.
func (e Explanation) SecondLookText() string {
	if !e.SecondLook {
		return ""
	}
	return "Exploitation is known since the statement \"not affected\" was made. Please look at the statement again."
}

// Gap is what one missing fact, or one old feed, means for a decision.
type Gap struct {
	// Fact is the missing fact, or the feed: kev_feed, epss_feed, vulnrichment_feed.
	Fact string `json:"fact"`
	Text string `json:"text"`
	// Settle names what would settle it, for example "cluster aks-prod"; empty when that is for others to publish.
	Settle string `json:"settle,omitempty"`
}

// Gaps puts the missing facts of an explanation into words, for the policy it was decided by. Names in the texts come
// from outside; whoever renders them escapes them.
func (e Explanation) Gaps(p *Policy) []Gap {
	var out []Gap
	f := read(&e.Inputs, p)
	for _, g := range f.unknown(&e.Inputs) {
		if slices.Contains(e.NeedsEvidence, g.fact) {
			out = append(out, e.missing(g, &f, p))
		}
	}
	for _, fact := range e.AwaitingData {
		switch {
		case fact == factSeverity:
			out = append(out, Gap{Fact: fact, Text: "No severity published, treated as High."})
		case fact == factEPSS:
			out = append(out, Gap{Fact: fact, Text: "No EPSS value yet, counted as 0."})
		case fact == factAutomatable, !slices.Contains(e.AwaitingData, factAutomatable):
			out = append(out, Gap{Fact: fact, Text: e.unassessed(&f, p)})
		}
	}
	return append(out, e.Inputs.oldFeeds()...)
}

func (e *Explanation) missing(g gap, f *facts, p *Policy) Gap {
	harmless, harmful := g.tiers(&e.Inputs, p)
	place := e.Inputs.Place
	name := cmp.Or(place.Name, e.Workload, "the workload")
	out := Gap{Fact: g.fact, Settle: settles("subscription", place.Subscription)}
	switch g.fact {
	case factInternet:
		out.Settle = cmp.Or(settles("cluster", place.Cluster), out.Settle)
		out.Text = e.exposureText(name, harmless, harmful, f, p)
	case factRunning:
		out.Settle, out.Text = e.runningText(name, harmless, harmful)
	case factValidity:
		out.Settle = settles("repository", place.Repository)
		out.Text = "GitHub cannot check this type of secret. Treated as possibly live until someone says otherwise." +
			cmp.Or(e.ifSo("active", harmful), e.ifSo("revoked", harmless))
	default:
		out.Text = "Not known whether " + name + " " + factorTexts[g.fact].is + "; counted as no." +
			e.ifSo("it "+factorTexts[g.fact].so, harmful)
	}
	return out
}

func settles(kind, name string) string {
	if name == "" {
		return ""
	}
	return kind + " " + name
}

var factorTexts = map[string]struct{ is, so string }{
	factLateral:   {"opens a way to other resources", "does"},
	factSensitive: {"handles sensitive data", "does"},
	factCritical:  {"is a critical resource", "is"},
}

// ifSo says what follows from an answer; nothing when the tier stays.
func (e *Explanation) ifSo(answer string, tier graph.Tier) string {
	if tier == e.Tier {
		return ""
	}
	return fmt.Sprintf(" If %s: %s.", answer, tier)
}

func (e *Explanation) exposureText(name string, harmless, harmful graph.Tier, f *facts, p *Policy) string {
	text := "No source says whether " + name + " can be reached from the internet"
	if f.running == graph.Yes && p.Assume.Exposure == assumeExposed {
		text += ". It is treated as exposed." + cmp.Or(e.ifSo("it is not", harmless), e.ifSo("it is", harmful))
	} else {
		text += "; counted as no." + e.ifSo("it is", harmful)
	}
	return text + " To settle: " + alternatives(e.Inputs.Place) + "."
}

func alternatives(place Place) string {
	var ways []string
	if place.Cluster != "" {
		ways = append(ways, "allow reading Services, Ingresses and Gateways of "+place.Cluster)
	}
	if place.Subscription != "" {
		ways = append(ways, "enable Defender CSPM on "+place.Subscription)
	}
	ways = append(ways, "record it in the catalogue")
	switch n := len(ways) - 1; n {
	case 0:
		return ways[0]
	case 1:
		return ways[0] + " or " + ways[1]
	default:
		return strings.Join(ways[:n], ", ") + ", or " + ways[n]
	}
}

func (e *Explanation) runningText(name string, harmless, harmful graph.Tier) (settle, text string) {
	in := &e.Inputs
	switch {
	case in.Running.Source == InventoryIncomplete:
		settle, text = settles("inventory", in.Running.Path), "Inventory of "+cmp.Or(in.Running.Path, "what runs")+" incomplete"
		if !in.Running.At.IsZero() {
			text += " since " + calendarDay(in.Running.At, in.At)
		}
	case in.Running.Source == DevelopmentScope:
		settle, text = settles("repository", in.Place.Repository), "Without an SBOM it is not known whether the image contains this development dependency"
	case in.Place.Repository != "":
		settle, text = settles("repository", in.Place.Repository), "No image is known to come from "+in.Place.Repository
	default:
		text = "Not known whether " + name + " runs"
	}
	return settle, fmt.Sprintf("%s. One tier slower than if it ran. If it runs: %s; if it does not: %s.", text, harmful, harmless)
}

// unassessed tells what CISA has not said, and what holds instead.
func (e *Explanation) unassessed(f *facts, p *Policy) string {
	in := &e.Inputs
	name := cmp.Or(in.CVE, "this flaw")
	part := ""
	if in.Automatable.Value != "" || in.Impact.Value != "" {
		part = " in full"
	}
	text := "CISA has not assessed " + name + part
	if slices.ContainsFunc(e.Fired, func(r Fired) bool { return r.Rule == "R1u" }) {
		text += "; the " + fallback(p) + " applies"
	}
	text += "."
	estimated, assumed := f.standIns(in)
	if estimated != "" {
		text += " Estimated from the CVSS vector: " + estimated + "."
	}
	if assumed != "" && f.threat == exploited {
		text += " It is exploited, so what is not known is counted as yes: " + assumed + "."
	} else if assumed != "" {
		text += " No CVSS vector gives an estimate; counted as " + assumed + "."
	}
	return text
}

// standIns are the values that stand in for what CISA has not said: by the CVSS vector, and by assumption.
func (f *facts) standIns(in *Inputs) (estimated, assumed string) {
	var guessed, taken []string
	sort := func(known bool, value string) {
		if known {
			guessed = append(guessed, value)
		} else {
			taken = append(taken, value)
		}
	}
	if in.Automatable.Value == "" {
		value := "not automatable"
		if f.counts(f.automatable) {
			value = "automatable"
		}
		sort(f.automatable.Known(), value)
	}
	if in.Impact.Value == "" {
		value := "partial"
		if f.counts(f.total) {
			value = "total"
		}
		sort(f.total.Known(), value)
	}
	return strings.Join(guessed, ", "), strings.Join(taken, ", ")
}

func fallback(p *Policy) string {
	if due := p.Tiers.P2.Due; days(due) > 0 {
		return fmt.Sprintf("%d-day fallback", days(due))
	}
	return "fallback to P2"
}

// How old a feed may be before its age is said.
const (
	staleKEV          = 3 * day
	staleEPSS         = 3 * day
	staleVulnrichment = 14 * day
)

// Stale tells which feeds are too old at a time, or were never read: kev_feed, epss_feed, vulnrichment_feed.
func (f Feeds) Stale(now time.Time) []string {
	var out []string
	for _, one := range []struct {
		name string
		feed Feed
		max  time.Duration
	}{{"kev_feed", f.KEV, staleKEV}, {"epss_feed", f.EPSS, staleEPSS}, {"vulnrichment_feed", f.Vulnrichment, staleVulnrichment}} {
		if now.Sub(one.feed.Date) > one.max {
			out = append(out, one.name)
		}
	}
	return out
}

// oldFeeds says nothing for findings that no feed speaks of, and when it is not known at what time the facts were read.
func (in *Inputs) oldFeeds() []Gap {
	if in.Kind != Vuln || in.At.IsZero() {
		return nil
	}
	var out []Gap
	for _, name := range in.Feeds.Stale(in.At) {
		out = append(out, Gap{Fact: name, Text: in.oldFeed(name)})
	}
	return out
}

func (in *Inputs) oldFeed(name string) string {
	feed, is, unseen := in.Feeds.KEV, "KEV catalogue is", "newer exploitation is not seen"
	switch name {
	case "epss_feed":
		feed, is, unseen = in.Feeds.EPSS, "EPSS values are", "newer values are not seen"
	case "vulnrichment_feed":
		feed, is, unseen = in.Feeds.Vulnrichment, "Vulnrichment data is", "newer assessments are not seen"
	}
	if feed.Date.IsZero() {
		return is + " missing; " + unseen + "."
	}
	return is + " from " + calendarDay(feed.Date, in.At) + "; " + unseen + "."
}

// calendarDay is "4 May", with the year when it is not that of the time it is told at.
func calendarDay(t, told time.Time) string {
	t = t.UTC()
	if !told.IsZero() && told.UTC().Year() != t.Year() {
		return t.Format("2 January 2006")
	}
	return t.Format("2 January")
}

// Request asks for evidence once for everything that it would settle.
type Request struct {
	// Settle names what would settle it, for example "cluster aks-prod".
	Settle string   `json:"settle"`
	Facts  []string `json:"facts"`
	// Findings is the number of findings affected.
	Findings int `json:"findings"`
}

// Requests groups missing evidence by what would settle it, the one with the most findings first.
func Requests(es []Explanation, p *Policy) []Request {
	at := make(map[string]int)
	seen := make(map[[2]string]bool)
	var out []Request
	for i := range es {
		for _, g := range es[i].Gaps(p) {
			if g.Settle == "" {
				continue
			}
			k, found := at[g.Settle]
			if !found {
				k = len(out)
				at[g.Settle] = k
				out = append(out, Request{Settle: g.Settle})
			}
			if key := [2]string{g.Settle, es[i].Finding}; !seen[key] {
				seen[key] = true
				out[k].Findings++
			}
			if !slices.Contains(out[k].Facts, g.Fact) {
				out[k].Facts = append(out[k].Facts, g.Fact)
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].Facts)
	}
	slices.SortFunc(out, func(a, b Request) int {
		return cmp.Or(cmp.Compare(b.Findings, a.Findings), cmp.Compare(a.Settle, b.Settle))
	})
	return out
}
