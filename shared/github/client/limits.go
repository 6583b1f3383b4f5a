package client

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"throughline/shared/graph"
)

// limits stands between the client and the network of one installation. It turns GitHub's limits, with 403 as well as
// with 429, into *graph.Limited, keeps everybody from asking before the time is over, and knows what is left. go-github
// must not see limits at all: v66 does not know 429, and after a secondary limit it blocks itself for up to an hour.
type limits struct {
	next http.RoundTripper
	now  func() time.Time

	mu        sync.Mutex
	quiet     map[string]pause // by resource; "" holds for all
	left      map[string]allowance
	pace      pace
	secondary int // limits without a time, one after the other
}

// pause tells until when nothing is asked, and why.
type pause struct {
	until time.Time
	why   string
}

// allowance is what is left of a resource.
type allowance struct {
	limit, remaining int
	reset            time.Time
}

const (
	firstPause = time.Minute      // GitHub: at least a minute when it names no time
	maxPause   = 15 * time.Minute // of those that we choose
	maxAsked   = 24 * time.Hour   // of those that GitHub asks for
	maxError   = 64 << 10         // bytes read of an error's body
)

const usedUp = "GitHub's rate limit is used up"

func newLimits(next http.RoundTripper, now func() time.Time) *limits {
	return &limits{next: next, now: now, quiet: map[string]pause{}, left: map[string]allowance{}}
}

// RoundTrip sends the request unless GitHub wants to be left alone.
func (l *limits) RoundTrip(r *http.Request) (*http.Response, error) {
	resource := resourceOf(r.URL.Path)
	if err := l.waiting(resource); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	begun := l.now()
	answer, err := l.next.RoundTrip(r)
	l.took(r, begun, l.now())
	if err != nil {
		return nil, err
	}
	if isToken(r.URL.Path) {
		resource = "token" // it is counted to the App, not to the installation
	}
	limited := l.note(resource, answer)
	for _, h := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Used", "X-RateLimit-Resource"} {
		answer.Header.Del(h)
	}
	if limited != nil {
		answer.Body.Close()
		return nil, limited
	}
	return answer, nil
}

func resourceOf(path string) string {
	switch {
	case strings.HasSuffix(path, "/graphql"):
		return "graphql"
	case strings.Contains(path, "/search/"):
		return "search"
	}
	return "core"
}

func isToken(path string) bool { return strings.HasSuffix(path, "/access_tokens") }

// waiting is *graph.Limited while GitHub wants to be left alone.
func (l *limits) waiting(resource string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range []string{"", resource} {
		if p, ok := l.quiet[key]; ok && l.now().Before(p.until) {
			return &graph.Limited{Until: p.until, Why: p.why}
		}
	}
	if a, known := l.left[resource]; known && a.remaining == 0 && l.now().Before(a.reset) {
		return &graph.Limited{Until: a.reset, Why: usedUp}
	}
	return nil
}

// spare is *graph.Limited when less than the share of a resource is left.
func (l *limits) spare(resource string, share float64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, known := l.left[resource]
	if !known || share <= 0 || !l.now().Before(a.reset) || float64(a.remaining) >= share*float64(a.limit) {
		return nil
	}
	return &graph.Limited{Until: a.reset, Why: "what is left of GitHub's rate limit is kept for issues"}
}

// note learns from an answer, and tells whether it was a limit.
func (l *limits) note(resource string, answer *http.Response) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, known := readAllowance(answer.Header, l.now())
	if known {
		l.left[resource] = a
	}
	if !isLimit(answer, a, known) {
		if answer.StatusCode < 400 {
			l.secondary = 0
		}
		return nil
	}
	key, p := "", pause{}
	switch after, given := retryAfter(answer.Header); {
	case given:
		p = pause{l.now().Add(min(after, maxAsked)), "GitHub asks to retry later"}
	case known && a.remaining == 0 && l.now().Before(a.reset):
		key, p = resource, pause{a.reset, usedUp}
	default:
		p = pause{l.now().Add(min(firstPause<<min(l.secondary, 10), maxPause)), "GitHub's secondary rate limit"}
		l.secondary++
	}
	l.quiet[key] = p
	return &graph.Limited{Until: p.until, Why: p.why}
}

// isLimit tells a limit from a missing permission, which is 403 too.
func isLimit(answer *http.Response, a allowance, known bool) bool {
	switch answer.StatusCode {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
	default:
		return false
	}
	if _, given := retryAfter(answer.Header); given || known && a.remaining == 0 {
		return true
	}
	head, err := io.ReadAll(io.LimitReader(answer.Body, maxError))
	if err != nil {
		head = nil
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), answer.Body), answer.Body}
	text := strings.ToLower(string(head))
	return strings.Contains(text, "rate limit") || strings.Contains(text, "abuse detection")
}

// readAllowance measures the reset on GitHub's own clock, which the answer's date shows.
func readAllowance(h http.Header, now time.Time) (allowance, bool) {
	limit, errLimit := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	remaining, errRemaining := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	reset, errReset := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if errLimit != nil || errRemaining != nil || errReset != nil {
		return allowance{}, false
	}
	at := time.Unix(reset, 0)
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		at = now.Add(at.Sub(date))
	}
	return allowance{limit, remaining, at}, true
}

func retryAfter(h http.Header) (time.Duration, bool) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	date, errDate := http.ParseTime(h.Get("Date"))
	if err != nil || errDate != nil {
		return 0, false
	}
	return max(at.Sub(date), 0), true
}
