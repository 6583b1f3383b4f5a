package provenance

import (
	"slices"
	"strings"

	"throughline/shared/graph"
)

// Hint names the repositories that an artifact could come from by its name alone: the last segments of an image name
// equal a repository's owner/name, or its last segment equals the name of exactly one repository. A hint is shown and
// never acted on.
func Hint(a graph.Artifact, repositories []graph.Repository) []graph.Evidence {
	var out []graph.Evidence
	for _, name := range a.Names {
		for _, r := range hinted(name, repositories) {
			known := slices.ContainsFunc(out, func(e graph.Evidence) bool { return e.Repository == r.ID })
			if !known {
				out = append(out, graph.Evidence{Digest: a.Digest, Method: graph.NameMatch, Repository: r.ID, RepositoryName: r.FullName(),
					Note: "image " + name + " bears the repository's name", SeenAt: a.UpdatedAt})
			}
		}
	}
	return out
}

func hinted(name string, repositories []graph.Repository) []graph.Repository {
	path := strings.Split(name, "/")
	last := path[len(path)-1]
	var whole, short []graph.Repository
	for _, r := range repositories {
		if r.Deleted || !strings.EqualFold(r.Name, last) {
			continue
		}
		short = append(short, r)
		if len(path) > 1 && strings.EqualFold(r.Owner, path[len(path)-2]) {
			whole = append(whole, r)
		}
	}
	if len(whole) > 0 {
		return whole
	}
	if len(short) == 1 {
		return short
	}
	return nil
}
