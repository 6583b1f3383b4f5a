package github

import (
	"slices"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

func readDependabot(c *scan.Cursor) Alert {
	a := Alert{Alert: graph.Alert{Kind: graph.Dependabot, Dependency: &graph.Dependency{}}}
	for c.Object(); c.Field(); {
		switch key := string(c.Key()); key {
		case "state":
			a.dependabotState(c.String())
		case "dismissed_reason":
			if reason := c.String(); reason != "" {
				a.Reason = reason
			}
		case "dependency":
			readDependency(c, a.Dependency)
		case "security_advisory":
			a.advisory(c)
		case "security_vulnerability":
			a.vulnerability(c)
		default:
			a.lifetime(c, key)
		}
	}
	a.settle()
	return a
}

func (a *Alert) dependabotState(word string) {
	switch word {
	case "open":
		a.State = graph.Open
	case "fixed":
		a.State = graph.Fixed
	case "dismissed":
		a.State = graph.Dismissed
	case "auto_dismissed":
		a.State, a.Reason = graph.Dismissed, word
	}
}

// readDependency reads which dependency, in which manifest.
func readDependency(c *scan.Cursor, d *graph.Dependency) {
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "package":
			d.Ecosystem, d.Package = readPackage(c)
		case "manifest_path":
			d.Manifest = c.String()
		case "scope":
			d.Scope = c.String()
		case "relationship":
			d.Relationship = c.String()
		}
	}
}

func readPackage(c *scan.Cursor) (ecosystem, name string) {
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "ecosystem":
			ecosystem = c.String()
		case "name":
			name = c.String()
		}
	}
	return ecosystem, name
}

func (a *Alert) advisory(c *scan.Cursor) {
	d := a.Dependency
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "ghsa_id":
			d.GHSA = c.String()
		case "cve_id":
			d.CVEs = add(d.CVEs, c.String())
		case "identifiers":
			readIdentifiers(c, d)
		case "summary":
			a.Title = c.String()
		case "severity":
			if word := severity(c.String()); a.Severity == "" {
				a.Severity = word
			}
		case "cvss":
			d.CVSS = add(d.CVSS, c.StringField("vector_string"))
		case "cvss_severities":
			for c.Object(); c.Field(); {
				d.CVSS = add(d.CVSS, c.StringField("vector_string"))
			}
		case "epss":
			readEPSS(c, d)
		case "cwes":
			for c.Array(); c.Element(); {
				if n, ok := cwe(c.StringField("cwe_id")); ok && !slices.Contains(d.CWEs, n) {
					d.CWEs = append(d.CWEs, n)
				}
			}
		case "classification":
			d.Malware = c.String() == "malware"
		}
	}
	slices.Sort(d.CVEs)
	slices.Sort(d.CWEs)
}

func readIdentifiers(c *scan.Cursor, d *graph.Dependency) {
	for c.Array(); c.Element(); {
		var kind, value string
		for c.Object(); c.Field(); {
			switch string(c.Key()) {
			case "type":
				kind = c.String()
			case "value":
				value = c.String()
			}
		}
		if kind == "CVE" {
			d.CVEs = add(d.CVEs, value)
		}
	}
}

// readEPSS takes the object of the schema and the array of it that public examples show.
func readEPSS(c *scan.Cursor, d *graph.Dependency) {
	if c.IsObject() {
		readPercentage(c, d)
		return
	}
	for c.Array(); c.Element(); {
		readPercentage(c, d)
	}
}

func readPercentage(c *scan.Cursor, d *graph.Dependency) {
	for c.Object(); c.Field(); {
		if string(c.Key()) != "percentage" {
			continue
		}
		if p, ok := c.Float(); ok && p >= 0 && p <= 1 {
			d.EPSS = &p
		}
	}
}

// vulnerability reads the one of the advisory's vulnerabilities that applies: it knows better than the advisory.
func (a *Alert) vulnerability(c *scan.Cursor) {
	d := a.Dependency
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "package":
			if ecosystem, name := readPackage(c); d.Package == "" {
				d.Ecosystem, d.Package = ecosystem, name
			}
		case "severity":
			if word := severity(c.String()); word != "" {
				a.Severity = word
			}
		case "vulnerable_version_range":
			d.Vulnerable = c.String()
		case "first_patched_version":
			if c.IsString() {
				d.FixedIn = c.String()
			} else {
				d.FixedIn = c.StringField("identifier")
			}
		}
	}
}

// add appends a value that is neither empty nor there already.
func add(all []string, value string) []string {
	if value = strings.TrimSpace(value); value == "" || slices.Contains(all, value) {
		return all
	}
	return append(all, value)
}
