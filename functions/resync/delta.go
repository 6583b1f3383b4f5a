package resync

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// overlap is how far a delta looks back beyond what was read: clocks differ, and lists show a change late.
const overlap = 10 * time.Minute

// deltas asks for what changed since the last reading: of every list of alerts that was once read to its end, and of the
// sources that tell by themselves. What is being read is not asked for again.
func (s *Stage) deltas(chains []graph.Chain) ([]event.Event, error) {
	known := map[string]graph.Chain{}
	for _, c := range chains {
		known[c.Scope] = c
	}
	var events []event.Event
	ask := func(c graph.Collection, since time.Time) error {
		last := known[c.Source+" "+c.Scope]
		if since.Before(last.Read) {
			since = last.Read
		}
		if since.IsZero() || last.Run != "" && last.UnderWay(s.Now()) {
			return nil
		}
		c.Cursor, c.Run, c.Ticket, c.StartedAt = since.Add(-overlap).UTC().Format(time.RFC3339), uuid.NewString(), uuid.NewString(), s.Now()
		e, err := event.NewCollect(name, c)
		events = append(events, e)
		return err
	}
	for _, c := range chains {
		if delta, ok := deltaOf(c.Scope); ok && !c.Read.IsZero() {
			if err := ask(delta, c.Read); err != nil {
				return nil, fmt.Errorf("resync %s: %w", c.Scope, err)
			}
		}
	}
	for _, d := range s.Deltas {
		begun := known[d.Source+" all"]
		if err := ask(d, begun.Read); err != nil {
			return nil, fmt.Errorf("resync %s %s: %w", d.Source, d.Scope, err)
		}
	}
	return events, nil
}

// deltaOf names the delta of an account's list of alerts. The lists of single repositories (of a person's account) have
// none: there are too many of them.
func deltaOf(scope string) (graph.Collection, bool) {
	source, what, _ := strings.Cut(scope, " ")
	kind, login, _ := strings.Cut(what, ":")
	for _, k := range graph.AlertKinds {
		if source == "github" && kind == string(k) && login != "" && !strings.Contains(login, "/") {
			return graph.Collection{Source: source, Scope: "delta:" + what}, true
		}
	}
	return graph.Collection{}, false
}
