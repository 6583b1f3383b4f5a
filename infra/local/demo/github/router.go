package github

import (
	"net/http"
	"net/url"
	"strings"
)

// router finds the route of a path. net/http's own refuses GitHub's paths because two of them overlap in theory
// (issues/{number}/comments and issues/comments/{id}); here the pattern with more fixed segments wins.
type router struct {
	routes map[string][]routed // by method
	other  http.Handler
}

type routed struct {
	segments []string
	rest     bool // the last segment takes what is left, slashes included
	fixed    int
	handler  http.Handler
}

func newRouter(other http.Handler) *router {
	return &router{routes: map[string][]routed{}, other: other}
}

func (rt *router) handle(pattern string, h http.Handler) {
	method, path, _ := strings.Cut(pattern, " ")
	r := routed{segments: strings.Split(strings.Trim(path, "/"), "/"), handler: h}
	for i, s := range r.segments {
		if !strings.HasPrefix(s, "{") {
			r.fixed++
			continue
		}
		r.rest = strings.HasSuffix(s, "...}")
		r.segments[i] = "{" + strings.TrimSuffix(strings.Trim(s, "{}"), "...")
	}
	rt.routes[method] = append(rt.routes[method], r)
}

// ServeHTTP decodes each segment by itself, so that an escaped slash stays inside its segment.
func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	var best *routed
	for i := range rt.routes[method] {
		if c := &rt.routes[method][i]; c.matches(path) && (best == nil || c.fixed > best.fixed) {
			best = c
		}
	}
	if best == nil {
		rt.other.ServeHTTP(w, r)
		return
	}
	for i, s := range best.segments {
		if name, wild := strings.CutPrefix(s, "{"); wild {
			value := path[i]
			if best.rest && i == len(best.segments)-1 {
				value = strings.Join(path[i:], "/")
			}
			if text, err := url.PathUnescape(value); err == nil {
				value = text
			}
			r.SetPathValue(name, value)
		}
	}
	best.handler.ServeHTTP(w, r)
}

func (c *routed) matches(path []string) bool {
	if len(path) < len(c.segments) || len(path) > len(c.segments) && !c.rest {
		return false
	}
	for i, s := range c.segments {
		if !strings.HasPrefix(s, "{") && s != path[i] || path[i] == "" {
			return false
		}
	}
	return true
}
