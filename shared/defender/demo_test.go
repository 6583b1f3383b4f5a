package defender_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/demo"
	"throughline/shared/defender"
	"throughline/shared/graph"
)

// collected is all that a scope holds.
func collected(t *testing.T, c *defender.Client, scope string) (all graph.Collected) {
	t.Helper()
	all.Skipped = map[string]int{}
	q := graph.Collection{Source: defender.Source, Scope: scope, StartedAt: time.Now()}
	for {
		got, err := c.Read(t.Context(), q)
		var limited *graph.Limited
		if errors.As(err, &limited) {
			time.Sleep(time.Until(limited.Until))
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		o := &all.Observation
		o.Workloads = append(o.Workloads, got.Observation.Workloads...)
		o.RuntimeFindings = append(o.RuntimeFindings, got.Observation.RuntimeFindings...)
		o.Readings = append(o.Readings, got.Observation.Readings...)
		for why, n := range got.Skipped {
			all.Skipped[why] += n
		}
		if q.Cursor = got.Next; q.Cursor == "" {
			return all
		}
	}
}

// TestDemo compares what is read of a whole tenant with the truth of the one who made it up.
func TestDemo(t *testing.T) {
	d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := defender.Open(defender.Options{ARM: d.AzureURL()})
	if err != nil {
		t.Fatal(err)
	}
	truth := d.Expected()
	inventory, findings, paths := collected(t, c, "workloads"), collected(t, c, "findings"), collected(t, c, "attackpaths")
	for _, got := range []graph.Collected{inventory, findings, paths} {
		for why, n := range got.Skipped {
			if !strings.HasPrefix(why, "factor not understood") && !strings.HasPrefix(why, "attack path through a cluster") {
				t.Errorf("skipped %d: %s", n, why)
			}
		}
	}
	workloads := map[graph.WorkloadID]graph.Workload{}
	for _, w := range slices.Concat(inventory.Observation.Workloads, findings.Observation.Workloads) {
		workloads[w.ID] = w
	}
	scanned := map[graph.Digest]bool{}
	for _, f := range findings.Observation.RuntimeFindings {
		scanned[f.Digest] = true
		if f.Software == "" || len(f.CVEs) == 0 {
			t.Errorf("finding %+v", f)
		}
	}
	for _, want := range truth.WorkloadList {
		w, ok := workloads[graph.NewWorkloadID(want.Path)]
		if !ok {
			if want.Cluster == "" || scanned[graph.Digest(want.Digest)] {
				t.Errorf("not found: %s", want.Path)
			}
			continue
		}
		delete(workloads, w.ID)
		if w.Namespace != want.Namespace || want.Cluster != "" && !w.Runs(graph.Digest(want.Digest)) {
			t.Errorf("%s: %+v", want.Path, w)
		}
		compare(t, want, w.Readings)
	}
	for _, w := range workloads {
		t.Errorf("made up: %s", w.Path)
	}
}

// compare holds the readings of a workload against its true factors: what is said must be so, and where Defender looked
// at the running container every factor must be answered.
func compare(t *testing.T, want demo.ExpectedWorkload, readings []graph.Reading) {
	t.Helper()
	for _, f := range graph.Factors {
		truly := slices.Contains(want.Factors, string(f))
		answered := false
		for _, r := range readings {
			if r.Factor != f || !r.Says.Known() {
				continue
			}
			answered = true
			if (r.Says == graph.Yes) != truly {
				t.Errorf("%s: %s from %s says %s (%s)", want.Path, f, r.Source, r.Says, r.Raw)
			}
		}
		if want.Evaluated && !answered {
			t.Errorf("%s: nothing known of %s", want.Path, f)
		}
	}
}
