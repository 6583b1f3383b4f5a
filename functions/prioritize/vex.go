package prioritize

import (
	"strings"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

// statements are what VEX documents say.
type statements interface {
	// About is the newest statement about a subject that the policy trusts.
	About(subject decision.VEXSubject, p *decision.Policy) decision.Fact
	// Said changes when what is said of a vulnerability with these names does; empty when nothing is.
	Said(names []string, p *decision.Policy) string
	// Edition names the documents in force.
	Edition() string
}

// vulnerabilities are those of a finding, each with all its names. Code, secrets and malware have none: harm that was done
// when a package was installed is not undone by a statement.
func vulnerabilities(f graph.Finding) [][]string {
	var all [][]string
	switch {
	case f.Runtime != nil:
		for _, c := range f.Runtime.CVEs {
			all = append(all, []string{c.ID})
		}
	case f.Alert == nil || f.Alert.Dependency == nil || f.Alert.Dependency.Malware:
	case len(f.Alert.Dependency.CVEs) == 0:
		all = append(all, []string{f.Alert.Dependency.GHSA})
	default:
		for _, cve := range f.Alert.Dependency.CVEs {
			all = append(all, []string{cve, f.Alert.Dependency.GHSA})
		}
	}
	return all
}

// said is the version of what VEX documents say of a finding's vulnerabilities.
func (r *round) said(f graph.Finding) string {
	if r.VEX == nil {
		return ""
	}
	var versions []string
	for _, names := range vulnerabilities(f) {
		if v := r.VEX.Said(names, r.policy); v != "" {
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return ""
	}
	return graph.Version(versions)
}

// stated is what VEX documents say of a finding in some images: not affected only if they say so of each of its
// vulnerabilities in each image; otherwise what keeps it from that.
func (r *round) stated(f graph.Finding, images []graph.ExposedArtifact) decision.Fact {
	var oldest decision.Fact
	if r.VEX == nil {
		return oldest
	}
	for _, names := range vulnerabilities(f) {
		for _, subject := range r.subjects(f, images) {
			subject.Vulnerabilities = names
			fact := r.VEX.About(subject, r.policy)
			if fact.Value != decision.NotAffected {
				return fact
			}
			if oldest.Value == "" || fact.At.Before(oldest.At) {
				oldest = fact
			}
		}
	}
	return oldest
}

// subjects are what statements about a finding may be about: each of the images, or the repository alone.
func (r *round) subjects(f graph.Finding, images []graph.ExposedArtifact) []decision.VEXSubject {
	base := decision.VEXSubject{Products: decision.RepositoryNames(r.exposure.FullName)}
	if f.Runtime != nil {
		base.Software = []string{f.Runtime.Software}
	} else {
		base.Packages = []string{decision.PackageURL(f.Alert.Dependency.Ecosystem, f.Alert.Dependency.Package)}
	}
	var all []decision.VEXSubject
	for _, a := range images {
		one := base
		one.Images = decision.ImageNames(a.Digest, a.Name)
		for _, index := range a.Indexes {
			one.Images = append(one.Images, decision.ImageNames(index, a.Name)...)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		all = append(all, base)
	}
	return all
}

// scanned is the image that a runtime finding is about, whether or not it runs.
func scanned(f graph.Finding) []graph.ExposedArtifact {
	if f.Runtime == nil {
		return nil
	}
	return []graph.ExposedArtifact{{Digest: f.Runtime.Digest, Name: imageName(f.Runtime.Image)}}
}

// imageName is a reference without its tag and digest.
func imageName(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		ref = ref[:colon]
	}
	return ref
}
