package graph

import (
	"encoding/json"
	"time"
)

// Finding is an alert or a runtime finding with its decision. Exactly one of Alert and Runtime is set.
type Finding struct {
	ID          FindingID       `json:"id"`
	Repository  RepositoryID    `json:"repository,omitempty"` // empty: a runtime finding that maps to no repository
	Kind        AlertKind       `json:"kind"`
	State       AlertState      `json:"state"`
	Alert       *Alert          `json:"alert,omitempty"`
	Runtime     *RuntimeFinding `json:"runtime,omitempty"`
	FixKey      string          `json:"fixKey"`
	Remediation RemediationID   `json:"remediation,omitempty"`
	// CVEs are the vulnerabilities it is about, so that a feed change finds it.
	CVEs []string `json:"cves,omitempty"`
	// Matches are runtime findings about the same flaw in a running image: the alert is known to run.
	Matches []RuntimeMatch `json:"matches,omitempty"`
	// Known are, for a runtime finding, the alerts that know all of its vulnerabilities: it then needs no issue of its own.
	Known    []FindingID `json:"known,omitempty"`
	Decision *Decision   `json:"decision,omitempty"`
	// Acceptance is the last one that a person gave, whether or not it still holds.
	Acceptance *Acceptance `json:"acceptance,omitempty"`
	// Based is what prioritize last looked at, whether or not there was something to decide.
	Based     Basis     `json:"based,omitzero"`
	FirstSeen time.Time `json:"firstSeen,omitzero"`
	// Revision grows with every write, so that of two lines of the worklist the newer is known. That of a runtime finding
	// begins with the time, in milliseconds, at which it came to its repository, and so grows over a move, too.
	Revision int64 `json:"revision,omitempty"`
}

func (f *Finding) revise() { f.Revision++ }

// Subject is the version of what the finding is about: the alert or the runtime finding, without ties.
func (f Finding) Subject() string {
	alert, runtime := f.Alert, f.Runtime
	if runtime != nil {
		bare := *runtime
		bare.Ties = Ties{}
		runtime = &bare
	}
	return Version(alert, runtime)
}

// Lags tells whether the alert or runtime finding changed since prioritize last looked.
func (f Finding) Lags() bool { return f.Based.Subject != f.Subject() }

// RuntimeMatch ties an alert to a runtime finding about the same vulnerability.
type RuntimeMatch struct {
	ID         FindingID  `json:"id"`
	Digest     Digest     `json:"digest,omitempty"`
	Workload   WorkloadID `json:"workload,omitempty"`
	CVEs       []string   `json:"cves"`
	ExploitKit bool       `json:"exploitKit,omitempty"`
	Verified   bool       `json:"verified,omitempty"`
	Severity   string     `json:"severity,omitempty"`
}

// Basis is what a decision was based on; a finding lags when it differs from what stands now.
type Basis struct {
	Subject  string `json:"subject"`          // Finding.Subject
	Joined   string `json:"joined,omitempty"` // what the matches and the alerts that know it said
	Exposure string `json:"exposure"`         // Exposure.Version
	Number   int64  `json:"number,omitempty"` // Exposure.Number
	Policy   string `json:"policy"`           // policy hash
	Feeds    string `json:"feeds,omitempty"`  // what the feeds say of its vulnerabilities
	Stated   string `json:"stated,omitempty"` // what VEX documents say of its vulnerabilities
	Accepted string `json:"accepted,omitempty"`
}

// Decision is the most urgent decision over the finding's workloads, with all of them kept.
type Decision struct {
	Version   string    `json:"version"` // hash of what it says, not of when: equal decisions have equal versions
	Tier      Tier      `json:"tier"`    // computed
	Published Tier      `json:"published"`
	Rule      string    `json:"rule"`
	Score     int       `json:"score"`
	Due       string    `json:"due"` // 3d, 14d+triage, upgrade, none
	DueAt     time.Time `json:"dueAt,omitzero"`
	Triage    bool      `json:"triage,omitempty"`
	// Wants tells that the policy asks for an issue. Cause is what made it so when that is no news of the finding's own: a
	// new policy, a revision of the feeds, evidence gone stale. The guard counts by it.
	Wants bool   `json:"wants,omitempty"`
	Cause string `json:"cause,omitempty"`
	// Images are the running ones that hold what is due with the next upgrade; Missed tells that one of them was deployed
	// since it is due so, and still holds it.
	Images []Digest `json:"images,omitempty"`
	Missed bool     `json:"missed,omitempty"`
	// Provisional decisions were made before the first inventory was complete; they leave no history.
	Provisional bool   `json:"provisional,omitempty"`
	Running     Answer `json:"running"`
	// Workloads has one entry for each workload, most urgent first; Explanation of each is in the form of the public rule.
	Workloads []WorkloadDecision `json:"workloads"`
	History   []TierSpan         `json:"history,omitempty"`
	// Reached notes when the published tier first was that urgent in this episode: due dates count from it.
	Reached   map[Tier]time.Time `json:"reached,omitempty"`
	Based     Basis              `json:"based"`
	DecidedAt time.Time          `json:"decidedAt"`
	// Since is when it was first decided like this; DecidedAt moves when other facts give the same answer.
	Since time.Time `json:"since,omitzero"`
	// Past are the Since of the decisions before it that are kept as records, oldest first.
	Past []time.Time `json:"past,omitempty"`
	// Revisit is when a hold or an acceptance ends, Expires when evidence becomes too old: decide again then.
	Revisit time.Time `json:"revisit,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	// Link and After bind it into the decision log; see Chained.
	Link  string `json:"link,omitempty"`
	After string `json:"after,omitempty"`
}

// Aged tells whether time alone may have changed the decision.
func (d *Decision) Aged(now time.Time) bool {
	if d == nil {
		return false
	}
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	return past(d.Revisit) || past(d.Expires)
}

// WorkloadDecision is the decision for one workload; Workload is empty when none is known.
type WorkloadDecision struct {
	Workload    WorkloadID      `json:"workload,omitempty"`
	Name        string          `json:"name,omitempty"`
	Tier        Tier            `json:"tier"`
	Rule        string          `json:"rule"`
	Score       int             `json:"score"`
	Due         string          `json:"due"`
	Factors     []Factor        `json:"factors,omitempty"` // those that are yes
	Explanation json.RawMessage `json:"explanation,omitempty"`
}

// TierSpan is one change of the computed tier, for stability and replay.
type TierSpan struct {
	At     time.Time `json:"at"`
	Tier   Tier      `json:"tier"`
	Cause  string    `json:"cause,omitempty"` // computed, r0, fixed, released
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Summary is one finding as the ordered lists show it, kept in the worklist.
type Summary struct {
	ID           FindingID     `json:"id"`
	Org          OrgID         `json:"org"`
	Repository   RepositoryID  `json:"repository,omitempty"`
	FullName     string        `json:"fullName,omitempty"`
	Kind         AlertKind     `json:"kind"`
	State        AlertState    `json:"state"`
	Title        string        `json:"title"`
	Severity     string        `json:"severity,omitempty"`
	URL          string        `json:"url,omitempty"`
	Rank         string        `json:"rank"` // sorts by tier, score, due, first seen, id; unique
	Tier         Tier          `json:"tier"`
	Rule         string        `json:"rule"`
	Score        int           `json:"score"`
	Due          string        `json:"due"`
	DueAt        time.Time     `json:"dueAt,omitzero"`
	Held         bool          `json:"held,omitempty"` // the tier has dropped and shows later: it is not counted overdue
	Running      Answer        `json:"running"`
	Unmapped     bool          `json:"unmapped"`
	Risks        []Factor      `json:"risks,omitempty"`
	Artifacts    []string      `json:"artifacts,omitempty"` // names, at most three
	Workloads    []string      `json:"workloads,omitempty"` // names, at most three
	WorkloadsAll int           `json:"workloadsAll"`
	CVEs         []string      `json:"cves,omitempty"`
	Remediation  RemediationID `json:"remediation,omitempty"`
	Issue        int           `json:"issue,omitempty"`
	IssueURL     string        `json:"issueUrl,omitempty"`
	IssueState   string        `json:"issueState,omitempty"`
	Status       string        `json:"status,omitempty"`
	Assignees    []string      `json:"assignees,omitempty"`
	FirstSeen    time.Time     `json:"firstSeen,omitzero"`
	// ByDue and ByAge sort by due date and by first detection, and then like Rank; unique.
	ByDue string `json:"byDue,omitempty"`
	ByAge string `json:"byAge,omitempty"`
	// Closed is when the source closed the finding; Verified since when nothing ran without its fix, once that is proven.
	Closed   time.Time `json:"closed,omitzero"`
	Verified time.Time `json:"verified,omitzero"`
	// Rolled of RollsOut workloads run the fix.
	Rolled   int `json:"rolled,omitempty"`
	RollsOut int `json:"rollsOut,omitempty"`
	// Known marks a runtime finding whose vulnerabilities alerts know already.
	Known bool `json:"known,omitempty"`
	// Decided is the version of the decision that it shows.
	Decided string `json:"decided"`
	// Agent tells how far the coding agent has come that the fix was given to at AgentAt.
	Agent   AgentState `json:"agent,omitempty"`
	AgentAt time.Time  `json:"agentAt,omitzero"`
	// Revision and Handled are the revisions of the finding and of the remediation that it shows.
	Revision int64 `json:"revision,omitempty"`
	Handled  int64 `json:"handled,omitempty"`
	// Link and DecidedAt are those of the decision, ClosedAt is when the fix was closed; Logged is the later of both times,
	// as text that sorts, for the decision log.
	Link      string    `json:"link,omitempty"`
	DecidedAt time.Time `json:"decidedAt,omitzero"`
	ClosedAt  time.Time `json:"closedAt,omitzero"`
	Logged    string    `json:"logged,omitempty"`
}
