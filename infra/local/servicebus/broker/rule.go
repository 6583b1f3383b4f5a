package broker

// Rule of a subscription: which messages it takes.
type Rule struct {
	Name    string `json:"name"`
	Filter  Filter `json:"filter"`
	Created int64  `json:"created,omitempty"`
}

// Filter decides about a message.
type Filter struct {
	Type string `json:"type"`
}

// DefaultRule matches every message.
func DefaultRule() Rule {
	return Rule{Name: "$Default", Filter: Filter{Type: "TrueFilter"}}
}
