package github

import (
	"fmt"
	"net/http"
	"strings"

	"throughline/infra/local/demo/estate"
)

// adminRepository changes a repository as its administrator would: rename, archive, unarchive, delete, privatize, publicize, push.
func (s *Server) adminRepository(r *http.Request, a admin, t *tx) (any, error) {
	i, err := s.adminFind(r.PathValue("repo"))
	if err != nil {
		return nil, err
	}
	by, state, action := s.world.Users[0].Login, s.repos[i], map[string]string{
		"rename": "renamed", "archive": "archived", "unarchive": "unarchived", "delete": "deleted", "privatize": "privatized", "publicize": "publicized", "push": "push",
	}[r.PathValue("action")]
	extra := map[string]any{}
	switch action {
	case "":
		return nil, fmt.Errorf("action %q is not known", r.PathValue("action"))
	case "push":
		revision, err := s.world.Push(i)
		if err != nil {
			return nil, err
		}
		s.hooks.emit(t, "push", "", i, by, s.pushHook(i, revision, a.Path))
		return map[string]any{"sha": s.world.Commit(i, revision)}, nil
	case "renamed":
		if err := s.rename(i, a.Name); err != nil {
			return nil, err
		}
		extra["changes"] = map[string]any{"repository": map[string]any{"name": map[string]string{"from": state.Past[len(state.Past)-1]}}}
	case "archived", "unarchived":
		state.Archived = action == "archived"
	case "deleted":
		state.Deleted = true
		for _, b := range s.books {
			clear(b.views)
		}
	case "privatized", "publicized":
		state.Private = action == "privatized"
	}
	state.Updated, state.short = s.now(), nil
	t.put(repositoryKey(i), state)
	s.hooks.emit(t, "repository", action, i, by, extra)
	return s.repositoryJSON(i), nil
}

func (s *Server) rename(i int, name string) error {
	if !repositoryName.MatchString(name) {
		return fmt.Errorf("%q is no name for a repository", name)
	}
	if other, err := s.adminFind(name); err == nil && s.repos[other].Name == name && !s.repos[other].Deleted {
		return fmt.Errorf("%q exists", name)
	}
	s.repos[i].Past = append(s.repos[i].Past, s.repos[i].Name)
	s.repos[i].Name = name
	for n, r := range s.repos {
		if n == i || r.Name == name {
			s.byName[strings.ToLower(s.fullName(n))] = n
		}
	}
	s.byName[strings.ToLower(s.fullName(i))] = i
	return nil
}

// transfer moves an issue to another repository, where it takes the next number; the old place redirects to it.
func (s *Server) transfer(t *tx, i *Issue, to, by string) (any, error) {
	repo, err := s.adminFind(to)
	if err != nil || repo == i.Repo {
		return nil, fmt.Errorf("an issue cannot be transferred to %q", to)
	}
	moved := *i
	moved.ID, moved.Repo, moved.Number, moved.Updated = s.id(), repo, s.nextNumber(repo), s.now()
	s.issues[repo] = append(s.issues[repo], &moved)
	old := s.issueJSON(i)
	i.Moved, i.Comments = &Place{repo, moved.Number}, nil
	t.put(issueKey(i), i)
	t.put(issueKey(&moved), &moved)
	s.hooks.emit(t, "issues", "transferred", i.Repo, by, map[string]any{
		"issue": old, "changes": map[string]any{"new_issue": s.issueJSON(&moved), "new_repository": s.hookRepository(repo)},
	})
	s.hooks.emit(t, "issues", "opened", repo, by, map[string]any{
		"issue": s.issueJSON(&moved), "changes": map[string]any{"old_issue": old, "old_repository": s.hookRepository(i.Repo)},
	})
	return s.issueJSON(&moved), nil
}

// adminMissed notes deliveries that failed, as after an outage: Wanted of them carry alerts, the rest nobody needs.
func (s *Server) adminMissed(_ *http.Request, a admin, t *tx) (any, error) {
	if a.Wanted < 0 || a.Total < a.Wanted || a.Total > hookHistory*8/10 {
		return nil, fmt.Errorf("want 0 <= wanted <= total <= %d", hookHistory*8/10)
	}
	all := s.view(alertQuery{kind: estate.Dependabot, repo: -1})
	for n := range a.Total {
		if n*a.Wanted/a.Total != (n+1)*a.Wanted/a.Total && len(all) > 0 {
			x := all[n%len(all)]
			s.hooks.emit(t, "dependabot_alert", "created", x.Repo, "github", s.alertHook(x))
			continue
		}
		s.hooks.emit(t, "star", "created", n%len(s.repos), s.world.Users[n%len(s.world.Users)].Login, map[string]any{"starred_at": stamp(s.now())})
	}
	for _, d := range t.queued {
		d.Pending, d.Code, d.Status = false, http.StatusBadGateway, "Invalid HTTP Response: 502"
		t.put(deliveryKey(d.ID), d)
	}
	s.hooks.remember(t.queued)
	missed := len(t.queued)
	t.queued = nil
	return map[string]int{"missed": missed}, nil
}
