package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"throughline/shared/graph"
)

func TestReminderIsPosted(t *testing.T) {
	var got struct{ Text string }
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	d := graph.Reminder{At: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Overdue: 2}
	if err := postReminder(t.Context(), s.Client(), s.URL+"/secret", d); err != nil || !strings.Contains(got.Text, "2 overdue") {
		t.Errorf("%v %q", err, got.Text)
	}
	status = http.StatusForbidden
	if err := postReminder(t.Context(), s.Client(), s.URL+"/secret", d); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	s.Close()
	if err := postReminder(t.Context(), s.Client(), s.URL+"/secret", d); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
