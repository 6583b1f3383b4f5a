package graph

import (
	"regexp"
	"strings"
)

// KindRecorded is the kind of what GitHub was told of a repository's deployments.
const KindRecorded Kind = "recorded"

// Deployment is one image that a workload runs, as GitHub's artifact metadata takes it.
type Deployment struct {
	Cluster    string   `json:"cluster"`
	Name       string   `json:"name"` // of the deployment, unique in its cluster
	Image      string   `json:"image"`
	Digest     Digest   `json:"digest"`
	Risks      []Factor `json:"risks,omitempty"`
	Repository string   `json:"repository"` // without its owner
	Gone       bool     `json:"gone,omitempty"`
}

// Recorded is what GitHub was told of the deployments and images of one repository.
type Recorded struct {
	Exposure    string       `json:"exposure"` // the version that it was told
	Deployments []Deployment `json:"deployments,omitempty"`
	Stored      []Digest     `json:"stored,omitempty"` // images whose registry it was told
}

// RecordedKey names what GitHub was told of a repository.
func RecordedKey(r RepositoryID) Key { return StateKey("recorded", string(r)) }

var notInClusterName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// clusterName is a cluster as GitHub takes it; what runs outside of one is grouped by its kind.
func clusterName(w ExposedWorkload) string {
	name := w.Cluster
	if name == "" {
		name = w.Kind
	}
	name = strings.Trim(notInClusterName.ReplaceAllString(name[strings.LastIndexByte(name, '/')+1:], "-"), "-")
	if name == "" {
		name = "other"
	}
	return name[:min(len(name), 128)]
}

// Deployments lists what runs of a repository, in the order of its exposure.
func (e Exposure) Deployments() []Deployment {
	_, short, _ := strings.Cut(e.FullName, "/")
	images := map[Digest]string{}
	for _, a := range e.Artifacts {
		images[a.Digest] = a.Name
	}
	var all []Deployment
	for _, w := range e.Workloads {
		for n, d := range w.Digests {
			if images[d] == "" {
				continue
			}
			id := strings.TrimPrefix(string(w.ID), "w-")
			name := clipped(short+"-"+w.Name, 200) + "-" + id[:min(len(id), 8)]
			if n > 0 { // a second image beside the first, while it is rolled out
				name += "-" + strings.TrimPrefix(string(d), "sha256:")[:8]
			}
			all = append(all, Deployment{Cluster: clusterName(w), Name: name, Image: clipped(images[d], 256), Digest: d, Risks: w.Risks(), Repository: short})
		}
	}
	return all
}

func clipped(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
