package dashboard

import (
	"context"
	"sync"
	"time"
)

// life is how old a count may be that a page shows without counting again.
const life = 30 * time.Second

// patience bounds a count that goes on after the page that asked for it was answered.
const patience = time.Minute

// fresh keeps the answer of an expensive question. An old answer is shown at once while one caller asks again.
type fresh[T any] struct {
	mu     sync.Mutex
	value  T
	at     time.Time
	asking chan struct{}
	err    error
}

// get gives an answer at most life old, or an older one while a new one is being taken.
func (f *fresh[T]) get(ctx context.Context, now time.Time, ask func(context.Context) (T, error)) (T, error) {
	f.mu.Lock()
	if !f.at.IsZero() && now.Sub(f.at) < life {
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
	value, err := ask(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err = err; err == nil {
		f.value, f.at = value, now
	}
	close(f.asking)
	f.asking = nil
}
