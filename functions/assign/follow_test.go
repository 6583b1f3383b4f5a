package assign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// issue is the one issue of the bench.
func (b *bench) issue() graph.Issue {
	b.t.Helper()
	if n := len(b.hub.issues[repositoryID]); n != 1 {
		b.t.Fatalf("%d issues, want 1", n)
	}
	return *b.hub.issues[repositoryID][0]
}

func (b *bench) wants(id graph.RemediationID, status graph.Status, state string) {
	b.t.Helper()
	m, i := b.remediation(id), b.issue()
	if m.Status != status || i.State != state || m.Issue.State != state {
		b.t.Fatalf("status %q, issue %s (noted %s), want %q and %s; proof %+v, held %q", m.Status, i.State, m.Issue.State, status, state, m.Proof, m.Held)
	}
}

// opened is a bench with one issue on an image built from commit 1.
func opened(t *testing.T) (*bench, graph.RemediationID) {
	t.Helper()
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1, 2: 1})
	f := b.finds(nil)
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusOpen, "open")
	return b, f.Remediation
}

func TestFixIsFollowedIntoProduction(t *testing.T) {
	b, id := opened(t)
	b.stage.Window = time.Hour
	b.now = b.now.Add(time.Hour)
	b.hub.head = 1 // commit 2 has the fix and is the default branch
	b.finds(fixed(b.now))
	b.handle(id)
	b.wants(id, graph.StatusFixedInCode, "open")

	b.runs(map[int]int{1: 1, 2: 2})
	b.handle(id)
	b.wants(id, graph.StatusRollingOut, "open")
	if m := b.remediation(id); m.Proof.Running != 1 || m.Proof.Total != 2 || m.Proof.Commit != sha(2) {
		t.Errorf("half way: %+v", m.Proof)
	}

	b.hub.head = 3 // others go on; image 3 descends from commit 2 all the same
	b.runs(map[int]int{1: 2, 2: 3})
	again := b.handle(id)
	b.wants(id, graph.StatusRollingOut, "open")
	if len(again) != 1 || !again[0].NotBefore.Equal(b.now.Add(time.Hour)) {
		t.Fatalf("waits for the window with %+v", again)
	}

	b.now = again[0].NotBefore
	b.handle(id)
	b.wants(id, graph.StatusVerified, "closed")
	i := b.issue()
	said := b.hub.comments[fmt.Sprintf("%s#%d", repositoryID, i.Number)]
	if i.StateReason != "completed" || len(said) != 1 || !strings.Contains(said[0], "2 of 2 workloads run it") || !strings.Contains(said[0], sha(2)[:12]) {
		t.Errorf("closed as %s with %q", i.StateReason, said)
	}
	var lines []string
	for _, e := range b.remediation(id).Timeline {
		if e.Actor == "" || e.At.IsZero() {
			t.Errorf("line without actor or time: %+v", e)
		}
		lines = append(lines, e.What+": "+e.Why)
	}
	for _, want := range []string{"issue #1 opened", "fixed in code", "rolling out 1/2", "verified", "closed as completed"} {
		if !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("the timeline does not tell %q:\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if b.handle(id); b.hub.calls["edit"] == 0 || len(b.hub.comments[fmt.Sprintf("%s#1", repositoryID)]) != 1 {
		t.Error("looking again writes again")
	}
}

func TestNothingClosesWithoutProof(t *testing.T) {
	for name, spoil := range map[string]func(*bench){
		"old image":           func(b *bench) { b.runs(map[int]int{1: 1}) },
		"one old of two":      func(b *bench) { b.runs(map[int]int{1: 2, 2: 1}) },
		"inventory not whole": func(b *bench) { b.exposure(func(x *graph.Exposure) { x.Inventory = false }) },
		"first inventory":     func(b *bench) { b.exposure(func(x *graph.Exposure) { x.Provisional = true }) },
		"no image known": func(b *bench) {
			b.exposure(func(x *graph.Exposure) { x.Images, x.Artifacts, x.Workloads = false, nil, nil })
		},
		"commit not known": func(b *bench) { b.exposure(func(x *graph.Exposure) { x.Artifacts[0].Commit = "" }) },
		"commit of a stranger": func(b *bench) {
			b.exposure(func(x *graph.Exposure) { x.Artifacts[0].Commit = strings.Repeat("9", 40) })
		},
		"built from behind the branch": func(b *bench) { b.hub.head = 3 },
		"still reported": func(b *bench) {
			b.finds(func(f *graph.Finding) {
				fixed(b.now)(f)
				f.Matches = []graph.RuntimeMatch{{ID: "runtime-1", Digest: imageOf(2), CVEs: f.CVEs}}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, id := opened(t)
			b.hub.head = 1
			b.finds(fixed(b.now))
			b.runs(map[int]int{1: 2, 2: 2})
			spoil(b)
			b.handle(id)
			if i := b.issue(); i.State != "open" {
				t.Errorf("closed: %+v", b.remediation(id).Proof)
			}
		})
	}
	t.Run("control", func(t *testing.T) {
		b, id := opened(t)
		b.hub.head = 1
		b.finds(fixed(b.now))
		b.runs(map[int]int{1: 2, 2: 2})
		b.handle(id)
		b.wants(id, graph.StatusVerified, "closed")
	})
}

// TestWorkloadIsNotLostSightOf: a new image belongs to nobody until its sources have answered.
func TestWorkloadIsNotLostSightOf(t *testing.T) {
	for name, c := range map[string]struct {
		workload graph.Workload
		line     graph.ArtifactLine
		closes   bool
	}{
		"image of unknown origin":    {graph.Workload{Running: []graph.Running{{Digest: imageOf(9)}}}, graph.ArtifactLine{Digest: imageOf(9)}, false},
		"image not resolved":         {graph.Workload{Running: []graph.Running{{Image: "acr.example/x:latest"}}}, graph.ArtifactLine{}, false},
		"exposure lags behind":       {graph.Workload{Running: []graph.Running{{Digest: imageOf(9)}}}, graph.ArtifactLine{Digest: imageOf(9), Repository: repositoryID}, false},
		"image of somebody else":     {graph.Workload{Running: []graph.Running{{Digest: imageOf(9)}}}, graph.ArtifactLine{Digest: imageOf(9), Repository: "github-2"}, true},
		"workload is gone":           {graph.Workload{Gone: true, Running: []graph.Running{{Digest: imageOf(9)}}}, graph.ArtifactLine{}, true},
		"nothing runs there anymore": {graph.Workload{Running: []graph.Running{{Digest: imageOf(1), Ended: true}}}, graph.ArtifactLine{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b, id := opened(t)
			b.hub.head = 1
			b.finds(fixed(b.now))
			c.workload.ID = "w-2"
			put(b, graph.WorkloadKey("w-2"), graph.KindWorkload, c.workload)
			put(b, graph.StateKey(graph.ArtifactsPartition, string(imageOf(9))), "artifactLine", c.line)
			b.runs(map[int]int{1: 2})
			again := b.handle(id)
			if closed := b.issue().State == "closed"; closed != c.closes {
				t.Errorf("closed %v: %+v", closed, b.remediation(id).Proof)
			}
			if !c.closes && (len(again) != 1 || !again[0].NotBefore.After(b.now)) {
				t.Error("nobody will look again")
			}
		})
	}
}

// exposure changes what is known of what runs.
func (b *bench) exposure(change func(*graph.Exposure)) {
	b.t.Helper()
	x, err := graph.Get[graph.Exposure](b.t.Context(), b.store, graph.ExposureKey(repositoryID))
	if err != nil {
		b.t.Fatal(err)
	}
	change(&x.Value)
	put(b, graph.ExposureKey(repositoryID), graph.KindExposure, x.Value.Sealed())
}

func TestMergedPullRequestIsTheFix(t *testing.T) {
	b, id := opened(t)
	b.hub.head = 3
	merged := graph.PullRequest{Repository: repositoryID, Number: 9, State: "merged", Commit: sha(2), Author: "alice", UpdatedAt: b.now.Add(-time.Minute)}
	m := b.remediation(id)
	m.PullRequests = []graph.PullRequest{merged}
	put(b, graph.RemediationKey(repositoryID, id), graph.KindRemediation, m)
	b.finds(fixed(b.now))
	b.runs(map[int]int{1: 2})
	b.handle(id)
	b.wants(id, graph.StatusVerified, "closed")
}

func TestOldPullRequestIsNotTheFix(t *testing.T) {
	b, id := opened(t)
	b.hub.head = 3
	m := b.remediation(id)
	m.PullRequests = []graph.PullRequest{{Repository: repositoryID, Number: 9, State: "merged", Commit: sha(1), UpdatedAt: b.now.Add(-48 * time.Hour)}}
	put(b, graph.RemediationKey(repositoryID, id), graph.KindRemediation, m)
	b.finds(fixed(b.now))
	b.handle(id)
	b.wants(id, graph.StatusFixedInCode, "open")
}

func TestRegressionReopens(t *testing.T) {
	b, id := opened(t)
	b.hub.head = 1
	b.finds(fixed(b.now))
	b.runs(map[int]int{1: 2})
	b.handle(id)
	b.wants(id, graph.StatusVerified, "closed")
	b.now = b.now.Add(time.Hour)
	b.finds(nil)
	b.handle(id)
	b.wants(id, graph.StatusReopened, "open")
	if said := b.hub.comments[fmt.Sprintf("%s#1", repositoryID)]; len(said) != 2 || !strings.Contains(said[1], "Opened again") {
		t.Errorf("comments %q", said)
	}
	b.finds(fixed(b.now.Add(time.Hour)))
	b.handle(id)
	b.wants(id, graph.StatusVerified, "closed")
}

func TestDismissedIsAccepted(t *testing.T) {
	b, id := opened(t)
	b.finds(func(f *graph.Finding) {
		f.State, f.Alert.State, f.Alert.Reason = graph.Dismissed, graph.Dismissed, "tolerable_risk"
	})
	b.handle(id)
	b.wants(id, graph.StatusAccepted, "closed")
	if i := b.issue(); i.StateReason != "not_planned" || !strings.Contains(b.hub.comments[fmt.Sprintf("%s#1", repositoryID)][0], "tolerable") {
		t.Errorf("closed as %s, %q", i.StateReason, b.hub.comments)
	}
}

func TestAcceptedRiskClosesAndItsEndReopens(t *testing.T) {
	b, id := opened(t)
	b.finds(func(f *graph.Finding) {
		f.Decision.Published, f.Decision.Tier, f.Decision.Rule = graph.P4, graph.P4, "R0"
	})
	b.handle(id)
	b.wants(id, graph.StatusAccepted, "closed")
	b.finds(nil)
	b.handle(id)
	b.wants(id, graph.StatusReopened, "open")
}

func TestIssueClosedByAPersonStaysClosed(t *testing.T) {
	b, id := opened(t)
	b.person(id, func(i *graph.Issue) { i.State, i.StateReason = "closed", "not_planned" })
	b.handle(id)
	b.wants(id, graph.StatusOpen, "closed")
	if m := b.remediation(id); m.Closed == nil || m.Closed.By != "alice" {
		t.Errorf("closed by %+v", m.Closed)
	}
	b.handle(id)
	b.wants(id, graph.StatusOpen, "closed")
	b.now = b.now.Add(time.Hour)
	b.finds(func(f *graph.Finding) { f.Decision.Published, f.Decision.Tier = graph.P0, graph.P0 })
	b.handle(id)
	b.wants(id, graph.StatusReopened, "open")
	if said := b.hub.comments[fmt.Sprintf("%s#1", repositoryID)]; len(said) != 1 || !strings.Contains(said[0], "closed at P1 and is P0 now") {
		t.Errorf("the reason is %q", said)
	}
}

func TestEndedRepository(t *testing.T) {
	for what, change := range map[string]func(*graph.Repository){
		"deleted":  func(r *graph.Repository) { r.Deleted = true },
		"archived": func(r *graph.Repository) { r.Archived = true },
	} {
		t.Run(what, func(t *testing.T) {
			b, id := opened(t)
			edits := b.hub.calls["edit"]
			b.repository(change)
			b.handle(id)
			m := b.remediation(id)
			last := m.Timeline[len(m.Timeline)-1]
			if m.Status != graph.StatusEnded || !strings.Contains(last.Why, what) || b.hub.calls["edit"] != edits {
				t.Errorf("status %s, %+v, %d edits", m.Status, last, b.hub.calls["edit"]-edits)
			}
			b.repository(nil)
			b.handle(id)
			if m := b.remediation(id); m.Status != graph.StatusReopened {
				t.Errorf("back again it is %s", m.Status)
			}
		})
	}
}

func TestEditsOfPeopleStay(t *testing.T) {
	b, id := opened(t)
	b.person(id, func(i *graph.Issue) {
		i.Labels, i.Assignees = []string{"area/api", "throughline: P1"}, []string{"carol"}
	})
	b.finds(func(f *graph.Finding) { f.Decision.Published, f.Decision.Tier = graph.P0, graph.P0 })
	b.handle(id)
	i := b.issue()
	if fmt.Sprint(i.Labels) != "[area/api throughline: P0]" || fmt.Sprint(i.Assignees) != "[carol]" {
		t.Errorf("labels %v, assignees %v: a label that a person took off is back, or hers is gone", i.Labels, i.Assignees)
	}
}

func TestDroppedLabelsAreRepaired(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	f := b.finds(nil)
	b.hub.drops = true
	b.handle(f.Remediation)
	b.hub.drops = false
	b.handle(f.Remediation)
	if i := b.issue(); len(i.Labels) != 2 || b.hub.calls["create"] != 1 {
		t.Errorf("labels %v after %d creations", i.Labels, b.hub.calls["create"])
	}
	edits := b.hub.calls["edit"]
	if b.handle(f.Remediation); b.hub.calls["edit"] != edits {
		t.Error("what is repaired is edited again")
	}
}

func TestNewBuildAloneWritesNothing(t *testing.T) {
	b, id := opened(t)
	b.runs(map[int]int{1: 2, 2: 2})
	b.handle(id)
	if n := b.hub.calls["edit"]; n != 0 {
		t.Errorf("%d edits for a new image", n)
	}
}

func TestRevokedSecretIsDone(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.stage.Window = time.Hour
	b.runs(map[int]int{1: 1})
	secret := func(f *graph.Finding) {
		*f = finding(graph.SecretScanning, words{})
		f.Decision = decided(b.t, *f, words{})
		f.Remediation = graph.NewRemediationID(repositoryID, f.FixKey)
	}
	f := b.finds(secret)
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusOpen, "open")
	b.finds(func(f *graph.Finding) { secret(f); fixed(b.now)(f) })
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusVerified, "closed")
}

func TestRuntimeFindingEndsWithItsImage(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	f := b.finds(func(f *graph.Finding) {
		*f = finding(graph.RuntimeKind, words{})
		f.Runtime.Digest = imageOf(1)
		f.Decision = decided(b.t, *f, words{})
		f.Remediation = graph.NewRemediationID(repositoryID, f.FixKey)
	})
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusOpen, "open")
	b.runs(map[int]int{1: 2})
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusVerified, "closed")
	b.runs(map[int]int{1: 1})
	b.handle(f.Remediation)
	b.wants(f.Remediation, graph.StatusReopened, "open")
}

// TestTransferredIssueIsFollowed lets an issue go to another repository: it is edited and closed there, and nothing of the
// running system is told when everybody can read it there.
func TestTransferredIssueIsFollowed(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	f := b.finds(nil)
	b.handle(f.Remediation)
	other := graph.Repository{ID: graph.NewRepositoryID("github", 99), Org: "github-org-1", Owner: "shop", Name: "tracker", Visibility: "public", URL: "https://github.com/shop/tracker", Installation: 7}
	put(b, graph.RepositoryKey(other.ID), graph.KindRepository, other)
	moved := *b.hub.issues[repositoryID][0]
	moved.Repository = other.ID
	b.hub.issues[other.ID] = []*graph.Issue{{}, {}, &moved}
	b.change(f.Remediation, func(m *graph.Remediation) {
		m.Issue.Repository, m.Issue.Number, m.Applied = other.ID, 3, ""
	})
	b.handle(f.Remediation)
	if strings.Contains(moved.Body, "pod-1") || !strings.Contains(moved.Body, "The repository is public") {
		t.Errorf("the issue in a public repository names what runs:\n%s", moved.Body)
	}
	b.finds(fixed(b.now))
	b.hub.head = 1
	b.runs(map[int]int{1: 2})
	b.now = b.now.Add(time.Hour)
	b.handle(f.Remediation)
	if moved.State != "closed" {
		t.Errorf("the issue is %s where it was transferred to", moved.State)
	}
	if n := len(b.hub.issues[repositoryID]); n != 1 || b.hub.issues[repositoryID][0].State != "open" {
		t.Errorf("%d issues in the repository of origin, and the old place was written to", n)
	}
}

// TestDeletedIssueStaysDeleted opens nothing again by itself.
func TestDeletedIssueStaysDeleted(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	f := b.finds(nil)
	b.handle(f.Remediation)
	b.change(f.Remediation, func(m *graph.Remediation) { m.Issue.Deleted, m.Applied = true, "" })
	calls := b.hub.calls["create"] + b.hub.calls["edit"]
	b.handle(f.Remediation)
	if now := b.hub.calls["create"] + b.hub.calls["edit"]; now != calls {
		t.Errorf("%d calls after a person deleted the issue", now-calls)
	}
}
