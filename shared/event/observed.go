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

// NewObserved makes as many Observed events as the observation needs. The scope mark goes with each part; only the last
// part may close the page.
func NewObserved(source string, o graph.Observation) ([]Event, error) {
	var events []Event
	for _, part := range split(o) {
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
