package graph

import (
	"strconv"
	"strings"
)

// FixKey names the fix of an alert: alerts with the same key in one repository are one remediation.
func (a Alert) FixKey() string {
	switch {
	case a.Dependency != nil:
		return "pkg:" + strings.ToLower(a.Dependency.Ecosystem) + "/" + a.Dependency.Package
	case a.Code != nil:
		return "rule:" + a.Code.Tool + "/" + a.Code.Rule
	default:
		return "secret:" + strconv.Itoa(a.Number)
	}
}

// FixKey names the fix of a runtime finding that no alert knows.
func (f RuntimeFinding) FixKey() string { return "image:" + strings.ToLower(f.Software) }

// CVEs lists the vulnerabilities of an alert; empty for code and secrets.
func (a Alert) CVEs() []string {
	if a.Dependency == nil {
		return nil
	}
	return a.Dependency.CVEs
}
