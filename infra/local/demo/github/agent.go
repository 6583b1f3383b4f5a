package github

import (
	"fmt"
	"slices"
)

// The coding agent: the login that it is asked by, and the one that it shows.
const (
	agentLogin nameOrObject = "copilot-swe-agent[bot]"
	agentShown nameOrObject = "Copilot"
)

// invite replaces the agent's login by the name that it shows; who asks with another token than a user's is not heard.
func (s *Server) invite(c *call, list []nameOrObject) []nameOrObject {
	list = slices.DeleteFunc(list, func(l nameOrObject) bool { return l == agentLogin })
	if c.token.User != "" {
		list = append(list, agentShown)
	}
	return list
}

// agentBegins lets the agent open its one pull request for an issue that it was just given. The caller holds s.mu.
func (s *Server) agentBegins(i *Issue) error {
	if i.Agent || !slices.Contains(i.Assignees, string(agentShown)) {
		return nil
	}
	i.Agent = true
	p := &Issue{ID: s.id(), Repo: i.Repo, Number: s.nextNumber(i.Repo), Title: "[WIP] " + i.Title, Body: fmt.Sprintf("Fixes #%d", i.Number), State: "open",
		Author: string(agentShown), Created: s.now(), Updated: s.now(), PullRequest: true}
	s.issues[i.Repo] = append(s.issues[i.Repo], p)
	t := &tx{s: s}
	t.put(issueKey(i), i)
	t.put(issueKey(p), p)
	s.hooks.emit(t, "pull_request", "opened", i.Repo, p.Author, s.pullHook(p))
	return t.commit()
}
