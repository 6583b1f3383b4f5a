package event

import (
	"crypto/sha256"
	"encoding/hex"

	"throughline/shared/graph"
)

// Type is the CloudEvents type of a message.
type Type string

// The types. Their payloads: Observed graph.Observation, Correlated Lag, Prioritized Due, Collect graph.Collection.
const (
	Observed    Type = "io.throughline.observed.v1"
	Correlated  Type = "io.throughline.correlated.v1"
	Prioritized Type = "io.throughline.prioritized.v1"
	Collect     Type = "io.throughline.collect.v1"
)

// Route is one row of the contract.
type Route struct {
	Type     Type
	SaidBy   []string
	HeardBy  string // the function, and the queue of the same name
	Sessions bool
}

// Routes lists every event type with those who say and hear it.
var Routes = [...]Route{
	{Observed, []string{"ingest", "collect", "resync"}, "correlate", false},
	{Correlated, []string{"correlate", "prioritize", "assign", "collect", "resync", "api"}, "prioritize", false},
	{Prioritized, []string{"prioritize", "assign", "api"}, "assign", true},
	{Collect, []string{"resync", "ingest", "correlate", "api", "collect"}, "collect", true},
}

// RouteOf finds the row of a type.
func RouteOf(t Type) (Route, bool) {
	for _, r := range Routes {
		if r.Type == t {
			return r, true
		}
	}
	return Route{}, false
}

// Lag is what correlate says: these findings of the repository lag behind the graph, or its exposure changed and every
// finding must be looked at. A Cursor continues a long list of findings.
type Lag struct {
	Repository graph.RepositoryID `json:"repository"`
	Findings   []graph.FindingID  `json:"findings,omitempty"`
	Exposure   bool               `json:"exposure,omitempty"`
	// Remediations lost a finding to another repository, or somebody did something to their issue or pull request.
	Remediations []graph.RemediationID `json:"remediations,omitempty"`
	Cursor       string                `json:"cursor,omitempty"`
	// Feeds tells that a public feed has changed: look at the editions in force before deciding.
	Feeds bool `json:"feeds,omitempty"`
	// Version is the exposure that a walk over the findings began with.
	Version string `json:"version,omitempty"`
	// Moved tells that Exposure stands for a change of it: once its findings were looked at, nobody need look again.
	Moved bool `json:"moved,omitempty"`
	// Others are lags of other repositories that were found together with this one.
	Others []Lag `json:"others,omitempty"`
}

// Each lists the lag and the others that came with it.
func (l Lag) Each() []Lag {
	all := append([]Lag{l}, l.Others...)
	all[0].Others = nil
	return all
}

// Due is what prioritize says: the remediation lags behind the decisions of its findings, or behind its issue.
type Due struct {
	Repository  graph.RepositoryID  `json:"repository"`
	Remediation graph.RemediationID `json:"remediation"`
	Version     string              `json:"version"`
}

// maxSession is the longest session id that Service Bus takes.
const maxSession = 128

// NewLag makes a Correlated event.
func NewLag(source string, l Lag) (Event, error) {
	return New(Correlated, source, string(l.Repository), l)
}

// NewDue makes a Prioritized event; its session is the repository, so that one hand at a time is on its issues.
func NewDue(source string, d Due) (Event, error) {
	e, err := New(Prioritized, source, string(d.Remediation), d)
	e.Session = string(d.Repository)
	return e, err
}

// NewCollect makes a Collect event; its session is the source and scope, so that each has one cursor at a time.
func NewCollect(source string, c graph.Collection) (Event, error) {
	scope := c.Source + " " + c.Scope
	e, err := New(Collect, source, scope, c)
	e.Session = sessionOf(scope)
	return e, err
}

func sessionOf(scope string) string {
	if len(scope) <= maxSession {
		return scope
	}
	sum := sha256.Sum256([]byte(scope))
	return hex.EncodeToString(sum[:])
}
