// Package github reads alerts, repositories, issues and pull requests as GitHub writes them, in webhooks and in REST
// answers alike, and turns them into the nouns of the graph.
//
// The one idea: a webhook and an API answer of the same fact must give the same noun, so both go through the same
// reader. Readers take what they know, skip what they do not, and never read the value of a secret. Package webhook
// verifies and decodes deliveries, package client asks the API.
package github

import (
	"net/url"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// Host is the key of github.com in the identities of its repositories.
const Host = "github"

// HostKey gives the key of a GitHub host from the base URL of its API: "github" for github.com, and the lower-case host
// name with underscores for dots for GitHub Enterprise, for example ghe_example_com. An empty URL is github.com.
func HostKey(apiURL string) string {
	u, err := url.Parse(apiURL)
	if err != nil || u.Hostname() == "" {
		return Host
	}
	name := strings.ToLower(u.Hostname())
	if name == "api.github.com" || name == "github.com" {
		return Host
	}
	name = strings.TrimPrefix(name, "api.")
	return strings.NewReplacer(".", "_", ":", "_").Replace(name)
}

// Kind is one row of the table of alert kinds.
type Kind struct {
	Kind graph.AlertKind
	// Event is the name of its webhook, List the part of the REST path that lists its alerts.
	Event, List string
	// Read reads one alert. Its identity and repository are still empty; see Alert.In.
	Read func(*scan.Cursor) Alert
}

// Kinds is the table of alert kinds.
var Kinds = [...]Kind{
	{graph.CodeScanning, "code_scanning_alert", "code-scanning", readCodeScanning},
	{graph.Dependabot, "dependabot_alert", "dependabot", readDependabot},
	{graph.SecretScanning, "secret_scanning_alert", "secret-scanning", readSecretScanning},
}

// KindOf finds the row of an alert kind.
func KindOf(k graph.AlertKind) (Kind, bool) {
	for _, row := range Kinds {
		if row.Kind == k {
			return row, true
		}
	}
	return Kind{}, false
}
