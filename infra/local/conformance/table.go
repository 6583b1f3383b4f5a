package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// reasonOf is what the output of a test says about why it did not pass.
func reasonOf(out, name string, err error) string {
	var lines []string
	for _, line := range strings.Split(out, "\n") {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "Error:") || strings.Contains(line, "Error Trace:") || strings.HasPrefix(line, "panic:") ||
			strings.Contains(line, "_test.go:") && !strings.HasPrefix(line, "/") || strings.Contains(line, "Messages:") {
			lines = append(lines, line)
		}
	}
	if err != nil && len(lines) == 0 {
		return err.Error()
	}
	if len(lines) > 6 {
		lines = lines[len(lines)-6:]
	}
	return strings.Join(lines, " | ")
}

// printTable prints the reports, and returns the number of failures.
func printTable(w io.Writer, reports []report) int {
	failures := 0
	fmt.Fprintf(w, "%-12s %-6s %7s %7s %8s %9s\n", "suite", "tests", "passed", "failed", "skipped", "seconds")
	for _, r := range reports {
		for _, live := range []bool{true, false} {
			passed, failed, skipped, took := r.count(live)
			if passed+failed+skipped == 0 {
				continue
			}
			failures += failed
			kind := "unit"
			if live {
				kind = "live"
			}
			fmt.Fprintf(w, "%-12s %-6s %7d %7d %8d %9.1f\n", r.suite.name, kind, passed, failed, skipped, took.Seconds())
		}
	}
	for _, r := range reports {
		for _, t := range r.results {
			if t.verdict != "PASS" {
				fmt.Fprintf(w, "%s %s/%s: %s\n", t.verdict, r.suite.name, t.name, t.reason)
			}
		}
	}
	return failures
}

func (r report) count(live bool) (passed, failed, skipped int, took time.Duration) {
	for _, t := range r.results {
		if t.live != live {
			continue
		}
		took += t.took
		switch t.verdict {
		case "PASS":
			passed++
		case "SKIP":
			skipped++
		default:
			failed++
		}
	}
	return passed, failed, skipped, took
}
