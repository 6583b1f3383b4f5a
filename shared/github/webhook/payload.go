package webhook

import (
	"time"

	"throughline/shared/github"
	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// payload is the body of a delivery: the fields that any event may have. A field means the same in every event. What few
// events have is nil until it is read.
type payload struct {
	decoder Decoder
	event   string
	now     time.Time

	action       string
	ref          string
	commit       string // code scanning: of the analysis
	alert        github.Alert
	repository   github.Repository
	installation installation
	sender       github.Account
	issue        *github.Issue
	moved        *moved
	pull         *github.PullRequest
	comment      github.Comment
	pack         *pack
	run          run
	codeOwners   bool // a commit of the push touches a CODEOWNERS file
	repositories []github.Repository
	added        []github.Repository
	removed      []github.Repository
}

type installation struct {
	id      int64
	account github.Account
}

// moved is where a transferred issue went.
type moved struct {
	issue      github.Issue
	repository github.Repository
}

func (p *payload) read(body []byte) error {
	c := scan.New(body)
	if c.Err() == nil && !c.IsObject() {
		return malformed("the body is not a JSON object")
	}
	for c.Object(); c.Field(); {
		p.field(c, string(c.Key()))
	}
	if err := c.End(); err != nil {
		return syntax(err)
	}
	return nil
}

func (p *payload) field(c *scan.Cursor, key string) {
	switch key {
	case "action":
		p.action = c.String()
	case "ref":
		p.ref = c.String()
	case "commit_oid":
		p.commit = c.String()
	case "alert":
		p.readAlert(c)
	case "repository":
		p.repository = github.ReadRepository(c)
	case "installation":
		p.installation = readInstallation(c)
	case "sender":
		p.sender = github.ReadAccount(c)
	case "issue":
		i := github.ReadIssue(c)
		p.issue = &i
	case "comment":
		p.comment = github.ReadComment(c)
	case "changes":
		p.readChanges(c)
	case "pull_request":
		pull := github.ReadPullRequest(c)
		p.pull = &pull
	case "package", "registry_package":
		pk := readPack(c)
		p.pack = &pk
	case "workflow_run":
		p.run = readRun(c)
	case "commits":
		p.codeOwners = touchesCodeOwners(c)
	case "repositories":
		p.repositories = readRepositories(c)
	case "repositories_added":
		p.added = readRepositories(c)
	case "repositories_removed":
		p.removed = readRepositories(c)
	}
}

func readInstallation(c *scan.Cursor) installation {
	var in installation
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "id":
			in.id = c.Int()
		case "account":
			in.account = github.ReadAccount(c)
		}
	}
	return in
}

func readRepositories(c *scan.Cursor) []github.Repository {
	var all []github.Repository
	for c.Array(); c.Element(); {
		all = append(all, github.ReadRepository(c))
	}
	return all
}

// readChanges reads what the project needs of changes: where a transferred issue went.
func (p *payload) readChanges(c *scan.Cursor) {
	var m moved
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "new_issue":
			m.issue = github.ReadIssue(c)
			p.moved = &m
		case "new_repository":
			m.repository = github.ReadRepository(c)
		}
	}
}

// identity is the repository of the delivery.
func (p *payload) identity() graph.RepositoryID { return p.repository.Identity(p.decoder.Host) }

// noun is the repository of the delivery as the graph has it.
func (p *payload) noun() (graph.Repository, error) {
	return p.repository.Noun(p.decoder.Host, p.installation.id)
}
