package github

import (
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"
)

func (s *Server) commentJSON(i *Issue, c Comment) map[string]any {
	full := s.fullName(i.Repo)
	out := map[string]any{
		"id": c.ID, "node_id": node("IssueComment", c.ID), "url": fmt.Sprintf("%s/repos/%s/issues/comments/%d", s.base, full, c.ID),
		"html_url":  fmt.Sprintf("https://github.com/%s/issues/%d#issuecomment-%d", full, i.Number, c.ID),
		"issue_url": fmt.Sprintf("%s/repos/%s/issues/%d", s.base, full, i.Number), "body": c.Body, "user": s.userJSON(c.Author),
		"reactions": reactions(fmt.Sprintf("%s/repos/%s/issues/comments/%d", s.base, full, c.ID)), "created_at": stamp(c.Created), "updated_at": stamp(c.Updated), "author_association": "NONE", "performed_via_github_app": nil,
	}
	if c.ByApp {
		out["performed_via_github_app"] = s.appJSONLocked()
	}
	return out
}

func (s *Server) listComments(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.issueOf(c)
	if bad != nil {
		return *bad
	}
	list, header := page(c, i.Comments)
	out := []any{}
	for _, x := range list {
		out = append(out, s.commentJSON(i, x))
	}
	return reply{http.StatusOK, out, header}
}

type bodyWrite struct {
	Body *string `json:"body"`
}

func (b bodyWrite) check() *reply {
	if b.Body == nil || *b.Body == "" {
		return ptr(invalid("IssueComment", "body", "can't be blank"))
	}
	if utf8.RuneCountInString(*b.Body) > 65_536 {
		return ptr(invalid("IssueComment", "body", "body is too long (maximum is 65536 characters)"))
	}
	return nil
}

func (s *Server) createComment(c *call) reply {
	var p bodyWrite
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	if bad := p.check(); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.issueOf(c)
	if bad != nil {
		return *bad
	}
	if bad := s.writable(c.repo); bad != nil {
		return *bad
	}
	x, err := s.comment(i, *p.Body, s.world.Bot().Login, true)
	if err != nil {
		return broken(err)
	}
	return reply{status: http.StatusCreated, body: s.commentJSON(i, x)}
}

// comment adds a comment to an issue. The caller holds s.mu.
func (s *Server) comment(i *Issue, body, by string, byApp bool) (Comment, error) {
	x := Comment{ID: s.id(), Body: body, Author: by, ByApp: byApp, Created: s.now(), Updated: s.now()}
	i.Comments, i.Updated = append(i.Comments, x), x.Created
	t := &tx{s: s}
	t.put(issueKey(i), i)
	s.hooks.emit(t, "issue_comment", "created", i.Repo, by, map[string]any{"issue": s.issueJSON(i), "comment": s.commentJSON(i, x)})
	return x, t.commit()
}

// findComment gives an issue and the place of its comment. The caller holds s.mu.
func (s *Server) findComment(c *call) (*Issue, int) {
	id := int64(c.number("id"))
	for _, i := range s.issues[c.repo] {
		if n := slices.IndexFunc(i.Comments, func(x Comment) bool { return x.ID == id }); n >= 0 {
			return i, n
		}
	}
	return nil, -1
}

func (s *Server) getComment(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, n := s.findComment(c)
	if i == nil {
		return problem(http.StatusNotFound, "Not Found")
	}
	return ok(s.commentJSON(i, i.Comments[n]))
}

func (s *Server) editComment(c *call) reply {
	var p bodyWrite
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	if bad := p.check(); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, n := s.findComment(c)
	if i == nil {
		return problem(http.StatusNotFound, "Not Found")
	}
	from := i.Comments[n].Body
	i.Comments[n].Body, i.Comments[n].Updated = *p.Body, s.now()
	t := &tx{s: s}
	t.put(issueKey(i), i)
	s.hooks.emit(t, "issue_comment", "edited", i.Repo, s.world.Bot().Login, map[string]any{
		"issue": s.issueJSON(i), "comment": s.commentJSON(i, i.Comments[n]), "changes": map[string]any{"body": map[string]string{"from": from}},
	})
	if err := t.commit(); err != nil {
		return broken(err)
	}
	return ok(s.commentJSON(i, i.Comments[n]))
}

// onIssue finds the issue of the path, lets f compute its new labels and assignees, and stores what changed.
func (s *Server) onIssue(c *call, f func(i *Issue) (issueWrite, *reply)) (*Issue, *reply) {
	i, bad := s.issueOf(c)
	if bad != nil {
		return nil, bad
	}
	if bad := s.writable(c.repo); bad != nil {
		return nil, bad
	}
	p, bad := f(i)
	if bad != nil {
		return nil, bad
	}
	if err := s.updateIssue(i, p, s.world.Bot().Login); err != nil {
		return nil, ptr(broken(err))
	}
	return i, nil
}

func names(list []string) []nameOrObject {
	out := []nameOrObject{}
	for _, l := range list {
		out = append(out, nameOrObject(l))
	}
	return out
}

func (s *Server) issueLabels(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.issueOf(c)
	if bad != nil {
		return *bad
	}
	list, header := page(c, s.labelsJSON(i))
	return reply{http.StatusOK, list, header}
}

func (s *Server) addLabels(c *call) reply { return s.writeLabels(c, true) }
func (s *Server) setLabels(c *call) reply { return s.writeLabels(c, false) }

func (s *Server) writeLabels(c *call, keep bool) reply {
	var p struct {
		Labels []nameOrObject `json:"labels"`
	}
	if bad := c.decodeLabels(&p.Labels); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.onIssue(c, func(i *Issue) (issueWrite, *reply) {
		list := p.Labels
		if keep {
			list = append(names(i.Labels), list...)
		}
		return issueWrite{Labels: &list}, nil
	})
	if bad != nil {
		return *bad
	}
	return ok(s.labelsJSON(i))
}

func (s *Server) removeLabel(c *call) reply {
	name := c.r.PathValue("name")
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.onIssue(c, func(i *Issue) (issueWrite, *reply) {
		if !slices.Contains(i.Labels, name) {
			return issueWrite{}, ptr(problem(http.StatusNotFound, "Label does not exist"))
		}
		list := slices.DeleteFunc(names(i.Labels), func(l nameOrObject) bool { return string(l) == name })
		return issueWrite{Labels: &list}, nil
	})
	if bad != nil {
		return *bad
	}
	return ok(s.labelsJSON(i))
}

func (s *Server) addAssignees(c *call) reply    { return s.writeAssignees(c, true) }
func (s *Server) removeAssignees(c *call) reply { return s.writeAssignees(c, false) }

func (s *Server) writeAssignees(c *call, add bool) reply {
	var p struct {
		Assignees []nameOrObject `json:"assignees"`
	}
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.onIssue(c, func(i *Issue) (issueWrite, *reply) {
		list := append(names(i.Assignees), p.Assignees...)
		if add && slices.Contains(list, agentLogin) {
			list = s.invite(c, list)
		}
		if !add {
			list = slices.DeleteFunc(names(i.Assignees), func(l nameOrObject) bool { return slices.Contains(p.Assignees, l) })
		}
		return issueWrite{Assignees: &list}, nil
	})
	if bad != nil {
		return *bad
	}
	if add {
		if err := s.agentBegins(i); err != nil {
			return broken(err)
		}
		return reply{status: http.StatusCreated, body: s.issueJSON(i)}
	}
	return ok(s.issueJSON(i))
}

func (s *Server) listAssignees(c *call) reply {
	out := []any{}
	for _, u := range s.world.Users {
		if s.world.Assignable(c.repo, u.Login) {
			out = append(out, s.accountJSON(u))
		}
	}
	list, header := page(c, out)
	return reply{http.StatusOK, list, header}
}

func (s *Server) checkAssignee(c *call) reply {
	if s.world.Assignable(c.repo, c.r.PathValue("login")) {
		return reply{status: http.StatusNoContent}
	}
	return problem(http.StatusNotFound, "Not Found")
}

// permission tells what a person may do: those who can be assigned may write, everybody else who exists may read.
func (s *Server) permission(c *call) reply {
	login := c.r.PathValue("login")
	a, found := s.world.Account(login)
	if !found {
		return problem(http.StatusNotFound, fmt.Sprintf("%s is not a user", login))
	}
	role, writes := "read", s.world.Assignable(c.repo, login)
	if writes {
		role = "write"
	}
	user := s.accountJSON(a)
	user["role_name"] = role
	user["permissions"] = map[string]bool{"pull": true, "triage": writes, "push": writes, "maintain": false, "admin": false}
	return ok(map[string]any{"permission": role, "role_name": role, "user": user})
}
