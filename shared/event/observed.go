package event

import (
	"encoding/json"

	"throughline/shared/graph"
)

// The limits of one Observed message: what fits comfortably into 256 KB together with its envelope.
const (
	maxNouns = 100
	maxBytes = 200 << 10
)

// NewObserved makes as many Observed events as the observation needs. The scope mark goes with each of them; their parts
// are numbered after those said before. A negative number leaves the part as it is.
func NewObserved(source string, o graph.Observation, before int) ([]Event, error) {
	var events []Event
	for i, part := range split(o) {
		if part.Scope != nil && before >= 0 {
			scope := *part.Scope
			scope.Part = before + i + 1
			part.Scope = &scope
		}
		e, err := New(Observed, source, part.Source, part)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

func split(o graph.Observation) []graph.Observation {
	if o.Len() <= 1 || fits(o) {
		return []graph.Observation{o}
	}
	first, second := o.Halves()
	return append(split(first), split(second)...)
}

func fits(o graph.Observation) bool {
	if o.Len() > maxNouns {
		return false
	}
	raw, err := json.Marshal(o)
	return err == nil && len(raw) <= maxBytes
}
