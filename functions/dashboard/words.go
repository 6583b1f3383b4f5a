package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"strings"
	"time"

	"throughline/shared/graph"
)

// words are the functions of the templates.
func (d *Dashboard) words() template.FuncMap {
	return template.FuncMap{
		"day": day, "clock": clock, "join": strings.Join, "short": graph.Digest.Short, "words": words, "kind": kind, "risk": risk, "plural": plural,
		"ago":     func(t time.Time) string { return age(t, d.Now()) },
		"overdue": func(t time.Time) bool { return !t.IsZero() && t.Before(d.Now()) },
		"status":  func(s string) string { return cmp.Or(s, string(graph.StatusOpen)) },
		"seconds": func(s float64) string { return time.Duration(s * float64(time.Second)).Round(time.Second).String() },
		"percent": percent, "share": share, "plurals": plurals,
		"due":   due,
		"rule":  ruleText,
		"risks": graph.ExposedWorkload.Risks,
	}
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006")
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006 15:04 UTC")
}

func words(s any) string { return strings.NewReplacer("_", " ", "-", " ").Replace(fmt.Sprint(s)) }

func kind(k graph.AlertKind) string {
	switch k {
	case graph.Dependabot:
		return "Dependency"
	case graph.CodeScanning:
		return "Code"
	case graph.SecretScanning:
		return "Secret"
	case graph.RuntimeKind:
		return "Runtime"
	}
	return string(k)
}

// risk is a factor as short as a tag.
func risk(f graph.Factor) string {
	switch f {
	case graph.InternetExposed:
		return "Internet"
	case graph.SensitiveData:
		return "Sensitive data"
	case graph.CriticalResource:
		return "Critical"
	case graph.LateralMovement:
		return "Lateral"
	}
	return string(f)
}

// due is the time that the policy gives, in words.
func due(s string) string {
	plain, _ := strings.CutSuffix(s, "+triage")
	switch {
	case plain == "none" || plain == "":
		return "no date"
	case plain == "upgrade":
		return "with the next upgrade"
	}
	return "in " + plain
}

// percent rounds down, so that 100 % is all.
func percent(n, all int) int {
	if all == 0 {
		return 0
	}
	return n * 100 / all
}
