package main

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// TestLargeMapping reads the large estate (2,000 repositories, 10,000 images, 50,000 workloads, 60,000 alerts) and compares
// the mapping with what its maker knows, by method. What is verified must be right and complete.
func TestLargeMapping(t *testing.T) {
	if os.Getenv("THROUGHLINE_LONG") != "1" {
		t.Skip("long: set THROUGHLINE_LONG=1")
	}
	r := newReading(t, "large")
	r.cut.whole = true
	begun := time.Now()
	r.full()
	t.Logf("read in %.0f s, %d messages lost", time.Since(begun).Seconds(), r.lost)
	lines := map[graph.Digest]graph.ArtifactLine{}
	all, err := graph.ListAll[graph.ArtifactLine](context.Background(), r.store, graph.Query{Container: graph.StateContainer, Partition: graph.ArtifactsPartition})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		lines[l.Digest] = l
	}
	x := r.demo.Expected()
	right, wrong, can, did := map[graph.Method]int{}, map[graph.Method]int{}, map[string]int{}, map[string]int{}
	for _, i := range x.ImageList {
		want := graph.RepositoryID("")
		if i.Repository != 0 {
			want = graph.NewRepositoryID("github", i.Repository)
		}
		mapped := graph.RepositoryID("")
		for _, d := range i.Closure {
			l := lines[graph.Digest(d)]
			switch {
			case l.Repository == "":
			case l.Repository == want:
				right[l.Method]++
				mapped = want
			default:
				wrong[l.Method]++
				t.Logf("%s maps to %s by %s, built by %s (evidence %v)", d, l.Repository, l.Method, want, i.Evidence)
			}
		}
		if i.Running == 0 {
			continue // an image that only lies in the registry is not looked for
		}
		for _, by := range i.Evidence {
			if strings.HasSuffix(by, "-label") {
				continue
			}
			can[by]++
			if mapped == want {
				did[by]++
			}
		}
	}
	for _, m := range graph.Methods {
		if n := right[m] + wrong[m]; n > 0 {
			t.Logf("precision of %s: %d of %d digests", m, right[m], n)
		}
	}
	for _, by := range sortedKeys(can) {
		t.Logf("recall of images with evidence %s: %d of %d", by, did[by], can[by])
	}
	if wrong[graph.VerifiedAttestation] > 0 || right[graph.VerifiedAttestation] == 0 || did["attestation"] != can["attestation"] {
		t.Error("verified evidence is not complete or not right")
	}
	r.ask(t, lines, x.Workloads)
}

// ask asks the mapping questions both ways and tells how long the answers take, over the memory store.
func (r *reading) ask(t *testing.T, lines map[graph.Digest]graph.ArtifactLine, workloads int) {
	g := graph.Graph{Store: r.store}
	ctx := context.Background()
	places, err := graph.Places(ctx, r.store)
	if err != nil {
		t.Fatal(err)
	}
	if len(places) < workloads {
		t.Errorf("%d workloads in the graph, %d run", len(places), workloads)
	}
	var took []time.Duration
	question := func(f func() error) {
		begun := time.Now()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	n := 0
	for d, l := range lines {
		if n++; n > 2000 {
			break
		}
		question(func() error { _, err := g.Artifact(ctx, d); return err })
		if l.Repository != "" {
			question(func() error { _, err := g.Repository(ctx, l.Repository); return err })
		}
		question(func() error { _, err := g.Workload(ctx, places[n*7%len(places)].Workload); return err })
	}
	slices.Sort(took)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d questions: p50 %s, p99 %s; heap with the whole graph and the stand-ins %d MB", len(took), took[len(took)/2], took[len(took)*99/100], m.HeapAlloc>>20)
}
