package demo_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"throughline/infra/local/demo"
)

func TestWebhooksFitGitHubsDescription(t *testing.T) {
	doc := description(t)
	r := receive(t, secret)
	d := start(t, func(o *demo.Options) { o.WebhookURL, o.WebhookSecret = r.URL, secret })
	if err := d.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, d)
	repo := firstRepository(d, func(r demo.ExpectedRepository) bool { return r.HasOwners && !r.Archived })
	c.describedIssues("/repos/" + repo.FullName)
	name := strings.TrimPrefix(repo.FullName, "throughline-demo/")
	other := strings.TrimPrefix(firstRepository(d, func(r demo.ExpectedRepository) bool { return r.ID != repo.ID && !r.Archived }).FullName, "throughline-demo/")
	admin := func(path string, body any) {
		if status := post(t, d.GitHubURL()+"/_demo/"+path, body, nil); status != 200 {
			t.Fatalf("%s: %d", path, status)
		}
	}
	admin("pulls", object{"repository": name, "title": "Fix", "body": "Fixes #1"})
	admin("pulls/"+name+"/2/merge", nil)
	admin("issues/"+name+"/1/reopen", nil)
	admin("issues/"+name+"/1/comment", object{"body": "I look"})
	admin("images/1/build", nil)
	for _, action := range []string{"archive", "unarchive", "publicize", "privatize", "push"} {
		admin("repositories/"+name+"/"+action, nil)
	}
	admin("issues/"+name+"/1/transfer", object{"repository": other})
	admin("issues/"+other+"/1/delete", nil)
	c.ask("GET", "/repos/throughline-demo/"+name+"/issues/1", nil, 301)
	c.ask("GET", "/repos/throughline-demo/"+other+"/issues/1", nil, 410)
	if left, _ := c.walk("/repos/throughline-demo/" + other + "/issues?state=all"); len(left) != 0 {
		t.Errorf("%d issues are listed after the last was deleted", len(left))
	}
	admin("repositories/"+name+"/rename", object{"name": name + "-2"})
	for _, kind := range []string{"code_scanning", "dependabot", "secret_scanning"} {
		var made object
		post(t, d.GitHubURL()+"/_demo/alerts", object{"repository": name, "kind": kind}, &made)
		admin("alerts/"+kind+"/"+name+"/"+number(int64(made["number"].(float64)))+"/fix", nil)
		admin("alerts/"+kind+"/"+name+"/"+number(int64(made["number"].(float64)))+"/reopen", nil)
	}
	wait(t, "webhooks", func() bool { return d.Pending() == 0 })
	hooks, _ := doc.Extensions["x-webhooks"].(map[string]any)
	checked := map[string]bool{}
	for _, g := range r.list() {
		key := strings.ReplaceAll(g.event, "_", "-")
		if g.action != "" {
			key += "-" + strings.ReplaceAll(g.action, "_", "-")
		}
		if checked[key] {
			continue
		}
		checked[key] = true
		validateHook(t, doc, hooks, key, g.body)
	}
	for _, want := range []string{"issues-opened", "issues-labeled", "issues-assigned", "issues-closed", "issues-transferred", "issues-deleted", "issue-comment-created", "pull-request-opened", "pull-request-closed",
		"repository-renamed", "repository-archived", "workflow-run-completed", "push", "package-published", "dependabot-alert-created", "dependabot-alert-reintroduced", "code-scanning-alert-fixed"} {
		if !checked[want] {
			t.Errorf("no %s was sent", want)
		}
	}
}

func validateHook(t *testing.T, doc *openapi3.T, hooks map[string]any, key string, body []byte) {
	t.Helper()
	var hook struct {
		Post struct {
			Body struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"post"`
	}
	raw, err := json.Marshal(hooks[key])
	if err == nil {
		err = json.Unmarshal(raw, &hook)
	}
	ref := hook.Post.Body.Content["application/json"].Schema.Ref
	schema := doc.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]]
	if err != nil || schema == nil {
		t.Errorf("%s: GitHub describes no such webhook", key)
		return
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	if err := schema.Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
		t.Errorf("%s does not fit the description: %s", key, reasons(err))
	}
}
