package functionapp

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timeSpan is a duration as host.json writes it: [-][d.]hh:mm[:ss[.fffffff]].
// "-1" stands for unbounded, which is any negative duration.
type timeSpan time.Duration

const unbounded = timeSpan(-1)

var timeSpanForm = regexp.MustCompile(`^(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?$`)

func (t timeSpan) duration() time.Duration { return time.Duration(t) }

// UnmarshalJSON accepts the string form, and the number -1 for unbounded.
func (t *timeSpan) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	parsed, err := parseTimeSpan(text)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

func parseTimeSpan(text string) (timeSpan, error) {
	if text == "-1" {
		return unbounded, nil
	}
	m := timeSpanForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q is not a time span: write hh:mm:ss", text)
	}
	days, hours, minutes, seconds := number(m[2]), number(m[3]), number(m[4]), number(m[5])
	if hours > 23 || minutes > 59 || seconds > 59 || days > 10_000 {
		return 0, fmt.Errorf("%q is not a time span: hours end at 23 (a day is 1.00:00:00), minutes and seconds at 59", text)
	}
	d := time.Duration(days)*24*time.Hour + time.Duration(hours)*time.Hour +
		time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second +
		time.Duration(number((m[6] + "0000000")[:7]))*100
	if m[1] != "" {
		d = -d
	}
	return timeSpan(d), nil
}

// number reads digits that the pattern has already checked; none is zero.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
