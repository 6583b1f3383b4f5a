package estate

import (
	"fmt"
	"strings"
)

// Factors of risk, in the words of the mapping graph.
var Factors = [...]string{"internet-exposed", "sensitive-data", "critical-resource", "lateral-movement"}

// The indexes into Factors and Workload.Factors.
const (
	Internet = iota
	Sensitive
	Critical
	Lateral
)

// Cluster is an AKS cluster.
type Cluster struct {
	Name, Region, ResourceGroup, Subscription string
}

// ID is the cluster's resource id, in the mixed case that ARM uses.
func (c Cluster) ID() string {
	return "/subscriptions/" + c.Subscription + "/resourceGroups/" + c.ResourceGroup + "/providers/Microsoft.ContainerService/managedClusters/" + c.Name
}

// Workload is one thing that runs one image.
type Workload struct {
	Platform       platform
	Name           string // Container App, container group or site; on AKS the controller or the pod
	Subscription   string
	ResourceGroup  string
	Region         string
	Cluster        int // index; -1 outside AKS
	Namespace      string
	ControllerKind string // "" for a bare pod
	Pod, Container string
	Image          int
	Variant        int  // which platform manifest the node reports
	ByIndex        bool // the runtime reports the index digest
	ByTag          bool // the image is named by tag
	Factors        [4]bool
	Contextual     int // 2: Defender evaluated the workload; 1: the level mirrors severity; 0: no risk object
}

// OnAKS tells whether Resource Graph knows the workload through Defender only.
func (w Workload) OnAKS() bool { return w.Platform == aks || w.Platform == pod }

// IsContainerApp, IsContainerGroup and IsWebApp tell the other platforms apart.
func (w Workload) IsContainerApp() bool { return w.Platform == containerApp }

// IsContainerGroup tells whether the workload is a container group.
func (w Workload) IsContainerGroup() bool { return w.Platform == containerGroup }

// IsWebApp tells whether the workload is a web app for containers.
func (w Workload) IsWebApp() bool { return w.Platform == webApp }

// Kind names the platform in words.
func (w Workload) Kind() string {
	return [...]string{"kubernetes", "pod", "container-app", "container-group", "web-app"}[w.Platform]
}

// ResourceID is the id of the workload's own ARM resource, or on AKS of the container in Defender's inventory.
func (e *Estate) ResourceID(w Workload) string {
	group := "/subscriptions/" + w.Subscription + "/resourceGroups/" + w.ResourceGroup + "/providers/"
	switch w.Platform {
	case containerApp:
		return group + "Microsoft.App/containerApps/" + w.Name
	case containerGroup:
		return group + "Microsoft.ContainerInstance/containerGroups/" + w.Name
	case webApp:
		return group + "Microsoft.Web/sites/" + w.Name
	}
	return e.Clusters[w.Cluster].ID() + "/securityEntityData/container-" + w.Namespace + "-" + w.Name + "-" + w.Container
}

func (e *Estate) workloads(p plan) {
	for i := range p.clusters {
		region := regions[i%len(regions)]
		e.Clusters = append(e.Clusters, Cluster{
			Name: fmt.Sprintf("aks-%s-%02d", []string{"prod", "shared"}[i%2], i), Region: region,
			ResourceGroup: fmt.Sprintf("RG-Platform-%02d", i), Subscription: e.Subscriptions[i%2],
		})
	}
	e.runs = make([][]int, len(e.Images))
	for i, wp := range p.workloads {
		w := e.workload(i, wp)
		e.Workloads = append(e.Workloads, w)
		e.runs[w.Image] = append(e.runs[w.Image], i)
	}
}

func (e *Estate) workload(i int, wp workloadPlan) Workload {
	r := e.random("workload", i)
	img := e.Images[wp.image]
	parts := strings.Split(img.Path, "/")
	app := parts[len(parts)-1]
	w := Workload{
		Platform: wp.platform, Name: fmt.Sprintf("%s-%d", app, i), Subscription: e.Subscriptions[i%2], Region: regions[i%len(regions)],
		ResourceGroup: "RG-" + title(parts[0]), Cluster: -1, Container: app, Image: wp.image, Variant: r.IntN(2), ByIndex: chance(r, 20),
	}
	w.Contextual = 2
	if n := r.IntN(100); n < 12 {
		w.Contextual = 1
	} else if n < 17 {
		w.Contextual = 0
	}
	for f, percent := range []int{35, 18, 20, 15} {
		w.Factors[f] = chance(r, percent)
	}
	for _, f := range wp.factors {
		w.Factors[f], w.Contextual = true, 2
	}
	if !w.OnAKS() {
		w.ByTag = chance(r, 70)
		return w
	}
	w.Cluster = i % len(e.Clusters)
	c := e.Clusters[w.Cluster]
	w.Subscription, w.ResourceGroup, w.Region = c.Subscription, c.ResourceGroup, c.Region
	w.Namespace = []string{"shop", "backoffice", "data", "default"}[r.IntN(4)]
	w.ControllerKind = []string{"Deployment", "Deployment", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"}[i%7]
	w.Pod = fmt.Sprintf("%s-%08x-%05x", w.Name, uint32(e.number("replicaset", i)), e.number("pod", i)&0xfffff)
	if wp.platform == pod {
		w.ControllerKind, w.Pod = "", w.Name
	}
	if wp.sidecar {
		w.Container = "sidecar"
	}
	return w
}
