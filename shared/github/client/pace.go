package client

import (
	"net/http"
	"strings"
	"time"

	"throughline/shared/graph"
)

// What reading may take of GitHub's secondary limits within a minute; the rest is for issues. GitHub's own numbers are 900
// points and 90 seconds of its processors, which the time to its answers estimates.
const (
	readPoints = 720
	readTime   = 72 * time.Second
	paceWindow = time.Minute
)

// pace is what was asked within the last minute.
type pace struct {
	spent  []expense
	points int
	took   time.Duration
}

// expense is one request.
type expense struct {
	at     time.Time
	points int
	took   time.Duration
}

// pointsOf is what GitHub counts for a request.
func pointsOf(r *http.Request) int {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || strings.HasSuffix(r.URL.Path, "/graphql") {
		return 1
	}
	return 5
}

func (p *pace) forget(now time.Time) {
	n := 0
	for n < len(p.spent) && now.Sub(p.spent[n].at) >= paceWindow {
		p.points, p.took = p.points-p.spent[n].points, p.took-p.spent[n].took
		n++
	}
	p.spent = p.spent[n:]
}

func (p *pace) spend(e expense) {
	p.spent = append(p.spent, e)
	p.points, p.took = p.points+e.points, p.took+e.took
}

// free is when so many points more fit into the window, and why not now; the zero time is now.
func (p *pace) free(now time.Time, points int) (time.Time, string) {
	p.forget(now)
	left, took := p.points, p.took
	why, until := "", time.Time{}
	for _, e := range p.spent {
		switch {
		case left+points > readPoints:
			why = "a share of GitHub's points a minute is kept for issues"
		case took >= readTime:
			why = "GitHub's processors have worked enough for us within a minute"
		default:
			return until, why
		}
		left, took, until = left-e.points, took-e.took, e.at.Add(paceWindow)
	}
	return until, why
}

// paced is *graph.Limited when a request of reading would take more than its share of a minute.
func (l *limits) paced(points int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, why := l.pace.free(l.now(), points); !until.IsZero() {
		return &graph.Limited{Until: until, Why: why}
	}
	return nil
}

// took notes a request and how long its answer took.
func (l *limits) took(r *http.Request, begun, ended time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pace.spend(expense{ended, pointsOf(r), ended.Sub(begun)})
}
