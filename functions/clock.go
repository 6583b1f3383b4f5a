package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// tolerance is how far the machine's clock may be off before it is put right: more than the delay of an answer.
	tolerance = time.Minute
	// plausible bounds what is believed of another system's clock.
	plausible = 24 * time.Hour
)

// clock is the time that the app goes by: the machine's, put right when GitHub and Azure agree that it is off. A wrong
// clock would sign tokens that GitHub refuses, and send messages for the wrong time.
type clock struct {
	machine func() time.Time

	mu   sync.Mutex
	said map[string]time.Duration // by system: how far its clock is ahead of the machine's
}

// Now is the corrected time in UTC.
func (c *clock) Now() time.Time { return c.machine().Add(c.correction()).UTC() }

// correction is the least of what the systems say, when all say that the clock is off, and in the same direction.
func (c *clock) correction() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var least time.Duration
	first := true
	for _, ahead := range c.said {
		switch {
		case ahead.Abs() <= tolerance, !first && ahead < 0 != (least < 0):
			return 0
		case first || ahead.Abs() < least.Abs():
			least, first = ahead, false
		}
	}
	return least
}

// Report says what is wrong with the machine's clock; "ok" when nothing is.
func (c *clock) Report() string {
	d := c.correction()
	switch {
	case d > 0:
		return fmt.Sprintf("%s behind those of GitHub and Azure, put right here; set the machine's clock", d.Round(time.Second))
	case d < 0:
		return fmt.Sprintf("%s ahead of those of GitHub and Azure, put right here; set the machine's clock", (-d).Round(time.Second))
	}
	return "ok"
}

// watch learns from the Date of every answer of a system.
func (c *clock) watch(system string, next http.RoundTripper) http.RoundTripper {
	return watched{c, system, next}
}

type watched struct {
	*clock
	system string
	next   http.RoundTripper
}

// RoundTrip passes the request on. The answer of a cache tells the time of another day.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err != nil || answer.Header.Get("Age") != "" {
		return answer, err
	}
	if at, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		w.learn(w.system, at.Sub(w.machine()))
	}
	return answer, nil
}

func (c *clock) learn(system string, ahead time.Duration) {
	if ahead.Abs() > plausible {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said[system] = ahead
}
