package provenance

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/parser"

	"throughline/shared/graph"
)

// maxCatalogue bounds the file.
const maxCatalogue = 4 << 20

// Catalogue is what operators declare by hand: which repository builds which images, what is known of workloads, and which
// workflows may sign.
// The nil Catalogue declares nothing.
type Catalogue struct {
	images    []imageRule
	workloads []workloadRule
	signers   []SignerRule
}

// imageRule says that a repository builds the images of a pattern.
type imageRule struct {
	Pattern    string   `yaml:"pattern"`
	Repository string   `yaml:"repository"`
	Contexts   []string `yaml:"contexts"`
}

// workloadRule says what is known of the workloads of a pattern.
type workloadRule struct {
	Path      string `yaml:"path"`
	Name      string `yaml:"name"`
	Owner     string `yaml:"owner"`
	Internet  string `yaml:"internet"`
	Sensitive string `yaml:"sensitive"`
	Critical  string `yaml:"critical"`
	Lateral   string `yaml:"lateral"`
	Author    string `yaml:"author"`
	Reason    string `yaml:"reason"`
	Expires   string `yaml:"expires"`

	expires time.Time
}

// ParseCatalogue reads a catalogue file. The error names every fault with its line and column.
//
// An image pattern is registry/path with * for one segment or a part of it and ** for any number of segments; workloads
// are named by resource path or by name in the same way. A declared factor is yes or no; a no needs author, reason and
// expiry, because it can take urgency away. Signers are the rules of a SignerPolicy.
func ParseCatalogue(raw []byte) (*Catalogue, error) {
	if len(raw) > maxCatalogue {
		return nil, fmt.Errorf("catalogue: larger than %d bytes", maxCatalogue)
	}
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", oneLine(err))
	}
	c := &catalogueReader{}
	for i, doc := range file.Docs {
		if i > 0 {
			c.fault(doc.Body, "want one document")
			break
		}
		c.document(doc.Body)
	}
	if len(c.faults) > 0 {
		return nil, fmt.Errorf("catalogue: %w", errors.Join(c.faults...))
	}
	return &c.out, nil
}

// Evidence is what is declared of an artifact: the repositories whose patterns match one of its names.
func (c *Catalogue) Evidence(a graph.Artifact, now time.Time) []graph.Evidence {
	if c == nil {
		return nil
	}
	var out []graph.Evidence
	for _, rule := range c.images {
		same := func(e graph.Evidence) bool { return e.RepositoryName == rule.Repository }
		if !slices.ContainsFunc(a.Names, func(name string) bool { return matches(rule.Pattern, name) }) {
			continue
		}
		if i := slices.IndexFunc(out, same); i >= 0 {
			out[i].Contexts = union(out[i].Contexts, rule.Contexts)
			continue
		}
		out = append(out, graph.Evidence{Digest: a.Digest, Method: graph.Declared, RepositoryName: rule.Repository,
			Contexts: rule.Contexts, Note: "catalogue: " + rule.Pattern, SeenAt: now})
	}
	return out
}

// union adds contexts; none means the whole repository and swallows the rest.
func union(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Readings is what is declared of a workload, from source person. An entry that has expired says unknown, so that what
// it said before ends.
func (c *Catalogue) Readings(w graph.Workload, now time.Time) []graph.Reading {
	if c == nil {
		return nil
	}
	byFactor := map[graph.Factor]graph.Reading{}
	for _, rule := range c.workloads {
		if !rule.names(w) {
			continue
		}
		for f, says := range rule.factors() {
			if r := rule.reading(f, says, now); better(r, byFactor[f]) {
				byFactor[f] = r
			}
		}
	}
	var out []graph.Reading
	for _, f := range graph.Factors {
		if r, ok := byFactor[f]; ok {
			out = append(out, r)
		}
	}
	return out
}

// better tells whether an answer of one entry goes before that of another: yes, then no, then what has expired.
func better(a, b graph.Reading) bool {
	rank := map[graph.Answer]int{graph.Yes: 3, graph.No: 2, graph.Unknown: 1}
	return rank[a.Says] > rank[b.Says]
}

// Owner is the declared owner of a workload; empty when nobody is declared.
func (c *Catalogue) Owner(w graph.Workload) string {
	if c == nil {
		return ""
	}
	for _, rule := range c.workloads {
		if rule.Owner != "" && rule.names(w) {
			return rule.Owner
		}
	}
	return ""
}

// Signers says which workflows may speak for which repositories.
func (c *Catalogue) Signers() SignerPolicy {
	if c == nil {
		return SignerPolicy{}
	}
	return SignerPolicy{Rules: c.signers}
}

func (r workloadRule) names(w graph.Workload) bool {
	if r.Path != "" {
		return matches(r.Path, w.Path)
	}
	return matches(r.Name, w.Name)
}

func (r workloadRule) factors() map[graph.Factor]graph.Answer {
	out := map[graph.Factor]graph.Answer{}
	for f, word := range map[graph.Factor]string{graph.InternetExposed: r.Internet, graph.SensitiveData: r.Sensitive, graph.CriticalResource: r.Critical, graph.LateralMovement: r.Lateral} {
		if a := answer(word); a.Known() {
			out[f] = a
		}
	}
	return out
}

func (r workloadRule) reading(f graph.Factor, says graph.Answer, now time.Time) graph.Reading {
	raw := []string{"declared " + string(says)}
	for _, part := range []struct{ word, value string }{{"by", r.Author}, {"because", r.Reason}, {"until", r.Expires}} {
		if part.value != "" {
			raw = append(raw, part.word+" "+part.value)
		}
	}
	out := graph.Reading{Factor: f, Source: "person", Says: says, Raw: strings.Join(raw, ", "), Path: "catalogue: " + cmp.Or(r.Path, r.Name), ReadAt: now}
	if !r.expires.IsZero() && !now.Before(r.expires) {
		out.Says, out.Raw = graph.Unknown, out.Raw+" (expired)"
	}
	if out.Says == graph.Yes {
		out.YesAt = now
	}
	return out
}

func answer(word string) graph.Answer {
	switch strings.ToLower(word) {
	case "yes", "true":
		return graph.Yes
	case "no", "false":
		return graph.No
	}
	return graph.Unknown
}

// matches compares a name with a pattern, segment by segment, in any case. Most patterns of a large catalogue have no
// wildcard, and every workload is held against all of them.
func matches(pattern, name string) bool {
	if !strings.ContainsAny(pattern, `*?[\`) {
		return strings.EqualFold(strings.Trim(pattern, "/"), strings.Trim(name, "/"))
	}
	return matchSegments(strings.Split(strings.ToLower(strings.Trim(pattern, "/")), "/"), strings.Split(strings.ToLower(strings.Trim(name, "/")), "/"))
}

func matchSegments(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			rest := pattern[1:]
			return slices.ContainsFunc(tails(name), func(tail []string) bool { return matchSegments(rest, tail) })
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}

func tails(name []string) [][]string {
	out := make([][]string, 0, len(name)+1)
	for i := range len(name) + 1 {
		out = append(out, name[i:])
	}
	return out
}
