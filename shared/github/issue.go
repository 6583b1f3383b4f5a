package github

import (
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// Issue is an issue as GitHub writes it; the issue lists of the API hold pull requests too.
type Issue struct {
	Number        int
	URL           string
	State         string
	StateReason   string
	Title         string
	Body          string
	Assignees     []string
	Labels        []string
	Creator       Account
	App           int64 // the App through which it was written
	IsPullRequest bool
	UpdatedAt     time.Time
}

// ReadIssue reads an issue.
func ReadIssue(c *scan.Cursor) Issue {
	var i Issue
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "number":
			i.Number = int(c.Int())
		case "html_url":
			i.URL = c.String()
		case "state":
			i.State = c.String()
		case "state_reason":
			i.StateReason = c.String()
		case "title":
			i.Title = c.String()
		case "body":
			i.Body = c.String()
		case "assignees":
			i.Assignees = logins(c)
		case "labels":
			i.Labels = readLabels(c)
		case "user":
			i.Creator = ReadAccount(c)
		case "performed_via_github_app":
			i.App = c.IntField("id")
		case "pull_request":
			i.IsPullRequest = c.IsObject()
		case "updated_at":
			i.UpdatedAt = c.Time()
		}
	}
	return i
}

// Noun turns the issue into the graph's.
func (i Issue) Noun(r graph.RepositoryID) graph.Issue {
	return graph.Issue{
		Repository: r, Number: i.Number, URL: i.URL, State: i.State, StateReason: i.StateReason, Title: i.Title, Body: i.Body,
		Assignees: i.Assignees, Labels: i.Labels, UpdatedAt: i.UpdatedAt,
	}
}

// readLabels takes labels as objects and as plain names.
func readLabels(c *scan.Cursor) []string {
	var all []string
	for c.Array(); c.Element(); {
		if c.IsString() {
			all = add(all, c.String())
		} else {
			all = add(all, c.StringField("name"))
		}
	}
	return all
}
