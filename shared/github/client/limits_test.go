package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

// limited serves one list with an answer that the test chooses.
func limited(t *testing.T, answer func(h http.Header) (status int, body string)) (*stand, *Client) {
	t.Helper()
	s := newStand(t)
	s.mux.HandleFunc("GET /orgs/acme/dependabot/alerts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", s.now.Format(http.TimeFormat))
		status, body := answer(w.Header())
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	return s, s.client(nil)
}

func rate(h http.Header, limit, remaining int, reset time.Time) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
}

func collect(c *Client) error {
	_, err := c.Read(context.Background(), graph.Collection{Scope: "dependabot:acme"})
	return err
}

func until(t *testing.T, err error) time.Time {
	t.Helper()
	var l *graph.Limited
	if !errors.As(err, &l) {
		t.Fatalf("got %v, want *graph.Limited", err)
	}
	return l.Until
}

func TestLimits(t *testing.T) {
	cases := []struct {
		name   string
		answer func(s *stand, h http.Header) (int, string)
		wait   time.Duration // 0: no limit
	}{
		{"429 with retry-after", func(_ *stand, h http.Header) (int, string) {
			h.Set("Retry-After", "37")
			return 429, `{"message":"slow down"}`
		}, 37 * time.Second},
		{"403 with retry-after", func(_ *stand, h http.Header) (int, string) {
			h.Set("Retry-After", "90")
			return 403, `{"message":"You have exceeded a secondary rate limit"}`
		}, 90 * time.Second},
		{"403 and nothing left", func(s *stand, h http.Header) (int, string) {
			rate(h, 5000, 0, s.now.Add(20*time.Minute))
			return 403, `{"message":"API rate limit exceeded"}`
		}, 20 * time.Minute},
		{"429 and nothing left", func(s *stand, h http.Header) (int, string) {
			rate(h, 5000, 0, s.now.Add(20*time.Minute))
			return 429, ``
		}, 20 * time.Minute},
		{"secondary without a time, although the reset is far", func(s *stand, h http.Header) (int, string) {
			rate(h, 5000, 4000, s.now.Add(40*time.Minute))
			return 403, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
		}, time.Minute},
		{"429 without a time", func(*stand, http.Header) (int, string) { return 429, `` }, time.Minute},
		{"403 for want of a permission", func(s *stand, h http.Header) (int, string) {
			rate(h, 5000, 4000, s.now.Add(40*time.Minute))
			return 403, `{"message":"Resource not accessible by integration"}`
		}, 0},
		{"404", func(*stand, http.Header) (int, string) { return 404, `{}` }, 0},
		{"500", func(*stand, http.Header) (int, string) { return 500, `` }, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var s *stand
			s, client := limited(t, func(h http.Header) (int, string) { return c.answer(s, h) })
			err := collect(client)
			if c.wait == 0 {
				var l *graph.Limited
				if err == nil || errors.As(err, &l) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if got := until(t, err).Sub(s.now); got != c.wait {
				t.Errorf("waits %v, want %v", got, c.wait)
			}
		})
	}
}

func TestLimitsKeepQuiet(t *testing.T) {
	calls, limit := 0, true
	s, c := limited(t, func(h http.Header) (int, string) {
		calls++
		if limit {
			return 429, ``
		}
		return 200, `[]`
	})
	start := s.now
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if got := until(t, collect(c)).Sub(s.now); got != want {
			t.Errorf("waits %v, want %v", got, want)
		}
		before := calls
		s.now = s.now.Add(want - time.Second)
		if collect(c) == nil || calls != before {
			t.Errorf("asked again before the time was over")
		}
		s.now = s.now.Add(2 * time.Second)
	}
	limit = false
	s.now = s.now.Add(time.Hour)
	if err := collect(c); err != nil {
		t.Fatal(err)
	}
	limit = true
	if got := until(t, collect(c)).Sub(s.now); got != time.Minute {
		t.Errorf("after success it waits %v", got)
	}
	if s.now.Sub(start) > 2*time.Hour {
		t.Error("the clock ran away")
	}
}

func TestReserveIsKeptForIssues(t *testing.T) {
	remaining := 1500
	s := newStand(t)
	s.mux.HandleFunc("GET /orgs/acme/dependabot/alerts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", s.now.Format(http.TimeFormat))
		rate(w.Header(), 5000, remaining, s.now.Add(30*time.Minute))
		_, _ = io.WriteString(w, `[]`)
	})
	s.json("POST /repos/acme/shop/issues", `{"number":7}`)
	c := s.client(func(o *Options) { o.Reserve = 0.2 })
	if err := collect(c); err != nil {
		t.Fatal(err)
	}
	remaining = 999
	if err := collect(c); err != nil {
		t.Fatal(err)
	}
	if got := until(t, collect(c)).Sub(s.now); got != 30*time.Minute {
		t.Errorf("reading waits %v", got)
	}
	if _, err := c.CreateIssue(context.Background(), shop, graph.IssueDraft{Title: "t", Body: "b"}); err != nil {
		t.Errorf("writing waits too: %v", err)
	}
	s.now = s.now.Add(31 * time.Minute)
	if err := collect(c); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}

func TestTheLastRequestOfTheHour(t *testing.T) {
	calls := 0
	var s *stand
	s, c := limited(t, func(h http.Header) (int, string) {
		calls++
		rate(h, 5000, 0, s.now.Add(10*time.Minute))
		return 200, `[]`
	})
	s.now = time.Now().Truncate(time.Second) // go-github looks at the clock on the wall
	if err := collect(c); err != nil {
		t.Fatal(err)
	}
	if got := until(t, collect(c)).Sub(s.now); got != 10*time.Minute || calls != 1 {
		t.Errorf("waits %v after %d calls", got, calls)
	}
	s.now = s.now.Add(10 * time.Minute)
	if err := collect(c); err != nil || calls != 2 {
		t.Errorf("after the reset: %v, %d calls", err, calls)
	}
}

func TestTokensAreNotCountedToTheInstallation(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("POST /app/installations/5/access_tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", s.now.Format(http.TimeFormat))
		rate(w.Header(), 5000, 0, s.now.Add(10*time.Minute))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"token":"ghs_42_5","expires_at":"2099-01-01T00:00:00Z"}`)
	})
	s.json("GET /orgs/acme/dependabot/alerts", `[]`)
	if err := collect(s.client(nil)); err != nil {
		t.Error(err)
	}
}

func TestLimitsOfTokens(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("POST /app/installations/5/access_tokens", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "11")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{}`)
	})
	if got := until(t, collect(s.client(nil))).Sub(s.now); got != 11*time.Second {
		t.Errorf("waits %v", got)
	}
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	s := newStand(t)
	s.mux.HandleFunc("GET /orgs/acme/dependabot/alerts", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://evil.example.com/", http.StatusFound)
	})
	if err := collect(s.client(nil)); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("got %v", err)
	}
}
