package graph

import (
	"slices"
	"time"
)

// Handover is a fix that a person gave to GitHub's coding agent.
type Handover struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
	// Begun is written before GitHub is asked, Done once GitHub took it.
	Begun time.Time `json:"begun,omitzero"`
	Done  time.Time `json:"done,omitzero"`
	// Refused tells why it was not handed over.
	Refused string `json:"refused,omitempty"`
}

// AgentState is how far a fix has come that was given to the coding agent.
type AgentState string

// The states; empty: it was not given to it.
const (
	AgentWaits    AgentState = "waits"
	AgentRefused  AgentState = "refused"
	AgentWorks    AgentState = "working"
	AgentSilent   AgentState = "silent"
	AgentPull     AgentState = "pull request"
	AgentMerged   AgentState = "merged"
	AgentGaveUp   AgentState = "given up"
	AgentVerified AgentState = "verified"
)

// agentPatience is how long the agent may take until its pull request is there: assignments are known to never start.
const agentPatience = 24 * time.Hour

// agents are the names under which the coding agent acts.
var agents = []string{"Copilot", "copilot-swe-agent", "copilot-swe-agent[bot]"}

// IsAgent tells whether a login is the coding agent's.
func IsAgent(login string) bool { return slices.Contains(agents, login) }

// Agent tells how far the coding agent has come, as far as that does not depend on the time.
func (m Remediation) Agent() AgentState {
	h := m.Handover
	switch {
	case h == nil:
		return ""
	case h.Refused != "":
		return AgentRefused
	case h.Done.IsZero():
		return AgentWaits
	}
	state := AgentWorks
	for _, p := range m.PullRequests {
		if !IsAgent(p.Author) {
			continue
		}
		switch {
		case p.State == "merged" && m.Status == StatusVerified:
			return AgentVerified
		case p.State == "merged":
			state = AgentMerged
		case p.State == "open" && state != AgentMerged:
			state = AgentPull
		case state == AgentWorks:
			state = AgentGaveUp
		}
	}
	return state
}

// Late is the state at a time: an agent that was given a fix long ago and has shown nothing is silent.
func (s AgentState) Late(since, now time.Time) AgentState {
	if s == AgentWorks && now.Sub(since) > agentPatience {
		return AgentSilent
	}
	return s
}

// AgentRecord counts the fixes that were given to the coding agent by what became of them.
type AgentRecord struct {
	Given    int                `json:"given"` // that GitHub took
	States   map[AgentState]int `json:"states"`
	Merged   int                `json:"merged"`   // verified ones, too
	Verified int                `json:"verified"` // proven to run
}

func (r *AgentRecord) add(s Summary, now time.Time) {
	state := s.Agent.Late(s.AgentAt, now)
	if state == "" {
		return
	}
	if r.States == nil {
		r.States = map[AgentState]int{}
	}
	r.States[state]++
	switch state {
	case AgentWaits, AgentRefused:
		return
	case AgentMerged:
		r.Merged++
	case AgentVerified:
		r.Merged++
		r.Verified++
	}
	r.Given++
}
