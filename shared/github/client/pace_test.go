package client

import (
	"net/http"
	"testing"
	"time"
)

func TestReadingKeepsToItsShareOfAMinute(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		took time.Duration
		fits int
	}{
		"points":     {10 * time.Millisecond, readPoints},
		"processors": {600 * time.Millisecond, 120},
	} {
		now := start
		l := newLimits(nil, func() time.Time { return now })
		r, err := http.NewRequest(http.MethodGet, "https://api.github.com/repos/a/b", nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; l.paced(1) == nil && n < 10_000; n++ {
			l.took(r, now.Add(-c.took), now)
		}
		if n != c.fits {
			t.Errorf("%s: %d requests fit at once, want %d", name, n, c.fits)
		}
		if now = start.Add(paceWindow - time.Second); l.paced(1) == nil {
			t.Errorf("%s: free before the minute is over", name)
		}
		if now = start.Add(paceWindow); l.paced(1) != nil {
			t.Errorf("%s: not free after the minute", name)
		}
	}
}
