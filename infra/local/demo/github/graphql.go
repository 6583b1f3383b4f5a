package github

import (
	"encoding/json"
	"fmt"
	"strings"

	"throughline/infra/local/demo/estate"
)

// graphql answers queries over repositories and the text of their files, which is what reading CODEOWNERS in batches
// needs. Errors come with status 200 and a list, as GitHub's do.
func (s *Server) graphql(c *call) reply {
	var ask struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if bad := c.decode(&ask); bad != nil {
		return *bad
	}
	fields, err := parseQuery(ask.Query, ask.Variables)
	if err != nil {
		return ok(map[string]any{"errors": []any{map[string]any{"message": err.Error(), "type": "PARSE_ERROR"}}})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &graphQuery{s: s, c: c}
	data := map[string]any{}
	for _, f := range fields {
		data[f.key()] = q.root(f)
	}
	out := map[string]any{"data": data}
	if len(q.errors) > 0 {
		out["errors"] = q.errors
	}
	return ok(out)
}

type graphQuery struct {
	s      *Server
	c      *call
	errors []any
	nodes  int
}

func (q *graphQuery) fail(f field, kind, message string) any {
	q.errors = append(q.errors, map[string]any{"message": message, "type": kind, "path": []string{f.key()}})
	return nil
}

func (q *graphQuery) root(f field) any {
	switch f.name {
	case "repository":
		full := fmt.Sprintf("%v/%v", f.args["owner"], f.args["name"])
		i, found := q.s.repositoryByName(q.c, full)
		if !found {
			return q.fail(f, "NOT_FOUND", "Could not resolve to a Repository with the name '"+full+"'.")
		}
		return q.repository(i, f.fields)
	case "node":
		return q.byNode(f, f.args["id"])
	case "nodes":
		ids, isList := f.args["ids"].([]any)
		if !isList || len(ids) > 100 {
			return q.fail(f, "ARGUMENT_LIMIT", "You may not provide more than 100 node ids; you provided "+fmt.Sprint(len(ids))+".")
		}
		out := []any{}
		for _, id := range ids {
			out = append(out, q.byNode(f, id))
		}
		return out
	case "organization":
		return q.organization(f)
	case "rateLimit":
		return q.rateLimit(f.fields)
	case "__typename":
		return "Query"
	}
	return q.fail(f, "undefinedField", "Field '"+f.name+"' doesn't exist on type 'Query'")
}

func (q *graphQuery) byNode(f field, id any) any {
	for i, r := range q.s.world.Repositories {
		if id == node("Repository", r.ID) && !q.s.repos[i].Deleted {
			return q.repository(i, f.fields)
		}
	}
	return q.fail(f, "NOT_FOUND", fmt.Sprintf("Could not resolve to a node with the global id of '%v'", id))
}

func (q *graphQuery) organization(f field) any {
	if !strings.EqualFold(fmt.Sprint(f.args["login"]), q.s.world.Org.Login) {
		return q.fail(f, "NOT_FOUND", "Could not resolve to an Organization")
	}
	out := map[string]any{}
	for _, sub := range f.fields {
		switch sub.name {
		case "repositories":
			out[sub.key()] = q.repositories(sub)
		case "login":
			out[sub.key()] = q.s.world.Org.Login
		case "databaseId":
			out[sub.key()] = q.s.world.Org.ID
		default:
			q.fail(sub, "undefinedField", "Field '"+sub.name+"' doesn't exist on type 'Organization'")
		}
	}
	return out
}

// repositories is a connection: first 1 to 100, after a cursor.
func (q *graphQuery) repositories(f field) any {
	first, isNumber := f.args["first"].(float64)
	if !isNumber || first < 1 || first > 100 {
		return q.fail(f, "EXCESSIVE_PAGINATION", "You must provide a `first` value between 1 and 100")
	}
	all := q.s.visible(q.c)
	from := 0
	if after, given := f.args["after"].(string); given {
		if _, err := fmt.Sscanf(decodeCursor(after), "repository:%d", &from); err != nil {
			return q.fail(f, "INVALID_CURSOR_ARGUMENTS", "`"+after+"` does not appear to be a valid cursor.")
		}
	}
	from = min(from, len(all))
	to := min(from+int(first), len(all))
	out := map[string]any{}
	for _, sub := range f.fields {
		switch sub.name {
		case "nodes":
			nodes := []any{}
			for _, i := range all[from:to] {
				nodes = append(nodes, q.repository(i, sub.fields))
			}
			out[sub.key()] = nodes
		case "pageInfo":
			out[sub.key()] = map[string]any{"hasNextPage": to < len(all), "endCursor": encodeCursor(fmt.Sprintf("repository:%d", to))}
		case "totalCount":
			out[sub.key()] = len(all)
		}
	}
	return out
}

func (q *graphQuery) repository(i int, fields []field) any {
	s, r := q.s, q.s.world.Repositories[i]
	q.nodes++
	out := map[string]any{}
	for _, f := range fields {
		switch f.name {
		case "id":
			out[f.key()] = node("Repository", r.ID)
		case "databaseId":
			out[f.key()] = r.ID
		case "name":
			out[f.key()] = s.repos[i].Name
		case "nameWithOwner":
			out[f.key()] = s.fullName(i)
		case "isArchived":
			out[f.key()] = s.repos[i].Archived
		case "isPrivate":
			out[f.key()] = s.repos[i].Private
		case "visibility":
			out[f.key()] = strings.ToUpper(s.visibility(i))
		case "defaultBranchRef":
			out[f.key()] = map[string]any{"name": "main", "target": map[string]any{"oid": s.world.Commit(i, s.world.Commits(i)-1)}}
		case "object":
			out[f.key()] = q.object(i, f)
		case "__typename":
			out[f.key()] = "Repository"
		default:
			q.fail(f, "undefinedField", "Field '"+f.name+"' doesn't exist on type 'Repository'")
		}
	}
	return out
}

func (q *graphQuery) object(repo int, f field) any {
	q.nodes++
	text, found := q.s.blob(repo, fmt.Sprint(f.args["expression"]))
	if !found {
		return nil
	}
	out := map[string]any{}
	for _, sub := range f.fields {
		switch sub.name {
		case "text":
			out[sub.key()] = text
		case "isTruncated", "isBinary":
			out[sub.key()] = false
		case "byteSize":
			out[sub.key()] = len(text)
		case "oid":
			out[sub.key()] = estate.DigestOf([]byte(text))[7:47]
		case "__typename":
			out[sub.key()] = "Blob"
		}
	}
	return out
}

func (q *graphQuery) rateLimit(fields []field) any {
	all := map[string]any{"cost": 1, "limit": primaryShown, "remaining": primaryShown - 1, "used": 1, "nodeCount": q.nodes, "resetAt": stamp(q.s.limits.resetAt())}
	out := map[string]any{}
	for _, f := range fields {
		out[f.key()] = all[f.name]
	}
	return out
}

// field is one selected field with its arguments, variables filled in, fragments flattened.
type field struct {
	alias, name string
	args        map[string]any
	fields      []field
}

func (f field) key() string {
	if f.alias != "" {
		return f.alias
	}
	return f.name
}

// literal reads a number or string the way JSON does.
func literal(text string) (any, error) {
	var v any
	err := json.Unmarshal([]byte(text), &v)
	return v, err
}
