package client

import (
	"context"
	"net/http"
	"strings"

	"throughline/shared/graph"
)

// MaxRecords is how many deployments one call takes.
const MaxRecords = 1000

// environment is what the deployments run in, in GitHub's words: whatever is mapped runs in production.
const environment = "production"

// deployment is a deployment record as GitHub takes it.
type deployment struct {
	Name       string         `json:"name"`
	Digest     graph.Digest   `json:"digest"`
	Deployment string         `json:"deployment_name"`
	Status     string         `json:"status"`
	Risks      []graph.Factor `json:"runtime_risks,omitempty"`
	Repository string         `json:"github_repository,omitempty"`
}

// RecordDeployments tells GitHub what runs in a cluster, and what does no longer, at most MaxRecords at a time. Telling it
// twice changes nothing. A deployment whose repository GitHub does not know is left out.
func (c *Client) RecordDeployments(ctx context.Context, login, cluster string, all []graph.Deployment) error {
	a, _, err := c.account(ctx, login)
	if err != nil {
		return err
	}
	list := make([]deployment, len(all))
	for i, d := range all {
		list[i] = deployment{Name: d.Image, Digest: d.Digest, Deployment: d.Name, Status: "deployed", Risks: d.Risks, Repository: d.Repository}
		if d.Gone {
			list[i].Status, list[i].Risks = "decommissioned", nil
		}
	}
	body := map[string]any{"logical_environment": environment, "partial_success": true, "return_records": false, "deployments": list}
	_, err = c.call(ctx, a, http.MethodPost, path("orgs", login, "artifacts", "metadata", "deployment-record", "cluster", cluster), body)
	return err
}

// RecordStorage tells GitHub in which registry an image lies. An image without a registry's name in front is left out.
func (c *Client) RecordStorage(ctx context.Context, login string, d graph.Deployment) error {
	host, repository, found := strings.Cut(d.Image, "/")
	if !found || !strings.ContainsAny(host, ".:") {
		return nil
	}
	a, _, err := c.account(ctx, login)
	if err != nil {
		return err
	}
	body := map[string]any{"name": d.Image, "digest": d.Digest, "registry_url": "https://" + host, "repository": repository[:min(len(repository), 128)], "status": "active",
		"github_repository": d.Repository, "return_records": false}
	_, err = c.call(ctx, a, http.MethodPost, path("orgs", login, "artifacts", "metadata", "storage-record"), body)
	return err
}
