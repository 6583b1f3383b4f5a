package api

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"throughline/shared/graph"
)

// most bounds the lines of a file.
const most = 100_000

var columns = []string{"id", "tier", "rule", "score", "due", "kind", "severity", "state", "title", "repository", "running", "risks", "images", "workloads",
	"cves", "status", "issue", "assignees", "first seen"}

// file gives the whole filtered list as CSV, in the order of the list.
func (a *API) file(w http.ResponseWriter, r *http.Request) {
	f, err := a.filter(r.Context(), r.URL.Query())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	lines := [][]string{columns}
	for f.Limit = 200; len(lines) <= most; {
		items, next, err := graph.Worklist(r.Context(), a.Store, f)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		for _, i := range items {
			lines = append(lines, cells(i))
		}
		if next == "" {
			break
		}
		f.Cursor = next
	}
	if err := out.WriteAll(lines); err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="findings.csv"`)
	send(w, r, "text/csv; charset=utf-8", b.Bytes())
}

func cells(s graph.Summary) []string {
	line := []string{string(s.ID), string(s.Tier), s.Rule, strconv.Itoa(s.Score), date(s.DueAt, s.Due), string(s.Kind), s.Severity, string(s.State), s.Title,
		s.FullName, string(s.Running), joined(s.Risks), joined(s.Artifacts), joined(s.Workloads), joined(s.CVEs), s.Status, s.IssueURL, joined(s.Assignees), date(s.FirstSeen, "")}
	for i, cell := range line {
		line[i] = inert(cell)
	}
	return line
}

// inert keeps a spreadsheet from taking a text of unknown origin for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func joined[T ~string](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, ";")
}

func date(t time.Time, otherwise string) string {
	if t.IsZero() {
		return otherwise
	}
	return t.UTC().Format(time.RFC3339)
}
