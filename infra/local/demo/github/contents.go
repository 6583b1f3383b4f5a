package github

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"throughline/infra/local/demo/estate"
)

// file gives the text of a file of a repository; the stand-in keeps CODEOWNERS only.
func (s *Server) file(repo int, path string) (string, bool) {
	if at := s.world.Repositories[repo].OwnersPath; at == "" || at != strings.TrimPrefix(path, "/") {
		return "", false
	}
	return s.world.Owners(repo), true
}

func (s *Server) contents(c *call) reply {
	path := c.r.PathValue("path")
	text, found := s.file(c.repo, path)
	if !found {
		return problem(http.StatusNotFound, "Not Found")
	}
	s.mu.Lock()
	full := s.fullName(c.repo)
	s.mu.Unlock()
	sha := estate.DigestOf([]byte(text))[7:47]
	api := s.base + "/repos/" + full
	self, git, html := api+"/contents/"+path, api+"/git/blobs/"+sha, "https://github.com/"+full+"/blob/main/"+path
	return ok(map[string]any{
		"type": "file", "encoding": "base64", "size": len(text), "name": path[strings.LastIndex(path, "/")+1:], "path": path, "sha": sha,
		"content": base64.StdEncoding.EncodeToString([]byte(text)), "url": self + "?ref=main", "git_url": git, "html_url": html,
		"download_url": "https://raw.githubusercontent.com/" + full + "/main/" + path,
		"_links":       map[string]string{"self": self + "?ref=main", "git": git, "html": html},
	})
}

// ownersErrors finds none: every file that the estate writes is well formed.
func (s *Server) ownersErrors(c *call) reply {
	if s.world.Repositories[c.repo].OwnersPath == "" {
		return problem(http.StatusNotFound, "Not Found")
	}
	return ok(map[string]any{"errors": []any{}})
}

// resolve finds the index of a commit by id (whole or at least 7 digits), branch or HEAD.
func (s *Server) resolve(repo int, ref string) (int, bool) {
	n := s.world.Commits(repo)
	if ref == "main" || ref == "HEAD" || ref == "refs/heads/main" || ref == "heads/main" {
		return n - 1, true
	}
	if len(ref) < 7 {
		return 0, false
	}
	for i := n - 1; i >= 0; i-- {
		if strings.HasPrefix(s.world.Commit(repo, i), ref) {
			return i, true
		}
	}
	return 0, false
}

func (s *Server) commitJSON(repo, n int) map[string]any {
	sha := s.world.Commit(repo, n)
	full := s.fullName(repo)
	api, html := s.base+"/repos/"+full, "https://github.com/"+full
	author := s.world.Users[(repo+n)%len(s.world.Users)]
	when := stamp(s.world.Repositories[repo].Created.Add(time.Duration(n) * 30 * time.Hour))
	person := map[string]any{"name": author.Name, "email": author.Login + "@example.com", "date": when}
	parents := []any{}
	if n > 0 {
		p := s.world.Commit(repo, n-1)
		parents = append(parents, map[string]any{"sha": p, "url": api + "/commits/" + p, "html_url": html + "/commit/" + p})
	}
	return map[string]any{
		"sha": sha, "node_id": node("Commit", int64(n)), "url": api + "/commits/" + sha, "html_url": html + "/commit/" + sha, "comments_url": api + "/commits/" + sha + "/comments",
		"author": s.accountJSON(author), "committer": s.accountJSON(author), "parents": parents,
		"commit": map[string]any{
			"author": person, "committer": person, "message": fmt.Sprintf("Change %d", n), "comment_count": 0, "url": api + "/git/commits/" + sha,
			"tree":         map[string]any{"sha": sha, "url": api + "/git/trees/" + sha},
			"verification": map[string]any{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
		},
	}
}

func (s *Server) listCommits(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int
	for n := s.world.Commits(c.repo) - 1; n >= 0; n-- {
		all = append(all, n)
	}
	list, header := page(c, all)
	out := []any{}
	for _, n := range list {
		out = append(out, s.commitJSON(c.repo, n))
	}
	return reply{http.StatusOK, out, header}
}

func (s *Server) getCommit(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, found := s.resolve(c.repo, c.r.PathValue("ref"))
	if !found {
		return problem(http.StatusUnprocessableEntity, "No commit found for SHA: "+c.r.PathValue("ref"))
	}
	out := s.commitJSON(c.repo, n)
	out["stats"], out["files"] = map[string]int{"additions": 3, "deletions": 1, "total": 4}, []any{}
	return ok(out)
}

// compare tells how two commits of one history lie: ahead, behind or identical.
func (s *Server) compare(c *call) reply {
	from, to, cut := strings.Cut(c.r.PathValue("basehead"), "...")
	s.mu.Lock()
	defer s.mu.Unlock()
	a, foundA := s.resolve(c.repo, from)
	b, foundB := s.resolve(c.repo, to)
	if !cut || !foundA || !foundB {
		return problem(http.StatusNotFound, "Not Found")
	}
	api := s.base + "/repos/" + s.fullName(c.repo) + "/compare/" + from + "..." + to
	html := "https://github.com/" + s.fullName(c.repo) + "/compare/" + from + "..." + to
	status := "identical"
	if b > a {
		status = "ahead"
	} else if b < a {
		status = "behind"
	}
	var between []int
	for n := a + 1; n <= b; n++ {
		between = append(between, n)
	}
	list, header := page(c, between)
	commits := []any{}
	for _, n := range list {
		commits = append(commits, s.commitJSON(c.repo, n))
	}
	return reply{http.StatusOK, map[string]any{
		"url": api, "html_url": html, "permalink_url": html, "diff_url": html + ".diff", "patch_url": html + ".patch", "status": status,
		"base_commit": s.commitJSON(c.repo, a), "merge_base_commit": s.commitJSON(c.repo, min(a, b)), "ahead_by": max(b-a, 0), "behind_by": max(a-b, 0),
		"total_commits": max(b-a, 0), "commits": commits, "files": []any{},
	}, header}
}

// repositoryByName finds a repository for GraphQL. The caller holds s.mu.
func (s *Server) repositoryByName(c *call, full string) (int, bool) {
	i, found := s.byName[strings.ToLower(full)]
	return i, found && !s.repos[i].Deleted && c.token.reaches(s.world.Repositories[i].ID)
}

// blob answers object(expression:) for HEAD:<path> or main:<path>; null when there is no such file.
func (s *Server) blob(repo int, expression string) (string, bool) {
	ref, path, cut := strings.Cut(expression, ":")
	if !cut || !slices.Contains([]string{"HEAD", "main", "refs/heads/main"}, ref) {
		return "", false
	}
	return s.file(repo, path)
}
