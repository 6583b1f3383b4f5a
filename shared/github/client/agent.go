package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"throughline/shared/graph"
)

// agentLogin is whom an issue is assigned to, to give it to GitHub's coding agent.
const agentLogin = "copilot-swe-agent[bot]"

// errNoUser tells that there is nobody in whose name the agent could be asked.
var errNoUser = errors.New("no user token is configured")

// bearer puts a user's token on every request.
type bearer struct {
	next  http.RoundTripper
	token string
}

// RoundTrip sends the request in the user's name.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// openUser makes the access of the user, whom GitHub asks for to hand work to its agent: installation tokens may not.
func (c *Client) openUser() {
	if c.options.UserToken == "" {
		return
	}
	gate := newLimits(c.options.Transport, c.options.Now)
	c.user = &access{login: "user", user: true, github: c.wrap(bearer{gate, c.options.UserToken}), limits: gate}
}

// AssignAgent gives an issue to GitHub's coding agent. The instructions are all that it is told besides the issue.
func (c *Client) AssignAgent(ctx context.Context, r graph.Repository, number int, instructions string) error {
	if c.user == nil {
		return errNoUser
	}
	body := map[string]any{"assignees": []string{agentLogin}, "agent_assignment": map[string]string{"target_repo": r.FullName(), "base_branch": r.DefaultBranch, "custom_instructions": instructions}}
	_, err := c.call(ctx, c.user, http.MethodPost, path("repos", r.Owner, r.Name, "issues", strconv.Itoa(number), "assignees"), body)
	if err != nil {
		return err
	}
	there, err := c.HasAgent(ctx, r, number)
	if err == nil && !there { // GitHub drops in silence whom it cannot assign
		err = &Refused{Status: http.StatusUnprocessableEntity, Request: "assign " + agentLogin, Why: "the coding agent is not switched on for " + r.FullName() + ", or the user may not ask it"}
	}
	return err
}

// HasAgent tells whether the coding agent is among the assignees of an issue.
func (c *Client) HasAgent(ctx context.Context, r graph.Repository, number int) (bool, error) {
	i, err := c.GetIssue(ctx, r, number)
	return slices.ContainsFunc(i.Assignees, graph.IsAgent), err
}
