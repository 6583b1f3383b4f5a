package webhook

import (
	"strings"
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// pack is a published package version, as far as it is a container image.
type pack struct {
	kind, ecosystem string
	versions        []string // where the digest may stand, best first
	url             string   // ghcr.io/<owner>/<name>:<tag>
	tag             string
	mediaType       string
	commit          string
	labels          map[string]string
	at              time.Time
	container       bool
}

func readPack(c *scan.Cursor) pack {
	var p pack
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "package_type":
			p.kind = c.String()
		case "ecosystem":
			p.ecosystem = c.String()
		case "updated_at":
			p.later(c.Time())
		case "package_version":
			p.readVersion(c)
		}
	}
	return p
}

func (p *pack) later(t time.Time) {
	if t.After(p.at) {
		p.at = t
	}
}

func (p *pack) readVersion(c *scan.Cursor) {
	var version, name, manifest, tagged string
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "version":
			version = c.String()
		case "name":
			name = c.String()
		case "package_url":
			p.url = c.String()
		case "target_oid":
			p.commit = c.String()
		case "created_at", "updated_at":
			p.later(c.Time())
		case "container_metadata":
			manifest, tagged = p.readContainer(c)
		}
	}
	p.versions = []string{version, name, manifest, tagged}
	p.container = p.container || strings.HasPrefix(version, "sha256:") || strings.HasPrefix(name, "sha256:")
}

func (p *pack) readContainer(c *scan.Cursor) (manifest, tagged string) {
	for c.Object(); c.Field(); {
		p.container = true
		switch string(c.Key()) {
		case "tag":
			for c.Object(); c.Field(); {
				switch string(c.Key()) {
				case "name":
					p.tag = c.String()
				case "digest":
					tagged = c.String()
				}
			}
		case "manifest":
			for c.Object(); c.Field(); {
				switch string(c.Key()) {
				case "digest":
					manifest = c.String()
				case "media_type":
					p.mediaType = c.String()
				}
			}
		case "labels":
			p.readLabels(c)
		}
	}
	return manifest, tagged
}

func (p *pack) readLabels(c *scan.Cursor) {
	for c.Object(); c.Field(); {
		if string(c.Key()) != "all_labels" {
			continue
		}
		for c.Object(); c.Field(); {
			key := string(c.Key())
			value := c.String()
			if value == "" || !strings.HasPrefix(key, labelPrefix) {
				continue
			}
			if p.labels == nil {
				p.labels = map[string]string{}
			}
			p.labels[key] = value
		}
	}
}

const (
	labelPrefix   = "org.opencontainers.image."
	revisionLabel = labelPrefix + "revision"
)

// sayPackage observes an image and that the repository published it. Labels and attestations are asked for.
func sayPackage(p *payload, r *Result) {
	pk := p.pack
	if pk == nil || !pk.container && pk.kind != "container" && pk.kind != "CONTAINER" && pk.ecosystem != "docker" {
		r.skip("package that is no container image")
		return
	}
	digest, ok := pk.digest()
	if !ok {
		r.skip("package without a usable digest")
		return
	}
	if !p.identity().Valid() {
		r.skip("package without a repository")
		return
	}
	p.observeRepository(r)
	r.Observation.Artifacts = append(r.Observation.Artifacts, pk.artifact(digest, p.now))
	r.Observation.Evidence = append(r.Observation.Evidence, graph.Evidence{
		Digest: digest, Method: graph.PackageEvent, Repository: p.identity(), RepositoryName: p.repository.FullName,
		Commit: pk.builtFrom(digest), SeenAt: p.now,
	})
	r.follow("digest:%s", digest)
}

func (p pack) digest() (graph.Digest, bool) {
	for _, text := range p.versions {
		if d, err := graph.ParseDigest(text); err == nil {
			return d, true
		}
	}
	return "", false
}

func (p pack) artifact(d graph.Digest, now time.Time) graph.Artifact {
	a := graph.Artifact{Digest: d, MediaType: p.mediaType, Labels: p.labels, PushedAt: p.at, UpdatedAt: p.at}
	if a.UpdatedAt.IsZero() {
		a.UpdatedAt = now
	}
	name, tag := cutTag(p.url)
	if tag == "" {
		tag = p.tag
	}
	if name != "" {
		a.Names = []string{name}
	}
	if name != "" && tag != "" {
		a.Tags = []string{name + ":" + tag}
	}
	return a
}

// cutTag splits registry/path:tag; a colon before the last slash is a port.
func cutTag(reference string) (name, tag string) {
	name = strings.TrimPrefix(strings.TrimPrefix(reference, "https://"), "http://")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}

// builtFrom is the commit of the image. GitHub also writes the digest itself into target_oid.
func (p pack) builtFrom(d graph.Digest) string {
	for _, commit := range []string{p.commit, p.labels[revisionLabel]} {
		if isCommit(commit) && !strings.Contains(string(d), commit) {
			return commit
		}
	}
	return ""
}

// isCommit tells whether the text is a full Git object name, SHA-1 form.
func isCommit(s string) bool {
	if len(s) != 40 {
		return false
	}
	for _, b := range []byte(s) {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}
