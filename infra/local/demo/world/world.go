// Package world keeps what happens to an estate after it began: commits, builds and deployments, written to a journal.
//
// Both stand-ins look at the same world: a build that GitHub attests to is the image that the registry then serves, and a
// deployment changes what Resource Graph tells. Reads are cheap and safe from many goroutines.
package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/journal"
)

// World is an estate and what became of it.
type World struct {
	*estate.Estate
	journal  *journal.Journal
	software sync.Map // image index: []estate.Package

	mu      sync.RWMutex
	version int
	builds  []build
	images  []estate.Image // those of builds, in order
	deploys map[int]Deployment
	commits map[int]int
	digests map[string]int // every digest of every closure: the image it belongs to
	paths   map[string][]int
}

type build struct {
	Image    int       `json:"image"`
	Revision int       `json:"revision"`
	At       time.Time `json:"at"`
}

// Deployment is what became of a workload.
type Deployment struct {
	Image   int                       `json:"image"`
	Before  int                       `json:"before"` // the image that ran before
	Removed bool                      `json:"removed"`
	Factors [len(estate.Factors)]bool `json:"factors"`
	At      time.Time                 `json:"at"`
}

// Open reads what the journal knows of the estate's later life.
func Open(e *estate.Estate, j *journal.Journal) (*World, error) {
	w := &World{Estate: e, journal: j, deploys: map[int]Deployment{}, commits: map[int]int{}, digests: map[string]int{}, paths: map[string][]int{}}
	for i, img := range e.Images {
		w.index(i, img)
	}
	err := j.Each("build/", func(_ string, raw json.RawMessage) error {
		var b build
		if err := json.Unmarshal(raw, &b); err != nil {
			return err
		}
		w.add(b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := load(j, "workload/", w.deploys); err != nil {
		return nil, err
	}
	return w, load(j, "commits/", w.commits)
}

func load[V any](j *journal.Journal, prefix string, into map[int]V) error {
	return j.Each(prefix, func(key string, raw json.RawMessage) error {
		var n int
		var v V
		if _, err := fmt.Sscanf(key[len(prefix):], "%d", &n); err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		into[n] = v
		return nil
	})
}

func (w *World) index(i int, img estate.Image) {
	for _, d := range img.Closure() {
		w.digests[d] = i
	}
	w.paths[img.Reference()] = append(w.paths[img.Reference()], i)
}

func (w *World) add(b build) int {
	img := w.Rebuild(b.Image, b.Revision, len(w.builds)+1)
	w.builds, w.images = append(w.builds, b), append(w.images, img)
	i := len(w.Estate.Images) + len(w.images) - 1
	w.index(i, img)
	w.version++
	return i
}

// Version grows with every change, so that derived lists can be kept as long as it stands still.
func (w *World) Version() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.version
}

// Count is the number of images, built later ones included; their indexes follow those of the estate.
func (w *World) Count() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.Estate.Images) + len(w.images)
}

// Image gives the i-th image.
func (w *World) Image(i int) estate.Image {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.image(i)
}

func (w *World) image(i int) estate.Image {
	if n := len(w.Estate.Images); i >= n {
		return w.images[i-n]
	}
	return w.Estate.Images[i]
}

// Lookup finds the image whose closure holds a digest.
func (w *World) Lookup(digest string) (int, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	i, ok := w.digests[digest]
	return i, ok
}

// At lists the images of one repository of a registry (host/path), oldest first.
func (w *World) At(reference string) []int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return append([]int(nil), w.paths[reference]...)
}

// Software lists what is vulnerable in an image; a later build has only what it was not built to fix. The list is
// remembered: an image never changes.
func (w *World) Software(i int) []estate.Package {
	if known, found := w.software.Load(i); found {
		return known.([]estate.Package)
	}
	list := w.findSoftware(i)
	w.software.Store(i, list)
	return list
}

func (w *World) findSoftware(i int) []estate.Package {
	n := len(w.Estate.Images)
	if i < n {
		return w.Estate.Software(i)
	}
	w.mu.RLock()
	b := w.builds[i-n]
	w.mu.RUnlock()
	var left []estate.Package
	for _, p := range w.Estate.Software(b.Image) {
		if p.Fixed == "" {
			left = append(left, p)
		}
	}
	return left
}

// Ancestor is the image of the estate that a build renews; the image itself when it is one of the estate.
func (w *World) Ancestor(i int) int {
	if n := len(w.Estate.Images); i >= n {
		w.mu.RLock()
		defer w.mu.RUnlock()
		return w.builds[i-n].Image
	}
	return i
}

// Commits is the length of a repository's history now.
func (w *World) Commits(repo int) int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.Repositories[repo].Commits + w.commits[repo]
}

// Push adds a commit to a repository's history and gives its index.
func (w *World) Push(repo int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.commits[repo] + 1
	if err := w.journal.Put(journal.Entry{Key: fmt.Sprintf("commits/%d", repo), Value: n}); err != nil {
		return 0, err
	}
	w.commits[repo] = n
	w.version++
	return w.Repositories[repo].Commits + n - 1, nil
}

// Build builds an image again from the head of its repository and gives the new image's index. What a fixed version is
// known for is fixed in it.
func (w *World) Build(image int, at time.Time) (int, error) {
	image = w.Ancestor(image)
	repo := w.Estate.Images[image].Repo
	if repo < 0 {
		return 0, fmt.Errorf("image %d has no repository to build it", image)
	}
	b := build{Image: image, Revision: w.Commits(repo) - 1, At: at}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.journal.Put(journal.Entry{Key: fmt.Sprintf("build/%06d", len(w.builds)), Value: b}); err != nil {
		return 0, err
	}
	return w.add(b), nil
}

// Deployment tells what runs as a workload now.
func (w *World) Deployment(i int) Deployment {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if d, ok := w.deploys[i]; ok {
		return d
	}
	wl := w.Workloads[i]
	return Deployment{Image: wl.Image, Before: -1, Factors: wl.Factors, At: w.Epoch}
}

// Change alters a workload: its image, its factors, or whether it is there at all.
func (w *World) Change(i int, at time.Time, change func(*Deployment)) error {
	if i < 0 || i >= len(w.Workloads) {
		return fmt.Errorf("there is no workload %d", i)
	}
	d := w.Deployment(i)
	was := d.Image
	change(&d)
	if d.Image < 0 || d.Image >= w.Count() {
		return fmt.Errorf("there is no image %d", d.Image)
	}
	if d.Image != was {
		d.Before = was
	}
	d.At = at
	if err := w.journal.Put(journal.Entry{Key: fmt.Sprintf("workload/%d", i), Value: d}); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deploys[i] = d
	w.version++
	return nil
}

// Digest is the digest that the runtime reports for a workload.
func (w *World) Digest(i int) string {
	img, wl := w.Image(w.Deployment(i).Image), w.Workloads[i]
	if wl.ByIndex || !wl.OnAKS() {
		return img.Digest
	}
	return img.Platform(wl.Variant)
}

// Hosts lists the registries that hold images of the estate; Docker Hub under both of its names.
func (w *World) Hosts() []string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	seen := map[string]bool{}
	var out []string
	add := func(host string) {
		if !seen[host] {
			seen[host] = true
			out = append(out, host)
		}
	}
	for _, img := range w.Estate.Images {
		add(img.Host)
		if img.Host == "docker.io" {
			add("index.docker.io")
		}
	}
	slices.Sort(out)
	return out
}
