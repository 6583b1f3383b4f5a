package github

import (
	"errors"
	"strings"
	"time"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// Repository is a repository as GitHub writes it, in full or in one of its short forms.
type Repository struct {
	ID            int64
	Owner         Account
	Name          string
	FullName      string
	Visibility    string
	DefaultBranch string
	URL           string
	Archived      bool
	Fork          bool
	IssuesOff     bool
	Topics        []string
	Properties    map[string]string
	UpdatedAt     time.Time
}

// ReadRepository reads a repository.
func ReadRepository(c *scan.Cursor) Repository {
	var r Repository
	private, known := false, false
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "id":
			r.ID = c.Int()
		case "name":
			r.Name = c.String()
		case "full_name":
			r.FullName = c.String()
		case "owner":
			r.Owner = ReadAccount(c)
		case "private":
			private, known = c.Bool(), true
		case "visibility":
			r.Visibility = c.String()
		case "default_branch":
			r.DefaultBranch = c.String()
		case "html_url":
			r.URL = c.String()
		case "archived":
			r.Archived = c.Bool()
		case "fork":
			r.Fork = c.Bool()
		case "has_issues":
			r.IssuesOff = !c.Bool()
		case "topics":
			for c.Array(); c.Element(); {
				r.Topics = add(r.Topics, c.String())
			}
		case "custom_properties":
			r.Properties = readProperties(c)
		case "updated_at":
			r.UpdatedAt = c.Time()
		}
	}
	r.settle(private, known)
	return r
}

// settle fills what the short forms leave out.
func (r *Repository) settle(private, known bool) {
	if owner, name, ok := strings.Cut(r.FullName, "/"); ok {
		if r.Owner.Login == "" {
			r.Owner.Login = owner
		}
		if r.Name == "" {
			r.Name = name
		}
	}
	if r.Visibility == "" && known {
		if r.Visibility = "public"; private {
			r.Visibility = "private"
		}
	}
}

// readProperties reads custom property values; several values of one property are joined by commas.
func readProperties(c *scan.Cursor) map[string]string {
	var all map[string]string
	for c.Object(); c.Field(); {
		key := string(c.Key())
		value := readValue(c)
		if value == "" {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return all
}

// readValue reads a string or an array of strings.
func readValue(c *scan.Cursor) string {
	if c.IsString() {
		return c.String()
	}
	var values []string
	for c.Array(); c.Element(); {
		values = append(values, c.String())
	}
	return strings.Join(values, ",")
}

// Identity is the repository's identity on a host; it is not Valid when GitHub named no repository.
func (r Repository) Identity(host string) graph.RepositoryID {
	return graph.NewRepositoryID(host, r.ID)
}

// Noun turns the repository into the graph's. The error says what is missing to identify it.
func (r Repository) Noun(host string, installation int64) (graph.Repository, error) {
	if r.ID < 1 {
		return graph.Repository{}, errors.New("repository without an id")
	}
	if r.Name == "" || r.Owner.Login == "" {
		return graph.Repository{}, errors.New("repository without a name")
	}
	noun := graph.Repository{
		ID: r.Identity(host), Owner: r.Owner.Login, Name: r.Name, Visibility: r.Visibility, DefaultBranch: r.DefaultBranch,
		URL: r.URL, Installation: installation, Archived: r.Archived, Fork: r.Fork, IssuesOff: r.IssuesOff,
		Topics: r.Topics, Properties: r.Properties, UpdatedAt: r.UpdatedAt,
	}
	if r.Owner.ID > 0 {
		noun.Org = graph.NewOrgID(host, r.Owner.ID)
	}
	return noun, nil
}
