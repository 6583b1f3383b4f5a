package graph

import (
	"strconv"
	"time"
)

// Status is where a remediation stands.
type Status string

// The statuses, in the order of the way; accepted and reopened stand beside it.
const (
	StatusOpen        Status = "open"
	StatusAssigned    Status = "assigned"
	StatusInProgress  Status = "in progress"
	StatusFixedInCode Status = "fixed in code"
	StatusRollingOut  Status = "rolling out"
	StatusVerified    Status = "verified"
	StatusAccepted    Status = "accepted"
	StatusReopened    Status = "reopened"
)

// Remediation is one fix, tracked as one issue on the repository of origin.
type Remediation struct {
	ID         RemediationID `json:"id"`
	Repository RepositoryID  `json:"repository"`
	FixKey     string        `json:"fixKey"`
	Title      string        `json:"title"`
	Status     Status        `json:"status"`
	Tier       Tier          `json:"tier"`
	Score      int           `json:"score"`
	Due        string        `json:"due"`
	DueAt      time.Time     `json:"dueAt,omitzero"`
	Findings   []FindingID   `json:"findings"` // those that it is for now
	// Seen is the version of each finding that was taken in, also of those that no longer count.
	Seen  map[FindingID]string `json:"seen,omitempty"`
	Issue *Issue               `json:"issue,omitempty"`
	// Intent is written before the call that it announces, and cleared with the call's result.
	Intent *Intent `json:"intent,omitempty"`
	// Applied is the hash of what the issue shows; Decided the version of the decisions behind it.
	Applied string `json:"applied,omitempty"`
	Decided string `json:"decided,omitempty"`
	// Held tells why there is no issue although the tier asks for one: observe mode, approval, guard, archived.
	Held string `json:"held,omitempty"`
	// Approved is set when a person asked for the issue.
	Approved     bool          `json:"approved,omitempty"`
	Assignees    []string      `json:"assignees,omitempty"`
	PullRequests []PullRequest `json:"pullRequests,omitempty"`
	Timeline     []Entry       `json:"timeline,omitempty"`
	// Proof is how far the fix has come since its findings were closed; nil before.
	Proof *Proof `json:"proof,omitempty"`
	// Ran are the workloads that ran an image of the repository while the fix was open: none of them is lost sight of.
	Ran []WorkloadID `json:"ran,omitempty"`
	// Closed tells who closed the issue; nil while it is open.
	Closed *Closing `json:"closed,omitempty"`
	// Owned tells why these assignees were chosen.
	Owned string `json:"owned,omitempty"`
	// Asked are the assignees, Labelled the labels that we set and GitHub confirmed: what is missing of them later was
	// taken off by a person.
	Asked    []string `json:"asked,omitempty"`
	Labelled []string `json:"labelled,omitempty"`
	// Governed and AlertsAssigned are hashes of what was written to Defender for Cloud and onto the alerts.
	Governed       string `json:"governed,omitempty"`
	AlertsAssigned string `json:"alertsAssigned,omitempty"`
	// Handover is set once a person gave the fix to the coding agent.
	Handover *Handover `json:"handover,omitempty"`
	// Commands are what people wrote to us on the issue, oldest first.
	Commands []Command `json:"commands,omitempty"`
	// Revision grows with every write.
	Revision int64 `json:"revision,omitempty"`
}

func (m *Remediation) revise() { m.Revision++ }

// Unsettled tells whether an action was begun and its result is not known yet.
func (m Remediation) Unsettled() bool { return m.Intent != nil }

// Issue is the GitHub issue of a remediation.
type Issue struct {
	Repository  RepositoryID `json:"repository"`
	Number      int          `json:"number"`
	URL         string       `json:"url"`
	State       string       `json:"state"`                 // open, closed
	StateReason string       `json:"stateReason,omitempty"` // completed, not_planned, duplicate, reopened
	Title       string       `json:"title,omitempty"`
	Assignees   []string     `json:"assignees,omitempty"`
	Labels      []string     `json:"labels,omitempty"`
	Actor       string       `json:"actor,omitempty"` // who caused the change, login
	Own         bool         `json:"own,omitempty"`   // the change is an echo of our own write
	Deleted     bool         `json:"deleted,omitempty"`
	Body        string       `json:"-"`
	UpdatedAt   time.Time    `json:"updatedAt,omitzero"`
	// Moved is where the issue was transferred to, in the observation of its transfer.
	Moved *IssuePlace `json:"moved,omitempty"`
}

// IssuePlace names an issue by where it is.
type IssuePlace struct {
	Repository RepositoryID `json:"repository"`
	Number     int          `json:"number"`
	URL        string       `json:"url,omitempty"`
}

// KindForwarding is the kind of forwardings.
const KindForwarding Kind = "forwarding"

// Forwarding leads from where an issue was transferred to back to its remediation.
type Forwarding struct {
	Repository  RepositoryID  `json:"repository"`
	Remediation RemediationID `json:"remediation"`
}

// ForwardingKey is where the forwarding of a transferred issue is kept.
func ForwardingKey(r RepositoryID, number int) Key {
	return StateKey("forwarding", string(r)+"-"+strconv.Itoa(number))
}

// Intent is an action that may or may not have happened yet.
type Intent struct {
	Action string    `json:"action"` // create, update, close, reopen, comment
	Hash   string    `json:"hash"`   // of what the issue would show
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty"` // the process that began it
}

// PullRequest is a pull request that mentions the fix.
type PullRequest struct {
	Repository RepositoryID `json:"repository"`
	Number     int          `json:"number"`
	URL        string       `json:"url,omitempty"`
	State      string       `json:"state"` // open, closed, merged
	Title      string       `json:"title,omitempty"`
	Author     string       `json:"author,omitempty"`
	Commit     string       `json:"commit,omitempty"` // merge commit
	Issues     []int        `json:"issues,omitempty"` // numbers that it says it fixes
	UpdatedAt  time.Time    `json:"updatedAt,omitzero"`
}

// Entry is one line of a timeline.
type Entry struct {
	At    time.Time `json:"at"`
	Actor string    `json:"actor"` // throughline, a login
	What  string    `json:"what"`
	Why   string    `json:"why,omitempty"`
}
