package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"throughline/shared/graph"
)

// ParseFilter reads the filters of a list of findings from a query. The repository's name is left to the caller, who can
// look it up.
func ParseFilter(q url.Values) (graph.Filter, error) {
	f := graph.Filter{Tier: graph.Tier(q.Get("tier")), Risk: graph.Factor(q.Get("risk")), Kind: graph.AlertKind(q.Get("kind")),
		State: graph.AlertState(q.Get("state")), Unmapped: q.Get("unmapped"), Status: q.Get("status"), Text: q.Get("q"), Sort: graph.Sort(q.Get("sort")), Cursor: q.Get("cursor")}
	if err := one("tier", f.Tier, graph.Tiers[:]); err != nil {
		return f, err
	}
	if err := one("risk", f.Risk, graph.Factors[:]); err != nil {
		return f, err
	}
	if err := one("kind", f.Kind, append(graph.AlertKinds[:], graph.RuntimeKind)); err != nil {
		return f, err
	}
	if err := one("state", f.State, []graph.AlertState{graph.Open, graph.Fixed, graph.Dismissed, graph.AllStates}); err != nil {
		return f, err
	}
	if err := one("sort", f.Sort, graph.Sorts[:]); err != nil {
		return f, err
	}
	switch f.Unmapped {
	case "true", "yes", "1":
		f.Unmapped = "yes"
	case "false", "no", "0":
		f.Unmapped = "no"
	case "":
	default:
		return f, fmt.Errorf("unmapped: %q is not one of yes, no", f.Unmapped)
	}
	if limit := q.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > 200 {
			return f, fmt.Errorf("limit: %q is not a number from 1 to 200", limit)
		}
		f.Limit = n
	}
	return f, nil
}

func one[T ~string](name string, v T, known []T) error {
	if v != "" && !slices.Contains(known, v) {
		return fmt.Errorf("%s: %q is not one of %v", name, string(v), known)
	}
	return nil
}
