package correlate

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"throughline/shared/graph"
)

// same compares two nouns as they are stored, so that an empty list equals a missing one.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func isGone(err error) bool { return errors.Is(err, graph.ErrNotFound) }

// union appends what is missing and keeps the order of what was there.
func union[T comparable](have []T, more ...T) []T {
	for _, m := range more {
		if !slices.Contains(have, m) {
			have = append(slices.Clip(have), m)
		}
	}
	return have
}
