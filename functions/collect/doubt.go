package collect

import (
	"context"

	"github.com/google/uuid"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// doubtful are the sources whose lists may shift between two pages: a row that stands in the way of neither page is there
// all the same. What a reading of them misses counts as gone only when a second reading misses it too.
var doubtful = map[string]bool{"azure": true}

// mostDoubts bounds what one note holds; more than that is a matter for the guard.
const mostDoubts = 5000

// doubt is what a run missed.
type doubt struct {
	Run     string          `json:"run"`
	Missing []graph.Absence `json:"missing"`
}

func doubtKey(c graph.Collection) graph.Key {
	return graph.StateKey("doubts", graph.ScopeKey(scopeID(c)).ID)
}

// confirmed leaves what two runs have missed. The first run asks for the second, which begins at once.
func (s *Stage) confirmed(ctx context.Context, c graph.Collection, missing []graph.Absence) ([]graph.Absence, []event.Event, error) {
	switch {
	case !doubtful[c.Source] || len(missing) == 0 || len(missing) > mostDoubts:
		return missing, nil, nil
	case c.Confirms == "":
		return s.doubt(ctx, c, missing)
	}
	before, err := graph.Get[doubt](ctx, s.Store, doubtKey(c))
	if err != nil || before.Value.Run != c.Confirms {
		return nil, nil, err // a newer run has its own doubts
	}
	twice := map[graph.Absence]bool{}
	for _, a := range before.Value.Missing {
		twice[a] = true
	}
	var gone []graph.Absence
	for _, a := range missing {
		if twice[a] {
			gone = append(gone, a)
		}
	}
	return gone, nil, nil
}

// doubt notes what was missed and asks for the second look.
func (s *Stage) doubt(ctx context.Context, c graph.Collection, missing []graph.Absence) ([]graph.Absence, []event.Event, error) {
	w, err := graph.NewWrite(doubtKey(c), "doubt", graph.Any, doubt{c.Run, missing})
	if err != nil {
		return nil, nil, err
	}
	if err := s.Store.Write(ctx, w); err != nil {
		return nil, nil, err
	}
	s.Log.InfoContext(ctx, "looking again", "scope", scopeID(c), "missing", len(missing))
	e, err := ticketed(graph.Collection{Source: c.Source, Scope: c.Scope, Run: uuid.NewString(), StartedAt: s.Now(), Confirms: c.Run})
	return nil, []event.Event{e}, err
}
