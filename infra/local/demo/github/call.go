package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/demo/fault"
)

// call is one request on its way through a handler.
type call struct {
	s     *Server
	r     *http.Request
	token claims
	repo  int // index of the repository that the path names; -1 for none
}

type reply struct {
	status int
	body   any // nil sends none
	header map[string]string
}

func ok(body any) reply { return reply{status: http.StatusOK, body: body} }

type problemJSON struct {
	Message string `json:"message"`
	Errors  any    `json:"errors,omitempty"`
	URL     string `json:"documentation_url"`
	Status  string `json:"status"`
}

func problem(status int, message string) reply {
	return reply{status: status, body: problemJSON{Message: message, URL: "https://docs.github.com/rest", Status: strconv.Itoa(status)}}
}

func invalid(resource, field, message string) reply {
	return reply{status: http.StatusUnprocessableEntity, body: problemJSON{
		Message: "Validation Failed", URL: "https://docs.github.com/rest", Status: "422",
		Errors: []any{map[string]string{"resource": resource, "field": field, "code": "custom", "message": message}},
	}}
}

// refused is the shorter form of a 422, which Dependabot's calls have.
func refused(message string) reply {
	return reply{status: http.StatusUnprocessableEntity, body: problemJSON{Message: "Validation Failed", URL: "https://docs.github.com/rest", Status: "422", Errors: []string{message}}}
}

func broken(err error) reply { return problem(http.StatusInternalServerError, err.Error()) }

func write(w http.ResponseWriter, p reply) {
	for k, v := range p.header {
		w.Header().Set(k, v)
	}
	if p.body == nil {
		w.WriteHeader(p.status)
		return
	}
	raw, err := json.Marshal(p.body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(p.status)
	_, _ = w.Write(raw) // a client that left is no business of ours
}

// faulty answers as GitHub does when a fault rule asks for it.
func (s *Server) faulty(w http.ResponseWriter, r *http.Request, rule *fault.Rule) {
	s.headers(w, "")
	message := rule.Message
	switch {
	case rule.Primary:
		message = "API rate limit exceeded for installation ID " + fmt.Sprint(s.world.InstallationID) + "."
		s.limits.exhausted(w)
	case message == "" && (rule.Status == 403 || rule.Status == 429):
		message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	case message == "":
		message = http.StatusText(rule.Status)
	}
	write(w, problem(rule.Status, message))
}

// admit checks token, permission, organisation and repository.
func (c *call) admit(rt route) *reply {
	if rt.who == anyone {
		return nil
	}
	if err := c.authenticate(rt.who); err != nil {
		return ptr(problem(http.StatusUnauthorized, err.Error()))
	}
	if !c.permitted(rt.needs) {
		return ptr(problem(http.StatusForbidden, "Resource not accessible by integration"))
	}
	if org := c.r.PathValue("org"); org != "" && !strings.EqualFold(org, c.s.world.Org.Login) {
		return ptr(problem(http.StatusNotFound, "Not Found"))
	}
	if c.r.PathValue("owner") != "" {
		return c.findRepository()
	}
	return nil
}

// findRepository resolves owner/name; an old name redirects to the numeric path, as GitHub does after a rename.
func (c *call) findRepository() *reply {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	full := strings.ToLower(c.r.PathValue("owner") + "/" + c.r.PathValue("repo"))
	i, found := c.s.byName[full]
	if !found || c.s.repos[i].Deleted || !c.token.reaches(c.s.world.Repositories[i].ID) {
		return ptr(problem(http.StatusNotFound, "Not Found"))
	}
	if now := c.s.fullName(i); !strings.EqualFold(now, full) {
		rest := strings.SplitN(strings.TrimPrefix(c.r.URL.Path, "/repos/"), "/", 3)
		target := c.s.base + "/repos/" + now
		if len(rest) == 3 {
			target += "/" + rest[2]
		}
		if c.r.URL.RawQuery != "" {
			target += "?" + c.r.URL.RawQuery
		}
		status := http.StatusMovedPermanently
		if c.r.Method != http.MethodGet {
			status = http.StatusTemporaryRedirect
		}
		return &reply{status: status, header: map[string]string{"Location": target}, body: map[string]string{
			"message": "Moved Permanently", "url": target, "documentation_url": "https://docs.github.com/rest"}}
	}
	c.repo = i
	return nil
}

func ptr[T any](v T) *T { return &v }

// decode reads a JSON body of at most 10 MB; an empty body leaves v alone.
func (c *call) decode(v any) *reply {
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, 10<<20))
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, v)
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return ptr(invalid("Request", wrong.Field, "is of the wrong type"))
	}
	if err != nil {
		return ptr(problem(http.StatusBadRequest, "Problems parsing JSON"))
	}
	return nil
}

func (c *call) number(name string) int {
	n, err := strconv.Atoi(c.r.PathValue(name))
	if err != nil {
		return -1 // no noun has this number, so the caller answers 404
	}
	return n
}

// window says which part of a list is asked for.
func (c *call) perPage() int {
	n, err := strconv.Atoi(c.r.URL.Query().Get("per_page"))
	if err != nil || n < 1 {
		return 30
	}
	return min(n, 100)
}

// page cuts a list by page number and sets the Link header.
func page[T any](c *call, all []T) ([]T, map[string]string) {
	size, n := c.perPage(), 1
	if p, err := strconv.Atoi(c.r.URL.Query().Get("page")); err == nil && p > 1 {
		n = p
	}
	last := max((len(all)+size-1)/size, 1)
	from, to := min((n-1)*size, len(all)), min(n*size, len(all))
	var links []string
	add := func(p int, rel string) {
		links = append(links, c.link(rel, "page", strconv.Itoa(p)))
	}
	if n > 1 {
		add(n-1, "prev")
	}
	if n < last {
		add(n+1, "next")
		add(last, "last")
	}
	if n > 1 {
		add(1, "first")
	}
	return all[from:to], linkHeader(links)
}

func (c *call) link(rel string, pairs ...string) string {
	q := url.Values{}
	for k, v := range c.r.URL.Query() {
		q[k] = v
	}
	for _, k := range []string{"page", "after", "before"} {
		q.Del(k)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return fmt.Sprintf("<%s%s?%s>; rel=%q", c.s.base, c.r.URL.Path, q.Encode(), rel)
}

func linkHeader(links []string) map[string]string {
	if len(links) == 0 {
		return nil
	}
	return map[string]string{"Link": strings.Join(links, ", ")}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stampOrNull renders the zero time as null.
func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return ptr(stamp(t))
}

// decodeLabels reads either {"labels":[...]} or the bare list, both of which GitHub takes.
func (c *call) decodeLabels(into *[]nameOrObject) *reply {
	var raw json.RawMessage
	if bad := c.decode(&raw); bad != nil {
		return bad
	}
	var object struct {
		Labels []nameOrObject `json:"labels"`
	}
	if json.Unmarshal(raw, into) == nil {
		return nil
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return ptr(problem(http.StatusBadRequest, "Problems parsing JSON"))
	}
	*into = object.Labels
	return nil
}
