package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"throughline/infra/local/demo/estate"
)

// Issue is one issue of a repository, with its comments. It is one document of the journal.
type Issue struct {
	ID          int64     `json:"id"`
	Repo        int       `json:"repo"`
	Number      int       `json:"number"`
	Title       string    `json:"title"`
	Body        string    `json:"body"`
	State       string    `json:"state"`
	StateReason string    `json:"stateReason,omitempty"`
	Labels      []string  `json:"labels,omitempty"`
	Assignees   []string  `json:"assignees,omitempty"`
	Author      string    `json:"author"`
	ByApp       bool      `json:"byApp"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated"`
	Closed      time.Time `json:"closed"`
	ClosedBy    string    `json:"closedBy,omitempty"`
	Comments    []Comment `json:"comments,omitempty"`
	PullRequest bool      `json:"pullRequest,omitempty"`
	Deleted     bool      `json:"deleted,omitempty"`
	Moved       *Place    `json:"moved,omitempty"` // where it was transferred to
	Merged      bool      `json:"merged,omitempty"`
	Agent       bool      `json:"agent,omitempty"` // the coding agent was given it and has begun
}

// Place names an issue.
type Place struct{ Repo, Number int }

// Comment is one comment on an issue.
type Comment struct {
	ID      int64     `json:"id"`
	Body    string    `json:"body"`
	Author  string    `json:"author"`
	ByApp   bool      `json:"byApp"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

func issueKey(i *Issue) string { return fmt.Sprintf("issue/%06d/%08d", i.Repo, i.Number) }

func (s *Server) loadIssues() error {
	s.nextID = 2_000_000_000
	return s.journal.Each("issue/", func(_ string, raw json.RawMessage) error {
		i := &Issue{}
		if err := json.Unmarshal(raw, i); err != nil {
			return err
		}
		s.issues[i.Repo] = append(s.issues[i.Repo], i)
		s.nextID = max(s.nextID, i.ID)
		for _, c := range i.Comments {
			s.nextID = max(s.nextID, c.ID)
		}
		return nil
	})
}

// id hands out identities for issues and comments. The caller holds s.mu.
func (s *Server) id() int64 {
	s.nextID++
	return s.nextID
}

// Issues hands over a copy of every issue, repository by repository, in the order of their numbers.
func (s *Server) Issues() []Issue {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Issue
	for i := range s.repos {
		for _, x := range s.issues[i] {
			if !x.Deleted && x.Moved == nil {
				out = append(out, *x)
			}
		}
	}
	return out
}

func (s *Server) issueJSON(i *Issue) map[string]any {
	full := s.fullName(i.Repo)
	api := fmt.Sprintf("%s/repos/%s/issues/%d", s.base, full, i.Number)
	out := map[string]any{
		"id": i.ID, "node_id": node("Issue", i.ID), "url": api, "repository_url": s.base + "/repos/" + full, "labels_url": api + "/labels{/name}",
		"comments_url": api + "/comments", "events_url": api + "/events", "timeline_url": api + "/timeline",
		"html_url": fmt.Sprintf("https://github.com/%s/issues/%d", full, i.Number), "number": i.Number, "state": i.State, "state_reason": orNull(i.StateReason),
		"title": i.Title, "body": i.Body, "user": s.userJSON(i.Author), "labels": s.labelsJSON(i), "assignees": s.usersJSON(i.Assignees), "assignee": nil,
		"milestone": nil, "locked": false, "active_lock_reason": nil, "comments": len(i.Comments), "created_at": stamp(i.Created), "updated_at": stamp(i.Updated),
		"closed_at": stampOrNull(i.Closed), "closed_by": s.userJSON(i.ClosedBy), "author_association": "NONE", "performed_via_github_app": nil,
		"reactions": reactions(api),
	}
	if len(i.Assignees) > 0 {
		out["assignee"] = s.userJSON(i.Assignees[0])
	}
	if i.ByApp {
		out["performed_via_github_app"] = s.appJSONLocked()
	}
	if i.PullRequest {
		pull := fmt.Sprintf("https://github.com/%s/pull/%d", full, i.Number)
		out["pull_request"] = map[string]any{"url": fmt.Sprintf("%s/repos/%s/pulls/%d", s.base, full, i.Number), "html_url": pull, "diff_url": pull + ".diff", "patch_url": pull + ".patch"}
		out["html_url"], out["draft"] = pull, false
	}
	return out
}

// reactions are what nobody left yet.
func reactions(api string) map[string]any {
	return map[string]any{"url": api + "/reactions", "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0, "confused": 0, "heart": 0, "rocket": 0, "eyes": 0}
}

func (s *Server) labelJSON(repo int, name string) map[string]any {
	id := int64(4_000_000_000)
	for _, r := range name {
		id = id*31 + int64(r)
	}
	id = id & 0x7fffffff
	return map[string]any{
		"id": id, "node_id": node("Label", id), "url": s.base + "/repos/" + s.fullName(repo) + "/labels/" + name, "name": name,
		"color": fmt.Sprintf("%06x", id&0xffffff), "default": false, "description": nil,
	}
}

func (s *Server) labelsJSON(i *Issue) []any {
	out := []any{}
	for _, l := range i.Labels {
		out = append(out, s.labelJSON(i.Repo, l))
	}
	return out
}

func (s *Server) findIssue(repo, number int) *Issue {
	list := s.issues[repo]
	n, found := slices.BinarySearchFunc(list, number, func(i *Issue, n int) int { return i.Number - n })
	if !found {
		return nil
	}
	return list[n]
}

// issueOf finds the issue that a path names: 404 when there never was one, 410 when it was deleted, a redirect when it
// was transferred. The caller holds s.mu.
func (s *Server) issueOf(c *call) (*Issue, *reply) {
	i := s.findIssue(c.repo, c.number("number"))
	switch {
	case i == nil:
		return nil, ptr(problem(http.StatusNotFound, "Not Found"))
	case i.Deleted:
		return nil, ptr(problem(http.StatusGone, "This issue was deleted"))
	case i.Moved != nil:
		target := fmt.Sprintf("%s/repos/%s/issues/%d", s.base, s.fullName(i.Moved.Repo), i.Moved.Number)
		return nil, &reply{http.StatusMovedPermanently, problemJSON{Message: "Moved Permanently", URL: target, Status: "301"}, map[string]string{"Location": target}}
	}
	return i, nil
}

func (s *Server) getIssue(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, bad := s.issueOf(c)
	if bad != nil {
		return *bad
	}
	return ok(s.issueJSON(i))
}

// listIssues filters by state, creator, labels (all of them), assignee and since; newest first.
func (s *Server) listIssues(c *call) reply {
	v := c.r.URL.Query()
	since, err := time.Parse(time.RFC3339, v.Get("since"))
	if err != nil && v.Get("since") != "" {
		return invalid("Issue", "since", "is not a time")
	}
	state := v.Get("state")
	if state == "" {
		state = "open"
	}
	var labels []string
	if v.Get("labels") != "" {
		labels = strings.Split(v.Get("labels"), ",")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Issue
	for _, i := range s.issues[c.repo] {
		fits := (state == "all" || i.State == state) && !i.Deleted && i.Moved == nil
		fits = fits && (v.Get("creator") == "" || i.Author == v.Get("creator")) && !i.Updated.Before(since)
		fits = fits && !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(i.Labels, l) })
		if a := v.Get("assignee"); a != "" && a != "*" {
			fits = fits && (slices.Contains(i.Assignees, a) || a == "none" && len(i.Assignees) == 0)
		}
		if fits {
			out = append(out, i)
		}
	}
	rank := func(i *Issue) time.Time { return i.Created }
	if v.Get("sort") == "updated" {
		rank = func(i *Issue) time.Time { return i.Updated }
	}
	sort.SliceStable(out, func(a, b int) bool {
		if x, y := rank(out[a]), rank(out[b]); !x.Equal(y) {
			return x.Before(y) == (v.Get("direction") == "asc")
		}
		return (out[a].Number < out[b].Number) == (v.Get("direction") == "asc")
	})
	list, header := page(c, out)
	shown := []any{}
	for _, i := range list {
		shown = append(shown, s.issueJSON(i))
	}
	return reply{http.StatusOK, shown, header}
}

// issueWrite is the body of create and edit. Labels and assignees may be strings or objects.
type issueWrite struct {
	Title       json.RawMessage `json:"title"`
	Body        *string         `json:"body"`
	State       *string         `json:"state"`
	StateReason *string         `json:"state_reason"`
	Labels      *[]nameOrObject `json:"labels"`
	Assignees   *[]nameOrObject `json:"assignees"`
	Assignee    *string         `json:"assignee"`
}

type nameOrObject string

func (n *nameOrObject) UnmarshalJSON(raw []byte) error {
	var object struct{ Name, Login string }
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*n = nameOrObject(text)
		return nil
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	*n = nameOrObject(object.Name + object.Login)
	return nil
}

func (p issueWrite) title() (string, bool) {
	var text string
	if len(p.Title) == 0 || string(p.Title) == "null" {
		return "", false
	}
	if json.Unmarshal(p.Title, &text) != nil {
		text = string(p.Title) // a number is a title too
	}
	return text, true
}

// check knows GitHub's limits: a title of 256 characters, a body of 65,536.
func (p issueWrite) check() *reply {
	if t, given := p.title(); given && (strings.TrimSpace(t) == "" || utf8.RuneCountInString(t) > 256) {
		return ptr(invalid("Issue", "title", "title is too long (maximum is 256 characters) or empty"))
	}
	if p.Body != nil && utf8.RuneCountInString(*p.Body) > 65_536 {
		return ptr(invalid("Issue", "body", "body is too long (maximum is 65536 characters)"))
	}
	if p.Assignees != nil && len(*p.Assignees) > 10 {
		return ptr(invalid("Issue", "assignees", "at most 10"))
	}
	return nil
}

// assignable keeps those who can be assigned and drops the others in silence, as GitHub does.
func (s *Server) assignable(repo int, logins []nameOrObject) []string {
	var out []string
	for _, l := range logins {
		if (s.world.Assignable(repo, string(l)) || l == agentShown) && !slices.Contains(out, string(l)) {
			out = append(out, string(l))
		}
	}
	return out
}

func labelNames(list []nameOrObject) []string {
	var out []string
	for _, l := range list {
		if !slices.Contains(out, string(l)) && l != "" {
			out = append(out, string(l))
		}
	}
	return out
}

func (s *Server) createIssue(c *call) reply {
	var p issueWrite
	if bad := c.decode(&p); bad != nil {
		return *bad
	}
	title, given := p.title()
	if !given {
		return invalid("Issue", "title", "is missing")
	}
	if bad := p.check(); bad != nil {
		return *bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad := s.writable(c.repo); bad != nil {
		return *bad
	}
	i := &Issue{ID: s.id(), Repo: c.repo, Number: s.nextNumber(c.repo), Title: title, State: "open", Author: s.world.Bot().Login, ByApp: true, Created: s.now(), Updated: s.now()}
	if p.Body != nil {
		i.Body = *p.Body
	}
	if p.Labels != nil {
		i.Labels = labelNames(*p.Labels)
	}
	if p.Assignees != nil {
		i.Assignees = s.assignable(c.repo, *p.Assignees)
	}
	t := &tx{s: s}
	t.put(issueKey(i), i)
	s.issues[c.repo] = append(s.issues[c.repo], i)
	s.issueHooks(t, i, i.Author, "opened")
	for _, l := range i.Labels {
		s.hooks.emit(t, "issues", "labeled", i.Repo, i.Author, map[string]any{"issue": s.issueJSON(i), "label": s.labelJSON(i.Repo, l)})
	}
	for _, a := range i.Assignees {
		s.hooks.emit(t, "issues", "assigned", i.Repo, i.Author, map[string]any{"issue": s.issueJSON(i), "assignee": s.userJSON(a)})
	}
	if err := t.commit(); err != nil {
		return broken(err)
	}
	out := s.issueJSON(i)
	return reply{http.StatusCreated, out, map[string]string{"Location": fmt.Sprint(out["url"])}}
}

// writable refuses what an archived repository or one without issues refuses.
func (s *Server) writable(repo int) *reply {
	switch r := s.repos[repo]; {
	case r.Archived:
		return ptr(problem(http.StatusForbidden, "Repository was archived so is read-only."))
	case r.NoIssues:
		return ptr(problem(http.StatusGone, "Issues are disabled for this repo"))
	}
	return nil
}

func (s *Server) nextNumber(repo int) int {
	if list := s.issues[repo]; len(list) > 0 {
		return list[len(list)-1].Number + 1
	}
	return 1
}

func (s *Server) issueHooks(t *tx, i *Issue, by string, actions ...string) {
	for _, a := range actions {
		s.hooks.emit(t, "issues", a, i.Repo, by, map[string]any{"issue": s.issueJSON(i)})
	}
}

func (s *Server) editIssue(c *call) reply {
	var p issueWrite
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
	if p.State != nil && *p.State != "open" && *p.State != "closed" {
		return invalid("Issue", "state", "must be open or closed")
	}
	if err := s.updateIssue(i, p, s.world.Bot().Login); err != nil {
		return broken(err)
	}
	return ok(s.issueJSON(i))
}

// updateIssue applies an edit and says every change by its own webhook. The caller holds s.mu.
func (s *Server) updateIssue(i *Issue, p issueWrite, by string) error {
	before := *i
	t := &tx{s: s}
	changes := map[string]any{}
	if title, given := p.title(); given && title != i.Title {
		changes["title"] = map[string]string{"from": i.Title}
		i.Title = title
	}
	if p.Body != nil && *p.Body != i.Body {
		changes["body"] = map[string]string{"from": i.Body}
		i.Body = *p.Body
	}
	if p.Labels != nil {
		i.Labels = labelNames(*p.Labels)
	}
	if p.Assignees != nil {
		i.Assignees = s.assignable(i.Repo, *p.Assignees)
	} else if p.Assignee != nil {
		i.Assignees = s.assignable(i.Repo, []nameOrObject{nameOrObject(*p.Assignee)})
	}
	state := s.moveIssue(i, p, by)
	if len(changes) == 0 && state == "" && slices.Equal(before.Labels, i.Labels) && slices.Equal(before.Assignees, i.Assignees) {
		return nil
	}
	i.Updated = s.now()
	t.put(issueKey(i), i)
	if len(changes) > 0 {
		s.hooks.emit(t, "issues", "edited", i.Repo, by, map[string]any{"issue": s.issueJSON(i), "changes": changes})
	}
	s.memberHooks(t, i, by, before)
	if state != "" {
		s.issueHooks(t, i, by, state)
	}
	return t.commit()
}

// moveIssue closes or reopens an issue and names the webhook action, "" when nothing moved.
func (s *Server) moveIssue(i *Issue, p issueWrite, by string) string {
	if p.State == nil || *p.State == i.State {
		return ""
	}
	i.State = *p.State
	if i.State == "closed" {
		i.StateReason, i.Closed, i.ClosedBy = "completed", s.now(), by
		if p.StateReason != nil && *p.StateReason != "" {
			i.StateReason = *p.StateReason
		}
		return "closed"
	}
	i.StateReason, i.Closed, i.ClosedBy = "reopened", time.Time{}, ""
	return "reopened"
}

// memberHooks says which labels and assignees came and went.
func (s *Server) memberHooks(t *tx, i *Issue, by string, before Issue) {
	each := func(old, now []string, added, removed string, extra func(string) (string, any)) {
		say := func(action, name string) {
			k, v := extra(name)
			s.hooks.emit(t, "issues", action, i.Repo, by, map[string]any{"issue": s.issueJSON(i), k: v})
		}
		for _, n := range now {
			if !slices.Contains(old, n) {
				say(added, n)
			}
		}
		for _, n := range old {
			if !slices.Contains(now, n) {
				say(removed, n)
			}
		}
	}
	each(before.Labels, i.Labels, "labeled", "unlabeled", func(n string) (string, any) { return "label", s.labelJSON(i.Repo, n) })
	each(before.Assignees, i.Assignees, "assigned", "unassigned", func(n string) (string, any) { return "assignee", s.userJSON(n) })
}

// issuePage shows an issue to a person who looks at the demo, as plain text.
func (s *Server) issuePage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(r.PathValue("number"))
	repo, found := s.byName[strings.ToLower(r.PathValue("owner")+"/"+r.PathValue("repo"))]
	var i *Issue
	if err == nil && found {
		i = s.findIssue(repo, n)
	}
	if i == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s #%d  %s\n%s  labels: %s  assignees: %s\n\n%s\n", s.fullName(repo), i.Number, i.Title, i.State, strings.Join(i.Labels, ", "), strings.Join(i.Assignees, ", "), i.Body)
	for _, c := range i.Comments {
		fmt.Fprintf(w, "\n-- %s, %s\n%s\n", c.Author, stamp(c.Created), c.Body)
	}
}

// likeEstate makes sure that a person who acts exists; unknown logins act as the first user of the estate.
func (s *Server) likeEstate(login string) estate.Account {
	if a, found := s.world.Account(login); found {
		return a
	}
	return s.world.Users[0]
}
