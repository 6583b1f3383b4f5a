package assign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// hub is a GitHub as far as assign sees one: issues, comments, alerts' assignees and one line of commits a repository.
type hub struct {
	mu       sync.Mutex
	issues   map[graph.RepositoryID][]*graph.Issue
	comments map[string][]string // repository#number
	assigned map[string][]string // repository kind number
	commits  []string            // oldest first
	head     int                 // place of the default branch
	drops    bool                // labels and assignees are silently dropped
	calls    map[string]int
	clock    func() time.Time
	// fault may break a call before or after it took effect.
	fault func(call string, after bool) error
}

var errBroken = errors.New("connection reset")

func newHub(clock func() time.Time) *hub {
	return &hub{issues: map[graph.RepositoryID][]*graph.Issue{}, comments: map[string][]string{}, assigned: map[string][]string{}, calls: map[string]int{}, clock: clock}
}

// do runs one call with its faults around it.
func (h *hub) do(ctx context.Context, call string, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[call]++
	if h.fault != nil {
		if err := h.fault(call, false); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if h.fault != nil {
		return h.fault(call, true)
	}
	return nil
}

func (h *hub) CreateIssue(ctx context.Context, r graph.Repository, d graph.IssueDraft) (graph.Issue, error) {
	var made graph.Issue
	err := h.do(ctx, "create", func() error {
		n := len(h.issues[r.ID]) + 1
		i := &graph.Issue{Repository: r.ID, Number: n, State: "open", Title: d.Title, Body: d.Body, URL: fmt.Sprintf("https://github.com/%s/issues/%d", r.FullName(), n), UpdatedAt: h.clock()}
		if !h.drops {
			i.Labels, i.Assignees = slices.Clone(d.Labels), slices.Clone(d.Assignees)
		}
		h.issues[r.ID] = append(h.issues[r.ID], i)
		made = *i
		return nil
	})
	return made, err
}

func (h *hub) EditIssue(ctx context.Context, r graph.Repository, number int, e graph.IssueEdit) (graph.Issue, error) {
	var now graph.Issue
	err := h.do(ctx, "edit", func() error {
		i := h.issues[r.ID][number-1]
		if e.Title != nil {
			i.Title = *e.Title
		}
		if e.Body != nil {
			i.Body = *e.Body
		}
		if e.Labels != nil {
			i.Labels = slices.Clone(e.Labels)
		}
		if e.Assignees != nil {
			i.Assignees = slices.Clone(e.Assignees)
		}
		if e.State != "" {
			i.State, i.StateReason = e.State, e.StateReason
		}
		i.UpdatedAt = h.clock()
		now = *i
		return nil
	})
	return now, err
}

func (h *hub) FindIssues(ctx context.Context, r graph.Repository, since time.Time) ([]graph.Issue, error) {
	var found []graph.Issue
	err := h.do(ctx, "find", func() error {
		for _, i := range h.issues[r.ID] {
			if !i.UpdatedAt.Before(since) {
				found = append(found, *i)
			}
		}
		return nil
	})
	return found, err
}

func (h *hub) CommentIssue(ctx context.Context, r graph.Repository, number int, body string) error {
	return h.do(ctx, "comment", func() error {
		key := fmt.Sprintf("%s#%d", r.ID, number)
		h.comments[key] = append(h.comments[key], body)
		return nil
	})
}

func (h *hub) FindComments(ctx context.Context, r graph.Repository, number int, _ time.Time) (found []string, err error) {
	err = h.do(ctx, "comments", func() error {
		found = slices.Clone(h.comments[fmt.Sprintf("%s#%d", r.ID, number)])
		return nil
	})
	return found, err
}

func (h *hub) PatchAlertAssignees(ctx context.Context, r graph.Repository, kind graph.AlertKind, number int, logins []string) error {
	return h.do(ctx, "alert", func() error {
		h.assigned[fmt.Sprintf("%s %s %d", r.ID, kind, number)] = logins
		return nil
	})
}

// Compare knows one line of commits; main is where the default branch stands.
func (h *hub) Compare(ctx context.Context, _ graph.Repository, base, head string) (is bool, err error) {
	err = h.do(ctx, "compare", func() error {
		b, e := slices.Index(h.commits, base), slices.Index(h.commits, head)
		if base == "main" {
			b = h.head
		}
		if b < 0 || e < 0 {
			return graph.ErrNotFound
		}
		is = b <= e
		return nil
	})
	return is, err
}

// bench is a stage with its world.
type bench struct {
	t     *testing.T
	stage *Stage
	store graph.Store
	hub   *hub
	now   time.Time
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, store: graph.NewMemory(), now: noon}
	clock := func() time.Time { return b.now }
	b.hub = newHub(clock)
	b.hub.commits = []string{sha(1), sha(2), sha(3), sha(4)}
	policy := decision.DefaultPolicy()
	b.stage = &Stage{Store: b.store, Tracker: b.hub, Speaker: b.hub, History: b.hub, Alerts: b.hub, Policy: func() *decision.Policy { return policy }, Mode: Auto,
		Marker: Marker{Key: []byte("0123456789abcdef")}, Process: "p1", Now: clock, Log: slog.New(slog.DiscardHandler)}
	return b
}

func sha(n int) string { return strings.Repeat(fmt.Sprintf("%04d", n), 10) }

func imageOf(n int) graph.Digest { return graph.Digest(fmt.Sprintf("sha256:%064x", n)) }

// put stores a noun as correlate or prioritize would.
func put[T any](b *bench, k graph.Key, kind graph.Kind, v T) {
	b.t.Helper()
	w, err := graph.NewWrite(k, kind, graph.Any, v)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.store.Write(context.Background(), w); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) repository(change func(*graph.Repository)) graph.Repository {
	r := graph.Repository{ID: repositoryID, Org: "github-org-1", Owner: "shop", Name: "api", Visibility: "private", URL: "https://github.com/shop/api", DefaultBranch: "main", Installation: 7}
	if change != nil {
		change(&r)
	}
	put(b, graph.RepositoryKey(r.ID), graph.KindRepository, r)
	return r
}

// runs says which images run: one workload for each digest.
func (b *bench) runs(images map[int]int) {
	x := graph.Exposure{Repository: repositoryID, Org: "github-org-1", FullName: "shop/api", Images: true, Inventory: true}
	for _, w := range []int{1, 2, 3} {
		image, some := images[w]
		if !some {
			continue
		}
		d := imageOf(image)
		x.Workloads = append(x.Workloads, graph.ExposedWorkload{ID: graph.WorkloadID(fmt.Sprint("w-", w)), Name: fmt.Sprint("pod-", w), Kind: "Pod", Cluster: "aks", Digests: []graph.Digest{d}})
		if !slices.ContainsFunc(x.Artifacts, func(a graph.ExposedArtifact) bool { return a.Digest == d }) {
			x.Artifacts = append(x.Artifacts, graph.ExposedArtifact{Digest: d, Name: "acr.example/shop/api", Method: graph.AttestationRecord, Commit: sha(image)})
		}
	}
	put(b, graph.ExposureKey(repositoryID), graph.KindExposure, x.Sealed())
}

// finds stores a finding with its decision.
func (b *bench) finds(change func(*graph.Finding)) graph.Finding {
	f := finding(graph.Dependabot, words{})
	f.Matches = nil
	f.Decision = decided(b.t, f, words{})
	f.Remediation = graph.NewRemediationID(repositoryID, f.FixKey)
	if change != nil {
		change(&f)
	}
	put(b, graph.FindingKey(repositoryID, f.ID), graph.KindFinding, f)
	return f
}

// fixed closes the alert at a time.
func fixed(at time.Time) func(*graph.Finding) {
	return func(f *graph.Finding) {
		f.State, f.Alert.State, f.Alert.ClosedAt, f.Alert.UpdatedAt = graph.Fixed, graph.Fixed, at, at
	}
}

// handle lets the stage look at a remediation, and again when it asks to.
func (b *bench) handle(id graph.RemediationID) []event.Event {
	b.t.Helper()
	e, err := event.NewDue("/test", event.Due{Repository: repositoryID, Remediation: id})
	if err != nil {
		b.t.Fatal(err)
	}
	said, err := b.stage.Handle(context.Background(), e)
	if err != nil {
		b.t.Fatal(err)
	}
	return said
}

func (b *bench) remediation(id graph.RemediationID) graph.Remediation {
	b.t.Helper()
	m, err := graph.Get[graph.Remediation](context.Background(), b.store, graph.RemediationKey(repositoryID, id))
	if err != nil {
		b.t.Fatal(err)
	}
	return m.Value
}

// person changes the issue as correlate would after a webhook.
func (b *bench) person(id graph.RemediationID, change func(*graph.Issue)) {
	b.t.Helper()
	_, _, err := graph.Update(context.Background(), b.store, graph.RemediationKey(repositoryID, id), graph.KindRemediation, func(old graph.Versioned[graph.Remediation]) (graph.Remediation, bool, error) {
		next := old.Value
		i := *next.Issue
		i.Actor, i.UpdatedAt = "alice", b.now
		change(&i)
		next.Issue, next.Assignees = &i, i.Assignees
		*b.hub.issues[repositoryID][i.Number-1] = i
		return next, true, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// change alters the stored remediation, as correlate does.
func (b *bench) change(id graph.RemediationID, alter func(*graph.Remediation)) {
	b.t.Helper()
	m := b.remediation(id)
	alter(&m)
	put(b, graph.RemediationKey(repositoryID, id), graph.KindRemediation, m)
}
