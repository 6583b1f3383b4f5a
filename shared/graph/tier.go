package graph

// Tier is the urgency of a decision: P0 is the most urgent, P4 is tracked without an issue.
type Tier string

// The tiers, most urgent first.
const (
	P0 Tier = "P0"
	P1 Tier = "P1"
	P2 Tier = "P2"
	P3 Tier = "P3"
	P4 Tier = "P4"
)

// Tiers lists every tier, most urgent first.
var Tiers = [...]Tier{P0, P1, P2, P3, P4}

// Rank is 0 for P0 up to 4 for P4, and 5 for a tier that does not exist.
func (t Tier) Rank() int {
	for i, known := range Tiers {
		if t == known {
			return i
		}
	}
	return len(Tiers)
}

// MoreUrgent tells whether t must be handled before o.
func (t Tier) MoreUrgent(o Tier) bool { return t.Rank() < o.Rank() }
