package dashboard

import (
	"context"
	"sync"
	"time"
)

// life is how old a count may be that a page shows without counting again. A count that takes long is kept for longer, so
// that counting is never more than a tenth of what the store does.
const (
	life = 30 * time.Second
	keep = 10
)

// patience bounds a count that goes on after the page that asked for it was answered.
const patience = time.Minute

// fresh keeps the answer of an expensive question. An old answer is shown at once while one caller asks again.
type fresh[T any] struct {
	mu     sync.Mutex
	value  T
	at     time.Time
	took   time.Duration
	asking chan struct{}
	err    error
}

// get gives an answer that is young enough, or an older one while a new one is being taken.
func (f *fresh[T]) get(ctx context.Context, now time.Time, ask func(context.Context) (T, error)) (T, error) {
	f.mu.Lock()
	if !f.at.IsZero() && now.Sub(f.at) < max(life, keep*f.took) {
		defer f.mu.Unlock()
		return f.value, nil
	}
	if f.asking == nil {
		f.asking = make(chan struct{})
		go f.take(context.WithoutCancel(ctx), now, ask)
	}
	done := f.asking
	if !f.at.IsZero() {
		defer f.mu.Unlock()
		return f.value, nil
	}
	f.mu.Unlock()
	var none T
	select {
	case <-done:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.value, f.err
}

func (f *fresh[T]) take(ctx context.Context, now time.Time, ask func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	value, err := ask(ctx)
	took := time.Since(begun)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err == nil {
		f.value, f.at, f.took = value, now, took
	}
	close(f.asking)
	f.asking = nil
}
