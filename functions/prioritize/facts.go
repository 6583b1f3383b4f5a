package prioritize

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// reach is where a finding runs, as far as is known.
type reach struct {
	workloads []graph.ExposedWorkload
	images    []graph.ExposedArtifact // that hold the finding, running
	running   decision.Fact
}

func (w reach) answer() graph.Answer { return graph.Answer(w.running.Value) }

// on is the reach of a finding that some workloads run.
func (w reach) on(source string) reach {
	w.running = decision.Fact{Value: string(graph.Yes), Source: source}
	return w
}

// reachOf tells which workloads of the repository run the finding.
func (r *round) reachOf(ctx context.Context, f graph.Finding) (reach, error) {
	switch {
	case f.Runtime != nil:
		return r.reachOfImage(ctx, f.Runtime)
	case len(f.Matches) > 0:
		return r.reachOfMatches(ctx, f.Matches)
	case f.Alert != nil && f.Alert.Dependency != nil && f.Alert.Dependency.Scope == "development":
		return reach{running: decision.Running(decision.Inventory{Development: true}, r.now, r.policy)}, nil
	}
	if seen := r.seen(func(a graph.ExposedArtifact) bool { return contains(a, pathOf(f)) }); len(seen.workloads) > 0 {
		return seen.on("images of the repository"), nil
	}
	return r.notSeen(ctx, r.exposure.Images)
}

// notSeen tells "not deployed" from "not known": only a known image and a complete inventory, read not too long ago, make
// an absence a fact.
func (r *round) notSeen(ctx context.Context, imageKnown bool) (reach, error) {
	i := decision.Inventory{KnownImages: imageKnown}
	if imageKnown {
		var err error
		if i.Scopes, err = r.inventory(ctx); err != nil {
			return reach{}, err
		}
	}
	return reach{running: decision.Running(i, r.now, r.policy)}, nil
}

func (r *round) reachOfImage(ctx context.Context, f *graph.RuntimeFinding) (reach, error) {
	seen := r.seen(func(a graph.ExposedArtifact) bool { return a.Digest == f.Digest })
	if f.Workload != "" {
		if i := slices.IndexFunc(seen.workloads, func(w graph.ExposedWorkload) bool { return w.ID == f.Workload }); i >= 0 {
			seen.workloads = seen.workloads[i : i+1]
		}
	}
	if len(seen.workloads) > 0 {
		return seen.on("Defender for Cloud"), nil
	}
	return r.notSeen(ctx, true)
}

func (r *round) reachOfMatches(ctx context.Context, ms []graph.RuntimeMatch) (reach, error) {
	seen := r.seen(func(a graph.ExposedArtifact) bool {
		return slices.ContainsFunc(ms, func(m graph.RuntimeMatch) bool { return m.Digest == a.Digest })
	})
	if len(seen.workloads) > 0 {
		return seen.on("Defender for Cloud sees it in the running image"), nil
	}
	return r.notSeen(ctx, true)
}

// seen lists the images that pass the test and the workloads that run one of them.
func (r *round) seen(test func(graph.ExposedArtifact) bool) reach {
	var seen reach
	for _, a := range r.exposure.Artifacts {
		if test(a) {
			seen.images = append(seen.images, a)
		}
	}
	for _, w := range r.exposure.Workloads {
		if len(seen.imagesOn(w)) > 0 {
			seen.workloads = append(seen.workloads, w)
		}
	}
	return seen
}

// imagesOn are the images with the finding that a workload runs.
func (w reach) imagesOn(x graph.ExposedWorkload) []graph.ExposedArtifact {
	var images []graph.ExposedArtifact
	for _, a := range w.images {
		if slices.Contains(x.Digests, a.Digest) {
			images = append(images, a)
		}
	}
	return images
}

// contains tells whether an image may hold a path: it was built from a context above it, or its context is not known.
func contains(a graph.ExposedArtifact, path string) bool {
	if len(a.Contexts) == 0 || path == "" {
		return true
	}
	return slices.ContainsFunc(a.Contexts, func(context string) bool {
		context = strings.Trim(strings.TrimPrefix(context, "./"), "/")
		return context == "" || context == "." || path == context || strings.HasPrefix(path, context+"/")
	})
}

// pathOf is the file that an alert is about.
func pathOf(f graph.Finding) string {
	switch {
	case f.Alert == nil:
		return ""
	case f.Alert.Code != nil:
		return strings.TrimPrefix(f.Alert.Code.Path, "/")
	case f.Alert.Dependency != nil:
		return strings.TrimPrefix(f.Alert.Dependency.Manifest, "/")
	}
	return ""
}

// inputs gathers the facts that do not depend on the workload. It answers false for a finding that is not decided.
func (r *round) inputs(f graph.Finding) (decision.Inputs, bool) {
	in := decision.Inputs{Finding: string(f.ID), At: r.now, Detected: f.FirstSeen}
	in.Place.Repository = r.exposure.FullName
	switch {
	case f.Runtime != nil:
		r.runtimeFacts(f.Runtime, &in)
	case f.Alert.Dependency != nil:
		r.dependencyFacts(f, &in)
	case f.Alert.Code != nil:
		return in, codeFacts(f.Alert, &in)
	default:
		r.secretFacts(f.Alert, &in)
	}
	return in, true
}

func fact(value, source string) decision.Fact {
	if value == "" {
		return decision.Fact{}
	}
	return decision.Fact{Value: value, Source: source}
}

func yes(b bool, source string) decision.Fact {
	if !b {
		return decision.Fact{}
	}
	return decision.Fact{Value: string(graph.Yes), Source: source}
}

const (
	fromGitHub   = "GitHub"
	fromDefender = "Defender for Cloud"
)

func (r *round) dependencyFacts(f graph.Finding, in *decision.Inputs) {
	d := f.Alert.Dependency
	in.Kind = decision.Vuln
	if d.Malware {
		in.Kind = decision.Malware
	}
	in.CVE = d.GHSA
	if len(d.CVEs) > 0 {
		in.CVE = d.CVEs[0]
	}
	severities := []decision.Fact{fact(strings.ToLower(f.Alert.Severity), fromGitHub)}
	var vectors []decision.Fact
	for _, v := range d.CVSS {
		vectors = append(vectors, decision.Fact{Value: v, Source: "ghsa"})
		severities = append(severities, fact(decision.BaseSeverity(v), "CVSS base rating"))
	}
	for _, m := range f.Matches {
		severities = append(severities, fact(strings.ToLower(m.Severity), fromDefender))
		if m.ExploitKit {
			in.ExploitKit = yes(true, fromDefender)
		}
		if m.Verified {
			in.Verified = yes(true, fromDefender)
		}
	}
	in.Severity = decision.HighestSeverity(severities...)
	in.CVSS = decision.PickVector(vectors...)
	in.CWE = fact(cwes(d.CWEs), fromGitHub)
	if d.EPSS != nil {
		in.EPSS = decision.Fact{Value: strconv.FormatFloat(*d.EPSS, 'f', -1, 64), Source: fromGitHub, At: f.Alert.UpdatedAt}
	}
	r.describe(d.CVEs, in)
}

// describe asks the feeds about the vulnerabilities.
func (r *round) describe(cves []string, in *decision.Inputs) {
	if r.Feeds != nil {
		r.Feeds.Describe(cves, in)
	}
}

func (r *round) runtimeFacts(f *graph.RuntimeFinding, in *decision.Inputs) {
	in.Kind = decision.Vuln
	severities := []decision.Fact{fact(strings.ToLower(f.Severity), fromDefender)}
	var vectors []decision.Fact
	var cves []string
	highest := -1.0
	for _, c := range f.CVEs {
		cves = append(cves, c.ID)
		severities = append(severities, fact(strings.ToLower(c.Severity), fromDefender))
		for _, v := range c.CVSS {
			vectors = append(vectors, decision.Fact{Value: v, Source: fromDefender})
			severities = append(severities, fact(decision.BaseSeverity(v), "CVSS base rating"))
		}
		if c.ExploitKit {
			in.ExploitKit = yes(true, fromDefender)
		}
		if c.Verified {
			in.Verified = yes(true, fromDefender)
		}
		if c.EPSS != nil && *c.EPSS > highest {
			highest = *c.EPSS
			in.EPSS = decision.Fact{Value: strconv.FormatFloat(highest, 'f', -1, 64), Source: fromDefender, At: f.UpdatedAt}
		}
	}
	if len(cves) > 0 {
		in.CVE = cves[0]
	}
	in.Severity = decision.HighestSeverity(severities...)
	in.CVSS = decision.PickVector(vectors...)
	r.describe(cves, in)
}

// codeFacts answers false for an alert that is about style, not security.
func codeFacts(a *graph.Alert, in *decision.Inputs) bool {
	in.Kind = decision.Code
	security := slices.ContainsFunc(a.Code.Tags, func(tag string) bool { return strings.EqualFold(tag, "security") })
	severity, decided := decision.CodeSeverity(a.Code.SecurityLevel, a.Code.Level, security)
	in.Severity = fact(severity, fromGitHub)
	in.CWE = fact(cwes(a.Code.CWEs), fromGitHub)
	return decided
}

func (r *round) secretFacts(a *graph.Alert, in *decision.Inputs) {
	in.Kind = decision.Secret
	validity := a.Secret.Validity
	if validity == "" {
		validity = string(graph.Unknown)
	}
	in.Validity = fact(validity, fromGitHub)
	switch {
	case a.Secret.Leaked:
		in.Leaked = yes(true, fromGitHub+": publicly leaked")
	case r.exposure.Public:
		in.Leaked = yes(true, fromGitHub+": the repository is public")
	default:
		in.Leaked = decision.Fact{Value: string(graph.No), Source: fromGitHub}
	}
}

func cwes(numbers []int) string {
	var all []string
	for _, n := range numbers {
		all = append(all, fmt.Sprintf("CWE-%d", n))
	}
	return strings.Join(all, ";")
}

// on adds the facts of one workload.
func (r *round) on(in decision.Inputs, w graph.ExposedWorkload, all int) decision.Inputs {
	in.Workload = string(w.ID)
	in.Place.Name, in.Place.Cluster, in.Place.Subscription = w.Name, w.Cluster, subscriptionOf(w.Path)
	in.Internet = decision.Combine(w.Readings, graph.InternetExposed, r.now, r.policy)
	in.Sensitive = decision.Combine(w.Readings, graph.SensitiveData, r.now, r.policy)
	in.Critical = decision.Combine(w.Readings, graph.CriticalResource, r.now, r.policy)
	in.Lateral = decision.Combine(w.Readings, graph.LateralMovement, r.now, r.policy)
	in.Workloads = decision.Fact{Value: strconv.Itoa(all), Source: "mapping graph"}
	return in
}

func subscriptionOf(path string) string {
	parts := strings.Split(strings.ToLower(path), "/")
	if i := slices.Index(parts, "subscriptions"); i >= 0 && i+1 < len(parts) {
		return parts[i+1]
	}
	return ""
}
