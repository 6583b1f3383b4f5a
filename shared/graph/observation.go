package graph

import (
	"fmt"
	"slices"
	"time"
)

// Observation is a page of nouns as one source showed them at one time.
type Observation struct {
	Source          string           `json:"source"` // github-webhook, github, resource-graph, registry, catalogue, event
	ObservedAt      time.Time        `json:"observedAt"`
	Scope           *Scope           `json:"scope,omitempty"`
	Repositories    []Repository     `json:"repositories,omitempty"`
	Alerts          []Alert          `json:"alerts,omitempty"`
	Artifacts       []Artifact       `json:"artifacts,omitempty"`
	Evidence        []Evidence       `json:"evidence,omitempty"`
	Workloads       []Workload       `json:"workloads,omitempty"`
	RuntimeFindings []RuntimeFinding `json:"runtimeFindings,omitempty"`
	// Readings add risk factors to workloads that another row describes (attack paths, catalogue).
	Readings     []WorkloadReading `json:"readings,omitempty"`
	Issues       []Issue           `json:"issues,omitempty"`
	PullRequests []PullRequest     `json:"pullRequests,omitempty"`
	Commands     []Command         `json:"commands,omitempty"`
	// Absent are nouns that a scope did not contain although it was read to its end. Only then may they be retired.
	Absent []Absence `json:"absent,omitempty"`
	// Answered are digests about which the source has now said all that it knows, in this observation or before.
	Answered []Digest `json:"answered,omitempty"`
}

// Scope is the mark that a run of collect puts on what it saw.
type Scope struct {
	ID string `json:"id"` // source and scope of the collection
	// Run and StartedAt tell the run; what was observed after StartedAt must not be retired by it.
	Run       string    `json:"run"`
	StartedAt time.Time `json:"startedAt"`
	// Complete is set once every page was read without error.
	Complete bool `json:"complete,omitempty"`
	// Part numbers the messages of a run from 1; on the closing one it is how many there were before it.
	Part int `json:"part,omitempty"`
}

// WorkloadReading is a reading for the workload with that resource path, or for all workloads running a digest.
type WorkloadReading struct {
	Workload WorkloadID `json:"workload,omitempty"`
	// Resource is a lower-case resource path: it also counts for workloads inside it, when Inside is set.
	Resource string  `json:"resource,omitempty"`
	Inside   bool    `json:"inside,omitempty"`
	Digest   Digest  `json:"digest,omitempty"`
	Reading  Reading `json:"reading"`
}

// Absence names a noun that was not in a complete scope. Kind is the document kind of the noun.
type Absence struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// Len counts the nouns.
func (o Observation) Len() int {
	return len(o.Repositories) + len(o.Alerts) + len(o.Artifacts) + len(o.Evidence) + len(o.Workloads) +
		len(o.RuntimeFindings) + len(o.Readings) + len(o.Issues) + len(o.PullRequests) + len(o.Commands) + len(o.Absent) + len(o.Answered)
}

// Halves splits the nouns into two observations under the same mark.
func (o Observation) Halves() (Observation, Observation) {
	beside := o.beside()
	n := (o.Len() - len(beside)) / 2
	a, b := o, o
	if len(beside) > 0 {
		o.Repositories = slices.DeleteFunc(slices.Clone(o.Repositories), func(r Repository) bool { return slices.ContainsFunc(beside, r.is) })
	}
	a.Repositories, b.Repositories = cut(o.Repositories, &n)
	a.Alerts, b.Alerts = cut(o.Alerts, &n)
	a.Artifacts, b.Artifacts = cut(o.Artifacts, &n)
	a.Evidence, b.Evidence = cut(o.Evidence, &n)
	a.Workloads, b.Workloads = cut(o.Workloads, &n)
	a.RuntimeFindings, b.RuntimeFindings = cut(o.RuntimeFindings, &n)
	a.Readings, b.Readings = cut(o.Readings, &n)
	a.Issues, b.Issues = cut(o.Issues, &n)
	a.PullRequests, b.PullRequests = cut(o.PullRequests, &n)
	a.Commands, b.Commands = cut(o.Commands, &n)
	a.Absent, b.Absent = cut(o.Absent, &n)
	a.Answered, b.Answered = cut(o.Answered, &n)
	a.Repositories = append(slices.Clip(a.Repositories), a.named(beside)...)
	b.Repositories = append(slices.Clip(b.Repositories), b.named(beside)...)
	return a, b
}

// beside lists the repositories that the observation only mentions beside their alerts; they go wherever these go, since
// messages overtake each other. With a single alert there is nothing to divide.
func (o Observation) beside() []Repository {
	if len(o.Alerts) < 2 {
		return nil
	}
	return o.named(slices.DeleteFunc(slices.Clone(o.Repositories), func(r Repository) bool { return !r.Partial }))
}

// named lists those of the repositories that an alert belongs to.
func (o Observation) named(rs []Repository) []Repository {
	var out []Repository
	for _, r := range rs {
		if slices.ContainsFunc(o.Alerts, func(a Alert) bool { return a.Repository == r.ID }) {
			out = append(out, r)
		}
	}
	return out
}

func (r Repository) is(other Repository) bool { return r.ID == other.ID }

// cut puts the first *n items to the left and takes them off *n.
func cut[T any](items []T, n *int) (left, right []T) {
	k := min(*n, len(items))
	*n -= k
	return items[:k:k], items[k:]
}

// ByDigest splits what a source says of digests, and which of them it has answered, so that the last word on a digest goes
// with its evidence: messages overtake each other. It makes parts of about size nouns.
func (o Observation) ByDigest(size int) []Observation {
	said, seen := map[Digest][]Evidence{}, map[Digest][]Artifact{}
	for _, a := range o.Artifacts {
		d := a.Digest
		if len(a.Indexes) > 0 && !slices.Contains(o.Answered, d) {
			d = a.Indexes[0] // a manifest goes with its index
		}
		seen[d] = append(seen[d], a)
	}
	for _, e := range o.Evidence {
		said[e.Digest] = append(said[e.Digest], e)
	}
	rest := o
	rest.Evidence, rest.Artifacts, rest.Answered = nil, nil, nil
	parts := []Observation{rest}
	for _, d := range o.Answered {
		if parts[len(parts)-1].Len() >= size {
			next := Observation{Source: o.Source, ObservedAt: o.ObservedAt, Scope: o.Scope}
			parts = append(parts, next)
		}
		last := &parts[len(parts)-1]
		for _, a := range seen[d] {
			if last.Artifacts = append(last.Artifacts, a); a.Digest != d {
				last.Evidence = append(last.Evidence, said[a.Digest]...)
			}
		}
		last.Evidence, last.Answered = append(last.Evidence, said[d]...), append(last.Answered, d)
	}
	return parts
}

// Collection asks for one page of one source.
type Collection struct {
	Source string `json:"source"`           // a key of main's list of sources
	Scope  string `json:"scope"`            // org:<login>, alert:<id>, digest:<digest>, subscription:<id>, all
	Cursor string `json:"cursor,omitempty"` // opaque to everybody but the source; empty: the first page
	Run    string `json:"run,omitempty"`    // empty: a run of its own
	Page   int    `json:"page,omitempty"`
	Parts  int    `json:"parts,omitempty"` // messages that the pages before it were said in
	// StartedAt is when the run began.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Ticket tells two messages for the same page apart; a message keeps its own when it is sent again for later.
	Ticket string `json:"ticket,omitempty"`
	// Confirms is the run that missed what this one is to look for once more; empty: an ordinary run.
	Confirms string `json:"confirms,omitempty"`
}

// Collected is what a source gives for one Collection.
type Collected struct {
	Observation Observation
	// Next is the cursor of the next page; empty: this was the last.
	Next string
	// Follow are collections that this page calls for (one alert, one digest, each organisation).
	Follow []Collection
	// Seen are the nouns that the scope holds on this page, so that what is missing at the end can be retired.
	// Nil for a scope that never retires.
	Seen []Absence
	// Lagging are findings that what was read leaves to be decided again.
	Lagging []Lagging
	// Skipped counts facts that made no sense, by reason.
	Skipped map[string]int
}

// Lagging names findings of one repository that lag behind something that many findings rest on: a feed, the policy.
type Lagging struct {
	Repository RepositoryID
	Findings   []FindingID
}

// Limited tells that the other side wants to be left alone until a time. It is not a failure.
type Limited struct {
	Until time.Time
	Why   string
}

// Error says who is to wait and until when.
func (l *Limited) Error() string {
	return fmt.Sprintf("limited until %s: %s", l.Until.UTC().Format(time.RFC3339), l.Why)
}
