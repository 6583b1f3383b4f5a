package assign

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"throughline/shared/graph"
)

var (
	plainPath   = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	advisoryID  = regexp.MustCompile(`^GHSA(-[23456789cfghjmpqrvwx]{4}){3}$`)
	gitCommit   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	mailAddress = regexp.MustCompile(`^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$`)
)

// maxLinks is how many images of the chain an issue shows.
const maxLinks = 5

// origins reads the evidence of the images that run, for the chain from source to workload.
func (c *work) origins(ctx context.Context) error {
	c.evidence = map[graph.Digest]graph.Evidence{}
	for i, a := range c.exposure.Artifacts {
		if i == maxLinks {
			break
		}
		_, key := graph.EvidenceKeys(graph.Evidence{Digest: a.Digest, Repository: c.repository.ID, Method: a.Method})
		e, err := graph.Get[graph.Evidence](ctx, c.Store, key)
		if err != nil {
			return err
		}
		if e.Exists() {
			c.evidence[a.Digest] = e.Value
		}
	}
	return nil
}

// chain shows the way from the source through the pipeline and the image to what runs, with the evidence for it.
func (c *work) chain(fs []graph.Finding) string {
	if c.public() || decisionOf(fs[0]).Running != graph.Yes {
		return ""
	}
	var b strings.Builder
	fmt.Fprint(&b, "### How it got there\n\n| source | pipeline | image | runs as |\n| --- | --- | --- | --- |\n")
	for i, a := range c.exposure.Artifacts {
		if i == maxLinks {
			break
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.sourceOf(a), c.pipelineOf(a), code(a.Name+"@"+a.Digest.Short()), c.runnersOf(a.Digest))
	}
	if more := len(c.exposure.Artifacts) - maxLinks; more > 0 {
		fmt.Fprintf(&b, "\n… and %d more images.\n", more)
	}
	fmt.Fprintln(&b)
	return b.String()
}

func (c *work) sourceOf(a graph.ExposedArtifact) string {
	commit := cmp.Or(a.Commit, c.evidence[a.Digest].Commit)
	if !gitCommit.MatchString(commit) {
		return code(nonEmpty(commit, "not known"))
	}
	return c.anchor(code(commit[:12]), c.repository.URL+"/commit/"+commit)
}

func (c *work) pipelineOf(a graph.ExposedArtifact) string {
	how := fmt.Sprintf("%s (%s)", code(string(a.Method)), a.Method.Confidence())
	e := c.evidence[a.Digest]
	if e.Workflow != "" {
		how += ", " + code(e.Workflow)
	}
	if run := c.anchor("run", e.Run); run != "run" {
		how += ", " + run
	}
	return how
}

func (c *work) runnersOf(d graph.Digest) string {
	var names []string
	for _, w := range c.exposure.Workloads {
		if !slices.Contains(w.Digests, d) {
			continue
		}
		if len(names) == maxLinks {
			names = append(names, "…")
			break
		}
		names = append(names, code(placeOf(w)))
	}
	return cmp.Or(strings.Join(names, ", "), "nothing")
}

// vulnerability is one CVE in the scope of the fix.
type vulnerability struct {
	id, severity string
	alerts       []graph.Finding
	running      bool
}

// vulnerabilities lists every CVE in scope, with the alert that knows it, or none.
func (c *work) vulnerabilities(b *strings.Builder, fs []graph.Finding) {
	all := c.scope(fs)
	if len(all) == 0 {
		return
	}
	fmt.Fprint(b, "### Vulnerabilities in scope\n\n| vulnerability | severity | alert | seen running |\n| --- | --- | --- | --- |\n")
	for i, v := range all {
		if i == 2*maxRows {
			break
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(v.id), code(nonEmpty(v.severity, "unknown")), c.alertsOf(v), yesNo(v.running && !c.public()))
	}
	if more := len(all) - 2*maxRows; more > 0 {
		fmt.Fprintf(b, "\n… and %d more vulnerabilities.\n", more)
	}
	fmt.Fprintln(b)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "not reported"
}

func (c *work) alertsOf(v vulnerability) string {
	var links []string
	for i, f := range v.alerts {
		if i == maxLinks {
			links = append(links, "…")
			break
		}
		links = append(links, c.link(f))
	}
	return cmp.Or(strings.Join(links, ", "), "no alert knows it")
}

// scope gathers the vulnerabilities of the findings, with the alerts of the repository that share one.
func (c *work) scope(fs []graph.Finding) []vulnerability {
	at := map[string]*vulnerability{}
	see := func(id string) *vulnerability {
		if at[id] == nil {
			at[id] = &vulnerability{id: id}
		}
		return at[id]
	}
	for _, f := range fs {
		for _, id := range f.CVEs {
			v := see(id)
			if f.Alert != nil {
				v.severity = cmp.Or(v.severity, f.Alert.Severity)
				v.alerts = append(v.alerts, f)
				continue
			}
			v.running, v.alerts = true, append(v.alerts, c.kin[id]...)
		}
		if f.Runtime != nil {
			for _, known := range f.Runtime.CVEs {
				v := see(known.ID)
				v.severity = cmp.Or(v.severity, strings.ToLower(known.Severity))
			}
		}
		for _, m := range f.Matches {
			for _, id := range m.CVEs {
				see(id).running = true
			}
		}
	}
	return inOrder(at)
}

func inOrder(at map[string]*vulnerability) []vulnerability {
	all := make([]vulnerability, 0, len(at))
	for _, v := range at {
		slices.SortFunc(v.alerts, func(a, b graph.Finding) int { return cmp.Compare(a.ID, b.ID) })
		v.alerts = slices.CompactFunc(v.alerts, func(a, b graph.Finding) bool { return a.ID == b.ID })
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b vulnerability) int { return cmp.Compare(a.id, b.id) })
	return all
}

// relatives reads the alerts of the repository that share a vulnerability with a runtime finding of the fix, whatever
// their state.
func (c *work) relatives(ctx context.Context) error {
	c.kin = map[string][]graph.Finding{}
	for _, f := range c.findings {
		if f.Runtime == nil {
			continue
		}
		for _, id := range f.CVEs {
			if _, read := c.kin[id]; read || len(c.kin) >= maxRows {
				continue
			}
			found, err := graph.ListAll[graph.Finding](ctx, c.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(c.repository.ID),
				Kind: graph.KindFinding, Where: []graph.Where{{Field: "cves", Op: graph.Contains, Value: id}, {Field: "kind", Op: graph.NotEqual, Value: string(graph.RuntimeKind)}}})
			if err != nil {
				return err
			}
			c.kin[id] = found
		}
	}
	return nil
}
