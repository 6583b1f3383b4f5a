package ingest

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"throughline/shared/graph"
)

// deployed is the data of io.throughline.deployment.v1: workloads of any cluster, as whoever deploys them reports them.
type deployed struct {
	Workloads []deployedWorkload `json:"workloads"`
}

// deployedWorkload is a controller, or a pod without one. Path names it in full, for example
// clusters/west/namespaces/shop/deployments/api; each of its containers is a workload of the graph.
type deployedWorkload struct {
	Path        string            `json:"path"`
	Kind        string            `json:"kind"`
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Cluster     string            `json:"cluster"`
	Cloud       string            `json:"cloud"`
	Owner       string            `json:"owner"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Containers  []struct {
		Name   string `json:"name"`
		Image  string `json:"image"`
		Digest string `json:"digest"`
	} `json:"containers"`
	Deleted bool `json:"deleted"`
}

// risksAnnotation is where GitHub's own deployment tracker reads the risks of a workload.
const risksAnnotation = "metadata.github.com/runtime-risks"

// maxWorkloads bounds one event.
const maxWorkloads = 1000

// deployment observes workloads.
func deployment(h hearing) (told, error) {
	if err := h.trusted(); err != nil {
		return told{}, err
	}
	var d deployed
	if err := h.into(&d); err != nil {
		return told{}, err
	}
	if len(d.Workloads) == 0 || len(d.Workloads) > maxWorkloads {
		return told{}, errors.New("data.workloads must list 1 to 1000 workloads")
	}
	var t told
	for _, w := range d.Workloads {
		if strings.Trim(w.Path, "/") == "" || len(w.Containers) == 0 {
			t.skip("workload without a path or containers")
			continue
		}
		w.into(&t, h.at())
	}
	return t, nil
}

// into adds a workload for each container.
func (w deployedWorkload) into(t *told, at time.Time) {
	readings := w.readings(t, at)
	for _, c := range w.Containers {
		if c.Name == "" {
			t.skip("container without a name")
			continue
		}
		path := strings.TrimRight(w.Path, "/") + "/containers/" + c.Name
		noun := graph.Workload{
			ID: graph.NewWorkloadID(path), Path: path, Name: cmp.Or(w.Name, lastPart(w.Path)), Kind: cmp.Or(w.Kind, "Pod"), Cloud: cmp.Or(w.Cloud, "other"),
			Cluster: w.Cluster, Namespace: w.Namespace, Container: c.Name, Owner: w.Owner, Tags: w.Labels, Readings: readings, Gone: w.Deleted, UpdatedAt: at,
		}
		running := graph.Running{Image: c.Image, FirstSeen: at, LastSeen: at}
		if digest, err := graph.ParseDigest(cmp.Or(c.Digest, digestOf(c.Image))); err == nil {
			running.Digest = digest // correlate asks for its origin when it is new
		} else if c.Digest != "" {
			t.skip("container with an unusable digest")
		}
		noun.Running = []graph.Running{running}
		t.observation.Workloads = append(t.observation.Workloads, noun)
	}
}

// readings are the risk factors that the annotation names. It says yes; what it does not name stays unknown.
func (w deployedWorkload) readings(t *told, at time.Time) []graph.Reading {
	var all []graph.Reading
	for raw := range strings.SplitSeq(w.Annotations[risksAnnotation], ",") {
		raw = strings.TrimSpace(raw)
		factors := graph.ParseRiskFactor(raw)
		if raw != "" && len(factors) == 0 {
			t.skip("risk that is not understood")
		}
		for _, f := range factors {
			all = append(all, graph.Reading{Factor: f, Source: "event", Says: graph.Yes, Raw: raw, Path: risksAnnotation, ReadAt: at, YesAt: at})
		}
	}
	return all
}

func lastPart(path string) string {
	path = strings.TrimRight(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// digestOf is the digest of a reference name@sha256:….
func digestOf(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}
