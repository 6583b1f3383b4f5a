package graph

import "time"

// Day counts what was open at the end of a day, and what was proven to be fixed on it.
type Day struct {
	Day      time.Time `json:"day"`
	Open     int       `json:"open"`
	Opened   int       `json:"opened"`
	Verified int       `json:"verified"`
}

// Mean is the mean time of a number of fixes.
type Mean struct {
	Findings int           `json:"findings"`
	Time     time.Duration `json:"timeNanoseconds"`
}

// trendDays is how far back the trend goes.
const trendDays = 30

// history counts back from the lines of the worklist, which keep when a finding was seen, closed and verified: so it
// needs no bookkeeping of its own and is right from the first day.
type history struct {
	first    time.Time // the first day
	opened   [trendDays]int
	closed   [trendDays]int
	verified [trendDays]int
	before   int // open when the first day began
	mended   map[Tier]Mean
}

func newHistory(now time.Time) history {
	return history{first: now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-trendDays), mended: map[Tier]Mean{}}
}

func (h *history) add(s Summary) {
	gone := s.State != Open
	if gone && s.Closed.IsZero() {
		return // nobody knows when it ended
	}
	opened := h.day(s.FirstSeen)
	if opened >= trendDays {
		return
	}
	if opened < 0 && !(gone && h.day(s.Closed) < 0) {
		h.before++
	} else if opened >= 0 {
		h.opened[opened]++
	}
	if d := h.day(s.Closed); gone && d >= 0 && d < trendDays {
		h.closed[d]++
	}
	if s.Verified.IsZero() || s.FirstSeen.IsZero() || s.Verified.Before(s.FirstSeen) {
		return
	}
	if d := h.day(s.Verified); d >= 0 && d < trendDays {
		h.verified[d]++
	}
	if s.Tier != "" {
		m := h.mended[s.Tier]
		h.mended[s.Tier] = Mean{m.Findings + 1, m.Time + (s.Verified.Sub(s.FirstSeen)-m.Time)/time.Duration(m.Findings+1)}
	}
}

// day is the number of a day; negative before the first.
func (h *history) day(t time.Time) int {
	if t.Before(h.first) {
		return -1
	}
	return int(t.Sub(h.first) / (24 * time.Hour))
}

func (h *history) trend() []Day {
	days, open := make([]Day, trendDays), h.before
	for i := range days {
		open += h.opened[i] - h.closed[i]
		days[i] = Day{h.first.AddDate(0, 0, i), open, h.opened[i], h.verified[i]}
	}
	return days
}
