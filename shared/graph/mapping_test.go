package graph_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// estate stores one repository with its image, which one workload runs, and a finding with its remediation.
func estate(t *testing.T) graph.Graph {
	t.Helper()
	s := graph.NewMemory()
	r, d, w := graph.RepositoryID("github-1"), digest("a"), graph.WorkloadID("w-1")
	put(t, s, graph.RepositoryKey(r), graph.KindRepository, graph.Repository{ID: r, Owner: "Acme", Name: "Shop"})
	put(t, s, graph.NameKey("github", "Acme/Shop"), "name", graph.Name{Repository: r, FullName: "Acme/Shop"})
	put(t, s, graph.StateKey(graph.RepositoriesPartition, "ghes-5"), "repository", graph.Name{Repository: "ghes-5", FullName: "Acme/Inside"})
	put(t, s, graph.StateKey(graph.OrgsPartition, "github-org-1"), "org", graph.Org{ID: "github-org-1"})
	put(t, s, graph.ExposureKey(r), graph.KindExposure, graph.Exposure{Repository: r, Images: true})
	put(t, s, graph.ArtifactKey(d), graph.KindArtifact, graph.Artifact{Digest: d})
	for i, m := range []graph.Method{graph.ImageLabel, graph.VerifiedAttestation, graph.NameMatch} {
		e := graph.Evidence{Digest: d, Repository: r, Method: m, SeenAt: noon.Add(time.Duration(i) * time.Hour)}
		image, repository := graph.EvidenceKeys(e)
		put(t, s, image, graph.KindEvidence, e)
		put(t, s, repository, graph.KindEvidence, e)
	}
	put(t, s, graph.RunnerKey(d, w), graph.KindRunner, graph.ExposedWorkload{ID: w, Digests: []graph.Digest{d}})
	put(t, s, graph.RuntimeFindingKey(d, "runtime-1"), graph.KindRuntimeFinding, graph.RuntimeFinding{ID: "runtime-1", Digest: d})
	put(t, s, graph.WorkloadKey(w), graph.KindWorkload, graph.Workload{ID: w, Running: []graph.Running{{Digest: d}, {Digest: digest("gone"), Ended: true}, {Digest: digest("unknown")}, {Image: "unresolved"}}})
	alert := graph.Finding{ID: "github-1-dependabot-1", Repository: r, Remediation: "github-1-fix-1", Alert: &graph.Alert{}}
	put(t, s, graph.FindingKey(r, alert.ID), graph.KindFinding, alert)
	put(t, s, graph.RemediationKey(r, alert.Remediation), graph.KindRemediation, graph.Remediation{ID: alert.Remediation, Title: "fix"})
	runtime := graph.Finding{ID: "runtime-1", Repository: r, Runtime: &graph.RuntimeFinding{}}
	put(t, s, graph.FindingKey(r, runtime.ID), graph.KindFinding, runtime)
	put(t, s, graph.SummaryKey("github-org-1", runtime.ID), graph.KindSummary, graph.Summary{ID: runtime.ID, Repository: r})
	return graph.Graph{Store: s}
}

func digest(seed string) graph.Digest {
	return graph.Digest(fmt.Sprintf("sha256:%064x", seed))[:71]
}

func TestMappingIsAnsweredBothWays(t *testing.T) {
	g := estate(t)
	repository, err := g.Repository(t.Context(), "github-1")
	if err != nil || repository.Repository.FullName() != "Acme/Shop" || !repository.Exposure.Images || len(repository.Evidence) != 3 || repository.Evidence[0].Method != graph.VerifiedAttestation || repository.Evidence[2].Method != graph.NameMatch {
		t.Errorf("repository: %+v, %v", repository, err)
	}
	artifact, err := g.Artifact(t.Context(), digest("a"))
	if err != nil || len(artifact.Evidence) != 3 || artifact.Evidence[0].Method != graph.VerifiedAttestation || len(artifact.Runners) != 1 || len(artifact.Runtime) != 1 {
		t.Errorf("artifact: %+v, %v", artifact, err)
	}
	workload, err := g.Workload(t.Context(), "w-1")
	if err != nil || len(workload.Artifacts) != 1 || workload.Artifacts[0].Artifact.Digest != digest("a") || len(workload.Artifacts[0].Evidence) != 3 {
		t.Errorf("workload: %+v, %v", workload, err)
	}
	if ds, err := g.DigestsOf(t.Context(), "github-1"); err != nil || fmt.Sprint(ds) != fmt.Sprint([]graph.Digest{digest("a")}) {
		t.Errorf("digests: %v, %v", ds, err)
	}
}

func TestFindingsAreFoundByTheirIDs(t *testing.T) {
	g := estate(t)
	alert, err := g.Finding(t.Context(), "github-1-dependabot-1")
	if err != nil || alert.Remediation == nil || alert.Remediation.Title != "fix" || alert.Repository.Name != "Shop" || !alert.Exposure.Images {
		t.Errorf("alert: %+v, %v", alert, err)
	}
	runtime, err := g.Finding(t.Context(), "runtime-1")
	if err != nil || runtime.Finding.ID != "runtime-1" || runtime.Remediation != nil {
		t.Errorf("runtime finding without a remediation: %+v, %v", runtime, err)
	}
}

func TestRepositoriesAreFoundByName(t *testing.T) {
	g := estate(t)
	for name, want := range map[string]graph.RepositoryID{"Acme/Shop": "github-1", "acme/SHOP": "github-1", "acme/inside": "ghes-5"} {
		if got, err := g.RepositoryNamed(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	g := estate(t)
	long := strings.Repeat("x", 300)
	_, e1 := g.Repository(t.Context(), "github-2")
	_, e2 := g.Artifact(t.Context(), digest("b"))
	_, e3 := g.Workload(t.Context(), "w-2")
	_, e4 := g.Finding(t.Context(), "github-1-dependabot-2")
	_, e5 := g.Finding(t.Context(), "runtime-2")
	_, e6 := g.Finding(t.Context(), graph.FindingID(long))
	_, e7 := g.RepositoryNamed(t.Context(), "acme/"+long)
	_, e8 := g.Finding(t.Context(), "")
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8} {
		if !errors.Is(err, graph.ErrNotFound) {
			t.Errorf("question %d: %v, want ErrNotFound", i+1, err)
		}
	}
	away := graph.Graph{Store: broken{graph.NewMemory()}}
	_, e1 = away.Repository(t.Context(), "github-1")
	_, e2 = away.Artifact(t.Context(), digest("a"))
	_, e3 = away.Workload(t.Context(), "w-1")
	_, e4 = away.Finding(t.Context(), "runtime-1")
	_, e5 = away.RepositoryNamed(t.Context(), "acme/shop")
	for i, err := range []error{e1, e2, e3, e4, e5} {
		if !errors.Is(err, errAway) {
			t.Errorf("question %d to a store that is away: %v", i+1, err)
		}
	}
}

func TestEvidenceIsOrderedAndJudged(t *testing.T) {
	rank := -1
	for _, m := range graph.Methods {
		if m.Rank() <= rank || m.Confidence() == "" || m.Acts() != (m != graph.NameMatch) {
			t.Errorf("%s: rank %d, confidence %q, acts %t", m, m.Rank(), m.Confidence(), m.Acts())
		}
		rank = m.Rank()
		e := graph.Evidence{Repository: "github-1", Method: m}
		if e.Counts() != m.Acts() {
			t.Errorf("%s counts: %t", m, e.Counts())
		}
		if e.Refused = "inherited"; e.Counts() {
			t.Errorf("refused %s counts", m)
		}
		if (graph.Evidence{Method: m}).Counts() {
			t.Errorf("%s of nobody counts", m)
		}
	}
	if odd := graph.Method("guess"); odd.Acts() || odd.Confidence() != "low" {
		t.Errorf("an unknown method acts %t", odd.Acts())
	}
}

func TestWorkloadsRunWhatHasNotEnded(t *testing.T) {
	w := graph.Workload{Running: []graph.Running{{Digest: "d1"}, {Digest: "d2", Ended: true}, {Image: "unresolved"}}}
	if !w.Runs("d1") || w.Runs("d2") || w.Runs("d3") || fmt.Sprint(w.Digests()) != "[d1]" {
		t.Errorf("runs %v", w.Digests())
	}
	if w.Gone = true; w.Runs("d1") || len(w.Digests()) != 0 {
		t.Error("a workload that is gone runs something")
	}
}

func TestExposureVersionIsOfTheContent(t *testing.T) {
	x := graph.Exposure{Repository: "github-1"}.Sealed()
	again := x.Sealed()
	if x.Version == "" || again.Version != x.Version || !x.Lags() {
		t.Errorf("%+v, %+v", x, again)
	}
	x.Decided = x.Version
	if x.Lags() || x.Sealed().Version != x.Version || x.Sealed().Decided != x.Decided {
		t.Errorf("%+v", x)
	}
	x.Images = true
	if x = x.Sealed(); x.Version == again.Version || !x.Lags() {
		t.Errorf("another exposure of the same version: %+v", x)
	}
}
