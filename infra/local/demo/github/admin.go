package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"throughline/infra/local/demo/estate"
)

// admin is a state-changing call of the demo's own, under /_demo: what a person, a scan or a pipeline would do.
type admin struct {
	Kind        string            `json:"kind"`
	Repository  string            `json:"repository"` // name without owner
	Identifier  string            `json:"identifier"` // GHSA id or package, rule id, secret type
	Path        string            `json:"path"`
	Login       string            `json:"login"`
	Body        string            `json:"body"`
	Title       string            `json:"title"`
	Name        string            `json:"name"`
	Reason      string            `json:"reason"`
	Label       string            `json:"label"`
	Image       *int              `json:"image"`
	Permissions map[string]string `json:"permissions"`
	Suspended   *bool             `json:"suspended"`
	Total       int               `json:"total"`
	Wanted      int               `json:"wanted"`
	dropRule
}

func (s *Server) adminRoutes(mux *http.ServeMux) {
	for pattern, f := range map[string]func(*http.Request, admin, *tx) (any, error){
		"POST /_demo/alerts": s.adminRaise, "POST /_demo/alerts/{kind}/{repo}/{number}/{action}": s.adminAlert,
		"POST /_demo/issues/{repo}/{number}/{action}": s.adminIssue, "POST /_demo/pulls": s.adminPull, "POST /_demo/pulls/{repo}/{number}/merge": s.adminMerge,
		"POST /_demo/repositories/{repo}/{action}": s.adminRepository, "POST /_demo/images/{image}/build": s.adminBuild,
		"POST /_demo/drop-webhooks": s.adminDrop, "POST /_demo/missed": s.adminMissed, "POST /_demo/installation": s.adminInstallation,
	} {
		mux.HandleFunc(pattern, s.adminCall(f))
	}
	mux.HandleFunc("GET /_demo/images", s.adminImages)
}

// adminCall decodes the body, runs f under the lock and commits what it changed.
func (s *Server) adminCall(f func(*http.Request, admin, *tx) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var a admin
		if r.ContentLength != 0 {
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&a); err != nil {
				write(w, problem(http.StatusBadRequest, err.Error()))
				return
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		t := &tx{s: s}
		out, err := f(r, a, t)
		if err == nil {
			err = t.commit()
		}
		if err != nil {
			write(w, problem(http.StatusUnprocessableEntity, err.Error()))
			return
		}
		write(w, ok(out))
	}
}

func (s *Server) adminFind(name string) (int, error) {
	i, found := s.byName[strings.ToLower(s.world.Org.Login+"/"+name)]
	if !found {
		return 0, fmt.Errorf("there is no repository %q", name)
	}
	return i, nil
}

// adminRaise raises an alert: of the kind, in the repository, with the identifier (the first that fits when empty).
func (s *Server) adminRaise(_ *http.Request, a admin, t *tx) (any, error) {
	repo, err := s.adminFind(a.Repository)
	if err != nil {
		return nil, err
	}
	kind := slices.IndexFunc(estate.Kinds[:], func(k estate.Kind) bool { return k.String() == a.Kind || k.Slug() == a.Kind })
	if kind < 0 {
		return nil, fmt.Errorf("alert kind %q: want code_scanning, dependabot or secret_scanning", a.Kind)
	}
	like, err := s.world.Pattern(estate.Kind(kind), repo, a.Identifier, a.Path)
	if err != nil {
		return nil, err
	}
	return s.alertJSON(s.raise(t, like), alertForm{hideSecret: true}), nil
}

func (s *Server) adminAlert(r *http.Request, a admin, t *tx) (any, error) {
	repo, err := s.adminFind(r.PathValue("repo"))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		return nil, err
	}
	kind := slices.IndexFunc(estate.Kinds[:], func(k estate.Kind) bool { return k.String() == r.PathValue("kind") || k.Slug() == r.PathValue("kind") })
	if kind < 0 {
		return nil, fmt.Errorf("alert kind %q is not known", r.PathValue("kind"))
	}
	x, found := s.books[kind].byID[alertID{repo, number}]
	if !found {
		return nil, fmt.Errorf("there is no such alert")
	}
	switch r.PathValue("action") {
	case "fix":
		s.automatic(t, x, true)
	case "reopen":
		s.automatic(t, x, false)
	case "dismiss":
		s.playDismissal(t, x.Kind, x.Alert)
	default:
		return nil, fmt.Errorf("action %q: want fix, reopen or dismiss", r.PathValue("action"))
	}
	return s.alertJSON(x, alertForm{hideSecret: true}), nil
}

// adminIssue acts on an issue as a person: close, reopen, assign, unassign, label, comment, edit, delete, transfer.
func (s *Server) adminIssue(r *http.Request, a admin, t *tx) (any, error) {
	repo, err := s.adminFind(r.PathValue("repo"))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(r.PathValue("number"))
	i := s.findIssue(repo, number)
	if err != nil || i == nil || i.Deleted || i.Moved != nil {
		return nil, fmt.Errorf("there is no issue %s in %s", r.PathValue("number"), r.PathValue("repo"))
	}
	by := a.Login
	if by == "" {
		by = s.world.Users[s.world.Teams[s.world.Repositories[repo].Team].Members[0]].Login
	}
	var p issueWrite
	switch r.PathValue("action") {
	case "close":
		p.State, p.StateReason = ptr("closed"), ptr(a.Reason)
	case "reopen":
		p.State = ptr("open")
	case "assign":
		p.Assignees = ptr(append(names(i.Assignees), nameOrObject(by)))
	case "unassign":
		p.Assignees = ptr(slices.DeleteFunc(names(i.Assignees), func(n nameOrObject) bool { return string(n) == by }))
	case "label":
		p.Labels = ptr(append(names(i.Labels), nameOrObject(a.Label)))
	case "edit":
		p.Body = &a.Body
	case "comment":
		_, err = s.comment(i, a.Body, by, false)
		return s.issueJSON(i), err
	case "delete":
		i.Deleted, i.Updated = true, s.now()
		t.put(issueKey(i), i)
		s.issueHooks(t, i, by, "deleted")
		return s.issueJSON(i), nil
	case "transfer":
		return s.transfer(t, i, a.Repository, by)
	default:
		return nil, fmt.Errorf("action %q: want close, reopen, assign, unassign, label, comment, edit, delete or transfer", r.PathValue("action"))
	}
	err = s.updateIssue(i, p, by)
	return s.issueJSON(i), err
}

// adminPull opens a pull request; its body may name the issue that it fixes.
func (s *Server) adminPull(_ *http.Request, a admin, t *tx) (any, error) {
	repo, err := s.adminFind(a.Repository)
	if err != nil {
		return nil, err
	}
	by := s.world.Users[s.world.Teams[s.world.Repositories[repo].Team].Members[0]].Login
	i := &Issue{ID: s.id(), Repo: repo, Number: s.nextNumber(repo), Title: a.Title, Body: a.Body, State: "open", Author: by, Created: s.now(), Updated: s.now(), PullRequest: true}
	s.issues[repo] = append(s.issues[repo], i)
	t.put(issueKey(i), i)
	s.hooks.emit(t, "pull_request", "opened", repo, by, s.pullHook(i))
	return s.issueJSON(i), nil
}

// adminMerge merges a pull request: a new commit, a closed pull request, a push.
func (s *Server) adminMerge(r *http.Request, _ admin, t *tx) (any, error) {
	repo, err := s.adminFind(r.PathValue("repo"))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(r.PathValue("number"))
	i := s.findIssue(repo, number)
	if err != nil || i == nil || !i.PullRequest || i.State != "open" {
		return nil, fmt.Errorf("there is no open pull request %s", r.PathValue("number"))
	}
	revision, err := s.world.Push(repo)
	if err != nil {
		return nil, err
	}
	i.State, i.Merged, i.Closed, i.Updated, i.ClosedBy = "closed", true, s.now(), s.now(), i.Author
	t.put(issueKey(i), i)
	s.hooks.emit(t, "pull_request", "closed", repo, i.Author, s.pullHook(i))
	s.hooks.emit(t, "push", "", repo, i.Author, s.pushHook(repo, revision))
	return map[string]any{"sha": s.world.Commit(repo, revision), "merged": true}, nil
}

// adminBuild builds an image from the head of its repository, attests to it as before and says so.
func (s *Server) adminBuild(r *http.Request, _ admin, t *tx) (any, error) {
	n, err := strconv.Atoi(r.PathValue("image"))
	if err != nil || n < 0 || n >= s.world.Count() {
		return nil, fmt.Errorf("there is no image %s", r.PathValue("image"))
	}
	built, err := s.world.Build(n, s.now())
	if err != nil {
		return nil, err
	}
	img := s.world.Image(built)
	author := s.world.Users[img.Repo%len(s.world.Users)].Login
	s.hooks.emit(t, "workflow_run", "completed", img.Repo, author, s.runHook(img))
	if img.Evidence.Has(estate.Packaged) {
		s.hooks.emit(t, "package", "published", img.Repo, author, s.packageHook("package", img))
	}
	return map[string]any{"image": built, "digest": img.Digest, "reference": img.Reference() + ":" + img.Tag, "revision": s.world.Commit(img.Repo, img.Revision)}, nil
}

func (s *Server) adminImages(w http.ResponseWriter, _ *http.Request) {
	out := []any{}
	for i := range min(s.world.Count(), 1000) {
		img := s.world.Image(i)
		out = append(out, map[string]any{"image": i, "reference": img.Reference() + ":" + img.Tag, "digest": img.Digest, "evidence": img.Evidence.Names()})
	}
	write(w, ok(out))
}

func (s *Server) adminDrop(_ *http.Request, a admin, _ *tx) (any, error) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.drop = a.dropRule
	return s.hooks.drop, nil
}

// adminInstallation changes what the organisation grants, or suspends it.
func (s *Server) adminInstallation(_ *http.Request, a admin, t *tx) (any, error) {
	for name, level := range a.Permissions {
		if level == "" {
			delete(s.installation.Permissions, name)
			continue
		}
		s.installation.Permissions[name] = level
	}
	action := "new_permissions_accepted"
	if a.Suspended != nil {
		s.installation.Suspended = *a.Suspended
		action = map[bool]string{true: "suspend", false: "unsuspend"}[*a.Suspended]
	}
	t.put("installation", s.installation)
	s.hooks.emit(t, "installation", action, -1, s.world.Users[0].Login, s.installationHook())
	return s.installation, nil
}
