package github

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// PullRequest is a pull request as GitHub writes it. Repository is still empty in the noun.
type PullRequest struct {
	graph.PullRequest
	Body string
}

// ReadPullRequest reads a pull request.
func ReadPullRequest(c *scan.Cursor) PullRequest {
	var p PullRequest
	merged := false
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "number":
			p.Number = int(c.Int())
		case "html_url":
			p.URL = c.String()
		case "state":
			p.State = c.String()
		case "title":
			p.Title = c.String()
		case "body":
			p.Body = c.String()
		case "user":
			p.Author = ReadAccount(c).Login
		case "merged":
			merged = c.Bool()
		case "merge_commit_sha":
			p.Commit = c.String()
		case "updated_at":
			p.UpdatedAt = c.Time()
		}
	}
	// An open pull request names its test merge there, which is no commit of the branch.
	if merged {
		p.State = "merged"
	} else {
		p.Commit = ""
	}
	return p
}

// Noun places the pull request in its repository, whose owner/name tells references to it from references elsewhere.
func (p PullRequest) Noun(r graph.RepositoryID, fullName string) graph.PullRequest {
	noun := p.PullRequest
	noun.Repository, noun.Issues = r, closes(p.Body, fullName)
	return noun
}

// closing is GitHub's grammar for a pull request that closes an issue.
var closing = regexp.MustCompile(`(?i)\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(?:https?://[^\s/]+/)?([\w.-]+/[\w.-]+)?(?:#|/issues/)(\d{1,9})\b`)

// maxClosed bounds how many issues one pull request may claim to close.
const maxClosed = 50

func closes(body, fullName string) []int {
	var numbers []int
	if !strings.Contains(body, "#") && !strings.Contains(body, "/issues/") {
		return nil
	}
	for _, m := range closing.FindAllStringSubmatch(body, 2*maxClosed) {
		if m[1] != "" && !strings.EqualFold(m[1], fullName) {
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil || n < 1 || slices.Contains(numbers, n) || len(numbers) == maxClosed {
			continue
		}
		numbers = append(numbers, n)
	}
	return numbers
}
