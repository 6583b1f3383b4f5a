package client

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// query sends a GraphQL query and hands its data to read. GitHub answers 200 to limits and failures alike, so the list of
// errors decides: a thing that is not there leaves a null, anything else fails the query.
func (c *Client) query(ctx context.Context, a *access, text string, variables map[string]any, read func(*scan.Cursor)) error {
	where := "graphql"
	if strings.HasSuffix(c.base.Path, "/api/v3/") {
		where = "../graphql" // Enterprise Server
	}
	if err := a.limits.spare("graphql", c.options.Reserve); err != nil {
		return err
	}
	got, err := c.call(ctx, a, http.MethodPost, where, map[string]any{"query": text, "variables": variables})
	if err != nil {
		return err
	}
	var problems []problem
	err = walk(got, func(cur *scan.Cursor) {
		for cur.Object(); cur.Field(); {
			switch string(cur.Key()) {
			case "data":
				read(cur)
			case "errors":
				problems = readProblems(cur)
			}
		}
	})
	if err != nil {
		return err
	}
	return a.limits.judge(problems)
}

// problem is one entry of the errors of a GraphQL answer.
type problem struct{ kind, message string }

func readProblems(c *scan.Cursor) []problem {
	var all []problem
	for c.Array(); c.Element(); {
		var p problem
		for c.Object(); c.Field(); {
			switch string(c.Key()) {
			case "type":
				p.kind = c.String()
			case "message":
				p.message = c.String()
			}
		}
		all = append(all, p)
	}
	return all
}

// judge turns the errors of a GraphQL answer into one: a limit before anything else.
func (l *limits) judge(problems []problem) error {
	var failed error
	for _, p := range problems {
		switch {
		case p.kind == "RATE_LIMITED" || strings.Contains(strings.ToLower(p.message), "rate limit"):
			return l.rest(p.message)
		case p.kind != "NOT_FOUND" && failed == nil:
			failed = fmt.Errorf("GitHub's GraphQL answers %s: %s", p.kind, p.message)
		}
	}
	return failed
}

// rest keeps everybody from GraphQL until the reset, or for a minute when none is known.
func (l *limits) rest(why string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.now().Add(firstPause)
	if a, known := l.left["graphql"]; known && a.remaining == 0 && l.now().Before(a.reset) {
		until = a.reset
	}
	l.quiet["graphql"] = pause{until, why}
	return &graph.Limited{Until: until, Why: why}
}

// Owners is a CODEOWNERS file.
type Owners struct {
	Path string
	Text string
}

// batch is how many repositories one query asks for.
const batch = 100

// OwnersOf reads the CODEOWNERS files of many repositories of one account, 100 a query. A repository without one is not in
// the answer.
func (c *Client) OwnersOf(ctx context.Context, login string, repositories []graph.Repository) (map[graph.RepositoryID]Owners, error) {
	a, _, err := c.account(ctx, login)
	if err != nil {
		return nil, err
	}
	all := map[graph.RepositoryID]Owners{}
	for part := range slices.Chunk(repositories, batch) {
		text, variables := ownersQuery(part)
		err := c.query(ctx, a, text, variables, func(cur *scan.Cursor) {
			for cur.Object(); cur.Field(); {
				i := -1
				if _, err := fmt.Sscanf(string(cur.Key()), "r%d", &i); err != nil || i < 0 || i >= len(part) {
					continue
				}
				if found := readOwners(cur); found.Path != "" {
					all[part[i].ID] = found
				}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read CODEOWNERS of %s: %w", login, err)
		}
	}
	return all, nil
}

// ownersQuery names each repository r<index> and each place p<index>.
func ownersQuery(part []graph.Repository) (string, map[string]any) {
	var head, body strings.Builder
	variables := map[string]any{}
	for i, r := range part {
		fmt.Fprintf(&head, "$o%d:String!,$n%d:String!,", i, i)
		variables[fmt.Sprintf("o%d", i)], variables[fmt.Sprintf("n%d", i)] = r.Owner, r.Name
		fmt.Fprintf(&body, "r%d:repository(owner:$o%d,name:$n%d){", i, i, i)
		for j, place := range ownersPlaces {
			fmt.Fprintf(&body, "p%d:object(expression:%q){...on Blob{text isTruncated}}", j, "HEAD:"+place)
		}
		body.WriteString("}\n")
	}
	return "query(" + strings.TrimSuffix(head.String(), ",") + "){\n" + body.String() + "}", variables
}

// readOwners takes the first place that has the file whole.
func readOwners(c *scan.Cursor) Owners {
	var texts [len(ownersPlaces)]*string
	for c.Object(); c.Field(); {
		place := -1
		if _, err := fmt.Sscanf(string(c.Key()), "p%d", &place); err != nil || place < 0 || place >= len(texts) {
			continue
		}
		texts[place] = readBlob(c)
	}
	for i, text := range texts {
		if text != nil {
			return Owners{Path: ownersPlaces[i], Text: *text}
		}
	}
	return Owners{}
}

// readBlob is nil for a file that is not there, is no text, or was cut.
func readBlob(c *scan.Cursor) *string {
	var text *string
	truncated := false
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "text":
			if c.IsString() {
				s := c.String()
				text = &s
			}
		case "isTruncated":
			truncated = c.Bool()
		}
	}
	if truncated {
		return nil
	}
	return text
}
