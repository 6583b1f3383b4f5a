package github

import (
	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// readSecretScanning never reads the field "secret": GitHub puts the value there unless it is asked not to.
func readSecretScanning(c *scan.Cursor) Alert {
	s := &graph.Secret{}
	a := Alert{Alert: graph.Alert{Kind: graph.SecretScanning, Secret: s}}
	resolved := false
	for c.Object(); c.Field(); {
		switch key := string(c.Key()); key {
		case "state":
			resolved = resolved || c.String() == "resolved"
		case "resolution":
			s.Resolution = c.String()
		case "secret_type":
			s.Type = c.String()
		case "secret_type_display_name":
			s.TypeName = c.String()
		case "provider":
			s.Provider = c.String()
		case "validity":
			s.Validity = c.String()
		case "publicly_leaked":
			s.Leaked = c.Bool()
		case "multi_repo":
			s.MultiRepo = c.Bool()
		case "push_protection_bypassed":
			s.Bypassed = c.Bool()
		case "assigned_to":
			if login := ReadAccount(c).Login; login != "" {
				a.Assignees = []string{login}
			}
		default:
			a.lifetime(c, key)
		}
	}
	a.secretState(resolved)
	a.settle()
	return a
}

// secretState works out the state: the webhook's schema has none, so a resolution or its time must tell.
func (a *Alert) secretState(resolved bool) {
	if a.Title = a.Secret.TypeName; a.Title == "" {
		a.Title = a.Secret.Type
	}
	switch {
	case a.Secret.Resolution == "revoked":
		a.State = graph.Fixed
	case a.Secret.Resolution != "" || resolved || !a.ClosedAt.IsZero():
		a.State = graph.Dismissed
	default:
		a.State = graph.Open
	}
	a.Reason = a.Secret.Resolution
}
