package assign

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// The labels that we set; all others on the issue are people's and stay.
const (
	labelOwn      = "throughline"
	labelTier     = "throughline: "
	labelEvidence = "needs-evidence"
)

// The sizes of an issue: GitHub takes 256 and 65,536 characters.
const (
	maxTitle = 200
	maxBody  = 60_000
	maxRows  = 50
)

// text of the issue as far as it changes with the facts; chain and footer are shown beside it, but a new build alone is
// no reason to write to GitHub.
func (c *work) text(fs []graph.Finding, p plan) string {
	var b strings.Builder
	c.summary(&b, fs, p)
	c.runs(&b, fs)
	c.reasons(&b, fs, p)
	c.findingsTable(&b, fs)
	c.vulnerabilities(&b, fs)
	c.fix(&b, fs)
	c.verification(&b, p)
	return b.String()
}

// draft renders the issue for the given findings, most urgent first, with the hash of what makes it worth an update.
func (c *work) draft(fs []graph.Finding, p plan) (graph.IssueDraft, string) {
	d := graph.IssueDraft{Title: c.title(fs, p), Labels: c.ownLabels(fs, p)}
	text := c.text(fs, p)
	d.Body = cut(c.Marker.Line(c.remediation.ID)+"\n"+text+c.chain(fs)+c.who()+c.footer(), maxBody)
	return d, graph.Version(d.Title, d.Labels, text)
}

// ownLabels are ours: what it is, how urgent, and whether a missing fact could make it so.
func (c *work) ownLabels(fs []graph.Finding, p plan) []string {
	labels := []string{labelOwn, labelTier + string(p.tier)}
	if e, ok := explanationOf(fs[0]); ok && e.Range.NeedsLabel() {
		labels = append(labels, labelEvidence)
	}
	return labels
}

func (c *work) title(fs []graph.Finding, p plan) string {
	return clip(fmt.Sprintf("[%s] %s", p.tier, heading(c.subject(fs[0]))), maxTitle)
}

// subject says in a few words what has to be fixed. In a public repository the title of an alert would tell everybody
// where the flaw is.
func (c *work) subject(f graph.Finding) string {
	switch {
	case f.Runtime != nil:
		return "Update " + f.Runtime.Software + " in the image"
	case f.Alert.Dependency != nil && f.Alert.Dependency.FixedIn != "":
		return fmt.Sprintf("Update %s to %s", f.Alert.Dependency.Package, f.Alert.Dependency.FixedIn)
	case f.Alert.Dependency != nil:
		return "Vulnerable dependency " + f.Alert.Dependency.Package
	case c.public():
		return fmt.Sprintf("Handle %s alert %d", kindName(f.Kind), f.Alert.Number)
	case f.Alert.Secret != nil:
		return fmt.Sprintf("Revoke the exposed %s (alert %d)", nonEmpty(f.Alert.Secret.TypeName, f.Alert.Secret.Type), f.Alert.Number)
	}
	return f.Alert.Title
}

func kindName(k graph.AlertKind) string { return strings.ReplaceAll(string(k), "_", " ") }

func nonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (c *work) summary(b *strings.Builder, fs []graph.Finding, p plan) {
	top := decisionOf(fs[0])
	fmt.Fprintf(b, "**%s**, rule %s, %s.", p.tier, code(top.Rule), dueText(p.due, p.dueAt))
	if top.Missed {
		fmt.Fprintf(b, " It has %s.", decision.MissedUpgrade)
	}
	if since := fs[0].FirstSeen; !since.IsZero() {
		fmt.Fprintf(b, " Known since %s.", day(since))
	}
	fmt.Fprint(b, "\n\n")
	if text := c.stage(p); text != "" {
		fmt.Fprintf(b, "> %s\n\n", text)
	}
	if top.Triage {
		fmt.Fprint(b, "> Look for signs of compromise before patching: this flaw is known to be exploited.\n\n")
	}
	if c.policy.SlowerNotice() != "" {
		fmt.Fprintf(b, "> %s\n\n", c.policy.SlowerNotice())
	}
}

// stage says how far the fix has come.
func (c *work) stage(p plan) string {
	switch p.status {
	case graph.StatusFixedInCode:
		return "Every alert of this fix is closed in the code. The issue stays open until the fix is seen running."
	case graph.StatusRollingOut:
		return fmt.Sprintf("The fix is rolling out: %d of %d workloads run it.", p.proof.Running, p.proof.Total)
	case graph.StatusReopened:
		return "This was closed before and is back."
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

func dueText(due string, at time.Time) string {
	switch {
	case !at.IsZero():
		return "due " + day(at)
	case strings.HasPrefix(due, "upgrade"):
		return "due with the next image that is built and deployed"
	}
	return "no due date"
}

// runs tells where the finding runs. A public repository learns only that it does.
func (c *work) runs(b *strings.Builder, fs []graph.Finding) {
	fmt.Fprint(b, "### Where it runs\n\n")
	top := decisionOf(fs[0])
	switch {
	case fs[0].Alert != nil && fs[0].Alert.Secret != nil:
		fmt.Fprint(b, "A secret is usable wherever it is known; where the code runs does not matter.\n\n")
	case top.Running == graph.No:
		fmt.Fprint(b, "No workload was seen that runs an image of this repository.\n\n")
	case top.Running != graph.Yes:
		fmt.Fprint(b, "It is not known whether an image of this repository runs anywhere.\n\n")
	case c.public():
		fmt.Fprint(b, "An image of this repository runs in production. The repository is public, so the workloads are not named here.\n\n")
	default:
		c.table(b, top)
	}
}

func (c *work) table(b *strings.Builder, d graph.Decision) {
	fmt.Fprint(b, "| workload | kind | tier | risk factors |\n| --- | --- | --- | --- |\n")
	for i, w := range d.Workloads {
		if i == maxRows {
			break
		}
		x, known := c.workload(w.Workload)
		if !known {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(placeOf(x)), code(x.Kind), code(string(w.Tier)), factors(w))
	}
	if more := len(d.Workloads) - maxRows; more > 0 {
		fmt.Fprintf(b, "\n… and %d more workloads.\n", more)
	}
	fmt.Fprintln(b)
}

func (c *work) workload(id graph.WorkloadID) (graph.ExposedWorkload, bool) {
	i := slices.IndexFunc(c.exposure.Workloads, func(x graph.ExposedWorkload) bool { return x.ID == id })
	if i < 0 {
		return graph.ExposedWorkload{}, false
	}
	return c.exposure.Workloads[i], true
}

func placeOf(x graph.ExposedWorkload) string {
	if x.Cluster != "" {
		return x.Cluster + " / " + x.Name
	}
	return x.Name
}

// factors names the risk factors of a workload with who says so.
func factors(w graph.WorkloadDecision) string {
	if len(w.Factors) == 0 {
		return "none known"
	}
	var e decision.Explanation
	sources := map[graph.Factor]string{}
	if json.Unmarshal(w.Explanation, &e) == nil {
		sources = map[graph.Factor]string{graph.InternetExposed: e.Inputs.Internet.Source, graph.SensitiveData: e.Inputs.Sensitive.Source,
			graph.CriticalResource: e.Inputs.Critical.Source, graph.LateralMovement: e.Inputs.Lateral.Source}
	}
	var all []string
	for _, f := range w.Factors {
		one := code(string(f))
		if sources[f] != "" {
			one += " by " + code(sources[f])
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

// reasons tells why now, and what would change it.
func (c *work) reasons(b *strings.Builder, fs []graph.Finding, p plan) {
	e, ok := explanationOf(fs[0])
	if !ok {
		return
	}
	fmt.Fprint(b, "### Why now\n\n")
	for _, f := range e.Fired {
		fmt.Fprintf(b, "- rule %s gives %s\n", code(f.Rule), code(string(f.Tier)))
	}
	if held := e.Published.HeldText(); held != "" {
		fmt.Fprintf(b, "- computed %s today: %s\n", code(string(decisionOf(fs[0]).Tier)), sentence(held))
	}
	if c.public() {
		fmt.Fprint(b, "- the facts behind it are in Throughline: this repository is public\n\n")
		return
	}
	for _, gap := range e.Gaps(c.policy) {
		fmt.Fprintf(b, "- %s\n", sentence(gap.Text))
	}
	for _, line := range []string{e.VoidedText(), e.SecondLookText()} {
		if line != "" {
			fmt.Fprintf(b, "- %s\n", sentence(line))
		}
	}
	if len(e.Flips) > 0 {
		fmt.Fprint(b, "\nWhat would change it:\n\n")
	}
	for _, f := range e.Flips {
		fmt.Fprintf(b, "- %s\n", sentence(f.Text(e.Inputs)))
	}
	fmt.Fprintln(b)
}

func (c *work) findingsTable(b *strings.Builder, fs []graph.Finding) {
	fmt.Fprint(b, "### What it fixes\n\n| finding | severity | state |\n| --- | --- | --- |\n")
	for i, f := range fs {
		if i == maxRows {
			break
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", c.link(f), code(severityOf(f)), code(string(f.State)))
	}
	if more := len(fs) - maxRows; more > 0 {
		fmt.Fprintf(b, "\n… and %d more findings.\n", more)
	}
	fmt.Fprintln(b)
}

func severityOf(f graph.Finding) string {
	if f.Alert != nil {
		return nonEmpty(f.Alert.Severity, "unknown")
	}
	return nonEmpty(f.Runtime.Severity, "unknown")
}

// link names the finding; only addresses below the repository's own become links.
func (c *work) link(f graph.Finding) string {
	if f.Alert == nil {
		return "seen running by Defender for Cloud"
	}
	return c.anchor(fmt.Sprintf("%s alert %d", kindName(f.Kind), f.Alert.Number), f.Alert.URL)
}

// anchor links to an address of the repository itself, and to nothing else.
func (c *work) anchor(label, address string) string {
	rest, own := strings.CutPrefix(address, c.repository.URL+"/")
	if c.repository.URL == "" || !own || !plainPath.MatchString(rest) || strings.Contains(rest, "..") {
		return label
	}
	return fmt.Sprintf("[%s](%s)", label, c.repository.URL+"/"+rest)
}

func (c *work) fix(b *strings.Builder, fs []graph.Finding) {
	fmt.Fprint(b, "### How to fix it\n\n")
	f := fs[0]
	switch {
	case f.Runtime != nil && f.Runtime.FixedIn != "":
		fmt.Fprintf(b, "Build the image with %s %s or newer and deploy it.\n\n", code(f.Runtime.Software), code(f.Runtime.FixedIn))
	case f.Alert != nil && f.Alert.Dependency != nil && f.Alert.Dependency.FixedIn != "":
		fmt.Fprintf(b, "Update %s in %s to %s or newer, build the image and deploy it.\n\n", code(f.Alert.Dependency.Package), code(f.Alert.Dependency.Manifest), code(f.Alert.Dependency.FixedIn))
	case f.Alert != nil && f.Alert.Code != nil && !c.public():
		fmt.Fprintf(b, "Rule %s of %s, at %s. The alert explains the flaw.\n\n", code(f.Alert.Code.Rule), code(f.Alert.Code.Tool), code(fmt.Sprintf("%s:%d", f.Alert.Code.Path, f.Alert.Code.Line)))
	case f.Alert != nil && f.Alert.Code != nil:
		fmt.Fprint(b, "The alert explains the flaw and names the place.\n\n")
	case f.Alert != nil && f.Alert.Secret != nil:
		fmt.Fprint(b, "Revoke the secret where it was issued, then close the alert as revoked. Removing it from the code is not enough.\n\n")
	default:
		fmt.Fprint(b, "No fixed version is published yet. See the advisory for ways to reduce the risk.\n\n")
	}
	if f.Alert != nil && f.Alert.Dependency != nil && advisoryID.MatchString(f.Alert.Dependency.GHSA) {
		fmt.Fprintf(b, "Advisory: [%s](https://github.com/advisories/%s)\n\n", f.Alert.Dependency.GHSA, f.Alert.Dependency.GHSA)
	}
}

func (c *work) footer() string {
	return fmt.Sprintf("---\nOpened by Throughline under a public rule (policy %s). Changes of the facts change this text; comments, labels and assignees of people stay.\n", code(shortPolicy(c.policy)))
}

func shortPolicy(p *decision.Policy) string {
	h := p.Hash()
	if len(h) > len("sha256:")+12 {
		h = h[:len("sha256:")+12]
	}
	return h
}

// explanationOf reads the explanation of the most urgent workload.
func explanationOf(f graph.Finding) (decision.Explanation, bool) {
	var e decision.Explanation
	if f.Decision == nil || len(f.Decision.Workloads) == 0 {
		return e, false
	}
	err := json.Unmarshal(f.Decision.Workloads[0].Explanation, &e)
	return e, err == nil
}
