package github

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/demo/estate"
)

// repository is what can change of a repository; the rest is in the estate. It is one document of the journal.
type repository struct {
	Name     string    `json:"name"`
	Private  bool      `json:"private"`
	Archived bool      `json:"archived"`
	Deleted  bool      `json:"deleted"`
	NoIssues bool      `json:"noIssues"` // issues are disabled: creating one answers 410
	Past     []string  `json:"past,omitempty"`
	Updated  time.Time `json:"updated"`

	short json.RawMessage // rendered simple form, until the next change
}

// now is the time that things happen at. The limits have a clock of their own.
func (s *Server) now() time.Time { return time.Now().UTC() }

func (s *Server) loadRepositories() error {
	for i, r := range s.world.Repositories {
		state := &repository{Name: r.Name, Private: r.Private, Archived: r.Archived, Updated: s.world.Epoch}
		if _, err := s.journal.Get(repositoryKey(i), state); err != nil {
			return err
		}
		s.repos = append(s.repos, state)
		s.byID[r.ID] = i
	}
	for i, r := range s.repos { // old names first, so that a name taken again belongs to its new owner
		for _, name := range r.Past {
			s.byName[strings.ToLower(s.world.Org.Login+"/"+name)] = i
		}
	}
	for i := range s.repos {
		s.byName[strings.ToLower(s.fullName(i))] = i
	}
	return nil
}

func repositoryKey(i int) string { return fmt.Sprintf("repository/%d", i) }

func (s *Server) fullName(i int) string { return s.world.Org.Login + "/" + s.repos[i].Name }

func (s *Server) visibility(i int) string {
	if s.repos[i].Private {
		return "private"
	}
	return "public"
}

func node(kind string, id int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%03d:%s%d", len(kind), kind, id))
}

// accountJSON is the simple-user form of a person, a bot or the organisation.
func (s *Server) accountJSON(a estate.Account) map[string]any {
	u, h := s.base+"/users/"+a.Login, "https://github.com/"+strings.TrimSuffix(a.Login, "[bot]")
	if a.Type == "Bot" {
		h = "https://github.com/apps/" + strings.TrimSuffix(a.Login, "[bot]")
	}
	return map[string]any{
		"login": a.Login, "id": a.ID, "node_id": node(a.Type, a.ID), "avatar_url": fmt.Sprintf("https://avatars.githubusercontent.com/u/%d?v=4", a.ID),
		"gravatar_id": "", "url": u, "html_url": h, "followers_url": u + "/followers", "following_url": u + "/following{/other_user}",
		"gists_url": u + "/gists{/gist_id}", "starred_url": u + "/starred{/owner}{/repo}", "subscriptions_url": u + "/subscriptions",
		"organizations_url": u + "/orgs", "repos_url": u + "/repos", "events_url": u + "/events{/privacy}",
		"received_events_url": u + "/received_events", "type": a.Type, "site_admin": false, "user_view_type": "public",
	}
}

// userJSON renders a person by login, null when there is none.
func (s *Server) userJSON(login string) any {
	if a, found := s.world.Account(login); found {
		return s.accountJSON(a)
	}
	if login == string(agentShown) {
		return s.accountJSON(estate.Account{ID: 198_982_749, Login: login, Type: "Bot"})
	}
	return nil
}

func (s *Server) usersJSON(logins []string) []any {
	out := []any{}
	for _, l := range logins {
		if u := s.userJSON(l); u != nil {
			out = append(out, u)
		}
	}
	return out
}

var repositoryLinks = []struct{ key, tail string }{
	{"archive_url", "/{archive_format}{/ref}"}, {"assignees_url", "/assignees{/user}"}, {"blobs_url", "/git/blobs{/sha}"},
	{"branches_url", "/branches{/branch}"}, {"collaborators_url", "/collaborators{/collaborator}"}, {"comments_url", "/comments{/number}"},
	{"commits_url", "/commits{/sha}"}, {"compare_url", "/compare/{base}...{head}"}, {"contents_url", "/contents/{+path}"},
	{"contributors_url", "/contributors"}, {"deployments_url", "/deployments"}, {"downloads_url", "/downloads"}, {"events_url", "/events"},
	{"forks_url", "/forks"}, {"git_commits_url", "/git/commits{/sha}"}, {"git_refs_url", "/git/refs{/sha}"}, {"git_tags_url", "/git/tags{/sha}"},
	{"hooks_url", "/hooks"}, {"issue_comment_url", "/issues/comments{/number}"}, {"issue_events_url", "/issues/events{/number}"},
	{"issues_url", "/issues{/number}"}, {"keys_url", "/keys{/key_id}"}, {"labels_url", "/labels{/name}"}, {"languages_url", "/languages"},
	{"merges_url", "/merges"}, {"milestones_url", "/milestones{/number}"}, {"notifications_url", "/notifications{?since,all,participating}"},
	{"pulls_url", "/pulls{/number}"}, {"releases_url", "/releases{/id}"}, {"stargazers_url", "/stargazers"}, {"statuses_url", "/statuses/{sha}"},
	{"subscribers_url", "/subscribers"}, {"subscription_url", "/subscription"}, {"tags_url", "/tags"}, {"teams_url", "/teams"}, {"trees_url", "/git/trees{/sha}"},
}

// shortRepository is the simple-repository form that alerts carry. The caller holds s.mu.
func (s *Server) shortRepository(i int) json.RawMessage {
	if s.repos[i].short == nil {
		raw, err := json.Marshal(s.simpleRepository(i))
		if err != nil {
			raw = nil // a map of strings and numbers always marshals
		}
		s.repos[i].short = raw
	}
	return s.repos[i].short
}

func (s *Server) simpleRepository(i int) map[string]any {
	e, r := s.world.Repositories[i], s.repos[i]
	full := s.fullName(i)
	api := s.base + "/repos/" + full
	out := map[string]any{
		"id": e.ID, "node_id": node("Repository", e.ID), "name": r.Name, "full_name": full, "owner": s.accountJSON(s.world.Org),
		"private": r.Private, "html_url": "https://github.com/" + full, "description": e.Description, "fork": false, "url": api,
	}
	for _, l := range repositoryLinks {
		out[l.key] = api + l.tail
	}
	return out
}

// repositoryJSON is the full form. The caller holds s.mu.
func (s *Server) repositoryJSON(i int) map[string]any {
	e, r := s.world.Repositories[i], s.repos[i]
	html := "https://github.com/" + s.fullName(i)
	open := 0
	for _, x := range s.issues[i] {
		if x.State == "open" {
			open++
		}
	}
	out := s.simpleRepository(i)
	maps.Copy(out, map[string]any{
		"clone_url": html + ".git", "git_url": "git://github.com/" + s.fullName(i) + ".git", "ssh_url": "git@github.com:" + s.fullName(i) + ".git", "svn_url": html,
		"default_branch": "main", "forks": 0, "forks_count": 0, "has_issues": !r.NoIssues, "has_projects": true, "has_wiki": false, "has_pages": false,
		"has_discussions": false, "has_downloads": true, "homepage": nil, "language": e.Language, "archived": r.Archived, "disabled": false, "mirror_url": nil,
		"open_issues": open, "open_issues_count": open, "license": nil, "size": 1000 + e.Commits, "stargazers_count": 0, "watchers": 0, "watchers_count": 0,
		"pushed_at": stamp(r.Updated), "created_at": stamp(e.Created), "updated_at": stamp(r.Updated), "visibility": s.visibility(i), "topics": []string{},
		"is_template": false, "web_commit_signoff_required": false, "allow_forking": false,
		"permissions": map[string]bool{"admin": false, "maintain": false, "push": false, "triage": false, "pull": true},
	})
	return out
}

func (s *Server) fullRepository(i int) map[string]any {
	out := s.repositoryJSON(i)
	out["network_count"], out["subscribers_count"] = 0, 1
	out["organization"] = s.accountJSON(s.world.Org)
	out["custom_properties"] = s.world.Properties(i)
	return out
}

// visible lists the repositories that a token reaches.
func (s *Server) visible(c *call) []int {
	var out []int
	for i := range s.repos {
		if !s.repos[i].Deleted && c.token.reaches(s.world.Repositories[i].ID) {
			out = append(out, i)
		}
	}
	return out
}

func (s *Server) repositoryPage(c *call, all []int) ([]any, map[string]string) {
	list, header := page(c, all)
	out := []any{}
	for _, i := range list {
		out = append(out, s.repositoryJSON(i))
	}
	return out, header
}

func (s *Server) installationRepositories(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.visible(c)
	list, header := s.repositoryPage(c, all)
	return reply{http.StatusOK, map[string]any{"total_count": len(all), "repository_selection": "all", "repositories": list}, header}
}

func (s *Server) orgRepositories(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := c.r.URL.Query().Get("type")
	all := slices.DeleteFunc(s.visible(c), func(i int) bool {
		return kind == "public" && s.repos[i].Private || kind == "private" && !s.repos[i].Private
	})
	list, header := s.repositoryPage(c, all)
	return reply{http.StatusOK, list, header}
}

func (s *Server) getRepository(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := c.repo
	if id := c.r.PathValue("id"); id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		found := false
		if i, found = s.byID[n]; err != nil || !found || s.repos[i].Deleted || !c.token.reaches(n) {
			return problem(http.StatusNotFound, "Not Found")
		}
	}
	return ok(s.fullRepository(i))
}

func (s *Server) properties(i int) []any {
	values := s.world.Properties(i)
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		out = append(out, map[string]any{"property_name": k, "value": values[k]})
	}
	return out
}

func (s *Server) orgProperties(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, header := page(c, s.visible(c))
	out := []any{}
	for _, i := range list {
		out = append(out, map[string]any{
			"repository_id": s.world.Repositories[i].ID, "repository_name": s.repos[i].Name, "repository_full_name": s.fullName(i), "properties": s.properties(i),
		})
	}
	return reply{http.StatusOK, out, header}
}

func (s *Server) repoProperties(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok(s.properties(c.repo))
}

func (s *Server) teamMembers(c *call) reply {
	for _, t := range s.world.Teams {
		if t.Slug != c.r.PathValue("slug") {
			continue
		}
		out := []any{}
		for _, m := range t.Members {
			out = append(out, s.accountJSON(s.world.Users[m]))
		}
		list, header := page(c, out)
		return reply{http.StatusOK, list, header}
	}
	return problem(http.StatusNotFound, "Not Found")
}
