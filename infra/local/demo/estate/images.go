package estate

import (
	"fmt"
	"strings"
	"time"
)

// Image is one release of one image: an index with its platform manifests, or a single manifest.
type Image struct {
	Host      string // registry host
	Path      string // repository in the registry
	Tag       string
	Repo      int    // the repository that built it; -1 when none of the organisation did
	Context   string // build context inside that repository
	Revision  int    // commit index
	Base      int    // image that it is built on; -1 for none
	Multi     bool
	Evidence  Evidence
	Foreign   int // the repository that a wrong label names; -1 for none
	Release   int // 0 is the newest, 1 the one before
	Digest    string
	Manifests []string // platform and attestation manifests of an index, in its order

	seedKey string // what makes its layers its own
}

// Reference is host/path without tag or digest.
func (i Image) Reference() string { return i.Host + "/" + i.Path }

// Closure is the image's own digest and those of its manifests.
func (i Image) Closure() []string { return append([]string{i.Digest}, i.Manifests...) }

// Platform is the digest that a node reports: that of the first platform manifest, or the image's own.
func (i Image) Platform(n int) string {
	if !i.Multi {
		return i.Digest
	}
	return i.Manifests[n%2]
}

func (e *Estate) images(p plan) {
	var bases []int
	for i, ip := range p.images {
		if ip.origin == built && p.repositories[ip.repo] == base {
			bases = append(bases, i)
		}
	}
	for i, ip := range p.images {
		img := e.named(i, ip)
		if ip.onBase {
			img.Base = bases[i%len(bases)]
		}
		e.Images = append(e.Images, img)
	}
	// An image's labels hold those of its base, so bases come first; digests do not depend on each other otherwise.
	for i := range e.Images {
		e.foreign(i)
	}
	for i := range e.Images {
		e.seal(&e.Images[i])
	}
	e.imagesOf = make([][]int, len(e.Repositories))
	for i, img := range e.Images {
		if img.Repo >= 0 {
			e.imagesOf[img.Repo] = append(e.imagesOf[img.Repo], i)
		}
	}
}

func (e *Estate) named(i int, ip imagePlan) Image {
	r := e.random("image", i)
	img := Image{Repo: -1, Base: -1, Foreign: -1, Multi: ip.multi, Evidence: ip.evidence, Release: ip.version, Host: e.Host(), seedKey: fmt.Sprint("image/", i)}
	img.Tag = fmt.Sprintf("%d.%d.%d", 1+r.IntN(5), r.IntN(30), r.IntN(10))
	switch ip.origin {
	case thirdParty:
		known := []struct{ host, path, tag string }{
			{"docker.io", "library/redis", "7.2.4"}, {"docker.io", "library/nginx", "1.25.3"}, {"mcr.microsoft.com", "oss/kubernetes/pause", "3.9"},
			{"docker.io", "library/postgres", "16.1"}, {"quay.io", "prometheus/node-exporter", "v1.7.0"},
		}
		k := known[(i/2)%len(known)]
		img.Host, img.Path, img.Tag = k.host, k.path, k.tag
		if i >= 2*len(known) && e.Size != "small" {
			img.Tag = fmt.Sprintf("%s-r%d", k.tag, i)
		}
		return img
	case unmapped:
		img.Path = fmt.Sprintf("tools/%s-%d", pick(r, []string{"debug", "migrate", "smoke", "loader"}), i)
		return img
	}
	re := &e.Repositories[ip.repo]
	img.Repo, img.Context = ip.repo, re.Units[ip.unit]
	img.Revision = re.Commits - 1 - ip.version*(re.Commits/20+1)
	img.Path = e.imagePath(re, img.Context)
	img.Tag = fmt.Sprintf("%d.%d.%d", 1+re.Commits/100, 40-ip.version, r.IntN(10))
	if ip.evidence.Has(Packaged) {
		img.Host, img.Path = "ghcr.io", e.Org.Login+"/"+re.Name
	}
	return img
}

func (e *Estate) imagePath(re *Repository, context string) string {
	name := re.Name
	if context != "" {
		parts := strings.Split(strings.Trim(context, "/"), "/")
		name = parts[len(parts)-1]
	}
	return e.Teams[re.Team].Slug + "/" + name
}

// foreign fixes which repository a contradicting label names: that of another image.
func (e *Estate) foreign(i int) {
	img := &e.Images[i]
	if !img.Evidence.Has(ForeignLabel) {
		return
	}
	for n := 1; n < len(e.Images); n++ {
		if o := e.Images[(i+n)%len(e.Images)].Repo; o >= 0 && o != img.Repo {
			img.Foreign = o
			return
		}
	}
}

// Built is when an image was built. It does not follow the epoch, so that digests stay the same from day to day.
func (i Image) Built() time.Time {
	return time.Date(2026, 9, 1, 6, 0, 0, 0, time.UTC).AddDate(0, 0, -10*i.Release)
}

// Labels are the OCI labels in an image's configuration: the base's first, as a build inherits them.
func (e *Estate) Labels(img Image) map[string]string {
	out := map[string]string{}
	if img.Base >= 0 {
		for k, v := range e.Labels(e.Images[img.Base]) {
			out[k] = v
		}
	}
	source := img.Repo
	if img.Evidence.Has(ForeignLabel) {
		source = img.Foreign
	}
	if source >= 0 && img.Evidence&(Labelled|ForeignLabel) != 0 {
		revision := min(img.Revision, e.Repositories[source].Commits-1)
		out["org.opencontainers.image.source"] = "https://github.com/" + e.FullName(source)
		out["org.opencontainers.image.revision"] = e.Commit(source, revision)
		out["org.opencontainers.image.title"] = img.Path
		out["org.opencontainers.image.version"] = img.Tag
	}
	return out
}

// Rebuild is the image that a build of the repository at a later commit pushes: the same name, a new tag and new digests.
func (e *Estate) Rebuild(image, revision, serial int) Image {
	img := e.Images[image]
	img.Revision, img.Release = revision, -serial
	img.Tag = fmt.Sprintf("%s-b%d", img.Tag, serial)
	img.seedKey = fmt.Sprintf("%s/build/%d", img.seedKey, serial)
	e.seal(&img)
	return img
}
