package decision

import (
	"cmp"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// MostUrgent is the decision of an alert over its workloads, or of an issue over its alerts: the most urgent tier with
// its rule, the highest score, the earliest due date, and triage if any asks for it. The order of ds does not matter.
// Without decisions it is the zero Decision.
func MostUrgent(ds []Decision) Decision {
	if len(ds) == 0 {
		return Decision{}
	}
	out := slices.MinFunc(ds, Compare)
	for _, d := range ds {
		if !d.DueAt.IsZero() && (out.DueAt.IsZero() || d.DueAt.Before(out.DueAt)) {
			out.DueAt = d.DueAt
		}
		// Only P0 asks for triage, so the due time it is appended to is that of the same tier.
		if d.Triage && !out.Triage {
			out.Triage, out.Due = true, d.Due
		}
	}
	return out
}

// Compare puts the more urgent decision first: by tier and score, then the earlier due date, the older first detection,
// the smaller id. What has no date comes after what has one.
func Compare(a, b Decision) int {
	return cmp.Or(
		cmp.Compare(a.Tier.Rank(), b.Tier.Rank()),
		cmp.Compare(b.Score, a.Score),
		missingLast(a.DueAt.IsZero(), b.DueAt.IsZero()), a.DueAt.Compare(b.DueAt),
		missingLast(a.Detected.IsZero(), b.Detected.IsZero()), a.Detected.Compare(b.Detected),
		compareIDs(a.Finding, b.Finding),
		compareIDs(a.Workload, b.Workload),
		// What is left differs only in why; the same order still holds every time.
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Due, b.Due),
	)
}

func missingLast(a, b bool) int {
	switch {
	case a && !b:
		return 1
	case b && !a:
		return -1
	}
	return 0
}

// compareIDs compares numbers inside ids by value, so that alert 9 comes before alert 10.
func compareIDs(a, b string) int {
	whole := cmp.Compare(a, b)
	for a != "" && b != "" {
		m, n := digits(a), digits(b)
		if m == "" || n == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(m, "0"), strings.TrimLeft(n, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
		a, b = a[len(m):], b[len(n):]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), whole)
}

// digits is the number at the front of s.
func digits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}

// DiffersFromDefender tells that a finding belongs in the list "differs from Defender for Cloud": its level, rated in
// context, is Critical where the tier is P3 or P4, or Low where it is P0. The level never decides anything.
func DiffersFromDefender(level string, inContext bool, t graph.Tier) bool {
	if !inContext {
		return false
	}
	critical := strings.EqualFold(level, "critical") && t.Rank() >= graph.P3.Rank()
	return critical || strings.EqualFold(level, "low") && t == graph.P0
}
