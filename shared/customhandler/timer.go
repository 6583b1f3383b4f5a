package customhandler

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"throughline/shared/event"
)

// Tick is one occurrence of a timer, as the host announces it.
type Tick struct {
	// PastDue says that the occurrence was missed while no host ran.
	PastDue bool
	// Last and Next are the occurrences around this one, UTC; zero when the host keeps no status for the timer.
	Last, Next time.Time
	// Retry counts the tries of this occurrence that failed before.
	Retry int
}

// Timer answers POST /<name>: it hands the tick to run under a deadline of two minutes, publishes what that returns and
// answers 200. An error is a 500: the host logs it, applies the retry policy and keeps to the schedule.
func Timer(name string, run func(context.Context, Tick) ([]event.Event, error), publish Publish, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := withInvocation(r.Context(), r.Header.Get(headerInvocation), name)
		in, ok := begin(w, r.WithContext(ctx), log)
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		if err := tick(ctx, in, run, publish); err != nil {
			log.ErrorContext(ctx, "timer failed", "reason", err)
			fail(w, http.StatusInternalServerError)
			return
		}
		succeed(w)
	})
}

func tick(ctx context.Context, in invocation, run func(context.Context, Tick) ([]event.Event, error), publish Publish) error {
	t, err := decodeTick(in)
	if err != nil {
		return err
	}
	said, err := run(ctx, t)
	if err != nil || len(said) == 0 {
		return err
	}
	if err := publish(ctx, said); err != nil {
		return fmt.Errorf("publish %d events: %w", len(said), err)
	}
	return nil
}

// timerInfo is the host's TimerInfo. ScheduleStatus is null for a timer without status.
type timerInfo struct {
	ScheduleStatus *struct{ Last, Next, LastUpdated string }
	IsPastDue      bool
}

// decodeTick reads the trigger value, as an object or as a string that holds one.
func decodeTick(in invocation) (Tick, error) {
	raw := in.trigger()
	var text string
	if json.Unmarshal(raw, &text) == nil {
		plain, _ := unquote(text)
		raw = json.RawMessage(plain)
	}
	var info timerInfo
	if err := json.Unmarshal(raw, &info); err != nil {
		return Tick{}, fmt.Errorf("decode timer: %w", err)
	}
	t := Tick{PastDue: info.IsPastDue, Retry: in.retryCount()}
	if s := info.ScheduleStatus; s != nil {
		t.Last, t.Next = parseTime(s.Last), parseTime(s.Next)
	}
	return t, nil
}

func (in invocation) retryCount() int {
	var retry struct{ RetryCount int }
	if json.Unmarshal(in.Metadata["RetryContext"], &retry) != nil {
		return 0 // absent: the first try
	}
	return retry.RetryCount
}
