package graph

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTrendCountsBack compares the trend with a count of each day by itself.
func TestTrendCountsBack(t *testing.T) {
	now := time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(now)
		var all []Summary
		for range rapid.IntRange(0, 20).Draw(t, "findings") {
			hours := func(label string) time.Duration {
				return time.Duration(rapid.IntRange(0, 1200).Draw(t, label)) * time.Hour
			}
			s := Summary{State: Open, Tier: P1, FirstSeen: now.Add(-hours("age"))}
			if rapid.Bool().Draw(t, "closed") {
				s.State, s.Closed = Fixed, now.Add(-hours("closed"))
				if s.Closed.Before(s.FirstSeen) {
					s.Closed = s.FirstSeen
				}
				s.Verified = s.Closed
			}
			all = append(all, s)
			h.add(s)
		}
		for _, d := range h.trend() {
			end, open, verified := d.Day.Add(24*time.Hour), 0, 0
			for _, s := range all {
				if s.FirstSeen.Before(end) && (s.State == Open || !s.Closed.Before(end)) {
					open++
				}
				if !s.Verified.IsZero() && !s.Verified.Before(d.Day) && s.Verified.Before(end) {
					verified++
				}
			}
			if d.Open != open || d.Verified != verified {
				t.Fatalf("%s: %d open, %d verified; want %d, %d", d.Day.Format(time.DateOnly), d.Open, d.Verified, open, verified)
			}
		}
	})
}

func TestMeanTimeToFix(t *testing.T) {
	now := time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)
	h := newHistory(now)
	for _, days := range []int{2, 4, 6} {
		h.add(Summary{State: Fixed, Tier: P0, FirstSeen: now.AddDate(0, 0, -days), Closed: now, Verified: now})
	}
	h.add(Summary{State: Fixed, Tier: P0, FirstSeen: now.AddDate(0, 0, -90), Closed: now}) // closed and not proven
	if m := h.mended[P0]; m.Findings != 3 || m.Time != 4*24*time.Hour {
		t.Errorf("the mean of %d fixes is %s", m.Findings, m.Time)
	}
}
