package demo

import (
	"slices"
	"strings"

	"throughline/infra/local/demo/estate"
)

// Expected is what is true in the estate now, told by the one who made it up. Tests compare the product with it.
type Expected struct {
	Organization string
	Alerts       int            // of all kinds and states
	Open         map[string]int // open alerts by kind: code_scanning, dependabot, secret_scanning
	Repositories int            // deleted ones left out
	Images       int            // an index and its manifests are one
	Workloads    int            // that run
	Mapped       int            // images whose origin some right evidence tells
	Attested     int            // images that an attestation names
	Unmapped     int            // images of the organisation's own registries that nothing tells of

	AlertList      []ExpectedAlert
	RepositoryList []ExpectedRepository
	ImageList      []ExpectedImage
	WorkloadList   []ExpectedWorkload
}

// ExpectedRepository is a repository. Contexts are the build contexts of a monorepo.
type ExpectedRepository struct {
	ID                                 int64
	FullName                           string
	Private, Archived, Deleted, Public bool
	Contexts                           []string
	HasOwners                          bool
}

// ExpectedAlert is an alert. Identity is <repository id>-<kind>-<number> without the host key.
type ExpectedAlert struct {
	Repository int64
	Kind       string
	Number     int
	State      string
	Path       string
	Severity   string
}

// ExpectedImage is an image with all its digests. Repository is 0 when the organisation did not build it.
type ExpectedImage struct {
	Index      int
	Reference  string // host/path
	Tag        string
	Digest     string
	Closure    []string
	Repository int64
	Commit     string
	Context    string
	Evidence   []string // attestation, package, label, catalogue; and the wrong ones: inherited-label, foreign-label
	Running    int      // workloads
}

// Mappable tells whether right evidence for the image's repository can be found.
func (i ExpectedImage) Mappable() bool {
	return slices.ContainsFunc(i.Evidence, func(e string) bool { return !strings.HasSuffix(e, "-label") })
}

// ExpectedWorkload is a workload with what runs in it and what its owner knows of its risk. Factors are the true ones in
// the words internet-exposed, sensitive-data, critical-resource, lateral-movement; Evaluated says that Defender looked.
type ExpectedWorkload struct {
	Index                                                          int
	Kind                                                           string // kubernetes, pod, container-app, container-group, web-app
	ResourceID                                                     string
	Path                                                           string // ResourceID, on AKS <cluster>/namespaces/<namespace>/<kind>/<name>/containers/<container>
	Cluster, Namespace, ControllerKind, Controller, Pod, Container string
	Image                                                          int
	Digest                                                         string // as the runtime reports it
	Repository                                                     int64
	Factors                                                        []string
	Evaluated                                                      bool
	Removed                                                        bool
}

// Expected tells the truth of this moment.
func (d *Demo) Expected() Expected {
	x := Expected{Organization: d.world.Org.Login, Open: map[string]int{}}
	for i, r := range d.github.Repositories() {
		re := d.world.Repositories[i]
		x.RepositoryList = append(x.RepositoryList, ExpectedRepository{
			ID: re.ID, FullName: r.FullName, Private: r.Private, Public: !r.Private, Archived: r.Archived, Deleted: r.Deleted, Contexts: re.Units, HasOwners: re.OwnersPath != "",
		})
		if !r.Deleted {
			x.Repositories++
		}
	}
	for _, a := range d.github.Alerts() {
		e := ExpectedAlert{Repository: d.world.Repositories[a.Repo].ID, Kind: a.Kind.String(), Number: a.Number, State: a.State, Path: a.Path, Severity: severity(a)}
		x.AlertList = append(x.AlertList, e)
		x.Alerts++
		if a.State == "open" {
			x.Open[e.Kind]++
		}
	}
	running := d.expectWorkloads(&x)
	for i := range d.world.Count() {
		img := d.expectImage(i, running[i])
		x.ImageList = append(x.ImageList, img)
		x.Images++
		switch {
		case img.Mappable():
			x.Mapped++
		case img.Repository != 0 || strings.HasPrefix(img.Reference, d.world.Host()):
			x.Unmapped++
		}
		if d.world.Image(i).Evidence.Has(estate.Attested) {
			x.Attested++
		}
	}
	return x
}

func severity(a estate.Alert) string {
	switch a.Kind {
	case estate.CodeScanning:
		return a.Rule().SecuritySeverity
	case estate.Dependabot:
		return a.Advisory().Severity
	}
	return ""
}

func (d *Demo) expectImage(i, running int) ExpectedImage {
	img := d.world.Image(i)
	out := ExpectedImage{
		Index: i, Reference: img.Reference(), Tag: img.Tag, Digest: img.Digest, Closure: img.Closure(), Context: img.Context, Evidence: img.Evidence.Names(), Running: running,
	}
	if img.Repo >= 0 {
		out.Repository, out.Commit = d.world.Repositories[img.Repo].ID, d.world.Commit(img.Repo, img.Revision)
	}
	return out
}

// expectWorkloads tells of every workload and counts how many run each image.
func (d *Demo) expectWorkloads(x *Expected) map[int]int {
	running := map[int]int{}
	for i, w := range d.world.Workloads {
		now := d.world.Deployment(i)
		e := ExpectedWorkload{
			Index: i, Kind: w.Kind(), ResourceID: d.world.ResourceID(w), Namespace: w.Namespace, ControllerKind: w.ControllerKind, Pod: w.Pod, Container: w.Container,
			Image: now.Image, Digest: d.world.Digest(i), Evaluated: w.OnAKS() && w.Contextual == 2, Removed: now.Removed,
		}
		e.Path = e.ResourceID
		if w.ControllerKind != "" {
			e.Controller = w.Name
		}
		if w.OnAKS() {
			e.Cluster = d.world.Clusters[w.Cluster].ID()
			kind := "pods"
			if w.ControllerKind != "" {
				kind = strings.ToLower(w.ControllerKind)
			}
			e.Path = e.Cluster + "/namespaces/" + w.Namespace + "/" + kind + "/" + w.Name + "/containers/" + w.Container
		}
		if repo := d.world.Image(now.Image).Repo; repo >= 0 {
			e.Repository = d.world.Repositories[repo].ID
		}
		for n, on := range now.Factors {
			if on {
				e.Factors = append(e.Factors, estate.Factors[n])
			}
		}
		if !now.Removed {
			running[now.Image]++
			x.Workloads++
		}
		x.WorkloadList = append(x.WorkloadList, e)
	}
	return running
}

// Issue is an issue as it looks now. Marker is the first line of the body when that is an HTML comment, where the
// product signs what it made; "" otherwise.
type Issue struct {
	Repository   string // owner/name
	RepositoryID int64
	Number       int
	ID           int64
	Title        string
	Body         string
	State        string
	StateReason  string
	Labels       []string
	Assignees    []string
	Author       string
	Marker       string
	Comments     []string
	PullRequest  bool
}

// Issues is every issue of every repository now, pull requests included.
func (d *Demo) Issues() []Issue {
	repositories := d.github.Repositories()
	var out []Issue
	for _, i := range d.github.Issues() {
		x := Issue{
			Repository: repositories[i.Repo].FullName, RepositoryID: d.world.Repositories[i.Repo].ID, Number: i.Number, ID: i.ID, Title: i.Title, Body: i.Body, State: i.State,
			StateReason: i.StateReason, Labels: i.Labels, Assignees: i.Assignees, Author: i.Author, PullRequest: i.PullRequest,
		}
		if first, _, _ := strings.Cut(i.Body, "\n"); strings.HasPrefix(first, "<!--") {
			x.Marker = strings.TrimSpace(first)
		}
		for _, c := range i.Comments {
			x.Comments = append(x.Comments, c.Body)
		}
		out = append(out, x)
	}
	return out
}
