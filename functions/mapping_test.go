package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"throughline/shared/graph"
	"throughline/shared/provenance"
)

var updateStories = flag.Bool("update", false, "write what the mapping stories end with now")

// TestMappingStories tells how images come to their repositories and workloads, one story for each kind of evidence and
// each trap. A line is one observation; below stands what the graph says afterwards:
//
//	repository <number> <owner/name> [public|archived|deleted|fork]
//	image <name> [at=registry/path] [tag=ref] [layers=a,b] [labels=owner/name@commit] [manifests=x,y]
//	says <method> <image> <number or owner/name> [commit=…] [refused=why] [contexts=a,b]
//	runs <workload> <image, or a reference by tag> [as=kind]
//	alert <repository number> <alert number> <path>
//	found <CVE> <image> <software>           a runtime finding
//	answered <image>                         every source has said what it knows
//	unseen <workload>                        a complete reading does not show it
//	unread <workload>                        a reading that broke off does not show it
//	later <duration>
//
// A part named asks holds questions for all that stands behind something: image <name>, or cve <id>.
func TestMappingStories(t *testing.T) {
	files, err := filepath.Glob("testdata/mapping/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			story, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &mappingStory{pipeline: newPipeline(t), images: map[string]graph.Digest{}, workloads: map[string]graph.Workload{}, repositories: map[string]graph.Repository{}}
			s.correlate.Labels = labels{}
			want, asks := -1, ""
			for i, f := range story.Files {
				switch f.Name {
				case "catalogue.yaml":
					if s.correlate.Catalogue, err = provenance.ParseCatalogue(f.Data); err != nil {
						t.Fatal(err)
					}
				case "story":
					s.play(string(f.Data))
				case "asks":
					asks = string(f.Data)
				case "graph":
					want = i
				}
			}
			if want < 0 {
				t.Fatal("a story ends with a part named graph")
			}
			got := s.graph() + s.blasts(asks)
			if *updateStories {
				story.Files[want].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(story), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := gocmp.Diff(string(story.Files[want].Data), got); diff != "" {
				t.Errorf("graph (-want +got):\n%s", diff)
			}
		})
	}
}

type mappingStory struct {
	*pipeline
	images       map[string]graph.Digest
	workloads    map[string]graph.Workload
	repositories map[string]graph.Repository // by number
}

func (s *mappingStory) digest(name string) graph.Digest {
	d := graph.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))))
	s.images[name] = d
	return d
}

func (s *mappingStory) digests(names string) []graph.Digest {
	var out []graph.Digest
	for _, n := range list(names) {
		out = append(out, s.digest(n))
	}
	return out
}

// play observes line by line, a minute apart.
func (s *mappingStory) play(text string) {
	verbs := map[string]func(words []string, more map[string]string) graph.Observation{
		"repository": s.repository, "image": s.image, "says": s.says, "runs": s.runs, "alert": s.alert, "found": s.found, "unseen": s.unseen, "unread": s.unread,
	}
	for line := range strings.Lines(text) {
		words, more := cutLine(line)
		if len(words) == 0 {
			continue
		}
		s.now = s.now.Add(time.Minute)
		switch verb, known := verbs[words[0]]; {
		case known:
			o := verb(words[1:], more)
			o.Source, o.ObservedAt = cmp.Or(o.Source, "test"), s.now
			s.observe(o)
		case words[0] == "answered":
			s.answer(s.digest(words[1]))
		case words[0] == "later":
			d, err := time.ParseDuration(words[1])
			if err != nil {
				s.t.Fatal(err)
			}
			s.now = s.now.Add(d)
		default:
			s.t.Fatalf("line %q: no such verb", line)
		}
	}
}

// cutLine parts the words of a line from its name=value pairs; a value in quotes may hold spaces, # begins a comment.
func cutLine(line string) (words []string, more map[string]string) {
	more = map[string]string{}
	line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		word, rest, _ := strings.Cut(line, " ")
		if name, value, pair := strings.Cut(word, "="); pair {
			if strings.HasPrefix(value, `"`) {
				value, rest, _ = strings.Cut(line[len(name)+2:], `"`)
			}
			more[name] = value
		} else {
			words = append(words, word)
		}
		line = rest
	}
	return words, more
}

func (s *mappingStory) repository(w []string, _ map[string]string) graph.Observation {
	owner, name, _ := strings.Cut(w[1], "/")
	r := graph.Repository{ID: graph.RepositoryID("github-" + w[0]), Org: graph.OrgID("github-org-" + owner), Owner: owner, Name: name, Visibility: "private", UpdatedAt: s.now}
	for _, attribute := range w[2:] {
		switch attribute {
		case "public":
			r.Visibility = "public"
		case "archived":
			r.Archived = true
		case "deleted":
			r.Deleted = true
		case "fork":
			r.Fork = true
		}
	}
	s.repositories[w[0]] = r
	return graph.Observation{Repositories: []graph.Repository{r}}
}

// image is what the registry tells: the manifest, and the evidence that its labels hold.
func (s *mappingStory) image(w []string, more map[string]string) graph.Observation {
	a := graph.Artifact{Digest: s.digest(w[0]), Names: list(more["at"]), Tags: list(more["tag"]), Layers: list(more["layers"]), Manifests: s.digests(more["manifests"]), UpdatedAt: s.now}
	if source, commit, _ := strings.Cut(more["labels"], "@"); source != "" {
		a.Labels = map[string]string{"org.opencontainers.image.source": "https://github.com/" + source, "org.opencontainers.image.revision": commit}
	}
	return graph.Observation{Source: "registry", Artifacts: []graph.Artifact{a}, Evidence: provenance.JudgeLabels(a, nil)}
}

func (s *mappingStory) says(w []string, more map[string]string) graph.Observation {
	e := graph.Evidence{Method: graph.Method(w[0]), Commit: more["commit"], Refused: more["refused"], Contexts: list(more["contexts"]), SeenAt: s.now}
	if w[1] != "nothing" { // a workflow run names no image
		e.Digest = s.digest(w[1])
	}
	if strings.Contains(w[2], "/") {
		e.RepositoryName = w[2]
	} else {
		e.Repository = graph.RepositoryID("github-" + w[2])
	}
	return graph.Observation{Evidence: []graph.Evidence{e}}
}

// inventoryScope is the reading that shows the workloads of the stories.
const inventoryScope = "azure workloads"

func (s *mappingStory) runs(w []string, more map[string]string) graph.Observation {
	path := "/clusters/west/namespaces/shop/" + w[0]
	n := graph.Workload{ID: graph.NewWorkloadID(path), Path: path, Name: w[0], Kind: cmp.Or(more["as"], "Deployment"), Cluster: "west", Scope: inventoryScope, UpdatedAt: s.now}
	run := graph.Running{Image: w[1]}
	if !strings.Contains(w[1], ":") {
		run.Digest = s.digest(w[1])
		run.Image = "registry.example/" + w[1] + "@" + string(run.Digest)
	}
	n.Running = []graph.Running{run}
	s.workloads[w[0]] = n
	return graph.Observation{Workloads: []graph.Workload{n}}
}

func (s *mappingStory) alert(w []string, _ map[string]string) graph.Observation {
	number, err := strconv.Atoi(w[1])
	if err != nil {
		s.t.Fatal(err)
	}
	r := graph.RepositoryID("github-" + w[0])
	return graph.Observation{Alerts: []graph.Alert{{ID: graph.NewAlertID(r, graph.CodeScanning, number), Kind: graph.CodeScanning, Repository: r, Number: number, State: graph.Open,
		Title: "SQL injection", Severity: "error", CreatedAt: s.now, UpdatedAt: s.now, Code: &graph.Code{Tool: "CodeQL", Rule: "sql", Path: w[2], SecurityLevel: "high"}}}}
}

func (s *mappingStory) found(w []string, _ map[string]string) graph.Observation {
	id := graph.FindingID("runtime-" + strings.ToLower(w[0]) + "-" + w[1])
	return graph.Observation{RuntimeFindings: []graph.RuntimeFinding{{ID: id, Assessment: "/" + string(id), Title: "Update " + w[2], Digest: s.digest(w[1]), Software: w[2],
		CVEs: []graph.CVE{{ID: w[0], Severity: "High"}}, Severity: "high", State: graph.Open, FirstSeen: s.now, UpdatedAt: s.now}}}
}

func (s *mappingStory) unseen(w []string, _ map[string]string) graph.Observation {
	return graph.Observation{Absent: []graph.Absence{{Kind: graph.KindWorkload, ID: string(s.workloads[w[0]].ID)}},
		Scope: &graph.Scope{ID: inventoryScope, Run: s.now.String(), StartedAt: s.now, Complete: true}}
}

func (s *mappingStory) unread(w []string, more map[string]string) graph.Observation {
	o := s.unseen(w, more)
	o.Scope.Complete = false
	return o
}

// graph writes what is known: each image with its evidence, each repository with its way to production, each finding with
// the workloads that it reaches.
func (s *mappingStory) graph() string {
	var b strings.Builder
	for _, name := range sortedKeys(s.images) {
		s.writeImage(&b, name)
	}
	for _, n := range sortedKeys(s.repositories) {
		s.writeRepository(&b, graph.RepositoryID("github-"+n))
	}
	findings, _, err := graph.Worklist(context.Background(), s.store, graph.Filter{State: graph.AllStates, Limit: 200})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.SortFunc(findings, func(a, b graph.Summary) int { return cmp.Compare(a.ID, b.ID) })
	for _, f := range findings {
		fmt.Fprintf(&b, "finding %s of %s: running %s in %s\n", f.ID, cmp.Or(f.FullName, "nobody known"), f.Running, cmp.Or(strings.Join(f.Workloads, ", "), "nothing"))
		v, err := graph.Graph{Store: s.store}.Finding(context.Background(), f.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		if v.Base != nil {
			fmt.Fprintf(&b, "  inherited from %s, built by %s\n", v.Base.Name, cmp.Or(v.Base.FullName, "nobody known"))
		}
	}
	return b.String()
}

// blasts asks what stands behind images and vulnerabilities.
func (s *mappingStory) blasts(asks string) string {
	var b strings.Builder
	g := graph.Graph{Store: s.store}
	for line := range strings.Lines(asks) {
		what, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		var blast graph.Blast
		var err error
		if what == "cve" {
			blast, err = g.BlastOfCVE(context.Background(), id)
		} else {
			blast, err = g.BlastOfImage(context.Background(), s.digest(id))
		}
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&b, "behind %s %s:\n", what, id)
		for _, a := range blast.Artifacts {
			name := slices.IndexFunc(sortedKeys(s.images), func(n string) bool { return s.images[n] == a.Digest })
			fmt.Fprintf(&b, "  image %s, %s\n", sortedKeys(s.images)[name], a.Why)
		}
		for _, w := range blast.Workloads {
			fmt.Fprintf(&b, "  workload %s\n", w.Name)
		}
		for _, r := range blast.Repositories {
			fmt.Fprintf(&b, "  repository %s\n", r.FullName)
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (s *mappingStory) writeImage(b *strings.Builder, name string) {
	d := s.images[name]
	line, err := graph.Get[graph.ArtifactLine](context.Background(), s.store, graph.StateKey(graph.ArtifactsPartition, string(d)))
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := graph.Graph{Store: s.store}.Artifact(context.Background(), d)
	if err != nil {
		fmt.Fprintf(b, "image %s: not known\n", name)
		return
	}
	switch {
	case line.Value.Repository != "":
		fmt.Fprintf(b, "image %s: built by %s, %s (%s)\n", name, s.name(line.Value.Repository), line.Value.Method, line.Value.Method.Confidence())
	default:
		fmt.Fprintf(b, "image %s: nobody known\n", name)
	}
	for _, e := range v.Evidence {
		text := fmt.Sprintf("  %s says %s", e.Method, s.name(e.Repository))
		if e.Commit != "" {
			text += " at " + e.Commit
		}
		switch {
		case e.Refused != "":
			text += ", refused: " + e.Refused
		case !e.Method.Acts():
			text += ", a hint"
		}
		for n, d := range s.images {
			text = strings.ReplaceAll(text, d.Short(), n)
		}
		fmt.Fprintln(b, text)
	}
	var runs []string
	for _, w := range v.Runners {
		runs = append(runs, w.Name)
	}
	slices.Sort(runs)
	if len(runs) > 0 {
		fmt.Fprintf(b, "  runs in %s\n", strings.Join(runs, ", "))
	}
}

// name is owner/name as the repository bears it now.
func (s *mappingStory) name(id graph.RepositoryID) string {
	r, err := graph.Get[graph.Repository](context.Background(), s.store, graph.RepositoryKey(id))
	if err != nil {
		s.t.Fatal(err)
	}
	if !r.Exists() {
		return string(id)
	}
	return r.Value.FullName()
}

func (s *mappingStory) writeRepository(b *strings.Builder, id graph.RepositoryID) {
	v, err := graph.Graph{Store: s.store}.Repository(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	var state []string
	for what, is := range map[string]bool{"archived": v.Exposure.Archived, "deleted": v.Exposure.Deleted, "public": v.Exposure.Public} {
		if is {
			state = append(state, what)
		}
	}
	slices.Sort(state)
	var runs []string
	for _, w := range v.Exposure.Workloads {
		runs = append(runs, w.Name)
	}
	slices.Sort(runs)
	fmt.Fprintf(b, "repository %s%s: runs in %s\n", v.Repository.FullName(), strings.Join(append([]string{""}, state...), ", "), cmp.Or(strings.Join(runs, ", "), "nothing"))
}
