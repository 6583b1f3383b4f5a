package sql

import (
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/value"
)

// Times are texts in UTC with seven digits of a second, or numbers since 1970: milliseconds, or ticks of 100 ns.
const (
	timeFormat = "2006-01-02T15:04:05.0000000Z"
	tick       = 100 * time.Nanosecond
)

func ofTime(t time.Time) value.Value {
	if t.Year() < 1 || t.Year() > 9999 {
		return value.Value{}
	}
	return value.OfString(t.UTC().Format(timeFormat))
}

func timeOf(v value.Value) (time.Time, bool) {
	if v.Kind() != value.String {
		return time.Time{}, false
	}
	text := v.Text()
	for _, format := range []string{"2006-01-02T15:04:05.999999999Z", "2006-01-02"} {
		if t, err := time.Parse(format, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// timeParts are the units by each of their names.
var timeParts = func() map[string]string {
	names := map[string]string{}
	for unit, list := range map[string]string{"year": "yyyy yy", "month": "mm m", "day": "dd d", "hour": "hh", "minute": "mi n",
		"second": "ss s", "millisecond": "ms", "microsecond": "mcs", "nanosecond": "ns"} {
		for _, name := range append(strings.Fields(list), unit) {
			names[name] = unit
		}
	}
	return names
}()

// spans are the units of one length.
var spans = map[string]time.Duration{"day": 24 * time.Hour, "hour": time.Hour, "minute": time.Minute, "second": time.Second,
	"millisecond": time.Millisecond, "microsecond": time.Microsecond, "nanosecond": time.Nanosecond}

func part(v value.Value) string {
	if v.Kind() != value.String {
		return ""
	}
	return timeParts[strings.ToLower(v.Text())]
}

func dateTimeAdd(a []value.Value) value.Value {
	t, ok := timeOf(a[2])
	unit, n := part(a[0]), int(a[1].Float())
	switch {
	case !ok || a[1].Kind() != value.Number || unit == "":
		return value.Value{}
	case unit == "year":
		return ofTime(addMonths(t, 12*n))
	case unit == "month":
		return ofTime(addMonths(t, n))
	}
	for range 2 { // half the way twice reaches further than a Duration does
		t = t.Add(time.Duration(n/2) * spans[unit])
	}
	return ofTime(t.Add(time.Duration(n%2) * spans[unit]))
}

// addMonths stays in the month that it comes to: a month after the 31st of January ends February.
func addMonths(t time.Time, n int) time.Time {
	moved := t.AddDate(0, n, 0)
	if moved.Day() != t.Day() {
		moved = moved.AddDate(0, 0, -moved.Day())
	}
	return moved
}

// dateTimeDiff counts the beginnings of a unit that lie between two times.
func dateTimeDiff(a []value.Value) value.Value {
	from, ok := timeOf(a[1])
	to, also := timeOf(a[2])
	unit := part(a[0])
	switch {
	case !ok || !also || unit == "":
		return value.Value{}
	case unit == "year":
		return value.OfNumber(float64(to.Year() - from.Year()))
	case unit == "month":
		return value.OfNumber(float64(12*(to.Year()-from.Year()) + int(to.Month()) - int(from.Month())))
	}
	return value.OfNumber(units(to, spans[unit]) - units(from, spans[unit]))
}

// units is how many of a span have begun since 1970.
func units(t time.Time, span time.Duration) float64 {
	if span < time.Second {
		return float64(t.Unix())*float64(time.Second/span) + float64(time.Duration(t.Nanosecond())/span)
	}
	seconds, size := t.Unix(), int64(span/time.Second)
	n := seconds / size
	if seconds%size < 0 {
		n--
	}
	return float64(n)
}

func dateTimePart(a []value.Value) value.Value {
	t, ok := timeOf(a[1])
	n, known := map[string]int{"year": t.Year(), "month": int(t.Month()), "day": t.Day(), "hour": t.Hour(), "minute": t.Minute(), "second": t.Second(),
		"millisecond": t.Nanosecond() / 1e6, "microsecond": t.Nanosecond() / 1e3, "nanosecond": t.Nanosecond()}[part(a[0])]
	if !ok || !known {
		return value.Value{}
	}
	return value.OfNumber(float64(n))
}

// dateTimeFromParts refuses parts that no calendar has.
func dateTimeFromParts(a []value.Value) value.Value {
	if !numbers(a) {
		return value.Value{}
	}
	n := [7]int{}
	for i, v := range a {
		n[i] = int(v.Float())
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], n[6]*int(tick), time.UTC)
	if n != [7]int{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / int(tick)} {
		return value.Value{}
	}
	return ofTime(t)
}

// dateTimeTo gives a time as a number of spans since 1970.
func dateTimeTo(span time.Duration) func([]value.Value) value.Value {
	return func(a []value.Value) value.Value {
		if t, ok := timeOf(a[0]); ok {
			return value.OfNumber(units(t, span))
		}
		return value.Value{}
	}
}

func toDateTime(span time.Duration) func([]value.Value) value.Value {
	perSecond := int64(time.Second / span)
	return func(a []value.Value) value.Value {
		if a[0].Kind() != value.Number {
			return value.Value{}
		}
		n := int64(a[0].Float())
		return ofTime(time.Unix(n/perSecond, n%perSecond*int64(span)))
	}
}

func current(span time.Duration) func([]value.Value) value.Value {
	return func([]value.Value) value.Value { return value.OfNumber(units(time.Now(), span)) }
}
