package graph

import (
	"strings"
	"time"
)

// Repository is a GitHub repository. Its name, visibility and owner are attributes that change; its ID does not.
type Repository struct {
	ID            RepositoryID      `json:"id"`
	Org           OrgID             `json:"org"`
	Owner         string            `json:"owner"` // login of the organisation or user
	Name          string            `json:"name"`
	Visibility    string            `json:"visibility,omitempty"` // public, internal, private
	DefaultBranch string            `json:"defaultBranch,omitempty"`
	URL           string            `json:"url,omitempty"`
	Installation  int64             `json:"installation,omitempty"` // the GitHub App installation that reaches it
	Archived      bool              `json:"archived,omitempty"`
	Fork          bool              `json:"fork,omitempty"`
	IssuesOff     bool              `json:"issuesOff,omitempty"`
	Deleted       bool              `json:"deleted,omitempty"` // deleted, or out of the App's reach
	Topics        []string          `json:"topics,omitempty"`
	Properties    map[string]string `json:"properties,omitempty"`
	// Partial marks what a webhook tells besides its subject (id and name only); it never overwrites a full reading.
	Partial   bool      `json:"partial,omitempty"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
	Ties
}

// FullName is owner/name as GitHub writes it.
func (r Repository) FullName() string { return r.Owner + "/" + r.Name }

// Is tells whether full is this repository's owner/name, in any case.
func (r Repository) Is(full string) bool { return strings.EqualFold(r.FullName(), full) }

// Public tells whether everybody can read the repository. What is not known counts as public.
func (r Repository) Public() bool { return r.Visibility != "private" && r.Visibility != "internal" }
