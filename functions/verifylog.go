package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"throughline/shared/graph"
)

// verifyLog asks a running app to check the decision log of repositories, all when none is named, and prints what is not
// as it was written: functions verify-log [-url https://app.example] [-token file] [owner/name ...].
func verifyLog(args []string, out io.Writer) error {
	f := flag.NewFlagSet("verify-log", flag.ContinueOnError)
	ask, err := newAsker(f, args)
	if err != nil {
		return err
	}
	names, err := ask.names(f.Args())
	if err != nil {
		return err
	}
	return ask.verify(names, out)
}

// names are those given, or all repositories.
func (a asker) names(given []string) ([]string, error) {
	if len(given) > 0 {
		return given, nil
	}
	var all struct{ Items []graph.Name }
	if err := a.ask(http.MethodGet, "/api/repositories", &all); err != nil {
		return nil, err
	}
	var names []string
	for _, n := range all.Items {
		if !n.Deleted {
			names = append(names, n.FullName)
		}
	}
	return names, nil
}

// verify prints one line for each fault; any is an error.
func (a asker) verify(names []string, out io.Writer) error {
	faults := 0
	var total graph.LogReport
	for _, n := range names {
		owner, name, ok := strings.Cut(n, "/")
		if !ok {
			return fmt.Errorf("verify-log: %q is not owner/name", n)
		}
		var r graph.LogReport
		if err := a.ask(http.MethodGet, "/api/log/"+url.PathEscape(owner)+"/"+url.PathEscape(name), &r); err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		for _, f := range r.Faults {
			fmt.Fprintf(out, "%s: %s: %s\n", n, f.Place, f.What)
		}
		faults += len(r.Faults)
		total.Segments, total.Entries, total.Decisions = total.Segments+r.Segments, total.Entries+r.Entries, total.Decisions+r.Decisions
		total.Records, total.Waiting, total.Unsigned = total.Records+r.Records, total.Waiting+r.Waiting, total.Unsigned+r.Unsigned
	}
	fmt.Fprintf(out, "%d repositories: %d segments (%d not signed) with %d lines, %d decisions, %d records; %d decisions not in a segment yet\n",
		len(names), total.Segments, total.Unsigned, total.Entries, total.Decisions, total.Records, total.Waiting)
	if faults > 0 {
		return fmt.Errorf("verify-log: %d places of the decision log are not as they were written", faults)
	}
	return nil
}
