package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

var shop = graph.Repository{ID: "github-4711", Owner: "acme", Name: "shop", Installation: 5}

// capture serves an answer and keeps the body that was sent.
func capture(s *stand, pattern, answer string) *map[string]any {
	sent := &map[string]any{}
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		*sent = map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(sent); err != nil {
			s.t.Error(err)
		}
		_, _ = io.WriteString(w, answer)
	})
	return sent
}

func TestCreateIssueInOneCall(t *testing.T) {
	s := newStand(t)
	sent := capture(s, "POST /repos/acme/shop/issues", example(t, "issues.create", "201.default.json"))
	got, err := s.client(nil).CreateIssue(context.Background(), shop, graph.IssueDraft{Title: "Fix <x>", Body: "a & b", Labels: []string{"throughline"}, Assignees: []string{"ada"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"title": "Fix <x>", "body": "a & b", "labels": []any{"throughline"}, "assignees": []any{"ada"}}
	if diff := cmp.Diff(want, *sent); diff != "" {
		t.Error(diff)
	}
	if got.Repository != "github-4711" || got.Number != 1347 || got.State != "open" || got.Body == "" || got.URL == "" || got.UpdatedAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if asked := s.asked(); len(asked) != 1 {
		t.Errorf("asked %v", asked)
	}
}

func TestEditIssueSendsOnlyWhatChanges(t *testing.T) {
	s := newStand(t)
	sent := capture(s, "PATCH /repos/acme/shop/issues/1347", example(t, "issues.update", "200.default.json"))
	c := s.client(nil)
	body := "new"
	if _, err := c.EditIssue(context.Background(), shop, 1347, graph.IssueEdit{Body: &body}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"body": "new"}, *sent); diff != "" {
		t.Error(diff)
	}
	if _, err := c.EditIssue(context.Background(), shop, 1347, graph.IssueEdit{State: "closed", StateReason: "completed", Assignees: []string{}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"state": "closed", "state_reason": "completed", "assignees": []any{}}, *sent); diff != "" {
		t.Error(diff)
	}
}

func TestIssueErrors(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("POST /repos/acme/shop/issues", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		_, _ = io.WriteString(w, `{"message":"Issues has been disabled in this repository."}`)
	})
	c := s.client(nil)
	_, err := c.CreateIssue(context.Background(), shop, graph.IssueDraft{Title: "t", Body: "b"})
	var refused *Refused
	if !errors.As(err, &refused) || refused.Status != http.StatusGone {
		t.Errorf("got %v", err)
	}
	if _, err := c.GetIssue(context.Background(), shop, 9); !errors.Is(err, graph.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	s.mux.HandleFunc("GET /repos/acme/shop/issues/10", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	if _, err := c.GetIssue(context.Background(), shop, 10); err == nil || errors.Is(err, graph.ErrNotFound) || errors.As(err, &refused) && refused.Status == 502 {
		t.Errorf("got %v", err)
	}
}

func TestFindIssuesReadsOurOwn(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("GET /repos/acme/shop/issues", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("creator") != "throughline[bot]" || q.Get("state") != "all" || q.Get("since") != "2026-11-24T11:00:00Z" {
			t.Errorf("asked %s", r.URL)
		}
		if q.Get("page") == "" {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s&page=2>; rel="next"`, s.server.URL, r.URL.RequestURI()))
			_, _ = io.WriteString(w, `[{"number":1,"body":"<!-- marker -->","state":"closed"},{"number":2,"pull_request":{"url":"x"}}]`)
			return
		}
		_, _ = io.WriteString(w, `[{"number":3,"body":null,"state":"open","labels":["a",{"name":"b"}]}]`)
	})
	got, err := s.client(nil).FindIssues(context.Background(), shop, s.now.Add(-time.Hour))
	want := []graph.Issue{{Repository: "github-4711", Number: 1, Body: "<!-- marker -->", State: "closed"}, {Repository: "github-4711", Number: 3, State: "open", Labels: []string{"a", "b"}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestPeople(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("GET /repos/acme/shop/assignees/ada", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s.json("GET /orgs/acme/teams/platform/members", example(t, "teams.list-members-in-org", "200.default.json"))
	c := s.client(nil)
	for login, want := range map[string]bool{"ada": true, "eve": false} {
		if got, err := c.Assignable(context.Background(), shop, login); got != want || err != nil {
			t.Errorf("%s: %v %v", login, got, err)
		}
	}
	if got, err := c.TeamMembers(context.Background(), "acme", "platform"); !cmp.Equal(got, []string{"octocat"}) || err != nil {
		t.Errorf("%v %v", got, err)
	}
	if _, err := c.TeamMembers(context.Background(), "acme", "nobody"); !errors.Is(err, graph.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestMayTriage(t *testing.T) {
	s := newStand(t)
	user := func(triage bool) string {
		return fmt.Sprintf(`,"user":{"login":"x","permissions":{"pull":true,"triage":%v}}`, triage)
	}
	for login, answer := range map[string]string{
		"reader": `{"permission":"read","role_name":"read"` + user(false) + `}`, "triager": `{"permission":"read","role_name":"triage"}`,
		"writer": `{"permission":"write","role_name":"write","user":null}`, "custom": `{"permission":"read","role_name":"security-champion"` + user(true) + `}`,
		"named": `{"permission":"read","role_name":"triage-only-in-name"` + user(false) + `}`, "nobody": `{"permission":"none","role_name":""}`,
	} {
		s.json("GET /repos/acme/shop/collaborators/"+login+"/permission", answer)
	}
	c := s.client(nil)
	for login, want := range map[string]bool{"reader": false, "triager": true, "writer": true, "custom": true, "named": false, "nobody": false, "stranger": false} {
		if got, err := c.MayTriage(context.Background(), shop, login); got != want || err != nil {
			t.Errorf("%s: %v %v", login, got, err)
		}
	}
}

func TestPatchAlertAssignees(t *testing.T) {
	s := newStand(t)
	for _, kind := range []string{"code-scanning", "dependabot", "secret-scanning"} {
		s.json("PATCH /repos/acme/shop/"+kind+"/alerts/3", `{}`)
	}
	sent := capture(s, "PATCH /repos/acme/shop/secret-scanning/alerts/4", `{}`)
	c := s.client(nil)
	for _, kind := range graph.AlertKinds {
		if err := c.PatchAlertAssignees(context.Background(), shop, kind, 3, []string{"ada"}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := c.PatchAlertAssignees(context.Background(), shop, graph.SecretScanning, 4, nil); err != nil || !cmp.Equal(*sent, map[string]any{"assignee": nil}) {
		t.Errorf("%v %v", *sent, err)
	}
}

func TestCommentIssue(t *testing.T) {
	s := newStand(t)
	sent := capture(s, "POST /repos/acme/shop/issues/3/comments", `{}`)
	if err := s.client(nil).CommentIssue(context.Background(), shop, 3, "done"); err != nil || !cmp.Equal(*sent, map[string]any{"body": "done"}) {
		t.Errorf("%v %v", *sent, err)
	}
}

func TestCodeOwnersFromTheThreePlaces(t *testing.T) {
	s := newStand(t)
	c := s.client(nil)
	if text, file, err := c.CodeOwners(context.Background(), shop); text != "" || file != "" || err != nil {
		t.Errorf("%q %q %v", text, file, err)
	}
	s.json("GET /repos/acme/shop/contents/docs/CODEOWNERS", `{"type":"file","encoding":"base64","content":"KiBAYWNt\nZS9hbGwK\n"}`)
	if text, file, err := c.CodeOwners(context.Background(), shop); text != "* @acme/all\n" || file != "docs/CODEOWNERS" || err != nil {
		t.Errorf("%q %q %v", text, file, err)
	}
	s.json("GET /repos/acme/shop/contents/CODEOWNERS", `[{"type":"file","name":"a directory"}]`)
	if _, file, err := c.CodeOwners(context.Background(), shop); file != "docs/CODEOWNERS" || err != nil {
		t.Errorf("%q %v", file, err)
	}
	s.json("GET /repos/acme/shop/contents/.github/CODEOWNERS", `{"type":"file","encoding":"base64","content":""}`)
	if _, file, err := c.CodeOwners(context.Background(), shop); file != ".github/CODEOWNERS" || err != nil {
		t.Errorf("%q %v", file, err)
	}
}

func TestCompare(t *testing.T) {
	s := newStand(t)
	for head, status := range map[string]string{"a": "ahead", "b": "behind", "c": "diverged", "d": "identical"} {
		s.json("GET /repos/acme/shop/compare/base..."+head, `{"status":"`+status+`","files":[{"x":1}]}`)
	}
	c := s.client(nil)
	for head, want := range map[string]bool{"a": true, "b": false, "c": false, "d": true} {
		if got, err := c.Compare(context.Background(), shop, "base", head); got != want || err != nil {
			t.Errorf("%s: %v %v", head, got, err)
		}
	}
	if _, err := c.Compare(context.Background(), shop, "base", "e"); !errors.Is(err, graph.ErrNotFound) {
		t.Errorf("%v", err)
	}
}
