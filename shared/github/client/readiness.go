package client

import (
	"context"
	"fmt"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// need is a permission of the App: what it is called in GitHub's settings, at which level, and what for.
type need struct {
	key, name, level, use string
	writes                bool // needed only where the product may write
}

// needs is the table of permissions. The demo's stand-in and the README name the same.
var needs = []need{
	{"metadata", "Metadata", "read", "repositories and their names", false},
	{"security_events", "Code scanning alerts", "read", "code scanning alerts", false},
	{"vulnerability_alerts", "Dependabot alerts", "read", "Dependabot alerts", false},
	{"secret_scanning_alerts", "Secret scanning alerts", "read", "secret scanning alerts", false},
	{"attestations", "Attestations", "read", "verified mapping of images to repositories", false},
	{"contents", "Contents", "read", "CODEOWNERS, and the proof that a fix is in what runs", false},
	{"actions", "Actions", "read", "workflow runs as evidence of builds", false},
	{"packages", "Packages", "read", "package webhooks as evidence of builds", false},
	{"pull_requests", "Pull requests", "read", "fixes under way", false},
	{"members", "Members", "read", "members of owning teams", false},
	{"organization_custom_properties", "Custom properties", "read", "criticality and ownership that the organisation declares", false},
	{"issues", "Issues", "write", "opening and closing the issue of a fix", true},
}

// grant is an installation with what it was granted.
type grant struct {
	installation
	permissions map[string]string
	events      []string
	selection   string
	url         string
}

// Readiness tells which permissions each installation has. writes tells whether the product may write, events which
// webhooks it wants.
func (c *Client) Readiness(ctx context.Context, writes bool, events []string) ([]graph.Readiness, error) {
	grants, err := c.grants(ctx)
	if err != nil {
		return nil, err
	}
	if len(grants) == 0 {
		return []graph.Readiness{{Part: Source, Name: "Installation", State: graph.ReadyMissing, For: "everything on GitHub",
			Why: "the App is installed nowhere", Mend: "install the App on an organisation: " + strings.TrimSuffix(c.base.String(), "/") + " names it at /app"}}, nil
	}
	var out []graph.Readiness
	for _, g := range grants {
		out = append(out, g.readiness(writes, events)...)
	}
	return out, nil
}

func (g grant) readiness(writes bool, events []string) []graph.Readiness {
	login := g.account.Login
	reach := graph.Readiness{Part: Source, Account: login, Name: "Installation", State: graph.ReadyOK, For: "everything on GitHub"}
	switch {
	case g.suspended:
		reach.State, reach.Why, reach.Mend = graph.ReadyMissing, "the installation is suspended", "unsuspend it at "+g.url
		return []graph.Readiness{reach}
	case g.selection == "selected":
		reach.State, reach.Why, reach.Mend = graph.ReadyPartial, "only some repositories were chosen", "choose all repositories at "+g.url
	}
	out := []graph.Readiness{reach}
	for _, n := range needs {
		if n.key == "members" || n.key == "organization_custom_properties" {
			if g.account.Type == "User" {
				continue // a person has neither
			}
		}
		out = append(out, g.permission(n, writes))
	}
	return append(out, g.webhooks(events))
}

func (g grant) permission(n need, writes bool) graph.Readiness {
	r := graph.Readiness{Part: Source, Account: g.account.Login, Name: n.name, State: graph.ReadyOK, For: n.use}
	has := g.permissions[n.key]
	switch {
	case has == "write" || has == "admin" || has == n.level:
	case n.writes && !writes:
		r.State, r.Why, r.Mend = graph.ReadyOff, "nothing is written in MODE=observe", "grant it before MODE is approve or auto"
	case has == "":
		r.State, r.Why = graph.ReadyMissing, "the App was not granted it"
		r.Mend = fmt.Sprintf("give the App the permission %q (%s) and accept it at %s", n.name, n.level, g.url)
	default:
		r.State, r.Why = graph.ReadyPartial, "the App may only "+has
		r.Mend = fmt.Sprintf("raise the permission %q to %s and accept it at %s", n.name, n.level, g.url)
	}
	return r
}

// unlisted are events that every App gets, and those that GitHub's own description of the list does not know.
var unlisted = []string{"installation", "installation_repositories", "installation_target", "github_app_authorization", "ping", "meta", "dependabot_alert", "package"}

// webhooks tells which events the App does not subscribe to; what they would tell comes with the next reading only.
func (g grant) webhooks(wanted []string) graph.Readiness {
	r := graph.Readiness{Part: Source, Account: g.account.Login, Name: "Webhook events", State: graph.ReadyOK, For: "changes within seconds instead of minutes or hours"}
	have := map[string]bool{}
	for _, e := range unlisted {
		have[e] = true
	}
	for _, e := range g.events {
		have[e] = true
	}
	var lacking []string
	for _, e := range wanted {
		if !have[e] {
			lacking = append(lacking, e)
		}
	}
	switch {
	case len(lacking) == 0:
	case len(g.events) == 0:
		r.State, r.Why, r.Mend = graph.ReadyMissing, "the App subscribes to no event", "subscribe the App to "+strings.Join(lacking, ", ")
	default:
		r.State, r.Why, r.Mend = graph.ReadyPartial, "the App does not subscribe to "+strings.Join(lacking, ", "), "subscribe the App to these events"
	}
	return r
}

// grants lists the installations with their permissions.
func (c *Client) grants(ctx context.Context) ([]grant, error) {
	var all []grant
	for where := "app/installations?per_page=100"; where != ""; {
		got, err := c.read(ctx, c.app, "GET", where, nil)
		if err != nil {
			return nil, fmt.Errorf("list installations: %w", err)
		}
		err = walk(got, func(cur *scan.Cursor) {
			for cur.Array(); cur.Element(); {
				all = append(all, readGrant(cur))
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list installations: %w", err)
		}
		where = got.next
	}
	return all, nil
}

func readGrant(c *scan.Cursor) grant {
	g := grant{permissions: map[string]string{}}
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "permissions":
			for c.Object(); c.Field(); {
				key := string(c.Key())
				g.permissions[key] = c.String()
			}
		case "events":
			for c.Array(); c.Element(); {
				g.events = append(g.events, c.String())
			}
		case "repository_selection":
			g.selection = c.String()
		case "html_url":
			g.url = c.String()
		default:
			g.installation.read(c)
		}
	}
	return g
}
