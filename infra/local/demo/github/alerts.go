package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"throughline/infra/local/demo/estate"
)

// alert is an alert as it stands now: what the estate says and what happened since.
type alert struct {
	estate.Alert
	Comment   string   `json:"comment,omitempty"`
	ClosedBy  string   `json:"closedBy,omitempty"`
	Assignees []string `json:"assignees,omitempty"`
}

type alertID struct{ repo, number int }

// book holds the alerts of one kind, oldest first, and keeps sorted views of them until something changes.
type book struct {
	all   []*alert
	byID  map[alertID]*alert
	last  map[int]int // highest number by repository
	views map[string][]*alert
}

func (b *book) add(a *alert) {
	b.all = append(b.all, a)
	b.byID[alertID{a.Repo, a.Number}] = a
	b.last[a.Repo] = max(b.last[a.Repo], a.Number)
	clear(b.views)
}

func alertKey(a *alert) string {
	return fmt.Sprintf("alert/%d/%06d/%08d", a.Kind, a.Repo, a.Number)
}

func (s *Server) loadAlerts() error {
	for _, k := range estate.Kinds {
		b := &book{byID: map[alertID]*alert{}, last: map[int]int{}, views: map[string][]*alert{}}
		for _, a := range s.world.Alerts[k] {
			state := &alert{Alert: a}
			if !a.Closed.IsZero() {
				state.ClosedBy = s.world.Users[a.Actor].Login
			}
			b.add(state)
		}
		s.books[k] = b
	}
	return s.journal.Each("alert/", func(_ string, raw json.RawMessage) error {
		var a alert
		if err := json.Unmarshal(raw, &a); err != nil {
			return err
		}
		b := s.books[a.Kind]
		if old, found := b.byID[alertID{a.Repo, a.Number}]; found {
			*old = a
		} else {
			b.add(&a)
		}
		return nil
	})
}

// alertQuery is what a list asks for. Unknown parameters are ignored, as GitHub does.
type alertQuery struct {
	kind      estate.Kind
	repo      int // -1 for the whole organisation
	state     []string
	severity  []string
	ecosystem []string
	pkg       []string
	tool      string
	secret    []string
	validity  []string
	resolved  []string
	leaked    string
	sort      string
	down      bool
}

func (s *Server) alertQuery(c *call, k estate.Kind) (alertQuery, *reply) {
	v := c.r.URL.Query()
	list := func(name string) []string {
		if v.Get(name) == "" {
			return nil
		}
		return strings.Split(v.Get(name), ",")
	}
	q := alertQuery{
		kind: k, repo: c.repo, state: list("state"), severity: list("severity"), ecosystem: list("ecosystem"), pkg: list("package"), tool: v.Get("tool_name"),
		secret: list("secret_type"), validity: list("validity"), resolved: list("resolution"), leaked: v.Get("is_publicly_leaked"), sort: v.Get("sort"), down: v.Get("direction") != "asc",
	}
	if k != estate.Dependabot {
		return q, nil // these lists describe no answer for a wrong filter; nothing fits it
	}
	for _, st := range q.state {
		if !slices.Contains([]string{"open", "fixed", "dismissed", "auto_dismissed"}, st) {
			return q, ptr(refused("state must be one of open, fixed, dismissed, auto_dismissed"))
		}
	}
	if !slices.Contains([]string{"", "created", "updated", "epss_percentage"}, q.sort) {
		return q, ptr(refused("sort is not a member of the set"))
	}
	return q, nil
}

func (q alertQuery) fits(a *alert) bool {
	in := func(want []string, have string) bool { return len(want) == 0 || slices.Contains(want, have) }
	state := in(q.state, a.State) || slices.Contains(q.state, "closed") && a.State != "open"
	if !state || q.repo >= 0 && a.Repo != q.repo {
		return false
	}
	switch a.Kind {
	case estate.CodeScanning:
		r := a.Rule()
		return (in(q.severity, r.SecuritySeverity) || in(q.severity, r.Severity)) && (q.tool == "" || r.Tool == q.tool)
	case estate.Dependabot:
		adv := a.Advisory()
		return in(q.severity, adv.Severity) && in(q.ecosystem, adv.Ecosystem) && in(q.pkg, adv.Package)
	}
	return in(q.secret, a.SecretType().Type) && in(q.validity, a.Validity) && in(q.resolved, a.Reason) && (q.leaked == "" || q.leaked == fmt.Sprint(a.Leaked))
}

// rank is what a list is ordered by, as text that sorts.
func (q alertQuery) rank(a *alert) string {
	t := a.Created
	switch q.sort {
	case "updated":
		t = a.Updated
	case "epss_percentage":
		if a.Kind != estate.Dependabot {
			break
		}
		return fmt.Sprintf("%.6f/%06d/%08d", a.Advisory().EPSS, a.Repo, a.Number)
	case "number":
		return fmt.Sprintf("%08d/%06d", a.Number, a.Repo)
	}
	return t.UTC().Format(time.RFC3339) + fmt.Sprintf("/%06d/%08d", a.Repo, a.Number)
}

// view is the sorted list for a query. Views are kept until an alert changes. The caller holds s.mu.
func (s *Server) view(q alertQuery) []*alert {
	key := fmt.Sprintf("%+v", q)
	b := s.books[q.kind]
	if v, found := b.views[key]; found {
		return v
	}
	type ranked struct {
		rank string
		a    *alert
	}
	var list []ranked
	for _, a := range b.all {
		if !s.repos[a.Repo].Deleted && q.fits(a) {
			list = append(list, ranked{q.rank(a), a})
		}
	}
	sort.Slice(list, func(i, j int) bool { return (list[i].rank < list[j].rank) != q.down })
	out := make([]*alert, len(list))
	for i, l := range list {
		out[i] = l.a
	}
	if len(b.views) > 64 {
		clear(b.views)
	}
	b.views[key] = out
	return out
}

func (s *Server) orgAlerts(k estate.Kind) func(*call) reply {
	return func(c *call) reply { return s.alertList(c, k) }
}

func (s *Server) repoAlerts(k estate.Kind) func(*call) reply {
	return func(c *call) reply { return s.alertList(c, k) }
}

// alertList pages as each list documents it: code scanning of a repository by page only, Dependabot by cursor only, the
// others both ways; secrets begin with cursors when "after" is there but empty.
func (s *Server) alertList(c *call, k estate.Kind) reply {
	q, bad := s.alertQuery(c, k)
	if bad != nil {
		return *bad
	}
	v := c.r.URL.Query()
	cursor := k == estate.Dependabot || v.Has("after") || v.Has("before")
	if k == estate.Dependabot && v.Has("page") {
		return problem(http.StatusBadRequest, "Pagination using the `page` parameter is not supported.")
	}
	if k == estate.CodeScanning && c.repo >= 0 {
		cursor = false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.view(q)
	var list []*alert
	var header map[string]string
	if cursor {
		list, header = cursorPage(c, q, all)
	} else {
		list, header = page(c, all)
	}
	hide := v.Get("hide_secret") == "true"
	out := make([]any, 0, len(list))
	for _, a := range list {
		out = append(out, s.alertJSON(a, alertForm{list: true, repository: c.repo < 0, hideSecret: hide}))
	}
	return reply{http.StatusOK, out, header}
}

// cursorPage cuts a list behind or before the alert that a cursor names, so that what changes in between shifts nothing.
func cursorPage(c *call, q alertQuery, all []*alert) ([]*alert, map[string]string) {
	v, size := c.r.URL.Query(), c.perPage()
	from, to := 0, min(size, len(all))
	if after := v.Get("after"); after != "" {
		from = place(q, all, after, true)
		to = min(from+size, len(all))
	} else if before := v.Get("before"); before != "" {
		to = place(q, all, before, false)
		from = max(to-size, 0)
	}
	list := all[from:to]
	var links []string
	if len(list) > 0 && to < len(all) {
		links = append(links, c.link("next", "after", encodeCursor(q.rank(list[len(list)-1]))))
	}
	if len(list) > 0 && from > 0 {
		links = append(links, c.link("prev", "before", encodeCursor(q.rank(list[0]))))
	}
	return list, linkHeader(links)
}

// place finds where the list goes on behind (or ends before) a cursor.
func place(q alertQuery, all []*alert, cursor string, behind bool) int {
	rank := decodeCursor(cursor)
	return sort.Search(len(all), func(i int) bool {
		r := q.rank(all[i])
		if behind {
			return r != rank && (r > rank) != q.down
		}
		return r == rank || (r > rank) != q.down
	})
}

// findAlert gives the alert that the path names. The caller holds s.mu.
func (s *Server) findAlert(c *call, k estate.Kind) (*alert, bool) {
	a, found := s.books[k].byID[alertID{c.repo, c.number("number")}]
	return a, found
}

func (s *Server) getAlert(k estate.Kind) func(*call) reply {
	return func(c *call) reply {
		s.mu.Lock()
		defer s.mu.Unlock()
		a, found := s.findAlert(c, k)
		if !found {
			return problem(http.StatusNotFound, "Not Found")
		}
		return ok(s.alertJSON(a, alertForm{hideSecret: c.r.URL.Query().Get("hide_secret") == "true"}))
	}
}

func (s *Server) alertInstances(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, found := s.findAlert(c, estate.CodeScanning)
	if !found {
		return problem(http.StatusNotFound, "Not Found")
	}
	list, header := page(c, []any{s.instanceJSON(a)})
	return reply{http.StatusOK, list, header}
}

func (s *Server) secretLocations(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, found := s.findAlert(c, estate.SecretScanning)
	if !found {
		return problem(http.StatusNotFound, "Not Found")
	}
	list, header := page(c, []any{map[string]any{"type": "commit", "details": s.locationJSON(a)}})
	return reply{http.StatusOK, list, header}
}
