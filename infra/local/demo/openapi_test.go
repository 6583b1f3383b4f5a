package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"throughline/infra/local/demo"
)

// undescribed are calls that GitHub documents (or has served for years) and that the description at hand lacks.
var undescribed = map[string]string{
	"GET /repositories/{id}": "the lookup by number, to which GitHub redirects renamed repositories",
	"POST /graphql":          "GraphQL has a schema of its own",
	"GET /_blobs/{digest}":   "the blob behind bundle_url, which lies outside the API",
}

// description is GitHub's own; tests that need it are skipped where it is not.
func description(t *testing.T) *openapi3.T {
	t.Helper()
	root := os.Getenv("FIXTURES")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "fixtures")
	}
	raw, err := os.ReadFile(filepath.Join(root, "github", "openapi.json"))
	if err != nil {
		t.Skipf("GitHub's description is not here (set FIXTURES): %v", err)
	}
	doc, err := loadDescription(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

var (
	loading sync.Mutex
	loaded  *openapi3.T
)

// loadDescription parses once: it takes a second.
func loadDescription(raw []byte) (*openapi3.T, error) {
	loading.Lock()
	defer loading.Unlock()
	if loaded != nil {
		return loaded, nil
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err == nil {
		loaded = doc
	}
	return doc, err
}

// checker is a transport that holds every answer against GitHub's description.
type checker struct {
	t    *testing.T
	doc  *openapi3.T
	next http.RoundTripper
}

func (c *checker) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if err := answer.Body.Close(); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	c.check(r, answer, body)
	return answer, nil
}

func (c *checker) check(r *http.Request, answer *http.Response, body []byte) {
	template, params := describedAs(c.doc, r.Method, r.URL.EscapedPath())
	if template == "" {
		for known := range undescribed {
			method, pattern, _ := strings.Cut(known, " ")
			if _, fits := fit(pattern, r.URL.EscapedPath()); fits && method == r.Method {
				return
			}
		}
		c.t.Errorf("%s %s is neither described nor listed as undescribed", r.Method, r.URL.Path)
		return
	}
	item := c.doc.Paths.Value(template)
	operation := item.GetOperation(r.Method)
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: &routers.Route{Spec: c.doc, Path: template, PathItem: item, Method: r.Method, Operation: operation},
		},
		Status: answer.StatusCode, Header: answer.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: false},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		c.t.Errorf("%s %s: %d does not fit the description: %s", r.Method, template, answer.StatusCode, reasons(err))
	}
}

// reasons lists what is wrong and where, without the schemas, which are long.
func reasons(err error) string {
	var out []string
	var walk func(error)
	walk = func(err error) {
		var many openapi3.MultiError
		var one *openapi3.SchemaError
		switch {
		case errors.As(err, &many):
			for _, e := range many {
				walk(e)
			}
		case errors.As(err, &one) && one.Origin != nil:
			out = append(out, strings.Join(one.JSONPointer(), "/")+":")
			walk(one.Origin)
		case errors.As(err, &one):
			out = append(out, strings.Join(one.JSONPointer(), "/")+" "+one.Reason)
		default:
			out = append(out, err.Error())
		}
	}
	walk(err)
	return strings.Join(out, "; ")
}

// describedAs finds the template of a path; one with fewer parameters wins.
func describedAs(doc *openapi3.T, method, path string) (best string, params map[string]string) {
	for template, item := range doc.Paths.Map() {
		if item.GetOperation(method) == nil {
			continue
		}
		if got, fits := fit(template, path); fits && (best == "" || len(got) < len(params)) {
			best, params = template, got
		}
	}
	return best, params
}

func fit(template, path string) (map[string]string, bool) {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) < len(have) && strings.HasSuffix(template, "/contents/{path}") {
		have = append(have[:len(want)-1:len(want)-1], strings.Join(have[len(want)-1:], "%2F"))
	}
	if len(want) != len(have) {
		return nil, false
	}
	params := map[string]string{}
	for i, part := range want {
		if !strings.HasPrefix(part, "{") {
			if part != have[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(have[i])
		if err != nil || value == "" {
			return nil, false
		}
		params[strings.Trim(part, "{}")] = value
	}
	return params, true
}

// caller asks the GitHub stand-in as an installation, every answer checked.
type caller struct {
	t       *testing.T
	d       *demo.Demo
	c       *http.Client
	app     *http.Client
	checker *checker
}

func newCaller(t *testing.T, d *demo.Demo) *caller {
	t.Helper()
	doc := description(t)
	check := &checker{t: t, doc: doc, next: http.DefaultTransport}
	appTransport, tr := transportOver(t, d, check)
	return &caller{t, d, &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, &http.Client{Transport: appTransport}, check}
}

// ask gives the decoded answer; lists come as []any.
func (c *caller) ask(method, path string, body any, status int) any {
	c.t.Helper()
	return c.with(c.c, method, path, body, status)
}

func (c *caller) with(client *http.Client, method, path string, body any, status int) any {
	c.t.Helper()
	v, _ := c.full(client, method, path, body, status)
	return v
}

func (c *caller) full(client *http.Client, method, path string, body any, status int) (any, http.Header) {
	c.t.Helper()
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	if !strings.HasPrefix(path, "http") {
		path = c.d.GitHubURL() + path
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, path, r)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if answer.StatusCode != status {
		c.t.Fatalf("%s %s: %d, want %d: %.500s", method, path, answer.StatusCode, status, text)
	}
	if len(text) == 0 {
		return nil, answer.Header
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		c.t.Fatal(err)
	}
	return v, answer.Header
}

type object = map[string]any

func TestAnswersFitGitHubsDescription(t *testing.T) {
	d := start(t)
	c := newCaller(t, d)
	repo := firstRepository(d, func(r demo.ExpectedRepository) bool { return r.HasOwners && !r.Archived })
	home := "/repos/" + repo.FullName
	c.with(c.app, "GET", "/app", nil, 200)
	installations := c.with(c.app, "GET", "/app/installations", nil, 200).([]any)
	id := int64(installations[0].(object)["id"].(float64))
	c.with(c.app, "GET", "/app/installations/"+number(id), nil, 200)
	c.with(c.app, "GET", "/orgs/throughline-demo/installation", nil, 200)
	c.with(c.app, "POST", "/app/installations/"+number(id)+"/access_tokens", object{"permissions": object{"issues": "read"}}, 201)
	c.with(c.app, "POST", "/app/installations/"+number(id)+"/access_tokens", object{"permissions": object{"administration": "write"}}, 422)
	c.with(http.DefaultClient, "GET", "/repos/a/b", nil, 401)
	for _, path := range []string{
		"/installation/repositories?per_page=3", "/orgs/throughline-demo/repos?type=public", home, "/repositories/" + number(repo.ID), "/rate_limit", "/meta",
		"/orgs/throughline-demo/properties/values", home + "/properties/values", home + "/codeowners/errors", home + "/commits?per_page=5", home + "/commits/main",
		home + "/assignees", home + "/issues?state=all", "/orgs/throughline-demo/attestations/repositories", "/orgs/throughline-demo/campaigns",
	} {
		c.ask("GET", path, nil, 200)
	}
	c.ask("GET", "/repos/throughline-demo/nowhere", nil, 404)
	c.ask("GET", home+"/assignees/nobody-at-all", nil, 404)
	commits := c.ask("GET", home+"/commits?per_page=5", nil, 200).([]any)
	compared := c.ask("GET", home+"/compare/"+commits[4].(object)["sha"].(string)+"..."+commits[0].(object)["sha"].(string), nil, 200).(object)
	if compared["status"] != "ahead" || compared["ahead_by"] != 4.0 {
		t.Errorf("compare: %v by %v, want ahead by 4", compared["status"], compared["ahead_by"])
	}
	c.describedAlerts(d)
	c.describedIssues(home)
	c.describedArtifacts(d)
	c.describedDeliveries(d)
}

func number(n int64) string {
	raw, err := json.Marshal(n)
	if err != nil {
		return ""
	}
	return string(raw)
}

func firstRepository(d *demo.Demo, fits func(demo.ExpectedRepository) bool) demo.ExpectedRepository {
	list := d.Expected().RepositoryList
	return list[max(slices.IndexFunc(list, fits), 0)]
}

func (c *caller) describedAlerts(d *demo.Demo) {
	c.t.Helper()
	x := d.Expected()
	names := map[int64]string{}
	for _, r := range x.RepositoryList {
		if !r.Archived {
			names[r.ID] = r.FullName
		}
	}
	slugs := map[string]string{"code_scanning": "code-scanning", "dependabot": "dependabot", "secret_scanning": "secret-scanning"}
	for kind, slug := range slugs {
		c.ask("GET", "/orgs/throughline-demo/"+slug+"/alerts?per_page=100", nil, 200)
		c.ask("GET", "/orgs/throughline-demo/"+slug+"/alerts?per_page=5&state=open&sort=updated&direction=desc", nil, 200)
		done := map[string]bool{}
		for _, a := range x.AlertList {
			if a.Kind != kind || done[a.State] || names[a.Repository] == "" {
				continue
			}
			done[a.State] = true
			c.ask("GET", "/repos/"+names[a.Repository]+"/"+slug+"/alerts", nil, 200)
			c.ask("GET", "/repos/"+names[a.Repository]+"/"+slug+"/alerts/"+number(int64(a.Number)), nil, 200)
			if kind == "code_scanning" {
				c.ask("GET", "/repos/"+names[a.Repository]+"/"+slug+"/alerts/"+number(int64(a.Number))+"/instances", nil, 200)
			}
			if kind == "secret_scanning" {
				c.ask("GET", "/repos/"+names[a.Repository]+"/"+slug+"/alerts/"+number(int64(a.Number))+"/locations", nil, 200)
			}
			if a.State == "open" {
				bad := map[string]int{"code_scanning": 400}[kind]
				if bad == 0 {
					bad = 422
				}
				c.ask("PATCH", "/repos/"+names[a.Repository]+"/"+slug+"/alerts/"+number(int64(a.Number)), object{"state": "gone"}, bad)
				patch := map[string]object{
					"code_scanning": {"state": "dismissed", "dismissed_reason": "won't fix"}, "dependabot": {"state": "dismissed", "dismissed_reason": "not_used"},
					"secret_scanning": {"state": "resolved", "resolution": "revoked"},
				}[kind]
				c.ask("PATCH", "/repos/"+names[a.Repository]+"/"+slug+"/alerts/"+number(int64(a.Number)), patch, 200)
			}
		}
	}
}

// stranger is a person of the organisation who cannot be assigned in a repository.
func (c *caller) stranger(home string) string {
	c.t.Helper()
	may := map[string]bool{}
	for _, u := range c.ask("GET", home+"/assignees", nil, 200).([]any) {
		may[u.(object)["login"].(string)] = true
	}
	for _, r := range c.d.Expected().RepositoryList {
		for _, u := range c.ask("GET", "/repos/"+r.FullName+"/assignees", nil, 200).([]any) {
			if login := u.(object)["login"].(string); !may[login] {
				return login
			}
		}
	}
	c.t.Fatal("everybody can be assigned everywhere")
	return ""
}

func (c *caller) describedIssues(home string) {
	c.t.Helper()
	users := c.ask("GET", home+"/assignees", nil, 200).([]any)
	login := users[0].(object)["login"].(string)
	c.ask("GET", home+"/assignees/"+login, nil, 204)
	made := c.ask("POST", home+"/issues", object{"title": "An issue", "body": "text", "labels": []string{"a"}, "assignees": []string{login, "nobody-at-all", c.stranger(home)}}, 201).(object)
	at := home + "/issues/" + number(int64(made["number"].(float64)))
	if got := made["assignees"].([]any); len(got) != 1 {
		c.t.Errorf("%d assignees, want the one that can be assigned", len(got))
	}
	c.ask("GET", at, nil, 200)
	c.ask("GET", home+"/issues", nil, 200)
	c.ask("POST", home+"/issues", object{"body": "no title"}, 422)
	comment := c.ask("POST", at+"/comments", object{"body": "hello"}, 201).(object)
	c.ask("GET", at+"/comments", nil, 200)
	c.ask("PATCH", home+"/issues/comments/"+number(int64(comment["id"].(float64))), object{"body": "hello again"}, 200)
	c.ask("POST", at+"/labels", object{"labels": []string{"b"}}, 200)
	c.ask("PUT", at+"/labels", object{"labels": []string{"b", "c"}}, 200)
	c.ask("GET", at+"/labels", nil, 200)
	c.ask("DELETE", at+"/labels/c", nil, 200)
	c.ask("DELETE", at+"/assignees", object{"assignees": []string{login}}, 200)
	c.ask("POST", at+"/assignees", object{"assignees": []string{login}}, 201)
	closed := c.ask("PATCH", at, object{"state": "closed", "state_reason": "not_planned"}, 200).(object)
	if closed["state_reason"] != "not_planned" {
		c.t.Errorf("closed as %v", closed["state_reason"])
	}
	c.ask("GET", home+"/issues/9999", nil, 404)
}

func (c *caller) describedArtifacts(d *demo.Demo) {
	c.t.Helper()
	images := d.Expected().ImageList
	attested := images[slices.IndexFunc(images, func(i demo.ExpectedImage) bool { return slices.Contains(i.Evidence, "attestation") })]
	other := images[slices.IndexFunc(images, func(i demo.ExpectedImage) bool { return i.Repository == 0 })]
	names := map[int64]string{}
	for _, r := range d.Expected().RepositoryList {
		names[r.ID] = r.FullName
	}
	org := "/orgs/throughline-demo"
	c.ask("GET", "/repos/"+names[attested.Repository]+"/attestations/"+attested.Digest, nil, 200)
	c.ask("GET", org+"/attestations/"+attested.Digest, nil, 200)
	bulk := c.ask("POST", org+"/attestations/bulk-list", object{"subject_digests": []string{attested.Digest, other.Digest}}, 200).(object)["attestations_subject_digests"].(object)
	if bulk[other.Digest] != nil || len(bulk[attested.Digest].([]any)) != 1 {
		c.t.Error("bulk-list confuses an attested digest with another")
	}
	place := object{"name": "shop", "digest": attested.Digest, "status": "deployed", "logical_environment": "prod", "deployment_name": "shop-api", "cluster": "aks", "runtime_risks": []string{"internet-exposed"}}
	c.ask("POST", org+"/artifacts/metadata/deployment-record", place, 200)
	c.ask("GET", org+"/artifacts/"+attested.Digest+"/metadata/deployment-records", nil, 200)
	c.ask("POST", org+"/artifacts/metadata/storage-record", object{"name": "shop", "digest": attested.Digest, "registry_url": "https://acr.example"}, 200)
	c.ask("GET", org+"/artifacts/"+attested.Digest+"/metadata/storage-records", nil, 200)
	deployments := []object{{"name": "shop", "digest": attested.Digest, "deployment_name": "a"}, {"name": "redis", "digest": other.Digest, "deployment_name": "b"}}
	c.ask("POST", org+"/artifacts/metadata/deployment-record/cluster/aks", object{"logical_environment": "prod", "deployments": deployments}, 404)
	c.ask("POST", org+"/artifacts/metadata/deployment-record/cluster/aks", object{"logical_environment": "prod", "deployments": deployments, "partial_success": true}, 207)
	c.ask("POST", org+"/artifacts/metadata/deployment-record/cluster/aks", object{"logical_environment": "prod", "deployments": deployments[:1]}, 200)
	job := c.ask("POST", org+"/artifacts/metadata/deployment-record/cluster/aks/jobs", object{"logical_environment": "prod", "deployments": deployments}, 202).(object)
	c.ask("GET", org+"/artifacts/metadata/deployment-record/cluster/aks/jobs/"+number(int64(job["job_id"].(float64))), nil, 200)
	alert := d.Expected().AlertList[0]
	made := c.ask("POST", org+"/campaigns", object{
		"name": "Fix it", "description": "All of it", "ends_at": time.Now().AddDate(0, 1, 0).Format(time.RFC3339),
		"code_scanning_alerts": []object{{"repository_id": alert.Repository, "alert_numbers": []int{alert.Number}}},
	}, 200).(object)
	c.ask("GET", org+"/campaigns/"+number(int64(made["number"].(float64))), nil, 200)
	c.ask("PATCH", org+"/campaigns/"+number(int64(made["number"].(float64))), object{"state": "closed"}, 200)
	c.ask("GET", org+"/campaigns", nil, 200)
	owned := firstRepository(d, func(r demo.ExpectedRepository) bool { return r.HasOwners })
	found := 0
	for _, path := range []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"} {
		req, err := http.NewRequestWithContext(c.t.Context(), "GET", d.GitHubURL()+"/repos/"+owned.FullName+"/contents/"+path, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		r, err := c.c.Do(req)
		if err != nil {
			c.t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode == 200 {
			found++
		}
	}
	if found != 1 {
		c.t.Errorf("%d places have a CODEOWNERS file, want 1", found)
	}
}

func (c *caller) describedDeliveries(d *demo.Demo) {
	c.t.Helper()
	r := receive(c.t, secret)
	d.SetWebhook(r.URL, secret)
	wait(c.t, "webhooks that were held back", func() bool { return d.Pending() == 0 && len(r.list()) > 0 })
	list := c.with(c.app, "GET", "/app/hook/deliveries?per_page=3", nil, 200).([]any)
	id := number(int64(list[0].(object)["id"].(float64)))
	c.with(c.app, "GET", "/app/hook/deliveries/"+id, nil, 200)
	c.with(c.app, "POST", "/app/hook/deliveries/"+id+"/attempts", nil, 202)
}
