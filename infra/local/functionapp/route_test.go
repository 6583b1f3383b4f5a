package functionapp

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRouteMatch(t *testing.T) {
	type values = map[string]string
	tests := []struct {
		template, path string
		want           values // nil = no match
	}{
		{"api/findings", "/api/findings", values{}},
		{"api/findings", "/API/Findings/", values{}},
		{"api/findings", "/api/findings/1", nil},
		{"api/findings", "/api", nil},
		{"api/findings", "/api//findings", nil},
		{"api/findings/{id}", "/api/findings/github-1", values{"id": "github-1"}},
		{"api/findings/{id}", "/api/findings", nil},
		{"api/findings/{id}", "/api/findings/a%2Fb", values{"id": "a/b"}},
		{"api/findings/{id}", "/api/findings/sha256:ab", values{"id": "sha256:ab"}},
		{"api/findings/{id?}", "/api/findings", values{}},
		{"api/findings/{id=5}", "/api/findings", values{"id": "5"}},
		{"{*path}", "/", values{}},
		{"{*path}", "/a/b/c", values{"path": "a/b/c"}},
		{"api/{**path}", "/api", values{}},
		{"api/{*path}", "/api/x/y/", values{"path": "x/y"}},
		{"api/{*path}", "/apis", nil},
		{"{ignored:maxlength(0)?}", "/", values{}},
		{"{ignored:maxlength(0)?}", "/x", nil},
		{"a/{id:int}", "/a/-7", values{"id": "-7"}},
		{"a/{id:int}", "/a/99999999999", nil},
		{"a/{id:long}", "/a/99999999999", values{"id": "99999999999"}},
		{"a/{id:int:min(3)}", "/a/2", nil},
		{"a/{id:range(3,5)}", "/a/4", values{"id": "4"}},
		{"a/{id:range(3,5)}", "/a/6", nil},
		{"a/{id:length(2)}", "/a/xyz", nil},
		{"a/{id:length(2,3)}", "/a/xyz", values{"id": "xyz"}},
		{"a/{id:minlength(4)}", "/a/xyz", nil},
		{"a/{id:max(5)}", "/a/5", values{"id": "5"}},
		{"a/{id:bool}", "/a/TRUE", values{"id": "TRUE"}},
		{"a/{id:guid}", "/a/1f1b1c60-0000-4000-8000-00000000000A", values{"id": "1f1b1c60-0000-4000-8000-00000000000A"}},
		{"a/{id:guid}", "/a/nope", nil},
		{"a/{id:alpha}", "/a/abc1", nil},
		{"a/{id:double}", "/a/1.5e3", values{"id": "1.5e3"}},
		{"a/{id:decimal}", "/a/1,000.5", values{"id": "1,000.5"}},
		{"a/{id:datetime}", "/a/2026-01-02", values{"id": "2026-01-02"}},
		{"a/{id:required}", "/a", nil},
		{"a/{file:file}", "/a/x.txt", values{"file": "x.txt"}},
		{"a/{file:nonfile}", "/a/x.txt", nil},
		{"a/{d:regex(^\\d{{3}}-[[a-z]]*$)}", "/a/123", nil},
		{"a/{d:regex(^\\d{{3}}$)}", "/a/123", values{"d": "123"}},
		{"a/{d:regex(^\\d{{3}}$)}", "/a/1234", nil},
		{"a/{name}.{ext}", "/a/x.tar.gz", values{"name": "x.tar", "ext": "gz"}},
		{"a/v{major}", "/a/V12", values{"major": "12"}},
		{"a/v{major}", "/a/x", nil},
		{"api/repositories/{owner}/{name}", "/api/repositories/o/n", values{"owner": "o", "name": "n"}},
	}
	for _, test := range tests {
		f := &function{name: "f", trigger: binding{Route: test.template}}
		r, err := newRoute(f, "")
		if err != nil {
			t.Errorf("%s: %v", test.template, err)
			continue
		}
		got, ok := r.match(test.path)
		if !ok {
			got = nil
		} else if got == nil {
			got = values{}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s against %s: %s", test.template, test.path, diff)
		}
	}
}

func TestRouteRefuses(t *testing.T) {
	for _, template := range []string{"/a", "~/a", "a//b", "a/{b", "a/b}", "{*a}/b", "{a}/{A}", "{a?}/b", "a/{b:int(}", "a/{b:length(x)}",
		"a/{b:wild}", "a/{*b?}", "a?b", "{}", "a/{b:regex([)}", "{a:int}-{b}"} {
		if _, err := newRoute(&function{name: "f", trigger: binding{Route: template}}, ""); err == nil {
			t.Errorf("%q was taken", template)
		}
	}
}

func TestRouteDefaults(t *testing.T) {
	r, err := newRoute(&function{name: "Webhook"}, "api")
	if err != nil || r.template != "api/Webhook" {
		t.Errorf("template %v, %v", r, err)
	}
}

func TestRouteOrder(t *testing.T) {
	want := []string{"api/findings/{id:int}", "api/findings/{id}", "api/findings", "api/{*path}", "ingest/github", "{id:int}", "{a}/{b}", "{*path}"}
	rapid.Check(t, func(t *rapid.T) {
		var routes []*route
		for _, template := range rapid.Permutation(want).Draw(t, "order") {
			r, err := newRoute(&function{name: "f", trigger: binding{Route: template}}, "")
			if err != nil {
				t.Fatal(err)
			}
			routes = append(routes, r)
		}
		sortRoutes(routes)
		var got []string
		for _, r := range routes {
			got = append(got, r.template)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzRoute(f *testing.F) {
	f.Add("a/{b:regex(^x{{2}}$)}/{*c}", "/a/xx/y")
	f.Add("{a}.{b}", "/x.y.z")
	f.Add("{a:length(1,2)=5?}", "/%zz")
	f.Fuzz(func(t *testing.T, template, path string) {
		r, err := newRoute(&function{name: "f", trigger: binding{Route: template}}, "")
		if err != nil {
			return
		}
		values, ok := r.match(path)
		if !ok {
			return
		}
		// What matches also matches in another case of its literals, and names only parameters of the template.
		if _, again := r.match(path + "/"); !again && !strings.HasSuffix(path, "/") {
			t.Errorf("%q matches %q but not with a slash at the end", template, path)
		}
		for _, name := range slices.Collect(maps.Keys(values)) {
			if !strings.Contains(template, name) {
				t.Errorf("%q gave a value for %q", template, name)
			}
		}
	})
}
