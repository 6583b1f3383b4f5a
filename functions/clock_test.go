package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestClockIsPutRightByAgreement(t *testing.T) {
	machine := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		said   map[string]time.Duration
		want   time.Duration
		report string
	}{
		"nobody was asked":      {nil, 0, "ok"},
		"right":                 {map[string]time.Duration{"github": -time.Second, "azure": 2 * time.Second}, 0, "ok"},
		"behind":                {map[string]time.Duration{"github": 10 * time.Minute, "azure": 10*time.Minute + time.Second}, 10 * time.Minute, "10m0s behind"},
		"ahead":                 {map[string]time.Duration{"github": -10*time.Minute - time.Second, "azure": -10 * time.Minute}, -10 * time.Minute, "10m0s ahead"},
		"GitHub alone":          {map[string]time.Duration{"github": 10 * time.Minute}, 10 * time.Minute, "10m0s behind"},
		"one says it is right":  {map[string]time.Duration{"github": 10 * time.Minute, "azure": 0}, 0, "ok"},
		"they contradict":       {map[string]time.Duration{"github": 10 * time.Minute, "azure": -10 * time.Minute}, 0, "ok"},
		"nonsense is forgotten": {map[string]time.Duration{"github": 1000 * time.Hour}, 0, "ok"},
	} {
		k := &clock{machine: func() time.Time { return machine }, said: map[string]time.Duration{}}
		for system, ahead := range c.said {
			k.learn(system, ahead)
		}
		if got := k.Now().Sub(machine); got != c.want || !strings.HasPrefix(k.Report(), c.report) {
			t.Errorf("%s: corrected by %s, says %q", name, got, k.Report())
		}
	}
}

func TestClockLearnsFromAnswers(t *testing.T) {
	now := time.Now()
	age := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", now.Add(-time.Hour).UTC().Format(http.TimeFormat))
		if age != "" {
			w.Header().Set("Age", age)
		}
	}))
	defer server.Close()
	k := &clock{machine: func() time.Time { return now }, said: map[string]time.Duration{}}
	ask := func() {
		t.Helper()
		answer, err := (&http.Client{Transport: k.watch("github", http.DefaultTransport)}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	age = "3600"
	ask()
	if k.Report() != "ok" {
		t.Errorf("a cache was believed: %s", k.Report())
	}
	age = ""
	ask()
	if off := k.Now().Sub(now) + time.Hour; off.Abs() > time.Second {
		t.Errorf("off by %s after learning", off)
	}
}

// utc is the machine's time.
func utc() time.Time { return time.Now().UTC() }
