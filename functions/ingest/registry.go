package ingest

import (
	"errors"
	"strings"
	"time"

	"throughline/shared/graph"
)

// pushed is what Azure Container Registry says of an image.
type pushed struct {
	Timestamp time.Time `json:"timestamp"`
	Target    struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

// imagePushed observes an image and asks for its labels and attestations.
func imagePushed(h hearing) (told, error) {
	if err := h.trusted(); err != nil {
		return told{}, err
	}
	var p pushed
	if err := h.into(&p); err != nil {
		return told{}, err
	}
	var t told
	digest, err := graph.ParseDigest(p.Target.Digest)
	if err != nil {
		t.skip("image without a usable digest")
		return t, nil
	}
	name := h.registry(p) + "/" + p.Target.Repository
	if strings.HasPrefix(name, "/") || p.Target.Repository == "" {
		return told{}, errors.New("the image has no registry or no repository")
	}
	at := h.at()
	if !p.Timestamp.IsZero() && p.Timestamp.Before(h.now) {
		at = p.Timestamp.UTC()
	}
	a := graph.Artifact{Digest: digest, Names: []string{name}, MediaType: p.Target.MediaType, PushedAt: at, UpdatedAt: at}
	if p.Target.Tag != "" {
		a.Tags = []string{name + ":" + p.Target.Tag}
	}
	t.observation.Artifacts = []graph.Artifact{a}
	t.follow = []graph.Collection{
		{Source: "registry", Scope: "image:" + name + "@" + string(digest)},
		{Source: "github", Scope: "digest:" + string(digest)},
	}
	return t, nil
}

// registry is the host of the registry: from the request, or from the name of the Azure resource that reports.
func (h hearing) registry(p pushed) string {
	if p.Request.Host != "" {
		return strings.ToLower(p.Request.Host)
	}
	_, resource, found := strings.Cut(strings.ToLower(h.event.Source()), "/registries/")
	if !found || strings.Contains(resource, "/") {
		return ""
	}
	return resource + ".azurecr.io"
}

// imageDeleted changes nothing: what runs goes on running, and the next pull fails elsewhere.
func imageDeleted(h hearing) (told, error) { return told{}, h.trusted() }
