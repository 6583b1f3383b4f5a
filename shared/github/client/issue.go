package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"throughline/shared/github"
	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// issueBody is an issue as GitHub takes it. What is nil is left as it is; an empty list clears.
type issueBody struct {
	Title       *string   `json:"title,omitempty"`
	Body        *string   `json:"body,omitempty"`
	State       string    `json:"state,omitempty"`
	StateReason string    `json:"state_reason,omitempty"`
	Labels      *[]string `json:"labels,omitempty"`
	Assignees   *[]string `json:"assignees,omitempty"`
}

// CreateIssue opens an issue with everything in one call. GitHub knows no idempotency key: after an error that is
// neither *Refused nor *graph.Limited the issue may be there, and FindIssues tells. *Refused with status 410 means that
// the repository has no issues.
func (c *Client) CreateIssue(ctx context.Context, r graph.Repository, d graph.IssueDraft) (graph.Issue, error) {
	return c.issue(ctx, r, http.MethodPost, path("repos", r.Owner, r.Name, "issues"), issueBody{Title: &d.Title, Body: &d.Body, Labels: given(d.Labels), Assignees: given(d.Assignees)})
}

// EditIssue replaces what the edit names and leaves the rest.
func (c *Client) EditIssue(ctx context.Context, r graph.Repository, number int, e graph.IssueEdit) (graph.Issue, error) {
	return c.issue(ctx, r, http.MethodPatch, path("repos", r.Owner, r.Name, "issues", strconv.Itoa(number)),
		issueBody{Title: e.Title, Body: e.Body, State: e.State, StateReason: e.StateReason, Labels: given(e.Labels), Assignees: given(e.Assignees)})
}

// GetIssue reads an issue with its body. graph.ErrNotFound tells that it was deleted, or moved out of reach.
func (c *Client) GetIssue(ctx context.Context, r graph.Repository, number int) (graph.Issue, error) {
	i, err := c.issue(ctx, r, http.MethodGet, path("repos", r.Owner, r.Name, "issues", strconv.Itoa(number)), nil)
	if isGone(err) {
		return graph.Issue{}, fmt.Errorf("issue #%d of %s: %w", number, r.FullName(), graph.ErrNotFound)
	}
	return i, err
}

// given tells an empty list, which clears, from none.
func given(list []string) *[]string {
	if list == nil {
		return nil
	}
	return &list
}

func (c *Client) issue(ctx context.Context, r graph.Repository, method, where string, body any) (graph.Issue, error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return graph.Issue{}, err
	}
	got, err := c.call(ctx, a, method, where, body)
	if err != nil {
		return graph.Issue{}, err
	}
	var i github.Issue
	if err := walk(got, func(cur *scan.Cursor) { i = github.ReadIssue(cur) }); err != nil {
		return graph.Issue{}, err
	}
	if i.Number < 1 {
		return graph.Issue{}, fmt.Errorf("%s %s: GitHub answers no issue", method, where)
	}
	return i.Noun(r.ID), nil
}

// CommentIssue adds a comment.
func (c *Client) CommentIssue(ctx context.Context, r graph.Repository, number int, body string) error {
	a, err := c.repository(ctx, r)
	if err != nil {
		return err
	}
	_, err = c.call(ctx, a, http.MethodPost, path("repos", r.Owner, r.Name, "issues", strconv.Itoa(number), "comments"), map[string]string{"body": body})
	return err
}

// FindComments gives the texts of the comments on an issue that were written or changed since a time.
func (c *Client) FindComments(ctx context.Context, r graph.Repository, number int, since time.Time) ([]string, error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return nil, err
	}
	var all []string
	where := path("repos", r.Owner, r.Name, "issues", strconv.Itoa(number), "comments") + "?" + url.Values{"per_page": {"100"}, "since": {since.UTC().Format(time.RFC3339)}}.Encode()
	for page := 0; where != "" && page < maxFound; page++ {
		got, err := c.call(ctx, a, http.MethodGet, where, nil)
		if err != nil {
			return nil, err
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Array(); cur.Element(); {
				all = append(all, readBody(cur))
			}
		})
		if err != nil {
			return nil, err
		}
		where = got.next
	}
	return all, nil
}

func readBody(c *scan.Cursor) (body string) {
	for c.Object(); c.Field(); {
		if string(c.Key()) == "body" {
			body = c.String()
		}
	}
	return body
}

// maxFound bounds how many pages of issues are read to find ours.
const maxFound = 50

// FindIssues lists the issues that the App opened on a repository and that changed since a time, with their bodies,
// whatever their state. It reads the repository's own list: search lags behind.
func (c *Client) FindIssues(ctx context.Context, r graph.Repository, since time.Time) ([]graph.Issue, error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return nil, err
	}
	slug, err := c.Slug(ctx)
	if err != nil {
		return nil, err
	}
	query := url.Values{"state": {"all"}, "per_page": {"100"}, "creator": {slug + "[bot]"}}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339))
	}
	var all []graph.Issue
	where := path("repos", r.Owner, r.Name, "issues") + "?" + query.Encode()
	for page := 0; where != ""; page++ {
		if page == maxFound {
			return nil, fmt.Errorf("find issues of %s: more than %d pages", r.FullName(), maxFound)
		}
		got, err := c.call(ctx, a, http.MethodGet, where, nil)
		if err != nil {
			return nil, err
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Array(); cur.Element(); {
				if i := github.ReadIssue(cur); !i.IsPullRequest && i.Number > 0 {
					all = append(all, i.Noun(r.ID))
				}
			}
		})
		if err != nil {
			return nil, err
		}
		where = got.next
	}
	return all, nil
}

// MayTriage tells whether a login may triage the repository's alerts and issues: GitHub's triage role or more, however it
// was given. Somebody who is no collaborator may not.
func (c *Client) MayTriage(ctx context.Context, r graph.Repository, login string) (bool, error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return false, err
	}
	got, err := c.call(ctx, a, http.MethodGet, path("repos", r.Owner, r.Name, "collaborators", login, "permission"), nil)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var role string
	var triage bool
	err = walk(got, func(cur *scan.Cursor) {
		for cur.Object(); cur.Field(); {
			switch string(cur.Key()) {
			case "role_name":
				role = cur.String()
			case "user":
				triage = mayTriage(cur)
			}
		}
	})
	return triage || slices.Contains([]string{"triage", "write", "maintain", "admin"}, role), err
}

// mayTriage reads permissions.triage of a user, which holds for roles with names of an organisation's own, too.
func mayTriage(c *scan.Cursor) (triage bool) {
	for c.Object(); c.Field(); {
		if string(c.Key()) != "permissions" {
			continue
		}
		for c.Object(); c.Field(); {
			if string(c.Key()) == "triage" {
				triage = c.Bool()
			}
		}
	}
	return triage
}

// Assignable tells whether a login can be assigned to issues of a repository.
func (c *Client) Assignable(ctx context.Context, r graph.Repository, login string) (bool, error) {
	a, err := c.repository(ctx, r)
	if err != nil {
		return false, err
	}
	_, err = c.call(ctx, a, http.MethodGet, path("repos", r.Owner, r.Name, "assignees", login), nil)
	if isGone(err) {
		return false, nil
	}
	return err == nil, err
}

// TeamMembers lists the logins of a team and of the teams inside it. graph.ErrNotFound tells that there is no such team,
// or that the App may not see it.
func (c *Client) TeamMembers(ctx context.Context, org, team string) ([]string, error) {
	a, _, err := c.account(ctx, org)
	if err != nil {
		return nil, err
	}
	var all []string
	for where := path("orgs", org, "teams", team, "members") + "?per_page=100"; where != ""; {
		got, err := c.call(ctx, a, http.MethodGet, where, nil)
		if isGone(err) {
			return nil, fmt.Errorf("team %s/%s: %w", org, team, graph.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Array(); cur.Element(); {
				if login := github.ReadAccount(cur).Login; login != "" {
					all = append(all, login)
				}
			}
		})
		if err != nil {
			return nil, err
		}
		where = got.next
	}
	slices.Sort(all)
	return all, nil
}

// PatchAlertAssignees sets who is assigned to an alert. A secret scanning alert takes one: the first; none clears.
func (c *Client) PatchAlertAssignees(ctx context.Context, r graph.Repository, kind graph.AlertKind, number int, logins []string) error {
	row, known := github.KindOf(kind)
	if !known {
		return fmt.Errorf("assign alert %d of %s: no kind %q", number, r.FullName(), kind)
	}
	a, err := c.repository(ctx, r)
	if err != nil {
		return err
	}
	body := map[string]any{"assignees": slices.Concat([]string{}, logins)}
	if kind == graph.SecretScanning {
		body = map[string]any{"assignee": nil}
		if len(logins) > 0 {
			body["assignee"] = logins[0]
		}
	}
	_, err = c.call(ctx, a, http.MethodPatch, path("repos", r.Owner, r.Name, row.List, "alerts", strconv.Itoa(number)), body)
	return err
}
