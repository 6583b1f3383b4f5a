package provenance

import (
	"net/url"
	"strings"
)

// SignerPolicy says which workflows may speak for which repositories. A repository that no rule names is spoken for by
// every workflow that ran in it; one that is named needs a rule that allows the signer. The zero value names nobody.
type SignerPolicy struct {
	Rules []SignerRule
}

// SignerRule lets the workflows of a pattern speak for the repositories of a pattern. In patterns * stands for one
// segment or a part of it, ** for any number of segments.
type SignerRule struct {
	Repository string // owner/name
	Workflow   string // owner/name/.github/workflows/file; empty: the repository's own workflows
	Ref        string // the workflow's ref, such as refs/tags/**; empty: every ref
}

// Allows tells whether the signer, a certificate identity such as
// https://github.com/owner/name/.github/workflows/release.yml@refs/heads/main, may speak for the repository.
func (p SignerPolicy) Allows(repository, signer string) bool {
	named := false
	for _, r := range p.Rules {
		if !matches(r.Repository, repository) {
			continue
		}
		named = true
		if r.allows(repository, signer) {
			return true
		}
	}
	return !named
}

func (r SignerRule) allows(repository, signer string) bool {
	owner, name, file, ref := SignerParts(signer)
	if file == "" {
		return false
	}
	if r.Ref != "" && !matches(r.Ref, ref) {
		return false
	}
	if r.Workflow == "" {
		return strings.EqualFold(owner+"/"+name, repository)
	}
	return matches(r.Workflow, owner+"/"+name+"/"+file)
}

// SignerParts takes a workflow's identity apart; all parts are empty for anything else.
func SignerParts(identity string) (owner, name, file, ref string) {
	u, err := url.Parse(identity)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", "", "", ""
	}
	path, ref, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "@")
	parts := strings.SplitN(path, "/", 3)
	if len(parts) < 3 || !strings.HasPrefix(parts[2], ".github/workflows/") {
		return "", "", "", ""
	}
	return parts[0], parts[1], parts[2], ref
}
