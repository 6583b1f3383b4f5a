package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	gogithub "github.com/google/go-github/v66/github"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// Refused tells that GitHub understood a request and will not do it however often it is asked: the thing is not there,
// or the App may not.
type Refused struct {
	Status  int
	Request string // method and path
	Why     string // GitHub's own words
	// Wants is the permission that GitHub asks for, when it says so.
	Wants string
}

// Error says what was refused and why.
func (r *Refused) Error() string {
	text := fmt.Sprintf("%s: GitHub answers %d: %s", r.Request, r.Status, r.Why)
	if r.Wants != "" {
		text += " (it wants the permission " + r.Wants + ")"
	}
	return text
}

// Permanent tells that no retry will help.
func (r *Refused) Permanent() bool { return true }

// isGone tells whether GitHub says that a thing is not there.
func isGone(err error) bool {
	var r *Refused
	return errors.As(err, &r) && (r.Status == http.StatusNotFound || r.Status == http.StatusGone)
}

// maxAnswer bounds an answer: a page of 100 alerts has 1 MB, one of attestations with bundles some 10 MB.
const maxAnswer = 64 << 20

// answer is what GitHub says.
type answer struct {
	status int
	body   []byte
	next   string // address of the next page
}

// path joins the parts of a path, escaping each.
func path(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = url.PathEscape(p)
	}
	return strings.Join(escaped, "/")
}

// call sends one request. where is relative to the base, or an address that GitHub gave. Errors are *graph.Limited,
// *Refused, or transient.
func (c *Client) call(ctx context.Context, a *access, method, where string, body any) (answer, error) {
	r, err := a.github.NewRequest(method, where, body)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, where, err)
	}
	if r.URL.Host != c.base.Host || r.URL.Scheme != c.base.Scheme {
		return answer{}, fmt.Errorf("%s %s: not an address of %s", method, where, c.base.Host)
	}
	got, err := a.github.BareDo(ctx, r)
	if got != nil && got.Body != nil {
		defer got.Body.Close()
	}
	if err != nil {
		if got != nil && got.StatusCode == http.StatusUnauthorized {
			c.drop(a)
		}
		return answer{}, failure(r, got, err)
	}
	raw, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, r.URL.Path, err)
	}
	if len(raw) > maxAnswer {
		return answer{}, fmt.Errorf("%s %s: the answer is larger than %d bytes", method, r.URL.Path, maxAnswer)
	}
	return answer{status: got.StatusCode, body: raw, next: nextPage(got.Header)}, nil
}

// read is call for collect: it leaves the reserve to the writers.
func (c *Client) read(ctx context.Context, a *access, method, where string, body any) (answer, error) {
	if err := a.limits.spare(resourceOf("/"+where), c.options.Reserve); err != nil {
		return answer{}, err
	}
	points := 5
	if method == http.MethodGet {
		points = 1
	}
	if err := a.limits.paced(points); err != nil {
		return answer{}, err
	}
	return c.call(ctx, a, method, where, body)
}

// failure sorts what went wrong.
func failure(r *http.Request, got *gogithub.Response, err error) error {
	name := r.Method + " " + r.URL.Path
	var limited *graph.Limited
	if errors.As(err, &limited) {
		return limited
	}
	var said *gogithub.ErrorResponse
	if errors.As(err, &said) && said.Response != nil {
		status := said.Response.StatusCode
		if status >= 400 && status < 500 && status != http.StatusUnauthorized && status != http.StatusRequestTimeout && status != http.StatusConflict {
			return &Refused{Status: status, Request: name, Why: reason(said), Wants: said.Response.Header.Get("X-Accepted-GitHub-Permissions")}
		}
		return fmt.Errorf("%s: GitHub answers %d: %s", name, status, reason(said))
	}
	if got != nil {
		return fmt.Errorf("%s: status %d: %w", name, got.StatusCode, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// reason is GitHub's message with its details, in one line.
func reason(e *gogithub.ErrorResponse) string {
	text := e.Message
	for _, d := range e.Errors {
		text += fmt.Sprintf("; %s %s %s %s", d.Resource, d.Field, d.Code, d.Message)
	}
	return strings.Join(strings.Fields(text), " ")
}

// nextPage finds the address of the next page in the Link header.
func nextPage(h http.Header) string {
	for link := range strings.SplitSeq(strings.Join(h.Values("Link"), ","), ",") {
		address, parameters, found := strings.Cut(link, ";")
		address = strings.TrimSpace(address)
		if found && strings.Contains(parameters, `rel="next"`) && strings.HasPrefix(address, "<") && strings.HasSuffix(address, ">") {
			return address[1 : len(address)-1]
		}
	}
	return ""
}

// walk reads an answer with a reader and checks that it is JSON to its end.
func walk(a answer, read func(*scan.Cursor)) error {
	c := scan.New(a.body)
	read(c)
	if err := c.End(); err != nil {
		return fmt.Errorf("GitHub's answer: %w", err)
	}
	return nil
}
