package graph

import (
	"slices"
	"time"
)

// Command is what a person wrote to us on an issue: the first line of a comment that begins with CommandPrefix. The text
// is anybody's; whether its writer may give orders is for assign to ask.
type Command struct {
	Repository RepositoryID `json:"repository"`
	Issue      int          `json:"issue"`
	Comment    int64        `json:"comment"` // GitHub's id, which grows
	Actor      string       `json:"actor"`   // login
	Text       string       `json:"text"`
	At         time.Time    `json:"at"`
	// Answer is what came of it, once somebody looked; Said is set when the answer needs no more saying.
	Answer string `json:"answer,omitempty"`
	Said   bool   `json:"said,omitempty"`
}

// CommandPrefix begins a comment that is meant for us.
const CommandPrefix = "/throughline"

// MaxCommand bounds the text of a command, in bytes.
const MaxCommand = 1 << 10

// maxCommands is how many commands a remediation remembers; the newest stay.
const maxCommands = 20

// Command takes a command in, once; false when it is known, or older than all that are remembered.
func (m *Remediation) Command(c Command) bool {
	full := len(m.Commands) >= maxCommands
	if slices.ContainsFunc(m.Commands, func(have Command) bool { return have.Comment == c.Comment }) || full && c.Comment < m.Commands[0].Comment {
		return false
	}
	if full {
		m.Commands = m.Commands[1:]
	}
	m.Commands = append(slices.Clone(m.Commands), c)
	slices.SortFunc(m.Commands, func(a, b Command) int { return int(min(max(a.Comment-b.Comment, -1), 1)) })
	return true
}

// Ordered tells whether a command waits for an answer.
func (m Remediation) Ordered() bool {
	return slices.ContainsFunc(m.Commands, func(c Command) bool { return !c.Said })
}
