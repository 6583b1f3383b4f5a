package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"throughline/shared/graph"
)

// reminded notes the day of the last reminder.
type reminded struct {
	Day string `json:"day"`
}

var remindedKey = graph.StateKey("reminder", "last")

// sendReminder tells a chat once a day what is overdue and due within the week. The day is noted first: a crash between loses
// one reminder, whose content the next one holds, and nobody is told twice.
func (h *house) sendReminder(ctx context.Context) error {
	if h.cfg.ReminderURL == "" || h.cfg.Mode == "observe" {
		return nil
	}
	now := h.clock.Now()
	today, mine := now.UTC().Format(time.DateOnly), false
	if now.UTC().Hour() < reminderHour {
		return nil
	}
	_, _, err := graph.Update(ctx, h.store, remindedKey, "reminder", func(old graph.Versioned[reminded]) (reminded, bool, error) {
		mine = old.Value.Day != today
		return reminded{today}, mine, nil
	})
	if err != nil || !mine {
		return err
	}
	o, err := graph.TakeOverview(ctx, h.store, now)
	if err != nil {
		return err
	}
	if d := o.Reminder(); d.Overdue+d.Soon > 0 {
		return postReminder(ctx, http.DefaultClient, string(h.cfg.ReminderURL), d)
	}
	return nil
}

// reminderHour is the hour of the day, UTC, from which on the reminder is sent.
const reminderHour = 6

func postReminder(ctx context.Context, client *http.Client, url string, d graph.Reminder) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]string{"text": d.Text()})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("reminder: REMINDER_URL is no address") // the address is a secret
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("reminder: the chat does not answer")
	}
	defer answer.Body.Close()
	if answer.StatusCode > 299 {
		return fmt.Errorf("reminder: the chat answers %s", answer.Status)
	}
	return nil
}
