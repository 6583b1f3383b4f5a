package assign

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// ownLabels are the labels that we set; all others on the issue are people's and stay.
const (
	labelOwn  = "throughline"
	labelTier = "throughline: "
)

// The sizes of an issue: GitHub takes 256 and 65,536 characters.
const (
	maxTitle = 200
	maxBody  = 60_000
	maxRows  = 50
)

// draft renders the issue for the given findings, most urgent first.
func (c *work) draft(fs []graph.Finding, p plan) graph.IssueDraft {
	var b strings.Builder
	fmt.Fprintln(&b, c.Marker.Line(c.remediation.ID))
	c.summary(&b, fs, p)
	c.runs(&b, fs)
	c.reasons(&b, fs)
	c.findingsTable(&b, fs)
	c.fix(&b, fs)
	c.footer(&b)
	return graph.IssueDraft{Title: title(fs, p), Body: clip(b.String(), maxBody), Labels: []string{labelOwn, labelTier + string(p.tier)}}
}

// labels are those of a changed issue: ours for the tier, and whatever people added.
func (c *work) labels(p plan) []string {
	labels := []string{labelOwn, labelTier + string(p.tier)}
	if c.remediation.Issue == nil {
		return labels
	}
	for _, l := range c.remediation.Issue.Labels {
		if l != labelOwn && !strings.HasPrefix(l, labelTier) {
			labels = append(labels, l)
		}
	}
	return labels
}

func title(fs []graph.Finding, p plan) string {
	return clip(fmt.Sprintf("[%s] %s", p.tier, plain(subject(fs[0]))), maxTitle)
}

// subject says in a few words what has to be fixed.
func subject(f graph.Finding) string {
	switch {
	case f.Runtime != nil:
		return "Update " + f.Runtime.Software + " in the image"
	case f.Alert.Dependency != nil && f.Alert.Dependency.FixedIn != "":
		return fmt.Sprintf("Update %s to %s", f.Alert.Dependency.Package, f.Alert.Dependency.FixedIn)
	case f.Alert.Dependency != nil:
		return "Vulnerable dependency " + f.Alert.Dependency.Package
	case f.Alert.Secret != nil:
		return fmt.Sprintf("Revoke the exposed %s (alert %d)", nonEmpty(f.Alert.Secret.TypeName, f.Alert.Secret.Type), f.Alert.Number)
	}
	return f.Alert.Title
}

func nonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (c *work) summary(b *strings.Builder, fs []graph.Finding, p plan) {
	top := decisionOf(fs[0])
	fmt.Fprintf(b, "**%s**, rule %s, %s.\n\n", p.tier, code(top.Rule), dueText(p.due, p.dueAt))
	if p.status == graph.StatusFixedInCode {
		fmt.Fprint(b, "> Every alert of this fix is closed in the code. The issue stays open until the fix is seen running.\n\n")
	}
	if top.Triage {
		fmt.Fprint(b, "> Look for signs of compromise before patching: this flaw is known to be exploited.\n\n")
	}
}

func dueText(due string, at time.Time) string {
	switch {
	case !at.IsZero():
		return "due " + at.UTC().Format("2 January 2006")
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
		return
	case top.Running == graph.No:
		fmt.Fprint(b, "No workload was seen that runs an image of this repository.\n\n")
		return
	case top.Running != graph.Yes:
		fmt.Fprint(b, "It is not known whether an image of this repository runs anywhere.\n\n")
		return
	case c.repository.Public():
		fmt.Fprint(b, "An image of this repository runs in production. The repository is public, so the workloads are not named here.\n\n")
		return
	}
	c.table(b, top)
}

func (c *work) table(b *strings.Builder, d graph.Decision) {
	fmt.Fprint(b, "| workload | kind | image | risk factors |\n| --- | --- | --- | --- |\n")
	for i, w := range d.Workloads {
		if i == maxRows {
			fmt.Fprintf(b, "\n… and %d more workloads.\n", len(d.Workloads)-maxRows)
			break
		}
		at := slices.IndexFunc(c.exposure.Workloads, func(x graph.ExposedWorkload) bool { return x.ID == w.Workload })
		if at < 0 {
			continue
		}
		x := c.exposure.Workloads[at]
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(placeOf(x)), code(x.Kind), code(c.images(x)), factors(w.Factors))
	}
	fmt.Fprintln(b)
}

func placeOf(x graph.ExposedWorkload) string {
	if x.Cluster != "" {
		return x.Cluster + " / " + x.Name
	}
	return x.Name
}

func (c *work) images(x graph.ExposedWorkload) string {
	var names []string
	for _, a := range c.exposure.Artifacts {
		if slices.Contains(x.Digests, a.Digest) {
			names = append(names, a.Name+"@"+a.Digest.Short())
		}
	}
	return strings.Join(names, ", ")
}

func factors(fs []graph.Factor) string {
	if len(fs) == 0 {
		return "none known"
	}
	var all []string
	for _, f := range fs {
		all = append(all, code(string(f)))
	}
	return strings.Join(all, ", ")
}

// reasons tells why now, and what would change it.
func (c *work) reasons(b *strings.Builder, fs []graph.Finding) {
	e, ok := explanationOf(fs[0])
	if !ok {
		return
	}
	fmt.Fprint(b, "### Why now\n\n")
	for _, f := range e.Fired {
		fmt.Fprintf(b, "- rule %s gives %s\n", code(f.Rule), f.Tier)
	}
	for _, gap := range e.Gaps(c.policy) {
		fmt.Fprintf(b, "- %s\n", c.disclose(gap.Text))
	}
	for _, f := range e.Flips {
		fmt.Fprintf(b, "- %s\n", text(f.Text(e.Inputs)))
	}
	fmt.Fprintln(b)
}

// disclose keeps names of the running system out of public repositories.
func (c *work) disclose(s string) string {
	if c.repository.Public() {
		return "A fact is missing; the details are in Throughline."
	}
	return text(s)
}

func (c *work) findingsTable(b *strings.Builder, fs []graph.Finding) {
	fmt.Fprint(b, "### What it fixes\n\n| finding | severity | vulnerabilities | state |\n| --- | --- | --- | --- |\n")
	for i, f := range fs {
		if i == maxRows {
			fmt.Fprintf(b, "\n… and %d more findings.\n", len(fs)-maxRows)
			break
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", c.link(f), code(severityOf(f)), cves(f), f.State)
	}
	fmt.Fprintln(b)
}

func severityOf(f graph.Finding) string {
	s := ""
	if f.Alert != nil {
		s = f.Alert.Severity
	} else if f.Runtime != nil {
		s = f.Runtime.Severity
	}
	return nonEmpty(s, "unknown")
}

func cves(f graph.Finding) string {
	if len(f.CVEs) == 0 {
		return "none"
	}
	var all []string
	for _, c := range f.CVEs {
		all = append(all, code(c))
	}
	return strings.Join(all, ", ")
}

// link names the finding; only addresses below the repository's own become links.
func (c *work) link(f graph.Finding) string {
	if f.Alert == nil {
		return "seen at run time by Defender for Cloud, no alert knows it"
	}
	label := fmt.Sprintf("%s alert %d", strings.ReplaceAll(string(f.Kind), "_", " "), f.Alert.Number)
	if c.repository.URL != "" && strings.HasPrefix(f.Alert.URL, c.repository.URL+"/") && !strings.ContainsAny(f.Alert.URL, " \t\r\n()<>|`") {
		return fmt.Sprintf("[%s](%s)", label, f.Alert.URL)
	}
	return label
}

func (c *work) fix(b *strings.Builder, fs []graph.Finding) {
	fmt.Fprint(b, "### How to fix it\n\n")
	f := fs[0]
	switch {
	case f.Runtime != nil && f.Runtime.FixedIn != "":
		fmt.Fprintf(b, "Build the image with %s %s or newer and deploy it.\n\n", code(f.Runtime.Software), code(f.Runtime.FixedIn))
	case f.Alert != nil && f.Alert.Dependency != nil && f.Alert.Dependency.FixedIn != "":
		fmt.Fprintf(b, "Update %s in %s to %s or newer, build the image and deploy it.\n\n", code(f.Alert.Dependency.Package), code(f.Alert.Dependency.Manifest), code(f.Alert.Dependency.FixedIn))
	case f.Alert != nil && f.Alert.Code != nil && !c.repository.Public():
		fmt.Fprintf(b, "Rule %s of %s, at %s. The alert explains the flaw.\n\n", code(f.Alert.Code.Rule), code(f.Alert.Code.Tool), code(fmt.Sprintf("%s:%d", f.Alert.Code.Path, f.Alert.Code.Line)))
	case f.Alert != nil && f.Alert.Secret != nil:
		fmt.Fprint(b, "Revoke the secret where it was issued, then close the alert as revoked. Removing it from the code is not enough.\n\n")
	default:
		fmt.Fprint(b, "No fixed version is published yet. See the alert for ways to reduce the risk.\n\n")
	}
	fmt.Fprint(b, "It counts as fixed once the alert is closed and no workload runs an image from before the fix.\n\n")
}

func (c *work) footer(b *strings.Builder) {
	fmt.Fprintf(b, "---\nOpened by Throughline under a public rule (policy %s). Changes of the facts change this text; comments and labels of people stay.\n", code(shortPolicy(c.policy)))
}

func shortPolicy(p *decision.Policy) string {
	h := p.Hash()
	if len(h) > len("sha256:")+12 {
		h = h[:len("sha256:")+12]
	}
	return h
}
