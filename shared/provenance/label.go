package provenance

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// The labels that tell where an image comes from, as the OCI image specification names them.
const (
	labelPrefix     = "org.opencontainers.image."
	labelSource     = labelPrefix + "source"
	labelRevision   = labelPrefix + "revision"
	labelBaseName   = labelPrefix + "base.name"
	labelBaseDigest = labelPrefix + "base.digest"
)

// DefaultHost is where the repositories of labels lie unless the caller names other hosts.
const DefaultHost = "github.com"

// JudgeLabels gives the evidence that an artifact's own labels hold, at most one. A label that it has in common with one
// of its base images is no evidence: builds inherit labels. bases may hold any artifacts; those that are no base of a are
// passed over. hosts are the GitHub hosts that labels may name; none means github.com. A label that names a repository
// elsewhere is no evidence at all.
func JudgeLabels(a graph.Artifact, bases []graph.Artifact, hosts ...string) []graph.Evidence {
	host, repository, ok := SourceRepository(a.Labels[labelSource])
	if len(hosts) == 0 {
		hosts = []string{DefaultHost}
	}
	if !ok || !slices.Contains(hosts, host) {
		return nil
	}
	e := graph.Evidence{Digest: a.Digest, Method: graph.ImageLabel, RepositoryName: repository, Commit: Commit(a.Labels[labelRevision]), SeenAt: a.UpdatedAt}
	for _, base := range bases {
		if !IsBase(a, base) {
			continue
		}
		if Inherited(a, base) {
			e.Refused = "label inherited from the base image " + nameOf(base)
		}
		if a.Labels[labelRevision] == base.Labels[labelRevision] {
			e.Commit = ""
		}
	}
	return []graph.Evidence{e}
}

// IsBase tells whether a was built on base: by the digest that a names, or because base's layers are the first of a's.
func IsBase(a, base graph.Artifact) bool { return a.On(base) }

// Inherited tells whether the source label of a is that of its base image, and therefore says nothing of a itself.
func Inherited(a, base graph.Artifact) bool {
	_, own, ok := SourceRepository(a.Labels[labelSource])
	_, theirs, known := SourceRepository(base.Labels[labelSource])
	return ok && known && strings.EqualFold(own, theirs)
}

func nameOf(a graph.Artifact) string {
	if len(a.Tags) > 0 {
		return a.Tags[0]
	}
	if len(a.Names) > 0 {
		return a.Names[0] + "@" + a.Digest.Short()
	}
	return a.Digest.Short()
}

var (
	repositoryForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)
	commitForm     = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
	scpForm        = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+):([^/].*)$`)
)

// SourceRepository reads a source label: a web or git URL, or git@host:owner/name. host is lower case without a port,
// repository is owner/name as written. ok is false for anything else.
func SourceRepository(label string) (host, repository string, ok bool) {
	label = strings.TrimPrefix(strings.TrimSpace(label), "git+")
	path := ""
	if u, err := url.Parse(label); err == nil && u.Host != "" && slices.Contains([]string{"https", "http", "git", "ssh"}, u.Scheme) {
		host, path = u.Hostname(), u.Path
	} else if m := scpForm.FindStringSubmatch(label); m != nil && !strings.Contains(label, "://") {
		host, path = m[1], m[2]
	} else if first, rest, found := strings.Cut(label, "/"); found && strings.Contains(first, ".") && !strings.Contains(label, ":") {
		host, path = first, rest
	}
	parts := strings.SplitN(strings.Trim(path, "/"), "/", 3)
	if host == "" || len(parts) < 2 {
		return "", "", false
	}
	name, _, _ := strings.Cut(parts[1], "@")
	name, _, _ = strings.Cut(name, "#")
	repository = parts[0] + "/" + strings.TrimSuffix(name, ".git")
	if !repositoryForm.MatchString(repository) {
		return "", "", false
	}
	return strings.TrimPrefix(strings.ToLower(host), "www."), repository, true
}

// Commit is a revision label that may be a commit; empty for anything else.
func Commit(revision string) string {
	revision = strings.ToLower(strings.TrimSpace(revision))
	if !commitForm.MatchString(revision) {
		return ""
	}
	return revision
}

// known keeps the labels of the OCI image specification, each bounded.
func known(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if strings.HasPrefix(k, labelPrefix) && len(k) <= 100 && len(v) <= 500 && len(out) < 30 {
			out[k] = v
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
