package graph

// IssueDraft is an issue as it is to be opened, in one call. Assignees must have been checked assignable.
type IssueDraft struct {
	Title     string   `json:"title"` // at most 256 characters
	Body      string   `json:"body"`  // GitHub flavoured markdown, at most 65,536 characters
	Labels    []string `json:"labels,omitempty"`
	Assignees []string `json:"assignees,omitempty"` // logins, at most 10
}

// IssueEdit changes an issue. Nil fields stay as they are; Labels and Assignees replace when they are not nil.
type IssueEdit struct {
	Title       *string  `json:"title,omitempty"`
	Body        *string  `json:"body,omitempty"`
	State       string   `json:"state,omitempty"`       // open, closed; empty: as it is
	StateReason string   `json:"stateReason,omitempty"` // completed, not_planned, reopened
	Labels      []string `json:"labels,omitempty"`
	Assignees   []string `json:"assignees,omitempty"`
}
