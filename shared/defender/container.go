package defender

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"throughline/shared/graph"
)

// kubernetes is where a container runs. Where a row holds these keys is not documented: two places are read.
type kubernetes struct {
	ClusterName       text `json:"clusterName"`
	ClusterResourceID text `json:"clusterResourceId"`
	Namespace         text `json:"namespace"`
	ControllerKind    text `json:"controllerKind"`
	ControllerName    text `json:"controllerName"`
	PodName           text `json:"podName"`
	ContainerName     text `json:"containerName"`
}

// place is the row's context, from whichever part of the row has it.
func (s *seenRow) place() kubernetes {
	a, b := s.ResourceAdditionalData.V.kubernetes, s.AdditionalData.V.kubernetes
	return kubernetes{or(a.ClusterName, b.ClusterName), or(a.ClusterResourceID, b.ClusterResourceID), or(a.Namespace, b.Namespace),
		or(a.ControllerKind, b.ControllerKind), or(a.ControllerName, b.ControllerName), or(a.PodName, b.PodName), or(a.ContainerName, b.ContainerName)}
}

// workload names the container: `<cluster>/namespaces/<namespace>/<kind>/<name>/containers/<container>`, for a pod
// without a controller `…/pods/<name>/containers/<container>`. A row without that context is known by its resource only.
func (s *seenRow) workload() (w graph.Workload, named bool) {
	k, details := s.place(), s.ResourceDetails.V
	w = graph.Workload{
		Cloud: or(details.Source, "Azure").String(), Subscription: s.SubscriptionID.String(), ResourceGroup: s.ResourceGroup.String(),
		Location: s.Location.String(), Cluster: k.ClusterName.String(), Namespace: k.Namespace.String(), Container: or(k.ContainerName, details.ResourceName).String(),
	}
	cluster := strings.TrimRight(or(k.ClusterResourceID, text(clusterOf(details.ID.String()))).String(), "/")
	kind, name := controller(k)
	if cluster == "" || k.Namespace == "" || name == "" || w.Container == "" {
		w.Kind, w.Name, w.Path = "Pod", or(details.ResourceName, s.Name).String(), or(details.ID, s.row.ID).String()
		w.ID = graph.NewWorkloadID(w.Path)
		return w, false
	}
	w.Kind, w.Name = kind, name
	w.Path = kubernetesPath(cluster, w)
	w.ID = graph.NewWorkloadID(w.Path)
	if w.Cluster == "" {
		w.Cluster = cluster[strings.LastIndexByte(cluster, '/')+1:]
	}
	return w, true
}

func kubernetesPath(cluster string, w graph.Workload) string {
	kind := strings.ToLower(w.Kind)
	if kind == "pod" {
		kind = "pods"
	}
	return fmt.Sprintf("%s/namespaces/%s/%s/%s/containers/%s", cluster, w.Namespace, kind, w.Name, w.Container)
}

var clusterForm = regexp.MustCompile(`(?i)^.*/providers/microsoft\.(?:containerservice/managedclusters|kubernetes/connectedclusters)/[^/]+`)

// clusterOf is the cluster that a resource id lies in; empty for none.
func clusterOf(id string) string { return clusterForm.FindString(id) }

var (
	// podHash is the suffix that a Deployment gives to its replica sets; Kubernetes leaves vowels and look-alikes out.
	podHash = regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5,10}$`)
	// jobTime is the suffix that a CronJob gives to its jobs: minutes since 1970.
	jobTime = regexp.MustCompile(`-[0-9]{8}$`)
	kinds   = []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod", "ReplicaSet", "ReplicationController"}
)

// controller is the kind and name that stay the same from one rollout or one run to the next.
func controller(k kubernetes) (kind, name string) {
	kind, name = k.ControllerKind.String(), k.ControllerName.String()
	for _, known := range kinds {
		if strings.EqualFold(known, kind) {
			kind = known
		}
	}
	switch {
	case kind == "" || name == "" || kind == "Pod":
		return "Pod", or(k.PodName, k.ControllerName).String()
	case kind == "ReplicaSet" && podHash.MatchString(name):
		return "Deployment", podHash.ReplaceAllString(name, "")
	case kind == "Job" && jobTime.MatchString(name):
		return "CronJob", jobTime.ReplaceAllString(name, "")
	}
	return kind, name
}

// sighting is one container with all its rows of the page.
type sighting struct {
	workload graph.Workload
	open     []graph.Running // images of rows that are not healthy
	healthy  graph.Running   // image of the newest healthy row
	since    time.Time
	rated    bool // a row about an open finding carries a risk
	verdict  verdict
	paths    pathRole
}

// containers makes one workload of all rows about a container and ties their findings to it.
func (r *reading) containers(seen []*seenRow, onPaths func(*seenRow, graph.Workload) pathRole) {
	byID := map[graph.WorkloadID]*sighting{}
	var order []*sighting
	for _, s := range seen {
		if s.isImage() {
			continue
		}
		w, named := s.workload()
		if !named {
			r.skipped.note("container without its place in the cluster")
		}
		c := byID[w.ID]
		if c == nil {
			c = &sighting{workload: w, verdict: verdict{}}
			byID[w.ID], order = c, append(order, c)
		}
		s.finding.Workload = w.ID
		c.add(r, s, onPaths(s, w))
	}
	for _, c := range order {
		c.workload.Running, c.workload.Scope, c.workload.UpdatedAt = c.running(), r.scopeID, r.at
		c.workload.Readings = c.readings(r.at)
		r.out.Observation.Workloads = append(r.out.Observation.Workloads, c.workload)
		r.see(graph.KindWorkload, string(c.workload.ID))
	}
}

func (c *sighting) add(r *reading, s *seenRow, role pathRole) {
	run := graph.Running{Digest: s.finding.Digest, Image: s.image()}
	same := func(o graph.Running) bool { return o.Digest == run.Digest }
	if s.finding.State != graph.Open {
		// Defender may keep a healthy row for the image that ran before; only without any open row is it believed.
		if changed := s.finding.UpdatedAt; c.healthy.Digest == "" || changed.After(c.since) {
			c.healthy, c.since = run, changed
		}
		return
	}
	if !slices.ContainsFunc(c.open, same) {
		c.open = append(c.open, run)
	}
	if s.rated {
		c.rated = true
		c.verdict.hear(r, s)
		c.paths.merge(role)
	}
}

func (c *sighting) running() []graph.Running {
	if len(c.open) > 0 {
		return c.open
	}
	return []graph.Running{c.healthy}
}
