package github

import (
	"fmt"
	"strings"
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// Alert is an alert as GitHub writes it. A list over an organisation names the repository inside the alert; a webhook
// and a repository's own list name it outside.
type Alert struct {
	graph.Alert
	In Repository
}

// Of places the alert in its repository. The error says what is missing to identify it.
func (a Alert) Of(r graph.RepositoryID) (graph.Alert, error) {
	if a.Number < 1 {
		return graph.Alert{}, fmt.Errorf("%s alert without a number", a.Kind)
	}
	if !r.Valid() {
		return graph.Alert{}, fmt.Errorf("%s alert without a repository", a.Kind)
	}
	noun := a.Alert
	noun.Repository, noun.ID = r, graph.NewAlertID(r, a.Kind, a.Number)
	return noun, nil
}

// lifetime reads the fields that all kinds share; it answers false for any other field.
func (a *Alert) lifetime(c *scan.Cursor, key string) bool {
	switch key {
	case "number":
		a.Number = int(c.Int())
	case "html_url":
		a.URL = c.String()
	case "created_at":
		a.CreatedAt = c.Time()
	case "updated_at":
		a.UpdatedAt = c.Time()
	case "fixed_at", "dismissed_at", "auto_dismissed_at", "resolved_at":
		a.ClosedAt = latest(a.ClosedAt, c.Time())
	case "assignees":
		a.Assignees = logins(c)
	case "repository":
		a.In = ReadRepository(c)
	default:
		return false
	}
	return true
}

// settle fills what follows from the rest. Without updated_at the best clock is the latest time that the alert names:
// an alert that was reopened then looks older than it is, which the reading by API mends.
func (a *Alert) settle() {
	if a.UpdatedAt.IsZero() {
		a.UpdatedAt = latest(a.CreatedAt, a.ClosedAt)
	}
	if a.State == graph.Open {
		a.ClosedAt, a.Reason = time.Time{}, ""
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// logins reads an array of accounts.
func logins(c *scan.Cursor) []string {
	var all []string
	for c.Array(); c.Element(); {
		if login := ReadAccount(c).Login; login != "" {
			all = append(all, login)
		}
	}
	return all
}

// severity is GitHub's word in our spelling; what is not known reads as empty.
func severity(word string) string {
	switch word = strings.ToLower(word); word {
	case "critical", "high", "medium", "low", "none":
		return word
	case "moderate":
		return "medium"
	}
	return ""
}

// cwe reads CWE-079, cwe-79 and external/cwe/cwe-079 as 79.
func cwe(text string) (int, bool) {
	i := strings.LastIndex(strings.ToLower(text), "cwe-")
	if i < 0 {
		return 0, false
	}
	n := 0
	digits := text[i+len("cwe-"):]
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' || n > 99999 {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, n > 0
}
