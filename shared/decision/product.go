package decision

import (
	"strings"

	"github.com/package-url/packageurl-go"

	"throughline/shared/graph"
)

// purlTypes are the types of package URLs by GitHub's names of ecosystems, where the two differ.
var purlTypes = map[string]string{
	"pip": "pypi", "rubygems": "gem", "go": "golang", "rust": "cargo", "erlang": "hex", "actions": "githubactions",
}

// PackageURL names a package of one of GitHub's ecosystems as VEX documents do; empty for a package without a name.
func PackageURL(ecosystem, name string) string {
	kind := strings.ToLower(ecosystem)
	if known, found := purlTypes[kind]; found {
		kind = known
	}
	if kind == "maven" {
		name = strings.Replace(name, ":", "/", 1)
	}
	space := ""
	if i := strings.LastIndex(name, "/"); i >= 0 {
		space, name = name[:i], name[i+1:]
	}
	if kind == "" || name == "" {
		return ""
	}
	return packageurl.NewPackageURL(kind, space, name, "", nil, "").ToString()
}

// ImageNames are all names that a VEX document may have for an image: its digest, with and without the algorithm, and
// its package URL with the registry's address in both spellings in use. The name is registry/path, or empty.
func ImageNames(d graph.Digest, name string) []string {
	names := []string{string(d), strings.TrimPrefix(string(d), "sha256:")}
	i := strings.LastIndex(name, "/")
	if i < 0 {
		return names
	}
	for _, address := range []string{name, name[:i]} {
		at := packageurl.QualifiersFromMap(map[string]string{"repository_url": address})
		names = append(names, packageurl.NewPackageURL("oci", "", name[i+1:], string(d), at, "").ToString())
	}
	return names
}

// RepositoryNames are the names that a VEX document may have for a repository of GitHub.
func RepositoryNames(fullName string) []string {
	owner, name, found := strings.Cut(fullName, "/")
	if !found {
		return nil
	}
	return []string{packageurl.NewPackageURL("github", owner, name, "", nil, "").ToString(), "https://github.com/" + fullName}
}
