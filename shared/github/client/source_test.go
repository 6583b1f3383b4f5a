package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

func scopesOf(follow []graph.Collection) []string {
	var all []string
	for _, f := range follow {
		all = append(all, f.Scope)
	}
	return all
}

func absent(kind graph.Kind, ids ...string) []graph.Absence {
	all := []graph.Absence{}
	for _, id := range ids {
		all = append(all, graph.Absence{Kind: kind, ID: id})
	}
	return all
}

func TestReadFollowsInstallations(t *testing.T) {
	s := newStand(t)
	c := s.client(nil)
	got := s.read(c, "all", "")
	if diff := cmp.Diff([]string{"org:acme"}, scopesOf(got.Follow)); diff != "" || got.Skipped["installation that is suspended"] != 1 {
		t.Error(diff, got.Skipped)
	}
	if got.Follow[0].Run != "run-1" {
		t.Errorf("the run is lost: %+v", got.Follow[0])
	}
	want := []string{"repositories:acme", "code_scanning:acme", "dependabot:acme", "secret_scanning:acme"}
	if diff := cmp.Diff(want, scopesOf(s.read(c, "org:ACME", "").Follow)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"org:acme"}, scopesOf(s.read(c, "installation:5", "").Follow)); diff != "" {
		t.Error(diff)
	}
	if got := s.read(c, "installation:6", "").Follow; len(got) != 0 {
		t.Errorf("a suspended installation is followed: %v", got)
	}
}

func TestReadRepositoriesByPages(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("GET /installation/repositories", func(w http.ResponseWriter, r *http.Request) {
		id := 4711
		if r.URL.Query().Get("page") == "2" {
			id = 4712
		} else {
			w.Header().Set("Link", fmt.Sprintf(`<%s/installation/repositories?per_page=100&page=2>; rel="next", <%s/x>; rel="last"`, s.server.URL, s.server.URL))
		}
		fmt.Fprintf(w, `{"total_count":2,"repositories":[{"id":%d,"name":"r%d","full_name":"acme/r%d","private":true,"visibility":"internal","default_branch":"main",
		"owner":{"login":"acme","id":9},"has_issues":false,"topics":["b","a"],"custom_properties":{"tier":"gold","zones":["x","y"]},"updated_at":"2026-11-01T00:00:00Z"},{"id":0}]}`, id, id, id)
	})
	c := s.client(nil)
	first := s.read(c, "repositories:acme", "")
	want := graph.Repository{ID: "github-4711", Org: "github-org-9", Owner: "acme", Name: "r4711", Visibility: "internal", DefaultBranch: "main", Installation: 5,
		IssuesOff: true, Topics: []string{"b", "a"}, Properties: map[string]string{"tier": "gold", "zones": "x,y"}, UpdatedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff([]graph.Repository{want}, first.Observation.Repositories); diff != "" {
		t.Error(diff)
	}
	if first.Next == "" || first.Skipped["repository without an id"] != 1 {
		t.Errorf("next %q, skipped %v", first.Next, first.Skipped)
	}
	second := s.read(c, "repositories:acme", first.Next)
	if diff := cmp.Diff(absent(graph.KindRepository, "github-4712"), second.Seen); diff != "" || second.Next != "" {
		t.Error(diff, second.Next)
	}
	if s.tokens != 1 {
		t.Errorf("%d tokens for one installation", s.tokens)
	}
}

func TestReadAlertsOfAnOrganisation(t *testing.T) {
	for kind, operation := range map[string]string{"code-scanning": "code-scanning.list-alerts-for-org", "dependabot": "dependabot.list-alerts-for-org", "secret-scanning": "secret-scanning.list-alerts-for-org"} {
		t.Run(kind, func(t *testing.T) {
			s := newStand(t)
			s.json("GET /orgs/acme/"+kind+"/alerts", withRepository(t, example(t, operation, "200.default.json"), 4711))
			got := s.read(s.client(nil), strings.ReplaceAll(kind, "-", "_")+":acme", "")
			if len(got.Observation.Alerts) == 0 || len(got.Seen) != len(got.Observation.Alerts) || len(got.Skipped) != 0 {
				t.Fatalf("%d alerts, %d seen, skipped %v", len(got.Observation.Alerts), len(got.Seen), got.Skipped)
			}
			for i, a := range got.Observation.Alerts {
				if a.Repository != "github-4711" || a.ID == "" || a.State == "" || a.Title == "" || a.CreatedAt.IsZero() || a.UpdatedAt.IsZero() || a.Partial {
					t.Errorf("alert %+v", a)
				}
				if got.Seen[i].ID != string(a.ID) {
					t.Errorf("seen %v for %s", got.Seen[i], a.ID)
				}
			}
			if rs := got.Observation.Repositories; len(rs) != 1 || !rs[0].Partial || rs[0].Installation != 5 {
				t.Errorf("repositories %+v", rs)
			}
			asked := s.asked()
			if len(asked) != 1 || !strings.Contains(asked[0], "state=open") || kind == "secret-scanning" && !strings.Contains(asked[0], "hide_secret=true") {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

func TestReadDependabotInFull(t *testing.T) {
	s := newStand(t)
	s.json("GET /orgs/acme/dependabot/alerts", withRepository(t, example(t, "dependabot.list-alerts-for-org", "200.default.json"), 4711))
	a := s.read(s.client(nil), "dependabot:acme", "").Observation.Alerts[0]
	epss := 0.00045
	want := &graph.Dependency{Ecosystem: "pip", Package: "django", Manifest: "path/to/requirements.txt", Scope: "runtime", Relationship: "direct",
		GHSA: "GHSA-rf4j-j272-fj86", CVEs: []string{"CVE-2018-6188"}, CWEs: []int{200}, EPSS: &epss, Vulnerable: ">= 2.0.0, < 2.0.2", FixedIn: "2.0.2",
		CVSS: []string{"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N"}}
	if diff := cmp.Diff(want, a.Dependency); diff != "" {
		t.Error(diff)
	}
	if a.State != graph.Dismissed || a.Reason != "tolerable_risk" || a.Severity != "high" || !cmp.Equal(a.Assignees, []string{"octocat"}) {
		t.Errorf("alert %+v", a)
	}
}

func TestReadDeltaStopsAtTheWatermark(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("GET /orgs/acme/code-scanning/alerts", func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("sort") != "updated" || q.Get("direction") != "desc" || q.Has("state") {
			t.Errorf("asked %s", r.URL)
		}
		alert := `{"number":%d,"state":"fixed","created_at":"2026-11-01T00:00:00Z","updated_at":"2026-11-%02dT00:00:00Z","rule":{"id":"r","security_severity_level":"high"},
			"tool":{"name":"CodeQL"},"repository":{"id":4711,"name":"shop","full_name":"acme/shop","owner":{"login":"acme","id":9}}}`
		days := []int{20, 19}
		if r.URL.Query().Get("page") == "2" {
			days = []int{18, 10}
		}
		w.Header().Set("Link", fmt.Sprintf(`<%s/orgs/acme/code-scanning/alerts?per_page=100&sort=updated&direction=desc&page=2>; rel="next"`, s.server.URL))
		fmt.Fprintf(w, "["+alert+","+alert+"]", days[0], days[0], days[1], days[1])
	})
	c := s.client(nil)
	first := s.read(c, "delta:code_scanning:acme", "2026-11-15T00:00:00Z")
	if len(first.Observation.Alerts) != 2 || first.Next == "" || first.Seen != nil {
		t.Fatalf("%d alerts, next %q, seen %v", len(first.Observation.Alerts), first.Next, first.Seen)
	}
	second := s.read(c, "delta:code_scanning:acme", first.Next)
	if len(second.Observation.Alerts) != 1 || second.Observation.Alerts[0].Number != 18 || second.Next != "" {
		t.Errorf("%+v, next %q", second.Observation.Alerts, second.Next)
	}
	if a := second.Observation.Alerts[0]; a.State != graph.Fixed {
		t.Errorf("state %s", a.State)
	}
}

func TestReadOneAlert(t *testing.T) {
	const alert = `{"number":3,"state":"open","created_at":"2026-11-01T00:00:00Z","updated_at":"2026-11-02T00:00:00Z","secret":"hunter2hunter2","secret_type":"x",
		"secret_type_display_name":"X key","validity":"active","publicly_leaked":true,"assigned_to":{"login":"ada"}}`
	const repository = `{"id":4711,"name":"shop","full_name":"acme/shop","owner":{"login":"acme","id":9}}`
	t.Run("in full, by the repository's number, which is asked for once", func(t *testing.T) {
		s := newStand(t)
		s.json("GET /repositories/4711", repository)
		s.json("GET /repos/acme/shop/secret-scanning/alerts/3", alert)
		c := s.client(nil)
		s.read(c, "alert:github-4711-secret_scanning-3", "")
		got := s.read(c, "alert:github-4711-secret_scanning-3", "")
		want := []graph.Alert{{ID: "github-4711-secret_scanning-3", Kind: graph.SecretScanning, Repository: "github-4711", Number: 3, State: graph.Open, Title: "X key",
			Assignees: []string{"ada"}, CreatedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC),
			Secret: &graph.Secret{Type: "x", TypeName: "X key", Validity: "active", Leaked: true}}}
		if diff := cmp.Diff(want, got.Observation.Alerts); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"GET /repositories/4711", "GET /repos/acme/shop/secret-scanning/alerts/3?hide_secret=true",
			"GET /repos/acme/shop/secret-scanning/alerts/3?hide_secret=true"}, s.asked()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("absent when GitHub has the repository and not the alert", func(t *testing.T) {
		s := newStand(t)
		s.json("GET /repositories/4711", repository)
		got := s.read(s.client(nil), "alert:github-4711-secret_scanning-3", "")
		if diff := cmp.Diff(absent(graph.KindFinding, "github-4711-secret_scanning-3"), got.Observation.Absent); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("not absent when the repository is out of reach", func(t *testing.T) {
		s := newStand(t)
		got, err := s.client(nil).Read(context.Background(), graph.Collection{Scope: "alert:github-4711-secret_scanning-3"})
		var refused *Refused
		if !errors.As(err, &refused) || refused.Status != 404 || got.Observation.Absent != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("not absent when the App may not see it", func(t *testing.T) {
		s := newStand(t)
		s.json("GET /repositories/4711", repository)
		s.mux.HandleFunc("GET /repos/acme/shop/secret-scanning/alerts/3", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Accepted-GitHub-Permissions", "secret_scanning_alerts=read")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"message":"Resource not accessible by integration"}`)
		})
		_, err := s.client(nil).Read(context.Background(), graph.Collection{Scope: "alert:github-4711-secret_scanning-3"})
		var refused *Refused
		if !errors.As(err, &refused) || refused.Wants != "secret_scanning_alerts=read" || !strings.Contains(err.Error(), "Resource not accessible") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a renamed repository is found again", func(t *testing.T) {
		s := newStand(t)
		s.json("GET /repositories/4711", strings.ReplaceAll(repository, "shop", "store"))
		s.json("GET /repos/acme/store/secret-scanning/alerts/3", alert)
		c := s.client(nil)
		c.learn("github-4711", place{installation{id: 5}, "acme", "shop"})
		if got := s.read(c, "alert:github-4711-secret_scanning-3", ""); len(got.Observation.Alerts) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestReadOneRepository(t *testing.T) {
	s := newStand(t)
	s.json("GET /repositories/4711", `{"id":4711,"name":"shop","full_name":"acme/shop","visibility":"public","owner":{"login":"acme","id":9}}`)
	c := s.client(nil)
	if got := s.read(c, "repository:github-4711", ""); len(got.Observation.Repositories) != 1 || got.Observation.Repositories[0].Partial || got.Seen != nil {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff(absent(graph.KindRepository, "github-4712"), s.read(c, "repository:github-4712", "").Observation.Absent); diff != "" {
		t.Error(diff)
	}
}

func TestReadRefusesWhatItDoesNotKnow(t *testing.T) {
	s := newStand(t)
	c := s.client(nil)
	for _, scope := range []string{"", "nothing", "nothing:x", "all:x", "org", "org:", "alert:x", "alert:github-1-dependabot-0", "digest:sha256:12", "delta:x:acme", "installation:x", "org:elsewhere", "org:gone", "repository:other-3"} {
		_, err := c.Read(context.Background(), graph.Collection{Scope: scope})
		var refused *Refused
		if !errors.As(err, &refused) || !refused.Permanent() {
			t.Errorf("%q: %v", scope, err)
		}
	}
	if _, err := c.Read(context.Background(), graph.Collection{Scope: "dependabot:acme", Cursor: "https://evil.example/x"}); err == nil || !strings.Contains(err.Error(), "not an address of") {
		t.Errorf("a cursor to another host: %v", err)
	}
}

func TestReadFailsWholeOnABrokenPage(t *testing.T) {
	s := newStand(t)
	s.json("GET /orgs/acme/dependabot/alerts", `[{"number":1,"state":"open","created_at":"2026-11-01T00:00:00Z"`)
	got, err := s.client(nil).Read(context.Background(), graph.Collection{Scope: "dependabot:acme"})
	if err == nil || got.Seen != nil || got.Observation.Len() != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
