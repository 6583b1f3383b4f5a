package demo_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"throughline/infra/local/demo"
)

var nextLink = regexp.MustCompile(`<([^>]+)>; rel="next"`)

// walk follows Link headers from a path to the end and gives every item.
func (c *caller) walk(path string) (items []any, pages int) {
	c.t.Helper()
	for path != "" {
		v, header := c.full(c.c, "GET", path, nil, 200)
		items, pages = append(items, v.([]any)...), pages+1
		path = ""
		if m := nextLink.FindStringSubmatch(header.Get("Link")); m != nil {
			path = m[1]
		}
	}
	return items, pages
}

func key(item any) string {
	o := item.(object)
	return fmt.Sprintf("%v/%v", o["repository"].(object)["id"], o["number"])
}

func TestAlertListsPageToTheEnd(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	want := map[string]int{}
	for _, a := range d.Expected().AlertList {
		want[a.Kind]++
	}
	for slug, kind := range map[string]string{"code-scanning": "code_scanning", "dependabot": "dependabot", "secret-scanning": "secret_scanning"} {
		for _, sorting := range []string{"", "&sort=updated&direction=asc", "&sort=created&direction=desc"} {
			items, pages := c.walk("/orgs/throughline-demo/" + slug + "/alerts?per_page=7" + sorting)
			seen := map[string]bool{}
			for _, i := range items {
				seen[key(i)] = true
			}
			if len(items) != want[kind] || len(seen) != want[kind] || pages != (want[kind]+6)/7 {
				t.Errorf("%s%s: %d alerts (%d different) on %d pages, want %d", slug, sorting, len(items), len(seen), pages, want[kind])
			}
			if field := regexp.MustCompile(`sort=(\w+)`).FindStringSubmatch(sorting); field != nil && !ordered(items, field[1]+"_at", strings.Contains(sorting, "desc")) {
				t.Errorf("%s is not ordered by %s", slug, sorting)
			}
		}
	}
}

func ordered(items []any, field string, down bool) bool {
	return slices.IsSortedFunc(items, func(a, b any) int {
		order := strings.Compare(a.(object)[field].(string), b.(object)[field].(string))
		if down {
			return -order
		}
		return order
	})
}

func TestPagingIsAsEachListDocumentsIt(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	org := "/orgs/throughline-demo/"
	link := func(path string) string {
		_, header := c.full(c.c, "GET", path, nil, 200)
		return header.Get("Link")
	}
	if l := link(org + "dependabot/alerts?per_page=5"); !strings.Contains(l, "after=") || strings.Contains(l, "&page=") || strings.Contains(l, "?page=") {
		t.Errorf("Dependabot pages by cursor only: %s", l)
	}
	c.ask("GET", org+"dependabot/alerts?page=2", nil, 400)
	if l := link(org + "code-scanning/alerts?per_page=5"); !strings.Contains(l, "page=2") || !strings.Contains(l, `rel="last"`) {
		t.Errorf("code scanning begins with pages: %s", l)
	}
	if l := link(org + "secret-scanning/alerts?per_page=5&after="); !strings.Contains(l, "after=") {
		t.Errorf("an empty after begins a list with cursors: %s", l)
	}
	if l := link(org + "secret-scanning/alerts?per_page=5"); !strings.Contains(l, "page=2") {
		t.Errorf("secrets begin with pages otherwise: %s", l)
	}
}

// TestCursorsSurviveChanges dismisses an alert of a page that was read: nothing later is skipped, as it is with pages.
func TestCursorsSurviveChanges(t *testing.T) {
	d := start(t)
	c := newCaller(t, d)
	path := "/orgs/throughline-demo/dependabot/alerts?per_page=10&state=open"
	before, _ := c.walk(path)
	v, header := c.full(c.c, "GET", path, nil, 200)
	first := v.([]any)
	gone := first[4].(object)
	c.ask("PATCH", strings.TrimPrefix(gone["url"].(string), d.GitHubURL()), object{"state": "dismissed", "dismissed_reason": "not_used"}, 200)
	rest, _ := c.walk(nextLink.FindStringSubmatch(header.Get("Link"))[1])
	if len(first)+len(rest) != len(before) {
		t.Errorf("%d alerts behind the first page, want %d", len(rest), len(before)-len(first))
	}
}

func TestFiltersOfAlertLists(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	for path, fits := range map[string]func(object) bool{
		"code-scanning/alerts?state=open":         func(a object) bool { return a["state"] == "open" },
		"code-scanning/alerts?state=closed":       func(a object) bool { return a["state"] != "open" },
		"code-scanning/alerts?tool_name=CodeQL":   func(a object) bool { return a["tool"].(object)["name"] == "CodeQL" },
		"code-scanning/alerts?severity=critical":  func(a object) bool { return a["rule"].(object)["security_severity_level"] == "critical" },
		"dependabot/alerts?state=fixed,dismissed": func(a object) bool { return a["state"] == "fixed" || a["state"] == "dismissed" },
		"dependabot/alerts?severity=critical,high": func(a object) bool {
			s := a["security_advisory"].(object)["severity"]
			return s == "critical" || s == "high"
		},
		"secret-scanning/alerts?state=open":       func(a object) bool { return a["state"] == "open" },
		"secret-scanning/alerts?validity=active":  func(a object) bool { return a["validity"] == "active" },
		"secret-scanning/alerts?hide_secret=true": func(a object) bool { return a["secret"] == nil },
	} {
		all, _ := c.walk("/orgs/throughline-demo/" + path[:strings.Index(path, "?")])
		got, _ := c.walk("/orgs/throughline-demo/" + path)
		want := 0
		for _, a := range all {
			if fits(a.(object)) || strings.Contains(path, "hide_secret") {
				want++
			}
		}
		if len(got) != want || want == 0 {
			t.Errorf("%s: %d alerts, want %d", path, len(got), want)
		}
		for _, a := range got {
			if !fits(a.(object)) {
				t.Errorf("%s gives %v", path, key(a))
			}
		}
	}
	c.ask("GET", "/orgs/throughline-demo/dependabot/alerts?state=resolved", nil, 422)
}

func TestSecretsShowUnlessHidden(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	shown, _ := c.walk("/orgs/throughline-demo/secret-scanning/alerts")
	if s, _ := shown[0].(object)["secret"].(string); !strings.HasPrefix(s, "demo-secret-") {
		t.Errorf("the list hides secrets by itself: %q", s)
	}
}

func TestRenamedRepositoryRedirects(t *testing.T) {
	d := start(t)
	c := newCaller(t, d)
	r := firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived })
	name := strings.TrimPrefix(r.FullName, "throughline-demo/")
	if status := post(t, d.GitHubURL()+"/_demo/repositories/"+name+"/rename", object{"name": "renamed"}, nil); status != 200 {
		t.Fatal(status)
	}
	_, header := c.full(c.c, "GET", "/repos/"+r.FullName+"?x=1", nil, 301)
	if want := d.GitHubURL() + "/repos/throughline-demo/renamed?x=1"; header.Get("Location") != want {
		t.Errorf("Location %q, want %q", header.Get("Location"), want)
	}
	if got := c.ask("GET", "/repositories/"+number(r.ID), nil, 200).(object)["name"]; got != "renamed" {
		t.Errorf("by number it is %v", got)
	}
	_, header = c.full(c.c, "POST", "/repos/"+r.FullName+"/issues", object{"title": "x"}, 307)
	if u, err := url.Parse(header.Get("Location")); err != nil || u.Path != "/repos/throughline-demo/renamed/issues" {
		t.Errorf("a write redirects to %q", header.Get("Location"))
	}
}

func TestPermissionsAreAsked(t *testing.T) {
	d := start(t)
	c := newCaller(t, d)
	if status := post(t, d.GitHubURL()+"/_demo/installation", object{"permissions": object{"secret_scanning_alerts": "", "issues": "read"}}, nil); status != 200 {
		t.Fatal(status)
	}
	forbidden := func(method, path string, body any, needs string) {
		t.Helper()
		client := &http.Client{Transport: c.c.Transport}
		req, err := http.NewRequest(method, d.GitHubURL()+path, strings.NewReader(`{"title":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 403 || r.Header.Get("X-Accepted-GitHub-Permissions") != needs {
			t.Errorf("%s %s: %d, needs %q", method, path, r.StatusCode, r.Header.Get("X-Accepted-GitHub-Permissions"))
		}
	}
	unchecked := newUnchecked(t, d)
	c.c = unchecked
	home := "/repos/" + firstRepository(d, func(r demo.ExpectedRepository) bool { return !r.Archived }).FullName
	forbidden("GET", "/orgs/throughline-demo/secret-scanning/alerts", nil, "secret_scanning_alerts=read")
	forbidden("POST", home+"/issues", object{"title": "x"}, "issues=write")
	c.ask("GET", home+"/issues", nil, 200)
}

// newUnchecked is a client whose answers are not held against the description.
func newUnchecked(t *testing.T, d *demo.Demo) *http.Client {
	t.Helper()
	_, tr := transport(t, d)
	return &http.Client{Transport: tr}
}

func TestNarrowedTokenReachesItsRepositoriesOnly(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	list := d.Expected().RepositoryList
	id := c.with(c.app, "GET", "/orgs/throughline-demo/installation", nil, 200).(object)["id"].(float64)
	made := c.with(c.app, "POST", "/app/installations/"+number(int64(id))+"/access_tokens", object{"repository_ids": []int64{list[0].ID}, "permissions": object{"issues": "read"}}, 201).(object)
	token := made["token"].(string)
	if !strings.HasPrefix(token, "ghs_"+setting(t, d, "GITHUB_APP_ID")+"_") || strings.Count(token, ".") != 2 || len(token) < 100 {
		t.Errorf("the token does not have the new long form: %s", token)
	}
	get := func(path, token string) int {
		req, err := http.NewRequest("GET", d.GitHubURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	for path, want := range map[string]int{
		"/repos/" + list[0].FullName + "/issues": 200, "/repos/" + list[1].FullName + "/issues": 404, "/repos/" + list[0].FullName + "/dependabot/alerts": 403,
	} {
		if got := get(path, token); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := get("/repos/"+list[0].FullName, token[:len(token)-2]+"xx"); got != 401 {
		t.Errorf("a forged token gives %d", got)
	}
}

func TestOwnersByGraphQL(t *testing.T) {
	d := shared(t)
	c := newCaller(t, d)
	var q strings.Builder
	q.WriteString("query($path: String!) {\n")
	list := d.Expected().RepositoryList
	for i, r := range list {
		owner, name, _ := strings.Cut(r.FullName, "/")
		fmt.Fprintf(&q, "r%d: repository(owner: %q, name: %q) { databaseId a: object(expression: \"HEAD:.github/CODEOWNERS\") { ... on Blob { text isTruncated } } b: object(expression: $path) { ...on Blob{text} } c: object(expression:\"HEAD:docs/CODEOWNERS\"){... on Blob{text}} }\n", i, owner, name)
	}
	q.WriteString("gone: repository(owner: \"throughline-demo\", name: \"nowhere\") { id } rateLimit { cost remaining } }")
	answer := c.ask("POST", "/graphql", object{"query": q.String(), "variables": object{"path": "HEAD:CODEOWNERS"}}, 200).(object)
	data := answer["data"].(object)
	for i, r := range list {
		got := data[fmt.Sprintf("r%d", i)].(object)
		found := 0
		for _, place := range []string{"a", "b", "c"} {
			if got[place] != nil && strings.Contains(got[place].(object)["text"].(string), "@throughline-demo/") {
				found++
			}
		}
		if want := map[bool]int{true: 1}[r.HasOwners]; found != want || int64(got["databaseId"].(float64)) != r.ID {
			t.Errorf("%s: %d CODEOWNERS files, want %d", r.FullName, found, want)
		}
	}
	if data["gone"] != nil || len(answer["errors"].([]any)) != 1 {
		t.Error("a repository that is not there gives null and one error")
	}
}
