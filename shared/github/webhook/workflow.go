package webhook

import (
	"slices"
	"strings"
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// run is one run of a workflow.
type run struct {
	conclusion string
	trigger    string
	head       int64 // repository of the head commit: another one for a run of a fork
	commit     string
	branch     string
	path, url  string
	at         time.Time
}

func readRun(c *scan.Cursor) run {
	var r run
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "conclusion":
			r.conclusion = c.String()
		case "event":
			r.trigger = c.String()
		case "head_sha":
			r.commit = c.String()
		case "head_branch":
			r.branch = c.String()
		case "path":
			r.path, _, _ = strings.Cut(c.String(), "@")
		case "html_url":
			r.url = c.String()
		case "updated_at":
			r.at = c.Time()
		case "head_repository":
			r.head = c.IntField("id")
		}
	}
	return r
}

// sayWorkflowRun observes that a commit was built, and asks for new attestations, which the run may have made: GitHub has
// no webhook for them. Runs of forks and of pull requests build nothing that is shipped.
func sayWorkflowRun(p *payload, r *Result) {
	id := p.identity()
	if !id.Valid() {
		r.skip("workflow run without a repository")
		return
	}
	built := p.action == "completed" && p.run.conclusion == "success" && p.run.head == p.repository.ID
	if built && !slices.Contains([]string{"pull_request", "pull_request_target"}, p.run.trigger) {
		if p.run.commit != "" {
			r.Observation.Evidence = append(r.Observation.Evidence, p.run.evidence(p))
		}
		r.follow("attestations:%s", id)
	}
}

// evidence says which commit was built. Which images came of it only their tags tell.
func (r run) evidence(p *payload) graph.Evidence {
	e := graph.Evidence{Method: graph.WorkflowRun, Repository: p.identity(), RepositoryName: p.repository.FullName, Commit: r.commit, Workflow: r.path, Run: r.url, SeenAt: p.now}
	if !r.at.IsZero() && r.at.Before(p.now) {
		e.SeenAt = r.at.UTC()
	}
	if r.branch != "" {
		e.Ref = "refs/heads/" + r.branch
	}
	return e
}

// touchesCodeOwners reads the commits of a push and keeps only whether a CODEOWNERS file changed.
func touchesCodeOwners(c *scan.Cursor) bool {
	touched := false
	for c.Array(); c.Element(); {
		for c.Object(); c.Field(); {
			switch string(c.Key()) {
			case "added", "modified", "removed":
				for c.Array(); c.Element(); {
					touched = isCodeOwners(c.Text()) || touched
				}
			}
		}
	}
	return touched
}

// isCodeOwners knows the three places in which GitHub looks.
func isCodeOwners(path []byte) bool {
	switch string(path) {
	case ".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS":
		return true
	}
	return false
}

// sayPush reads the repository again when the owners of its code may have changed.
func sayPush(p *payload, r *Result) {
	id := p.identity()
	if !id.Valid() {
		r.skip("push without a repository")
		return
	}
	if p.codeOwners && p.ref == "refs/heads/"+p.repository.DefaultBranch {
		r.follow("repository:%s", id)
	}
}
