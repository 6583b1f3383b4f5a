package assign

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// org is an organisation's people.
type org struct {
	text, file string
	teams      map[string][]string
	strangers  []string // cannot be assigned
	calls      int
}

func (o *org) CodeOwners(context.Context, graph.Repository) (string, string, error) {
	o.calls++
	return o.text, o.file, nil
}

func (o *org) TeamMembers(_ context.Context, owner, team string) ([]string, error) {
	o.calls++
	members, known := o.teams[owner+"/"+team]
	if !known {
		return nil, fmt.Errorf("team %s: %w", team, graph.ErrNotFound)
	}
	return members, nil
}

func (o *org) Assignable(_ context.Context, _ graph.Repository, login string) (bool, error) {
	o.calls++
	for _, s := range o.strangers {
		if s == login {
			return false, nil
		}
	}
	return true, nil
}

type catalogue map[string]string

func (c catalogue) Owner(w graph.Workload) string { return c[w.Name] }

func crowd(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint("dev", i))
	}
	return all
}

func TestOwners(t *testing.T) {
	pod := []graph.ExposedWorkload{{ID: "w-1", Name: "api"}}
	for name, c := range map[string]struct {
		org       org
		paths     []string
		catalogue catalogue
		fallback  string
		want, why string
	}{
		"last match wins":                         {org: org{text: "* @all\n*.go @gopher\n/src/ @alice @bob\n", file: "CODEOWNERS"}, paths: []string{"src/a.go"}, want: "alice bob", why: "line 3"},
		"team expanded":                           {org: org{text: "* @shop/api-team\n", file: ".github/CODEOWNERS", teams: map[string][]string{"shop/api-team": {"alice", "bob"}}}, paths: []string{"pom.xml"}, want: "alice bob", why: ".github/CODEOWNERS"},
		"who cannot be assigned":                  {org: org{text: "* @alice @gone\n", file: "CODEOWNERS", strangers: []string{"gone"}}, paths: []string{"x"}, want: "alice"},
		"at most ten":                             {org: org{text: "* @shop/big @zoe\n", file: "CODEOWNERS", teams: map[string][]string{"shop/big": crowd(30)}}, paths: []string{"x"}, want: strings.Join(crowd(10), " ")},
		"rule without owners":                     {org: org{text: "* @alice\n/vendor/\n", file: "CODEOWNERS"}, paths: []string{"vendor/x"}, fallback: "@shop/security", want: "", why: "names no owner"},
		"wrong line spoils no other":              {org: org{text: "* @alice\n[bad @@@ !!\n/docs/ @writer\n", file: "CODEOWNERS"}, paths: []string{"docs/a"}, want: "writer", why: "line 3"},
		"unknown team, then fallback":             {org: org{text: "* @shop/ghosts\n", file: "CODEOWNERS", teams: map[string][]string{"shop/security": {"sam"}}}, paths: []string{"x"}, fallback: "@shop/security", want: "sam", why: "cannot be assigned"},
		"no file, then catalogue":                 {org: org{}, paths: []string{"x"}, catalogue: catalogue{"api": "@carol"}, fallback: "@sam", want: "carol", why: "declared owner of `api`"},
		"address is nobody":                       {org: org{}, catalogue: catalogue{"api": "team@example.com"}, fallback: "@sam", want: "sam", why: "fallback"},
		"nobody at all":                           {org: org{}, want: "", why: "no owner is known"},
		"without a path, the rule for everything": {org: org{text: "* @alice\n/src/ @bob\n", file: "CODEOWNERS"}, want: "alice", why: "line 1"},
		"hostile names are nobody":                {org: org{text: "* @a/../../x\n", file: "CODEOWNERS"}, paths: []string{"x"}, catalogue: catalogue{"api": "@x/../y"}, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := &Owners{People: &c.org, Fallback: c.fallback, Now: func() time.Time { return noon }}
			if c.catalogue != nil {
				o.Catalogue = c.catalogue
			}
			got, err := o.Of(context.Background(), graph.Repository{ID: repositoryID, Owner: "shop", Name: "api", Visibility: "private"}, c.paths, pod)
			if err != nil || strings.Join(got.Logins, " ") != c.want || !strings.Contains(got.Why, c.why) {
				t.Errorf("%v because %q, %v; want %q because …%s…", got.Logins, got.Why, err, c.want, c.why)
			}
			if strings.Contains(got.Why, " @") {
				t.Errorf("the reason mentions: %q", got.Why)
			}
		})
	}
}

func TestOwnersAskOnceForManyIssues(t *testing.T) {
	now := noon
	p := &org{text: "* @shop/api-team\n", file: "CODEOWNERS", teams: map[string][]string{"shop/api-team": {"alice", "bob"}}}
	o := &Owners{People: p, Now: func() time.Time { return now }}
	r := graph.Repository{ID: repositoryID, Owner: "shop", Name: "api"}
	for range 20 {
		if _, err := o.Of(context.Background(), r, []string{"x"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if p.calls != 4 {
		t.Errorf("%d calls for 20 issues, want 4: the file, the team, two people", p.calls)
	}
	now = now.Add(memory)
	if _, err := o.Of(context.Background(), r, []string{"x"}, nil); err != nil || p.calls != 8 {
		t.Errorf("after the memory has faded: %d calls, %v", p.calls, err)
	}
}

func TestIssueAndAlertsGetTheOwner(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	b.stage.Owners = &Owners{People: &org{text: "* @alice\n", file: "CODEOWNERS"}, Now: func() time.Time { return b.now }}
	f := b.finds(nil)
	b.handle(f.Remediation)
	i := b.issue()
	if fmt.Sprint(i.Assignees) != "[alice]" || !strings.Contains(i.Body, "Assigned to the code owners by `CODEOWNERS`, line 1") {
		t.Errorf("assigned to %v:\n%s", i.Assignees, i.Body)
	}
	if m := b.remediation(f.Remediation); m.Status != graph.StatusAssigned || fmt.Sprint(m.Assignees) != "[alice]" {
		t.Errorf("status %s, assignees %v", m.Status, m.Assignees)
	}
	if got := b.hub.assigned["github-4711 dependabot 88"]; fmt.Sprint(got) != "[alice]" {
		t.Errorf("the alert has %v", got)
	}
	if b.handle(f.Remediation); b.hub.calls["alert"] != 1 || b.hub.calls["edit"] != 0 {
		t.Errorf("looking again: %v", b.hub.calls)
	}
}

func TestAlertOfSomebodyStays(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	b.stage.Owners = &Owners{People: &org{text: "* @alice\n", file: "CODEOWNERS"}, Now: func() time.Time { return b.now }}
	f := b.finds(func(f *graph.Finding) { f.Alert.Assignees = []string{"bob"} })
	b.handle(f.Remediation)
	if len(b.hub.assigned) != 0 {
		t.Errorf("the alert of bob was given to %v", b.hub.assigned)
	}
}

func TestTierWithoutAssignAssignsNobody(t *testing.T) {
	b := newBench(t)
	b.repository(nil)
	b.runs(map[int]int{1: 1})
	p := &org{text: "* @alice\n", file: "CODEOWNERS"}
	b.stage.Owners = &Owners{People: p, Now: func() time.Time { return b.now }}
	f := b.finds(func(f *graph.Finding) { f.Decision.Published, f.Decision.Tier = graph.P2, graph.P2 })
	b.handle(f.Remediation)
	if i := b.issue(); len(i.Assignees) != 0 || p.calls != 0 {
		t.Errorf("assigned to %v after %d calls", i.Assignees, p.calls)
	}
}
