package github

import (
	"slices"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

func readCodeScanning(c *scan.Cursor) Alert {
	a := Alert{Alert: graph.Alert{Kind: graph.CodeScanning, Code: &graph.Code{}}}
	instance := instance{}
	for c.Object(); c.Field(); {
		switch key := string(c.Key()); key {
		case "state":
			a.State = codeState(c.String())
		case "dismissed_reason":
			a.Reason = c.String()
		case "rule":
			a.rule(c)
		case "tool":
			a.Code.Tool = c.StringField("name")
		case "most_recent_instance":
			instance = readInstance(c)
		case "instances": // older GitHub Enterprise Server
			for c.Array(); c.Element(); {
				instance = readInstance(c)
			}
		default:
			a.lifetime(c, key)
		}
	}
	instance.into(&a)
	a.settle()
	return a
}

// codeState is empty when GitHub leaves the state out.
func codeState(word string) graph.AlertState {
	switch word {
	case "open":
		return graph.Open
	case "fixed", "closed":
		return graph.Fixed
	case "dismissed":
		return graph.Dismissed
	}
	return ""
}

func (a *Alert) rule(c *scan.Cursor) {
	var name string
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "id":
			a.Code.Rule = c.String()
		case "name":
			name = c.String()
		case "severity":
			a.Code.Level = c.String()
		case "security_severity_level":
			a.Code.SecurityLevel = severity(c.String())
			a.Severity = a.Code.SecurityLevel
		case "description":
			a.Title = c.String()
		case "tags":
			a.Code.Tags, a.Code.CWEs = readTags(c)
		}
	}
	if a.Code.Rule == "" {
		a.Code.Rule = name
	}
	if a.Title == "" {
		a.Title = a.Code.Rule
	}
}

func readTags(c *scan.Cursor) (tags []string, cwes []int) {
	for c.Array(); c.Element(); {
		tag := c.String()
		if tag == "" {
			continue
		}
		tags = append(tags, tag)
		if n, ok := cwe(tag); ok && !slices.Contains(cwes, n) {
			cwes = append(cwes, n)
		}
	}
	slices.Sort(cwes)
	return tags, cwes
}

// instance is one place where a code scanning alert was found.
type instance struct {
	ref, commit, message, path string
	line                       int
	state                      graph.AlertState
}

func readInstance(c *scan.Cursor) instance {
	var in instance
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "ref":
			in.ref = c.String()
		case "commit_sha":
			in.commit = c.String()
		case "state":
			in.state = codeState(c.String())
		case "message":
			in.message = c.StringField("text")
		case "location":
			for c.Object(); c.Field(); {
				switch string(c.Key()) {
				case "path":
					in.path = c.String()
				case "start_line":
					in.line = int(c.Int())
				}
			}
		}
	}
	return in
}

func (in instance) into(a *Alert) {
	a.Code.Ref, a.Code.Commit, a.Code.Message = in.ref, in.commit, in.message
	a.Code.Path, a.Code.Line = in.path, in.line
	if a.State == "" {
		a.State = in.state
	}
}
