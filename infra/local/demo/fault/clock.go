package fault

import (
	"sync"
	"time"
)

// Clock is the time a stand-in goes by. It can run faster than the wall, and can be moved forward.
type Clock struct {
	mu    sync.Mutex
	base  time.Time // the clock's time at wall
	wall  time.Time
	speed float64
}

// NewClock starts a clock at the wall's time and speed.
func NewClock() *Clock {
	now := time.Now()
	return &Clock{base: now, wall: now, speed: 1}
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	return c.base.Add(time.Duration(float64(time.Since(c.wall)) * c.speed))
}

// Set changes the speed (0 leaves it) and moves the clock forward; it never goes back.
func (c *Clock) Set(speed float64, forward time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.wall = c.now().Add(max(forward, 0)), time.Now()
	if speed > 0 {
		c.speed = speed
	}
}

// Wall turns a span of the clock into the time that a client has to wait for it.
func (c *Clock) Wall(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(float64(d) / c.speed)
}
