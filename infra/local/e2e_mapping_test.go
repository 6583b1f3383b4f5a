package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"throughline/infra/local/demo"
)

// TestE2EMapping compares the graph with what the maker of the estate knows: every image with right evidence maps to its
// repository, none to another, and every workload is there.
func TestE2EMapping(t *testing.T) {
	endToEnd(t)
	data := t.TempDir()
	c := start(t, freePorts(t), "-data", data)
	c.settled(4 * time.Minute)
	mapped := c.mapping()
	proven := c.proven(mapped)
	summary, err := c.get("functions", "/api/summary")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.wait(30 * time.Second)
	truth := expected(t, filepath.Join(data, "demo"))
	for _, i := range truth.ImageList {
		want := ""
		if i.Mappable() && i.Repository != 0 {
			want = fmt.Sprintf("github-%d", i.Repository)
		}
		for _, d := range i.Closure {
			if got, known := mapped[d]; known && got != want {
				t.Errorf("%s (%s, evidence %v) maps to %q, want %q", i.Reference, d[:19], i.Evidence, got, want)
			}
		}
		if slices.Contains(i.Evidence, "attestation") && mapped[i.Digest] != "" && !proven[i.Digest] {
			t.Errorf("%s (%s) is attested, and its signature is not seen as verified", i.Reference, i.Digest[:19])
		}
		if i.Running > 0 && !slices.ContainsFunc(i.Closure, func(d string) bool { _, known := mapped[d]; return known }) {
			t.Errorf("%s runs and is not in the graph", i.Reference)
		}
	}
	var sum struct{ Workloads int }
	if err := json.Unmarshal(summary, &sum); err != nil || sum.Workloads != truth.Workloads {
		t.Errorf("%d workloads in the graph, %d run (%v)", sum.Workloads, truth.Workloads, err)
	}
}

// mapping reads which repository each image maps to; empty for none.
func (c *command) mapping() map[string]string {
	c.t.Helper()
	body, err := c.get("functions", "/api/artifacts")
	if err != nil {
		c.t.Fatal(err)
	}
	var page struct {
		Items []struct{ Digest, Repository string }
	}
	if err := json.Unmarshal(body, &page); err != nil {
		c.t.Fatal(err)
	}
	mapped := map[string]string{}
	for _, i := range page.Items {
		mapped[i.Digest] = i.Repository
	}
	return mapped
}

// proven tells which of the images map by a signature that was verified.
func (c *command) proven(mapped map[string]string) map[string]bool {
	c.t.Helper()
	out := map[string]bool{}
	for d := range mapped {
		body, err := c.get("functions", "/api/artifacts/"+d)
		if err != nil {
			c.t.Fatal(err)
		}
		var view struct {
			Evidence []struct{ Method, Repository, Refused, Note string }
		}
		if err := json.Unmarshal(body, &view); err != nil {
			c.t.Fatal(err)
		}
		for _, e := range view.Evidence {
			out[d] = out[d] || e.Method == "attestation-verified" && e.Refused == "" && e.Repository == mapped[d]
		}
	}
	return out
}

func expected(t *testing.T, dir string) demo.Expected {
	t.Helper()
	d, err := demo.Start(context.Background(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 1, Estate: "small", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return d.Expected()
}
