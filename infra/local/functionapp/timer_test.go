package functionapp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestScheduleNext(t *testing.T) {
	at := time.Date(2026, 1, 31, 23, 59, 30, 0, time.UTC) // a Saturday
	tests := map[string]string{
		"0 */5 * * * *":         "2026-02-01T00:00:00Z",
		"*/10 * * * * *":        "2026-01-31T23:59:40Z",
		"30 59 23 * * *":        "2026-02-01T23:59:30Z",
		"0 0 9 * * 1-5":         "2026-02-02T09:00:00Z",
		"0 0 9 * * MON":         "2026-02-02T09:00:00Z",
		"0 0 0 29 2 *":          "2028-02-29T00:00:00Z",
		"0 0 0 13 * 5":          "2026-02-13T00:00:00Z", // both, not either
		"0 0 0 13 3 5":          "2026-03-13T00:00:00Z",
		"*/5 * * * *":           "2026-02-01T00:00:00Z", // five fields
		"00:01:30":              "2026-02-01T00:01:00Z",
		"1.00:00:00":            "2026-02-01T23:59:30Z",
		"0 15,45 10-12/2 * * *": "2026-02-01T10:15:00Z",
	}
	for text, want := range tests {
		s, err := parseSchedule(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.next(at).Format(time.RFC3339); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "x", "0 0 0 30 2 *", "60 * * * * *", "* * * *", "@daily", "0 0 0 ? * *", "TZ=UTC 0 0 * * * *", "24:00:00", "00:00:00", "-00:01:00"} {
		if _, err := parseSchedule(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestScheduleGoesForward(t *testing.T) {
	field := func(t *rapid.T, name string, low, high int) string {
		return rapid.OneOf(rapid.Just("*"), rapid.Map(rapid.IntRange(low, high), func(n int) string { return plainJSON(n) }),
			rapid.Map(rapid.IntRange(1, high), func(n int) string { return "*/" + plainJSON(n) })).Draw(t, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join([]string{field(t, "second", 0, 59), field(t, "minute", 0, 59), field(t, "hour", 0, 23),
			field(t, "day", 1, 28), field(t, "month", 1, 12), field(t, "weekday", 0, 6)}, " ")
		s, err := parseSchedule(text)
		if err != nil {
			t.Skip(text)
		}
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).UTC()
		next := s.next(at)
		if next.IsZero() {
			return // a day and a weekday that seldom meet
		}
		if !next.After(at) || next.Location() != time.UTC {
			t.Fatalf("%s: after %s comes %s", text, at, next)
		}
		if between := at.Add(next.Sub(at) / 2); between.After(at) && between.Before(next) && !s.next(between).Equal(next) {
			t.Fatalf("%s: from %s it is %s, from %s %s", text, at, next, between, s.next(between))
		}
	})
}

func TestTimeSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{"00:05:00": 5 * time.Minute, "1.02:03:04.5": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond,
		"00:00:00.80": 800 * time.Millisecond, "-00:00:00.0010000": -time.Millisecond, "-1": -1, "01:30": 90 * time.Minute} {
		if got, err := parseTimeSpan(text); err != nil || got.duration() != want {
			t.Errorf("%s: %s, %v", text, got.duration(), err)
		}
	}
	for _, text := range []string{"", "5m", "24:00:00", "00:60:00", "00:00:60", "1:2:3:4", "5", "00:00:00.12345678"} {
		if _, err := parseTimeSpan(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// fakeClock is a time that a test moves.
type fakeClock struct{ at atomic.Pointer[time.Time] }

func (c *fakeClock) now() time.Time  { return *c.at.Load() }
func (c *fakeClock) set(t time.Time) { c.at.Store(&t) }

// newTestTimer is a timer whose function is played by serve.
func newTestTimer(t *testing.T, schedule string, c *fakeClock, store statusStore, retry *retryPolicy, serve http.HandlerFunc) *timerTrigger {
	t.Helper()
	f := &function{name: "tick", trigger: binding{Type: "timerTrigger", Name: "timer", Schedule: schedule}, retry: retry}
	timer, err := newTimer(f, store, fakeCaller(t, c.now, serve), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return timer
}

func TestTimerPastDue(t *testing.T) {
	start := time.Date(2026, 1, 1, 10, 2, 0, 0, time.UTC)
	store := statusStore{dir: t.TempDir(), mem: &sync.Map{}}
	var c fakeClock
	c.set(start)
	newTimer := func(schedule string) *timerTrigger { return newTestTimer(t, schedule, &c, store, nil, nil) }
	steps := []struct {
		name     string
		at       time.Duration
		schedule string
		want     bool
	}{
		{"never seen", 0, "0 */5 * * * *", false},
		{"before the next occurrence", 2 * time.Minute, "0 */5 * * * *", false},
		{"after it", 4 * time.Minute, "0 */5 * * * *", true},
		{"another schedule that is still to come", 4 * time.Minute, "0 0 * * * *", false},
		{"that schedule missed", 59 * time.Minute, "0 0 * * * *", true},
	}
	for _, step := range steps {
		c.set(start.Add(step.at))
		got, err := newTimer(step.schedule).isPastDue(c.now())
		if err != nil || got != step.want {
			t.Errorf("%s: %t, %v", step.name, got, err)
		}
	}
	often := newTimer("*/10 * * * * *")
	if often.monitor {
		t.Error("a schedule below a minute is monitored")
	}
}

func TestTimerRun(t *testing.T) {
	start := time.Date(2026, 1, 1, 10, 5, 0, 0, time.UTC)
	var c fakeClock
	c.set(start)
	var calls []map[string]map[string]any
	fail := 2
	store := statusStore{mem: &sync.Map{}}
	timer := newTestTimer(t, "0 */5 * * * *", &c, store, &retryPolicy{Strategy: "fixedDelay", MaxRetryCount: 3}, func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, decode(t, r.Body))
		if len(calls) <= fail {
			w.WriteHeader(500)
			return
		}
		ok(w)
	})
	if _, err := timer.isPastDue(c.now()); err != nil {
		t.Fatal(err)
	}
	timer.run(context.Background(), true)
	if len(calls) != 3 {
		t.Fatalf("%d calls", len(calls))
	}
	if _, present := calls[0]["Metadata"]["RetryContext"]; present {
		t.Error("the first try has a RetryContext")
	}
	if again := calls[2]["Metadata"]["RetryContext"].(map[string]any); again["RetryCount"] != 2.0 || again["MaxRetryCount"] != 3.0 {
		t.Errorf("RetryContext %v", again)
	}
	info := calls[0]["Data"]["timer"].(map[string]any)
	if info["IsPastDue"] != true || info["ScheduleStatus"].(map[string]any)["Next"] != "2026-01-01T10:10:00+00:00" ||
		info["ScheduleStatus"].(map[string]any)["Last"] != "0001-01-01T00:00:00" {
		t.Errorf("timer %v", info)
	}
	known, err := store.load("tick")
	if err != nil || !known.Last.Equal(start) || !known.Next.Equal(start.Add(5*time.Minute)) {
		t.Errorf("status %+v, %v", known, err)
	}
	fail = 100
	timer.run(context.Background(), false)
	if len(calls) != 3+4 {
		t.Errorf("%d calls after a run that only fails, want 1 and 3 retries", len(calls)-3)
	}
}

func TestTimerNeverOverlaps(t *testing.T) {
	var g gauge
	var c fakeClock
	c.set(time.Now())
	timer := newTestTimer(t, "0 */5 * * * *", &c, statusStore{mem: &sync.Map{}}, nil, func(w http.ResponseWriter, _ *http.Request) {
		g.enter()
		time.Sleep(5 * time.Millisecond)
		g.leave()
		ok(w)
	})
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { timer.trigger(context.Background()) })
	}
	all.Wait()
	if g.most.Load() != 1 {
		t.Errorf("%d at once", g.most.Load())
	}
}

func TestTimerStatusSurvives(t *testing.T) {
	dir := t.TempDir()
	ticks := make(chan map[string]map[string]any, 100)
	start := func(function string) *Host {
		a := newApp(t, plainHost, map[string]string{"tick": function}, func(w http.ResponseWriter, r *http.Request) {
			ticks <- decode(t, r.Body)
			ok(w)
		})
		o := a.options()
		o.Dir = dir
		return a.start(o)
	}
	yearly := strings.Replace(timerFunction, `"0 0 0 1 1 *"`, `"0 0 0 1 1 *","runOnStartup":true`, 1)
	h := start(yearly)
	first := (<-ticks)["Data"]["timer"].(map[string]any)
	if first["IsPastDue"] != false {
		t.Errorf("first start: %v", first)
	}
	eventually(t, "the run is remembered", func() bool { return h.Status().of("tick").Executed == 1 })
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	store := statusStore{dir: dir}
	known, err := store.load("tick")
	if err != nil || known == nil {
		t.Fatalf("no status: %v", err)
	}
	// Let the remembered run lie so far back that an occurrence was missed since.
	known.Last = known.Last.AddDate(-2, 0, 0)
	s, err := parseSchedule("0 0 0 1 1 *")
	if err != nil {
		t.Fatal(err)
	}
	known.Next = s.next(known.Last)
	if err := store.save("tick", *known); err != nil {
		t.Fatal(err)
	}
	start(timerFunction)
	if missed := (<-ticks)["Data"]["timer"].(map[string]any); missed["IsPastDue"] != true {
		t.Errorf("after the missed run: %v", missed)
	}
}

func TestTimerFires(t *testing.T) {
	t.Parallel()
	ticks := make(chan bool, 100)
	a := newApp(t, plainHost, map[string]string{"tick": strings.Replace(timerFunction, "0 0 0 1 1 *", "%EVERY%", 1)}, func(w http.ResponseWriter, r *http.Request) {
		p := decode(t, r.Body)
		if p["Data"]["timer"].(map[string]any)["ScheduleStatus"] != nil {
			t.Error("a schedule below a minute has a status")
		}
		ticks <- true
		ok(w)
	})
	a.start(a.options("EVERY=* * * * * *"))
	<-ticks
	begun := time.Now()
	<-ticks
	if gap := time.Since(begun); gap < 300*time.Millisecond || gap > 5*time.Second {
		t.Errorf("%s between two ticks", gap)
	}
}

func TestRetryDelays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := time.Duration(rapid.Int64Range(1, 1e9).Draw(t, "low"))
		high := low + time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "more"))
		p := &retryPolicy{Strategy: "exponentialBackoff", MaxRetryCount: 5, MinimumInterval: timeSpan(low), MaximumInterval: timeSpan(high)}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 5; n++ {
			if d, again := p.delay(n); !again || d < low || d > high {
				t.Fatalf("retry %d after %s, not between %s and %s", n, d, low, high)
			}
		}
		if _, again := p.delay(6); again {
			t.Fatal("a sixth retry")
		}
	})
	var none *retryPolicy
	if _, again := none.delay(1); again {
		t.Error("no policy retries")
	}
	if err := errors.Join((&retryPolicy{Strategy: "fixedDelay"}).check(), none.check()); err != nil {
		t.Error(err)
	}
	if (&retryPolicy{Strategy: "sometimes"}).check() == nil {
		t.Error("an unknown strategy was taken")
	}
}
