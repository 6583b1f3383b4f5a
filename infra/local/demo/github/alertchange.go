package github

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"throughline/infra/local/demo/estate"
)

// alertPatch is the union of what the three PATCH calls take. Assignee is a pointer to a pointer: absent, null, or a login.
type alertPatch struct {
	State            string           `json:"state"`
	DismissedReason  string           `json:"dismissed_reason"`
	DismissedComment string           `json:"dismissed_comment"`
	Resolution       string           `json:"resolution"`
	ResolutionNote   string           `json:"resolution_comment"`
	Validity         *json.RawMessage `json:"validity"`
	Assignee         *json.RawMessage `json:"assignee"`
	Assignees        *[]string        `json:"assignees"`
}

func (s *Server) patchAlert(k estate.Kind) func(*call) reply {
	return func(c *call) reply {
		var p alertPatch
		if bad := c.decode(&p); bad != nil {
			return *bad
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		a, found := s.findAlert(c, k)
		if !found {
			return problem(http.StatusNotFound, "Not Found")
		}
		if s.repos[a.Repo].Archived {
			return problem(http.StatusForbidden, "Repository was archived so is read-only.")
		}
		next := *a
		next.Assignees = slices.Clone(a.Assignees)
		actions, err := s.applyPatch(&next, p)
		if err != nil {
			if k == estate.CodeScanning {
				return problem(http.StatusBadRequest, err.Error())
			}
			return refused(err.Error())
		}
		if err := s.changeAlert(a, next, s.world.Bot().Login, actions...); err != nil {
			return broken(err)
		}
		return ok(s.alertJSON(a, alertForm{hideSecret: true}))
	}
}

// applyPatch changes the alert and names the webhook actions that follow.
func (s *Server) applyPatch(a *alert, p alertPatch) (actions []string, err error) {
	reason, comment, reasons := p.DismissedReason, p.DismissedComment, dismissals[a.Kind]
	if a.Kind == estate.SecretScanning {
		reason, comment = p.Resolution, p.ResolutionNote
	}
	switch p.State {
	case "", a.State:
	case "open":
		a.State, a.Reason, a.Comment, a.ClosedBy, a.Closed = "open", "", "", "", estate.Alert{}.Closed
		actions = append(actions, map[estate.Kind]string{estate.CodeScanning: "reopened_by_user"}[a.Kind])
		if actions[0] == "" {
			actions[0] = "reopened"
		}
	case "dismissed", "resolved":
		if (p.State == "resolved") != (a.Kind == estate.SecretScanning) {
			return nil, errors.New("is not a state of this kind of alert")
		}
		if !slices.Contains(reasons, reason) {
			return nil, errors.New("needs a valid reason")
		}
		if len(comment) > 280 {
			return nil, errors.New("comment is too long (maximum is 280 characters)")
		}
		a.State, a.Reason, a.Comment, a.ClosedBy, a.Closed = p.State, reason, comment, s.world.Bot().Login, s.now()
		actions = append(actions, [...]string{"closed_by_user", "dismissed", "resolved"}[a.Kind])
	default:
		return nil, errors.New("is not a state of this kind of alert")
	}
	more, err := s.assignAlert(a, p)
	return append(actions, more...), err
}

var dismissals = map[estate.Kind][]string{
	estate.CodeScanning:   {"false positive", "won't fix", "used in tests", "mitigated"},
	estate.Dependabot:     {"fix_started", "inaccurate", "no_bandwidth", "not_used", "tolerable_risk"},
	estate.SecretScanning: {"false_positive", "wont_fix", "revoked", "used_in_tests"},
}

func (s *Server) assignAlert(a *alert, p alertPatch) ([]string, error) {
	before := slices.Clone(a.Assignees)
	if p.Assignees != nil && a.Kind != estate.SecretScanning {
		a.Assignees = nil
		for _, login := range *p.Assignees {
			if !s.world.Assignable(a.Repo, login) {
				return nil, errors.New("assignee " + login + " cannot be assigned")
			}
			a.Assignees = append(a.Assignees, login)
		}
	}
	if p.Assignee != nil && a.Kind == estate.SecretScanning {
		var login *string
		if err := json.Unmarshal(*p.Assignee, &login); err != nil {
			return nil, errors.New("assignee must be a login or null")
		}
		a.Assignees = nil
		if login != nil {
			if !s.world.Assignable(a.Repo, *login) {
				return nil, errors.New("assignee " + *login + " has no write access")
			}
			a.Assignees = []string{*login}
		}
	}
	if p.Validity != nil {
		var v *string
		if err := json.Unmarshal(*p.Validity, &v); err != nil || v != nil && *v != "active" && *v != "inactive" {
			return nil, errors.New("validity must be active, inactive or null")
		}
		a.Validity = "unknown"
		if v != nil {
			a.Validity = *v
		}
	}
	if slices.Equal(before, a.Assignees) {
		return nil, nil
	}
	action := [...]string{"updated_assignment", "assignees_changed", "assigned"}[a.Kind]
	if a.Kind == estate.SecretScanning && len(a.Assignees) == 0 {
		action = "unassigned"
	}
	return []string{action}, nil
}

// changeAlert stores what became of an alert and says so by webhooks. The caller holds s.mu.
func (s *Server) changeAlert(a *alert, next alert, by string, actions ...string) error {
	next.Updated = s.now()
	t := &tx{s: s}
	s.noteAlert(t, a, next, by, actions...)
	return t.commit()
}

// noteAlert puts the change into a batch. a may be a new alert that is in no book yet.
func (s *Server) noteAlert(t *tx, a *alert, next alert, by string, actions ...string) {
	b := s.books[next.Kind]
	*a = next
	if _, found := b.byID[alertID{a.Repo, a.Number}]; !found {
		b.add(a)
	}
	clear(b.views)
	t.put(alertKey(a), a)
	for _, action := range actions {
		s.hooks.emit(t, a.Kind.String()+"_alert", action, a.Repo, by, s.alertHook(a))
	}
}

// alertHook is the part of an alert's webhook that is not common to all.
func (s *Server) alertHook(a *alert) map[string]any {
	out := map[string]any{"alert": s.alertJSON(a, alertForm{hook: true})}
	if a.Kind == estate.CodeScanning {
		out["ref"], out["commit_oid"] = "refs/heads/main", s.world.Commit(a.Repo, a.Commit)
		if a.State == "dismissed" {
			out["ref"], out["commit_oid"] = "", ""
		}
	}
	return out
}

// raise adds an alert to a repository, as a scan would. The caller holds s.mu.
func (s *Server) raise(t *tx, like estate.Alert) *alert {
	b := s.books[like.Kind]
	like.Number = b.last[like.Repo] + 1
	like.State, like.Reason, like.Closed = "open", "", estate.Alert{}.Closed
	like.Created, like.Updated = s.now(), s.now()
	a := &alert{}
	s.noteAlert(t, a, alert{Alert: like}, "github", "created")
	return a
}

// automatic closes or reopens an alert as a scan does: actions fixed and reopened. The caller holds s.mu.
func (s *Server) automatic(t *tx, a *alert, fixed bool) {
	next := *a
	next.Updated = s.now()
	if fixed {
		next.State, next.Closed = "fixed", next.Updated
		if a.Kind == estate.SecretScanning {
			next.State, next.Reason, next.ClosedBy = "resolved", "revoked", s.world.Users[a.Actor].Login
			s.noteAlert(t, a, next, next.ClosedBy, "resolved")
			return
		}
		s.noteAlert(t, a, next, "github", "fixed")
		return
	}
	next.State, next.Reason, next.ClosedBy, next.Closed = "open", "", "", estate.Alert{}.Closed
	action := [...]string{"reopened", "reintroduced", "reopened"}[a.Kind]
	s.noteAlert(t, a, next, "github", action)
}
