package functionapp

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// schedule tells when a timer is due next, strictly after t, in UTC.
type schedule interface {
	next(t time.Time) time.Time
}

// constant is a schedule written as hh:mm:ss.
type constant time.Duration

func (c constant) next(t time.Time) time.Time { return t.Add(time.Duration(c)) }

// crontab is an NCRONTAB expression. Where day of month and day of week are both
// restricted NCRONTAB wants both to match; the parser underneath wants either.
type crontab struct {
	*cron.SpecSchedule
	both bool
}

const anyDay = 1 << 63 // the parser's mark for a field that was "*"

func (c crontab) next(t time.Time) time.Time {
	at := c.Next(t.UTC())
	for limit := t.AddDate(8, 0, 0); c.both && !at.IsZero() && !c.dayMatches(at); {
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		at = c.Next(midnight.AddDate(0, 0, 1).Add(-time.Second))
		if at.After(limit) {
			return time.Time{}
		}
	}
	return at
}

func (c crontab) dayMatches(t time.Time) bool {
	return c.Dom&(1<<uint(t.Day())) != 0 && c.Dow&(1<<uint(t.Weekday())) != 0
}

// parseSchedule reads six fields with the seconds first, five fields, or hh:mm:ss.
func parseSchedule(text string) (schedule, error) {
	if text == "" {
		return nil, errors.New("schedule is missing")
	}
	if !strings.Contains(strings.TrimSpace(text), " ") {
		span, err := parseTimeSpan(strings.TrimSpace(text))
		if err != nil || span <= 0 {
			return nil, fmt.Errorf("schedule %q is neither NCRONTAB with six fields nor hh:mm:ss", text)
		}
		return constant(span), nil
	}
	if strings.ContainsAny(text, "?=@") {
		return nil, fmt.Errorf("schedule %q: NCRONTAB knows no ?, zone or descriptor", text)
	}
	fields := cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow
	if len(strings.Fields(text)) == 6 {
		fields |= cron.Second
	}
	parsed, err := cron.NewParser(fields).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", text, err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("schedule %q is not supported", text)
	}
	spec.Location = time.UTC
	c := crontab{spec, spec.Dom&anyDay == 0 && spec.Dow&anyDay == 0}
	if c.next(time.Unix(0, 0)).IsZero() {
		return nil, fmt.Errorf("schedule %q never comes", text)
	}
	return c, nil
}
