package graph

import "time"

// Workload is what runs: a Kubernetes controller and container, a bare pod, a Container App, a container group, a web app.
type Workload struct {
	ID   WorkloadID `json:"id"`
	Path string     `json:"path"` // full resource path as the source wrote it
	Name string     `json:"name"`
	// Kind: Deployment, StatefulSet, DaemonSet, CronJob, Job, Pod, ContainerApp, ContainerGroup, WebApp.
	Kind          string            `json:"kind"`
	Cloud         string            `json:"cloud,omitempty"` // Azure, AWS, GCP, other
	Subscription  string            `json:"subscription,omitempty"`
	ResourceGroup string            `json:"resourceGroup,omitempty"`
	Location      string            `json:"location,omitempty"`
	Cluster       string            `json:"cluster,omitempty"`
	Namespace     string            `json:"namespace,omitempty"`
	Container     string            `json:"container,omitempty"`
	Owner         string            `json:"owner,omitempty"`
	Tags          map[string]string `json:"tags,omitempty"`
	Running       []Running         `json:"running,omitempty"`
	Readings      []Reading         `json:"readings,omitempty"`
	// Scope is the collect scope that saw it last: only that scope's complete reading may retire it.
	Scope     string    `json:"scope,omitempty"`
	Gone      bool      `json:"gone,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	Ties
}

// Running is one image that a workload runs or ran.
type Running struct {
	Digest Digest `json:"digest,omitempty"` // empty while the tag is not resolved
	Image  string `json:"image,omitempty"`  // reference as the workload writes it
	// FirstSeen and LastSeen bound the time it was seen. LastSeen moves at most once a day.
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Ended     bool      `json:"ended,omitempty"` // the workload runs something else now
}

// Runs tells whether the workload runs the digest now.
func (w Workload) Runs(d Digest) bool {
	if w.Gone {
		return false
	}
	for _, r := range w.Running {
		if r.Digest == d && !r.Ended {
			return true
		}
	}
	return false
}

// Digests lists what the workload runs now, resolved digests only.
func (w Workload) Digests() []Digest {
	var ds []Digest
	for _, r := range w.Running {
		if !r.Ended && r.Digest != "" && !w.Gone {
			ds = append(ds, r.Digest)
		}
	}
	return ds
}
