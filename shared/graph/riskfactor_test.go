package graph_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"throughline/shared/graph"
)

func TestParseRiskFactor(t *testing.T) {
	const ie, sd, cr, lm = graph.InternetExposed, graph.SensitiveData, graph.CriticalResource, graph.LateralMovement
	for raw, want := range map[string][]graph.Factor{
		"Exposure to the Internet": {ie}, "Internet Exposure": {ie}, "Internet exposure": {ie}, "exposedToInternet": {ie}, "internet-exposed": {ie}, "INTERNET_EXPOSED": {ie},
		"Public exposure": {ie}, "publicly reachable": nil, "exposed": nil, "public": nil,
		"Sensitive Data": {sd}, "containsSensitiveData": {sd}, "sensitive-data": {sd}, "Data sensitivity": {sd},
		"Critical Resource": {cr}, "Critical Resources": {cr}, "critical-resource": {cr}, "Business critical": {cr},
		"Critical severity": nil, "Critical vulnerability": nil, "criticality": nil,
		"Lateral Movement": {lm}, "lateral-movement": {lm}, "allowsLateralMovement": {lm}, "collateral": nil,
		"Internet exposure of a critical resource with sensitive data": {ie, sd, cr},
		"Not exposed to the internet":                                  nil, "no sensitive data": nil, "non-critical resource": nil, "notExposedToInternet": nil, "Nobody on the internet": {ie},
		"Weak authorization": nil, "": nil, " - ": nil,
	} {
		if got := graph.ParseRiskFactor(raw); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", raw, got, want)
		}
	}
}

func TestParseRiskFactorKnowsItsOwnWords(t *testing.T) {
	for _, f := range graph.Factors {
		if got := graph.ParseRiskFactor(string(f)); !slices.Equal(got, []graph.Factor{f}) {
			t.Errorf("%s: %v", f, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.String().Draw(t, "raw")
		if got := graph.ParseRiskFactor("not " + raw); got != nil {
			t.Fatalf("a denial of %q gives %v", raw, got)
		}
		got := graph.ParseRiskFactor(raw)
		if len(got) > len(graph.Factors) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
			t.Fatalf("%q gives %v", raw, got)
		}
	})
}

func FuzzParseRiskFactor(f *testing.F) {
	f.Add("Exposure to the Internet")
	f.Add("containsSensitiveData")
	f.Add("\xff\xfe Critical")
	f.Fuzz(func(t *testing.T, raw string) {
		for _, factor := range graph.ParseRiskFactor(raw) {
			if !slices.Contains(graph.Factors[:], factor) {
				t.Errorf("%q gives %q", raw, factor)
			}
		}
	})
}
