package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"throughline/infra/local/demo"
	"throughline/shared/github/client"
	"throughline/shared/graph"
)

// startDemo runs the demo organisation and gives a client of it.
func startDemo(t *testing.T, change func(*client.Options)) (*demo.Demo, *client.Client) {
	t.Helper()
	d, err := demo.Start(t.Context(), demo.Options{GitHubAddr: "127.0.0.1:0", AzureAddr: "127.0.0.1:0", Seed: 3, Estate: "small"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return startDemoOf(t, d, change)
}

// startDemoOf gives another client of the organisation.
func startDemoOf(t *testing.T, d *demo.Demo, change func(*client.Options)) (*demo.Demo, *client.Client) {
	t.Helper()
	o := client.Options{Host: "github", URL: setting(t, d, "GITHUB_API_URL"), PrivateKey: []byte(setting(t, d, "GITHUB_APP_PRIVATE_KEY"))}
	if _, err := fmt.Sscan(setting(t, d, "GITHUB_APP_ID"), &o.AppID); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&o)
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d, c
}

// setting is one of the settings that point at the organisation.
func setting(t *testing.T, d *demo.Demo, name string) string {
	t.Helper()
	for _, e := range d.Env() {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	t.Fatalf("the organisation has no %s", name)
	return ""
}

// everything reads a scope and all that follows it to the end.
func everything(t *testing.T, c *client.Client, scope string) (o graph.Observation, seen []graph.Absence) {
	t.Helper()
	todo := []graph.Collection{{Source: "github", Scope: scope}}
	for reads := 0; len(todo) > 0; reads++ {
		if reads > 1000 {
			t.Fatal("the scopes do not end")
		}
		now := todo[0]
		todo = todo[1:]
		got, err := c.Read(context.Background(), now)
		if err != nil {
			t.Fatalf("%s: %v", now.Scope, err)
		}
		for reason, n := range got.Skipped {
			t.Errorf("%s: %d skipped: %s", now.Scope, n, reason)
		}
		o.Repositories = append(o.Repositories, got.Observation.Repositories...)
		o.Alerts = append(o.Alerts, got.Observation.Alerts...)
		o.Evidence = append(o.Evidence, got.Observation.Evidence...)
		seen = append(seen, got.Seen...)
		todo = append(todo, got.Follow...)
		if got.Next != "" {
			now.Cursor = got.Next
			todo = append(todo, now)
		}
	}
	return o, seen
}

func TestReadsTheWholeDemo(t *testing.T) {
	d, c := startDemo(t, nil)
	want := d.Expected()
	o, seen := everything(t, c, "all")
	open := map[string]int{}
	for _, a := range o.Alerts {
		if a.State != graph.Open || a.Title == "" || a.CreatedAt.IsZero() {
			t.Errorf("alert %+v", a)
		}
		open[string(a.Kind)]++
	}
	for kind, n := range want.Open {
		if open[kind] != n {
			t.Errorf("%d open %s alerts, want %d", open[kind], kind, n)
		}
	}
	ids := map[graph.RepositoryID]graph.Repository{}
	for _, r := range o.Repositories {
		if !r.Partial {
			ids[r.ID] = r
		}
	}
	if len(ids) != want.Repositories {
		t.Errorf("%d repositories, want %d", len(ids), want.Repositories)
	}
	for _, r := range want.RepositoryList {
		if got, ok := ids[graph.NewRepositoryID("github", r.ID)]; !r.Deleted && (!ok || got.FullName() != r.FullName || got.Archived != r.Archived || got.DefaultBranch == "" || got.Org == "") {
			t.Errorf("repository %s: %+v", r.FullName, got)
		}
	}
	if len(seen) != len(o.Alerts)+len(ids) {
		t.Errorf("%d seen of %d alerts and %d repositories", len(seen), len(o.Alerts), len(ids))
	}
	for _, a := range o.Alerts[:5] {
		one, _ := everything(t, c, "alert:"+string(a.ID))
		if len(one.Alerts) != 1 || one.Alerts[0].ID != a.ID || !one.Alerts[0].UpdatedAt.Equal(a.UpdatedAt) || one.Alerts[0].Partial {
			t.Errorf("alone %+v, in the list %+v", one.Alerts, a)
		}
	}
}

func TestReadsTheAttestationsOfTheDemo(t *testing.T) {
	d, c := startDemo(t, nil)
	want := d.Expected()
	var digests []graph.Digest
	expected := map[graph.Digest]graph.RepositoryID{}
	for _, i := range want.ImageList {
		digest := graph.Digest(i.Digest)
		digests = append(digests, digest)
		if slices.Contains(i.Evidence, "attestation") {
			expected[digest] = graph.NewRepositoryID("github", i.Repository)
		}
	}
	if len(expected) == 0 {
		t.Fatal("the demo has no attested image")
	}
	got, err := c.BulkAttestations(context.Background(), want.Organization, digests)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range got {
		if expected[e.Digest] != e.Repository || len(e.Commit) != 40 || e.Run == "" {
			t.Errorf("evidence %+v, want repository %s", e, expected[e.Digest])
		}
	}
	if len(got) != len(expected) {
		t.Errorf("%d evidences, want %d", len(got), len(expected))
	}
	for digest := range expected {
		one, _ := everything(t, c, "digest:"+string(digest))
		if len(one.Evidence) != 1 || one.Evidence[0].Repository != expected[digest] {
			t.Errorf("%s: %+v", digest, one.Evidence)
		}
	}
}

func TestIssuesOfTheDemo(t *testing.T) {
	d, c := startDemo(t, nil)
	ctx := context.Background()
	o, _ := everything(t, c, "repositories:"+d.Expected().Organization)
	i := slices.IndexFunc(o.Repositories, func(r graph.Repository) bool { return !r.Archived && !r.IssuesOff })
	repository := o.Repositories[i]
	start := time.Now().Add(-time.Minute)
	before, err := c.FindIssues(ctx, repository, start)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateIssue(ctx, repository, graph.IssueDraft{Title: "Update lodash", Body: "<!-- marker -->\nbody", Labels: []string{"throughline"}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.FindIssues(ctx, repository, start)
	if err != nil || len(found) != len(before)+1 || !slices.ContainsFunc(found, func(i graph.Issue) bool { return i.Number == made.Number && strings.Contains(i.Body, "marker") }) {
		t.Errorf("%d issues, then %+v, %v", len(before), found, err)
	}
	body := "changed"
	if edited, err := c.EditIssue(ctx, repository, made.Number, graph.IssueEdit{Body: &body, State: "closed", StateReason: "completed"}); err != nil || edited.State != "closed" || edited.StateReason != "completed" {
		t.Errorf("%+v %v", edited, err)
	}
	if err := c.CommentIssue(ctx, repository, made.Number, "verified"); err != nil {
		t.Error(err)
	}
	if got, err := c.GetIssue(ctx, repository, made.Number); err != nil || got.Body != "changed" || got.State != "closed" || got.Title != "Update lodash" || !slices.Contains(got.Labels, "throughline") {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := c.GetIssue(ctx, repository, 99999); !errors.Is(err, graph.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestDemoLimits(t *testing.T) {
	for _, policy := range []string{`{"perMinute":1,"retryAfter":true}`, `{"perMinute":1,"retryAfter":false,"status429":true}`, `{"primary":3}`} {
		d, c := startDemo(t, nil)
		o, _ := everything(t, c, "repositories:"+d.Expected().Organization)
		i := slices.IndexFunc(o.Repositories, func(r graph.Repository) bool { return !r.Archived && !r.IssuesOff })
		r, err := http.Post(d.GitHubURL()+"/_limits", "application/json", strings.NewReader(policy))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		var limited *graph.Limited
		for range 4 {
			if _, err = c.CreateIssue(context.Background(), o.Repositories[i], graph.IssueDraft{Title: "t", Body: "b"}); err != nil {
				break
			}
		}
		if !errors.As(err, &limited) || time.Until(limited.Until) < time.Second || time.Until(limited.Until) > time.Hour+time.Minute {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

func TestOwnersOfTheDemo(t *testing.T) {
	d, c := startDemo(t, nil)
	want := d.Expected()
	o, _ := everything(t, c, "repositories:"+want.Organization)
	with := 0
	for _, r := range want.RepositoryList {
		i := slices.IndexFunc(o.Repositories, func(o graph.Repository) bool { return o.FullName() == r.FullName })
		if i < 0 {
			continue
		}
		text, file, err := c.CodeOwners(context.Background(), o.Repositories[i])
		if err != nil || (file != "") != r.HasOwners {
			t.Errorf("%s: %q %v, want owners: %v", r.FullName, file, err, r.HasOwners)
		}
		if file != "" && strings.Contains(text, "@") {
			with++
		}
	}
	if with == 0 {
		t.Error("no repository of the demo has owners")
	}
	for _, login := range []string{"nobody-at-all", want.Organization} {
		if may, err := c.MayTriage(context.Background(), o.Repositories[0], login); may || err != nil {
			t.Errorf("%s may triage: %v %v", login, may, err)
		}
	}
	many, err := c.OwnersOf(context.Background(), want.Organization, o.Repositories)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range o.Repositories {
		text, file, err := c.CodeOwners(context.Background(), r)
		if got := many[r.ID]; err != nil || got.Path != file || got.Text != text {
			t.Errorf("%s: %q alone, %q among many, %v", r.FullName(), file, got.Path, err)
		}
	}
}
