package functionapp

import (
	"context"
	"sync"
	"time"
)

const (
	renewBuffer  = 10 * time.Second // renew this long before the end, as the host does
	renewTimeout = 10 * time.Second
)

// lease renews one lock until it is stopped, the limit is reached or a renewal fails.
type lease struct {
	renew func(context.Context) (until time.Time, err error)
	lost  func(error) // called once when a renewal fails

	mu      sync.Mutex
	end     time.Time // no renewal after; zero = never ends
	timer   *time.Timer
	stopped bool
}

// hold starts a lease on a lock that now lasts until the given time. A negative
// limit renews without end.
func (l *lease) hold(until time.Time, limit time.Duration) {
	l.extend(limit)
	l.plan(until)
}

// extend moves the limit: renewals go on until that long from now.
func (l *lease) extend(limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit >= 0 {
		l.end = time.Now().Add(limit)
	}
}

func (l *lease) plan(until time.Time) {
	left := time.Until(until)
	wait := max(left-min(renewBuffer, left/2), 0)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || !l.end.IsZero() && time.Now().Add(wait).After(l.end) {
		return
	}
	l.timer = time.AfterFunc(wait, l.once)
}

func (l *lease) once() {
	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	until, err := l.renew(ctx)
	if err == nil {
		l.plan(until)
		return
	}
	l.mu.Lock()
	stopped := l.stopped
	l.mu.Unlock()
	if !stopped {
		l.lost(err)
	}
}

// stop ends the renewals; one that is under way may still finish.
func (l *lease) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	if l.timer != nil {
		l.timer.Stop()
	}
}
