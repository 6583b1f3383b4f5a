package ingest

import (
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"throughline/shared/graph"
)

// built is the data of io.throughline.build.v1: a CI job reports the image that it built.
type built struct {
	Digest     string `json:"digest"`
	Image      string `json:"image"`      // registry/path, with or without tag
	Repository string `json:"repository"` // owner/name
	// RepositoryID is wanted from callers without GitHub's token; as a number or, as workflow expressions give it, a text.
	RepositoryID json.Number `json:"repositoryId"`
	Commit       string      `json:"commit"`
	Ref          string      `json:"ref"`
	Run          string      `json:"run"`      // URL
	Workflow     string      `json:"workflow"` // path of the workflow file
	Contexts     []string    `json:"contexts"` // build context paths
}

// build observes that a repository built an image. With GitHub's token the token says which repository, commit and run;
// data that contradicts it is refused. Any other caller only declares.
func build(h hearing) (told, error) {
	var b built
	if err := h.into(&b); err != nil {
		return told{}, err
	}
	digest, err := graph.ParseDigest(b.Digest)
	if err != nil {
		return told{}, err
	}
	e := graph.Evidence{Digest: digest, Method: graph.Declared, RepositoryName: b.Repository, Commit: b.Commit, Ref: b.Ref,
		Workflow: b.Workflow, Run: b.Run, Contexts: b.Contexts, SeenAt: h.at()}
	if id, err := b.RepositoryID.Int64(); err == nil && id > 0 {
		e.Repository = graph.NewRepositoryID(h.host, id)
	}
	if h.from.way == byGitHub {
		if err := h.from.run.into(&e, b, h.host); err != nil {
			return told{}, err
		}
	}
	if e.Repository == "" && !strings.Contains(e.RepositoryName, "/") {
		return told{}, errors.New("data names no repository")
	}
	var t told
	a := graph.Artifact{Digest: digest, PushedAt: h.at(), UpdatedAt: h.at()}
	if name, tag := splitImage(b.Image); name != "" {
		a.Names = []string{name}
		if tag != "" {
			a.Tags = []string{name + ":" + tag}
		}
	}
	t.observation.Artifacts = []graph.Artifact{a}
	t.observation.Evidence = []graph.Evidence{e}
	t.follow = []graph.Collection{{Source: "github", Scope: "digest:" + string(digest)}}
	return t, nil
}

// into lets the token's word stand over the data's.
func (w workflow) into(e *graph.Evidence, b built, host string) error {
	id, err := strconv.ParseInt(w.RepositoryID, 10, 64)
	switch {
	case err != nil || id < 1:
		return &forbidden{"the token names no repository"}
	case b.RepositoryID != "" && b.RepositoryID.String() != w.RepositoryID, b.Repository != "" && !strings.EqualFold(b.Repository, w.Repository):
		return &forbidden{"a workflow may report builds of its own repository only"}
	case b.Commit != "" && w.SHA != "" && !strings.EqualFold(b.Commit, w.SHA):
		return &forbidden{"a workflow may report builds of its own commit only"}
	}
	e.Method, e.Repository, e.RepositoryName = graph.CICall, graph.NewRepositoryID(host, id), w.Repository
	e.Commit, e.Ref, e.Signer = cmp.Or(w.SHA, b.Commit), cmp.Or(w.Ref, b.Ref), w.JobWorkflow
	if path, _, found := strings.Cut(strings.TrimPrefix(w.WorkflowRef, w.Repository+"/"), "@"); found {
		e.Workflow = path
	}
	if w.RunID != "" {
		e.Run = "https://github.com/" + w.Repository + "/actions/runs/" + w.RunID
	}
	return nil
}

// trusted refuses workflows: what runs, and what a registry holds, is not theirs to say.
func (h hearing) trusted() error {
	if h.from.way == byGitHub {
		return &forbidden{"a workflow's token may report builds only"}
	}
	return nil
}

// splitImage takes the digest off a reference and splits the tag from the name; a colon before the last slash is a port.
func splitImage(image string) (name, tag string) {
	name, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, ""
}
