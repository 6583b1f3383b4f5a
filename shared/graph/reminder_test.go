package graph

import (
	"strings"
	"testing"
	"time"
)

func TestReminder(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	fix := func(title string, days int, open int, who ...string) Fix {
		f := Fix{Summary: Summary{Title: title, Tier: P1, FullName: "acme/api", Assignees: who, DueAt: now.AddDate(0, 0, days)}, Findings: 1, Open: open}
		if days == 0 {
			f.DueAt = time.Time{}
		}
		return f
	}
	o := Overview{At: now, Fixes: []Fix{fix("late <!channel> @here", -2, 1, "ann", "bob"), fix("soon", 3, 1, "bob"), fix("far", 30, 1, "bob"), fix("mended", -9, 0, "bob"), fix("no date", 0, 1, "bob"), fix("nobody's", -1, 1)}}
	d := o.Reminder()
	if d.Overdue != 2 || d.Soon != 1 || len(d.People) != 3 || d.People[0].Who != "bob" || len(d.People[0].Overdue) != 1 || len(d.People[0].Soon) != 1 {
		t.Fatalf("%+v", d)
	}
	text := d.Text()
	for _, want := range []string{"2 overdue, 1 due within seven days", "bob: 1 overdue, 1 due soon", "nobody: 1 overdue", "late"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if strings.ContainsAny(text, "<>@") || strings.Contains(text, "far") || strings.Contains(text, "mended") {
		t.Errorf("what should not be there:\n%s", text)
	}
}
