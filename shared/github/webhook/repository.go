package webhook

import (
	"throughline/shared/github"
	"throughline/shared/graph"
)

// sayRepository observes the repository in full. Its id is what stays when it is renamed or transferred.
func sayRepository(p *payload, r *Result) {
	noun, err := p.noun()
	if err != nil {
		r.skip(err.Error())
		return
	}
	if p.action == "deleted" {
		// The repository's own clock stopped before: the deletion is newer than anything it says.
		noun.Deleted, noun.UpdatedAt = true, p.now
	}
	r.Observation.Repositories = append(r.Observation.Repositories, noun)
}

// maxFollow is how many repositories are asked for one by one; beyond that the whole installation is read.
const maxFollow = 10

// sayInstallation reads an installation when it begins to reach us, and closes its repositories when it ends.
func sayInstallation(p *payload, r *Result) {
	if p.installation.id < 1 {
		r.skip("installation without an id")
		return
	}
	switch p.action {
	case "deleted":
		p.lose(p.repositories, r)
	case "suspend": // the API is closed from now on; what is known stays as it was
	default:
		r.follow("installation:%d", p.installation.id)
	}
}

// sayInstallationRepositories reads the repositories that came within reach, and closes those that went out of it.
func sayInstallationRepositories(p *payload, r *Result) {
	if p.installation.id < 1 {
		r.skip("installation without an id")
		return
	}
	p.lose(p.removed, r)
	if len(p.added) > maxFollow {
		r.follow("installation:%d", p.installation.id)
		return
	}
	for _, repository := range p.added {
		p.gain(repository, r)
	}
}

func (p *payload) gain(repository github.Repository, r *Result) {
	id := repository.Identity(p.decoder.Host)
	if !id.Valid() || repository.FullName == "" {
		r.skip("repository without an id or a name")
		return
	}
	r.follow("repository:%s", id)
	for _, kind := range github.Kinds {
		r.follow("%s:%s", kind.Kind, repository.FullName)
	}
}

// lose observes that repositories went out of our reach.
func (p *payload) lose(repositories []github.Repository, r *Result) {
	for _, repository := range repositories {
		noun, err := repository.Noun(p.decoder.Host, p.installation.id)
		if err != nil {
			r.skip(err.Error())
			continue
		}
		if account := p.installation.account; noun.Org == "" && account.ID > 0 {
			noun.Org = graph.NewOrgID(p.decoder.Host, account.ID)
		}
		noun.Deleted, noun.UpdatedAt = true, p.now
		r.Observation.Repositories = append(r.Observation.Repositories, noun)
	}
}

// sayMeta notices that somebody deleted the hook: nothing will be heard from it again, which health must show.
func sayMeta(p *payload, r *Result) {
	if p.action == "deleted" {
		r.skip("the webhook was deleted on GitHub")
	}
}
