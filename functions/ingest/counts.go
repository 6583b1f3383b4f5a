package ingest

import (
	"maps"
	"sync"
	"time"
)

// Counts tells what ingest did since it started; the zero value is ready.
type Counts struct {
	mu    sync.Mutex
	tally Tally
}

// Tally is one reading of the counts.
type Tally struct {
	Received  int `json:"received"` // requests to /ingest/github and /ingest/events
	Verified  int `json:"verified"` // of these, those that proved who they are
	Published int `json:"published"`
	// Disallowed are verified deliveries of installations outside the allow-list.
	Disallowed int            `json:"disallowed"`
	Refused    map[string]int `json:"refused,omitempty"`   // by reason
	Unhandled  map[string]int `json:"unhandled,omitempty"` // by event name
	Skipped    map[string]int `json:"skipped,omitempty"`   // facts that made no sense, by reason
	Last       time.Time      `json:"last,omitzero"`       // when the last request came
	// LastVerified is when somebody who proved who they are was last heard.
	LastVerified time.Time `json:"lastVerified,omitzero"`
}

// maxNames bounds each map: event names come from outside.
const maxNames = 200

// Tally reads the counts.
func (c *Counts) Tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally
	t.Refused, t.Unhandled, t.Skipped = maps.Clone(t.Refused), maps.Clone(t.Unhandled), maps.Clone(t.Skipped)
	return t
}

func (c *Counts) received(now time.Time) {
	c.change(func(t *Tally) { t.Received, t.Last = t.Received+1, now.UTC() })
}

func (c *Counts) verified() {
	c.change(func(t *Tally) { t.Verified, t.LastVerified = t.Verified+1, t.Last })
}

func (c *Counts) published(n int) { c.change(func(t *Tally) { t.Published += n }) }

func (c *Counts) disallowed() { c.change(func(t *Tally) { t.Disallowed++ }) }

func (c *Counts) refused(reason string) {
	c.change(func(t *Tally) { t.Refused = plus(t.Refused, reason, 1) })
}

func (c *Counts) unhandled(event string) {
	c.change(func(t *Tally) { t.Unhandled = plus(t.Unhandled, event, 1) })
}

func (c *Counts) skipped(by map[string]int) {
	if len(by) == 0 {
		return
	}
	c.change(func(t *Tally) {
		for reason, n := range by {
			t.Skipped = plus(t.Skipped, reason, n)
		}
	})
}

func (c *Counts) change(by func(*Tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by(&c.tally)
}

func plus(m map[string]int, key string, n int) map[string]int {
	if m == nil {
		m = map[string]int{}
	}
	if _, known := m[key]; !known && len(m) >= maxNames {
		key = "other"
	}
	m[key] += n
	return m
}
