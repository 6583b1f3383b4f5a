package assign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// life ends in the middle of any call: from then on nothing that the process does has an effect.
type life struct {
	graph.Store
	left int // calls until the end; below zero: it lives on
}

var errKilled = errors.New("killed")

// beat is one call of the process, or its end.
func (l *life) beat() error {
	if l.left == 0 {
		return errKilled
	}
	l.left--
	return nil
}

func (l *life) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	if err := l.beat(); err != nil {
		return graph.Document{}, err
	}
	return l.Store.Read(ctx, k)
}

func (l *life) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	if err := l.beat(); err != nil {
		return graph.Page{}, err
	}
	return l.Store.Query(ctx, q)
}

// Write may end after its effect: the process dies before it learns of it.
func (l *life) Write(ctx context.Context, changes ...graph.Write) error {
	if err := l.beat(); err != nil {
		return err
	}
	if err := l.Store.Write(ctx, changes...); err != nil {
		return err
	}
	return l.beat()
}

// town is 50 repositories with all their findings.
type town struct {
	*bench
	life     *life
	random   *rand.Rand
	findings map[graph.RemediationID]graph.Finding
	faulty   bool
	kills    int
	errors   int
}

func newTown(t *testing.T, seed uint64) *town {
	b := newBench(t)
	w := &town{bench: b, life: &life{Store: b.store, left: -1}, random: rand.New(rand.NewPCG(seed, 1)), findings: map[graph.RemediationID]graph.Finding{}}
	b.stage.Store = w.life
	b.stage.Budget = &Budget{Store: w.life, Limits: graph.Limits{PerMinute: 80, PerHour: 500}, Now: b.stage.Now}
	b.hub.head = 1
	b.hub.fault = func(_ string, after bool) error {
		if err := w.life.beat(); err != nil {
			return err
		}
		if w.faulty && w.random.IntN(10) == 0 {
			return fmt.Errorf("%w (after the effect: %v)", errBroken, after)
		}
		return nil
	}
	return w
}

func townID(n int) graph.RepositoryID { return graph.NewRepositoryID("github", int64(1000+n)) }

// settle writes the facts of one repository.
func (w *town) settle(n, findings int, images [2]int, shut bool) {
	id := townID(n)
	put(w.bench, graph.RepositoryKey(id), graph.KindRepository, graph.Repository{ID: id, Org: "github-org-1", Owner: "shop", Name: fmt.Sprint("r", n), Visibility: "private",
		URL: fmt.Sprint("https://github.com/shop/r", n), DefaultBranch: "main", Installation: 7})
	x := graph.Exposure{Repository: id, Org: "github-org-1", FullName: fmt.Sprint("shop/r", n), Images: true, Inventory: true}
	for i, image := range images {
		d := imageOf(1000*n + image)
		x.Workloads = append(x.Workloads, graph.ExposedWorkload{ID: graph.WorkloadID(fmt.Sprint("w-", i)), Name: fmt.Sprint("pod-", i), Kind: "Pod", Digests: []graph.Digest{d}})
		if i == 0 || image != images[0] {
			x.Artifacts = append(x.Artifacts, graph.ExposedArtifact{Digest: d, Name: "api", Method: graph.AttestationRecord, Commit: sha(image)})
		}
	}
	put(w.bench, graph.ExposureKey(id), graph.KindExposure, x.Sealed())
	template := finding(graph.Dependabot, words{})
	template.Matches, template.Decision = nil, decided(w.t, template, words{})
	for i := range findings {
		f := template
		a, d := *template.Alert, *template.Alert.Dependency
		d.Package, a.Number, a.Repository = fmt.Sprint("package-", i), i+1, id
		a.ID, a.Dependency = graph.NewAlertID(id, graph.Dependabot, i+1), &d
		f.ID, f.Repository, f.Alert, f.FixKey = a.ID, id, &a, a.FixKey()
		f.Remediation = graph.NewRemediationID(id, f.FixKey)
		if shut {
			fixed(w.now)(&f)
		}
		put(w.bench, graph.FindingKey(id, f.ID), graph.KindFinding, f)
		w.findings[f.Remediation] = f
	}
}

// work hands out every remediation until all rest, while the process is killed again and again.
func (w *town) work() {
	type message struct {
		event.Event
		at time.Time
	}
	var queue []message
	for id, f := range w.findings {
		e, err := event.NewDue("/test", event.Due{Repository: f.Repository, Remediation: id})
		if err != nil {
			w.t.Fatal(err)
		}
		queue = append(queue, message{e, w.now})
	}
	for turns := 0; len(queue) > 0; turns++ {
		if turns > 100*len(w.findings) {
			w.t.Fatalf("%d messages do not come to rest", len(queue))
		}
		i := w.random.IntN(len(queue))
		m := queue[i]
		if m.at.After(w.now) {
			for _, other := range queue {
				if other.at.Before(m.at) {
					m = other
				}
			}
			i = -1
			for j := range queue {
				if queue[j].ID == m.ID {
					i = j
				}
			}
			w.now = maxTime(w.now, m.at)
		}
		queue[i] = queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		w.now = w.now.Add(10 * time.Millisecond)
		if w.life.left = -1; w.faulty && w.random.IntN(4) == 0 {
			w.life.left = w.random.IntN(40)
		}
		said, err := w.stage.Handle(context.Background(), m.Event)
		if w.life.left == 0 { // whatever it answered, nobody heard it
			w.kills++
			w.stage.Process = fmt.Sprint("p", w.kills)
			queue = append(queue, message{m.Event, w.now.Add(time.Duration(w.random.IntN(60)) * time.Second)})
			continue
		}
		if err != nil {
			w.errors++
			queue = append(queue, message{m.Event, w.now})
		}
		for _, e := range said {
			queue = append(queue, message{e, maxTime(e.NotBefore, w.now)})
		}
	}
	w.life.left = -1
}

// check compares what GitHub has with what should be.
func (w *town) check(phase string, state func(graph.Finding) string) {
	w.t.Helper()
	lost, doubled, wrong := 0, 0, 0
	for id, f := range w.findings {
		var own []graph.Issue
		for _, i := range w.hub.issues[f.Repository] {
			if found, ok := w.stage.Marker.Read(i.Body); ok && found == id {
				own = append(own, *i)
			}
		}
		switch {
		case len(own) == 0:
			lost++
		case len(own) > 1:
			doubled++
		case own[0].State != state(f):
			wrong++
		}
	}
	w.t.Logf("%s: %d issues, %d kills, %d failed calls; %d lost, %d doubled, %d in the wrong state", phase, len(w.findings), w.kills, w.errors, lost, doubled, wrong)
	if lost+doubled+wrong > 0 {
		w.t.Errorf("%s: %d lost, %d doubled, %d in the wrong state", phase, lost, doubled, wrong)
	}
}

// TestKilledAtRandom runs the stage over many findings while the tracker fails before and after its effects and the
// process dies in the middle of its calls: 1,000 findings and 5 seeds in the long run.
func TestKilledAtRandom(t *testing.T) {
	seeds, each := []uint64{1}, 4
	if os.Getenv("THROUGHLINE_LONG") != "" {
		seeds, each = []uint64{1, 2, 3, 4, 5}, 20
	}
	const repositories = 50
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newTown(t, seed)
			w.faulty = true
			for n := range repositories {
				w.settle(n, each, [2]int{1, 1}, false)
			}
			w.work()
			w.check("opened", func(graph.Finding) string { return "open" })
			// A third is mended and runs, a third is mended and half deployed, a third is not mended.
			w.now = w.now.Add(time.Hour)
			for n := range repositories {
				switch n % 3 {
				case 0:
					w.settle(n, each, [2]int{2, 2}, true)
				case 1:
					w.settle(n, each, [2]int{1, 2}, true)
				}
			}
			w.work()
			w.check("mended", func(f graph.Finding) string {
				if (f.Repository.Number()-1000)%3 == 0 {
					return "closed"
				}
				return "open"
			})
			// The first third comes back.
			w.now = w.now.Add(time.Hour)
			for n := 0; n < repositories; n += 3 {
				w.settle(n, each, [2]int{1, 1}, false)
			}
			w.work()
			w.check("back", func(graph.Finding) string { return "open" })
			if w.kills < len(w.findings)/10 || w.errors < len(w.findings)/10 {
				t.Errorf("%d kills, %d failed calls: the test is too kind", w.kills, w.errors)
			}
		})
	}
}
