package github

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"throughline/infra/local/demo/fault"
)

// limits counts requests as GitHub does and, when switched on, refuses what is too much.
//
// Headers show the primary limit always. Enforcing starts off, so that the demo is quick: POST /_limits with
// {"primary":12500,"perMinute":80,"perHour":500,"points":900} turns each limit on, 0 turns it off; "speed" and "forward"
// ("10m") move the clock that the windows go by. The waits that answers ask for are wall time, whatever the speed.
type limits struct {
	mu        sync.Mutex
	clock     *fault.Clock
	policy    limitPolicy
	window    time.Time // start of the primary window
	used      int
	creations []time.Time // of the last hour
	points    []spent     // of the last minute
	report    limitReport
}

type limitPolicy struct {
	Primary    int  `json:"primary"`
	PerMinute  int  `json:"perMinute"`
	PerHour    int  `json:"perHour"`
	Points     int  `json:"points"`
	RetryAfter bool `json:"retryAfter"` // secondary limits send the header
	Status429  bool `json:"status429"`  // with 429 in place of 403
}

type spent struct {
	at     time.Time
	points int
}

type limitReport struct {
	Creations   int            `json:"creations"`     // let through
	MaxMinute   int            `json:"maxMinute"`     // most in any 60 s
	MaxHour     int            `json:"maxHour"`       // most in any 60 min
	Refused     int            `json:"refused"`       // by any limit
	Requests    map[string]int `json:"requests"`      // by route
	FirstCreate time.Time      `json:"firstCreation"` // by the clock
	LastCreate  time.Time      `json:"lastCreation"`
}

const primaryShown = 12_500

func newLimits(clock *fault.Clock) *limits {
	return &limits{clock: clock, policy: limitPolicy{RetryAfter: true}, window: clock.Now(), report: limitReport{Requests: map[string]int{}}}
}

func (l *limits) count(pattern string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Requests[pattern]++
}

// creates tells whether a request makes content that people are notified of.
func creates(r *http.Request) bool {
	p := r.URL.Path
	return r.Method == http.MethodPost && strings.HasPrefix(p, "/repos/") && (strings.HasSuffix(p, "/issues") || strings.HasSuffix(p, "/comments") || strings.HasSuffix(p, "/sub_issues"))
}

func cost(r *http.Request) int {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions || r.URL.Path == "/graphql" {
		return 1
	}
	return 5
}

// wrap counts and, where a limit is on and passed, refuses before anything happens.
func (l *limits) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_") || r.URL.Path == "/rate_limit" {
			next.ServeHTTP(w, r)
			return
		}
		if bad := l.admit(w, r); bad != nil {
			write(w, *bad)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (l *limits) admit(w http.ResponseWriter, r *http.Request) *reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.forget(now)
	limit := l.shown()
	if l.policy.Primary > 0 && l.used >= l.policy.Primary {
		l.report.Refused++
		l.headers(w, limit)
		return ptr(problem(http.StatusForbidden, "API rate limit exceeded for installation."))
	}
	l.used++
	l.headers(w, limit)
	if wait := l.secondary(r, now); wait > 0 {
		return ptr(l.refuse(wait))
	}
	l.points = append(l.points, spent{now, cost(r)})
	if creates(r) {
		l.created(now)
	}
	return nil
}

func (l *limits) shown() int {
	if l.policy.Primary > 0 {
		return l.policy.Primary
	}
	return primaryShown
}

func (l *limits) headers(w http.ResponseWriter, limit int) {
	h := w.Header()
	h.Set("X-Ratelimit-Limit", strconv.Itoa(limit))
	h.Set("X-Ratelimit-Used", strconv.Itoa(min(l.used, limit)))
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(max(limit-l.used, 0)))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(l.reset().Unix(), 10))
	h.Set("X-Ratelimit-Resource", "core")
}

// reset is when the primary window ends, in wall time.
func (l *limits) reset() time.Time {
	return time.Now().Add(l.clock.Wall(l.window.Add(time.Hour).Sub(l.clock.Now()))).Add(time.Second)
}

// resetAt is reset for those who do not hold l.mu.
func (l *limits) resetAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reset()
}

// exhausted shows a primary limit without remainder.
func (l *limits) exhausted(w http.ResponseWriter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.headers(w, l.shown())
	w.Header().Set("X-Ratelimit-Remaining", "0")
}

func (l *limits) forget(now time.Time) {
	if now.Sub(l.window) >= time.Hour {
		l.window, l.used = now, 0
	}
	for len(l.creations) > 0 && now.Sub(l.creations[0]) >= time.Hour {
		l.creations = l.creations[1:]
	}
	for len(l.points) > 0 && now.Sub(l.points[0].at) >= time.Minute {
		l.points = l.points[1:]
	}
}

// secondary gives how long to wait until a request would be let through; 0 lets it through now.
func (l *limits) secondary(r *http.Request, now time.Time) time.Duration {
	var wait time.Duration
	if creates(r) {
		if n := len(l.creations); l.policy.PerHour > 0 && n >= l.policy.PerHour {
			wait = l.creations[n-l.policy.PerHour].Add(time.Hour).Sub(now)
		}
		if n := len(l.creations); l.policy.PerMinute > 0 && n >= l.policy.PerMinute {
			wait = max(wait, l.creations[n-l.policy.PerMinute].Add(time.Minute).Sub(now))
		}
	}
	sum := cost(r)
	for _, p := range l.points {
		sum += p.points
	}
	if l.policy.Points > 0 && sum > l.policy.Points {
		wait = max(wait, l.points[0].at.Add(time.Minute).Sub(now))
	}
	return wait
}

func (l *limits) refuse(wait time.Duration) reply {
	l.report.Refused++
	p := problem(http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
	if l.policy.Status429 {
		p = problem(http.StatusTooManyRequests, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
	}
	if l.policy.RetryAfter {
		p.header = map[string]string{"Retry-After": fmt.Sprint(max(1, int(math.Ceil(l.clock.Wall(wait).Seconds()))))}
	}
	return p
}

func (l *limits) created(now time.Time) {
	l.creations = append(l.creations, now)
	r := &l.report
	if r.Creations == 0 {
		r.FirstCreate = now
	}
	r.Creations, r.LastCreate = r.Creations+1, now
	r.MaxHour = max(r.MaxHour, len(l.creations))
	minute := 0
	for i := len(l.creations) - 1; i >= 0 && now.Sub(l.creations[i]) < time.Minute; i-- {
		minute++
	}
	r.MaxMinute = max(r.MaxMinute, minute)
}

// serve shows and sets the limits: GET, POST, and DELETE to start the counts anew.
func (l *limits) serve(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.Method {
	case http.MethodPost:
		ask := struct {
			limitPolicy
			Speed   float64 `json:"speed"`
			Forward string  `json:"forward"`
		}{limitPolicy: l.policy}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			write(w, problem(http.StatusBadRequest, err.Error()))
			return
		}
		var forward time.Duration
		if ask.Forward != "" {
			d, err := time.ParseDuration(ask.Forward)
			if err != nil {
				write(w, problem(http.StatusBadRequest, err.Error()))
				return
			}
			forward = d
		}
		l.policy = ask.limitPolicy
		l.clock.Set(ask.Speed, forward)
	case http.MethodDelete:
		l.report, l.creations, l.points, l.used = limitReport{Requests: map[string]int{}}, nil, nil, 0
	}
	write(w, ok(map[string]any{"policy": l.policy, "report": l.report, "now": l.clock.Now(), "used": l.used}))
}

func (s *Server) rateLimit(c *call) reply {
	l := s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, reset := l.shown(), l.reset().Unix()
	core := map[string]any{"limit": limit, "used": min(l.used, limit), "remaining": max(limit-l.used, 0), "reset": reset}
	search := map[string]any{"limit": 30, "used": 0, "remaining": 30, "reset": reset}
	graphql := map[string]any{"limit": limit, "used": 0, "remaining": limit, "reset": reset}
	return ok(map[string]any{"resources": map[string]any{"core": core, "search": search, "graphql": graphql}, "rate": core})
}
