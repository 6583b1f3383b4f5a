package functionapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// timerStatus is what is remembered of a timer between two runs of the host.
type timerStatus struct {
	Last        time.Time
	Next        time.Time
	LastUpdated time.Time
}

// timerTrigger runs one function on its schedule, one occurrence at a time.
type timerTrigger struct {
	function *function
	schedule schedule
	status   statusStore
	monitor  bool
	caller   *caller
	log      *slog.Logger

	one sync.Mutex // no overlap
}

// newTimer builds the trigger of f. Monitoring is off for schedules that come
// more often than once a minute.
func newTimer(f *function, store statusStore, c *caller, log *slog.Logger) (*timerTrigger, error) {
	s, err := parseSchedule(f.trigger.Schedule)
	if err != nil {
		return nil, err
	}
	first := s.next(c.now())
	monitor := (f.trigger.UseMonitor == nil || *f.trigger.UseMonitor) && s.next(first).Sub(first) >= time.Minute
	return &timerTrigger{function: f, schedule: s, status: store, monitor: monitor, caller: c, log: log}, nil
}

// listen runs what is due until ctx ends. An occurrence that was missed while
// the host was down starts at once with IsPastDue.
func (t *timerTrigger) listen(ctx, work context.Context) {
	now := t.caller.now()
	pastDue, err := t.isPastDue(now)
	if err != nil {
		t.log.Error("timer status unreadable", "function", t.function.name, "reason", err)
	}
	if pastDue || t.function.trigger.RunOnStartup {
		t.run(work, pastDue)
	}
	for ctx.Err() == nil {
		next := t.schedule.next(t.caller.now())
		if next.IsZero() {
			return
		}
		if sleep(ctx, next.Sub(t.caller.now())) == nil {
			t.run(work, false)
		}
	}
}

// isPastDue compares the remembered next occurrence with now, as long as the
// schedule has not changed in between.
func (t *timerTrigger) isPastDue(now time.Time) (bool, error) {
	if !t.monitor {
		return false, nil
	}
	known, err := t.status.load(t.function.name)
	if err != nil {
		return false, err
	}
	if known == nil {
		return false, t.status.save(t.function.name, timerStatus{Next: t.schedule.next(now), LastUpdated: now})
	}
	from := known.Last
	if from.IsZero() {
		from = known.LastUpdated
	}
	if expected := t.schedule.next(from); !expected.Equal(known.Next) {
		if expected.After(now) {
			return false, t.status.save(t.function.name, timerStatus{Last: known.Last, Next: expected, LastUpdated: now})
		}
		return true, nil
	}
	return now.After(known.Next), nil
}

// run invokes the function, with the retries of its policy, and remembers the
// occurrence, whether it succeeded or not.
func (t *timerTrigger) run(work context.Context, pastDue bool) {
	t.one.Lock()
	defer t.one.Unlock()
	started := t.caller.now()
	var failed error
	for try := 0; ; try++ {
		failed = t.once(work, pastDue, try, failed)
		if failed == nil || work.Err() != nil {
			break
		}
		t.log.Error("invocation failed", "function", t.function.name, "try", try+1, "reason", failed)
		wait, again := t.function.retry.delay(try + 1)
		if !again || sleep(work, wait) != nil {
			break
		}
	}
	if !t.monitor || work.Err() != nil {
		return
	}
	status := timerStatus{Last: started, Next: t.schedule.next(started), LastUpdated: t.caller.now()}
	if err := t.status.save(t.function.name, status); err != nil {
		t.log.Error("timer status not saved", "function", t.function.name, "reason", err)
	}
}

// trigger starts the function once from outside the schedule.
func (t *timerTrigger) trigger(work context.Context) { t.run(work, false) }

func (t *timerTrigger) once(work context.Context, pastDue bool, try int, before error) error {
	metadata := map[string]any{"sys": system(t.function.name, t.caller.now())}
	if try > 0 {
		most := t.function.retry.MaxRetryCount
		metadata["RetryContext"] = map[string]any{"RetryCount": try, "MaxRetryCount": most,
			"Exception": map[string]any{"Message": before.Error()}}
	}
	info, err := t.info(pastDue)
	if err != nil {
		return err
	}
	result, err := t.caller.call(work, t.function, payload{Data: map[string]any{t.function.trigger.Name: info}, Metadata: metadata})
	if err == nil {
		err = t.caller.deliver(work, t.function, result)
	}
	return err
}

func (t *timerTrigger) info(pastDue bool) (map[string]any, error) {
	plan := map[string]any{"AdjustForDST": true}
	if c, ok := t.schedule.(constant); ok {
		plan = map[string]any{"AdjustForDST": false, "IntervalSeconds": time.Duration(c).Seconds()}
	}
	info := map[string]any{"Schedule": plan, "ScheduleStatus": nil, "IsPastDue": pastDue}
	if !t.monitor {
		return info, nil
	}
	known, err := t.status.load(t.function.name)
	if err != nil || known == nil {
		return info, err
	}
	info["ScheduleStatus"] = map[string]any{"Last": clock(known.Last), "Next": clock(known.Next), "LastUpdated": clock(known.LastUpdated)}
	return info, nil
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00"
	}
	return t.UTC().Format("2006-01-02T15:04:05.9999999+00:00")
}

// statusStore keeps the status of timers in files below a folder, or in memory
// when the folder is "".
type statusStore struct {
	dir string
	mem *sync.Map
}

func (s statusStore) path(name string) string { return filepath.Join(s.dir, "timers", name, "status") }

// load returns nil without an error for a timer that was never seen.
func (s statusStore) load(name string) (*timerStatus, error) {
	if s.dir == "" {
		v, ok := s.mem.Load(name)
		if !ok {
			return nil, nil
		}
		known, _ := v.(timerStatus)
		return &known, nil
	}
	data, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known := new(timerStatus)
	if err := json.Unmarshal(data, known); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(name), err)
	}
	return known, nil
}

// save replaces the status at once: a crash leaves the old or the new one.
func (s statusStore) save(name string, status timerStatus) error {
	if s.dir == "" {
		s.mem.Store(name, status)
		return nil
	}
	data, err := json.Marshal(status)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(s.path(name)+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(s.path(name)+".new", s.path(name))
}
