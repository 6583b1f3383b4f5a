package defender

import (
	"maps"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// tagReadings reads the risk factors that people put on resources as tags: a tag named after a factor with a yes or a no
// (sensitive-data: true), a list (runtime-risks: internet-exposed;critical-resource), and the two tags that Microsoft's
// Cloud Adoption Framework recommends, criticality and data classification.
func (r *reading) tagReadings(base row) []graph.Reading {
	answers := map[graph.Factor]graph.Reading{}
	say := func(f graph.Factor, a graph.Answer, key, value string) {
		if old := answers[f]; old.Says == graph.Yes || a == graph.Unknown {
			return
		}
		reading := graph.Reading{Factor: f, Source: "tag", Says: a, Raw: key + ": " + value, Path: base.ID.String(), ReadAt: r.at}
		if a == graph.Yes {
			reading.YesAt = r.at
		}
		answers[f] = reading
	}
	for _, key := range slices.Sorted(maps.Keys(base.Tags)) {
		value := base.Tags[key].String()
		switch plain(key) {
		case "runtimerisks":
			for _, risk := range strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ';' }) {
				for _, f := range graph.ParseRiskFactor(risk) {
					say(f, graph.Yes, key, value)
				}
			}
		case "criticality", "businesscriticality":
			say(graph.CriticalResource, criticality(value), key, value)
		case "dataclassification", "datasensitivity":
			say(graph.SensitiveData, sensitivity(value), key, value)
		default:
			for _, f := range graph.ParseRiskFactor(key) {
				say(f, yesOrNo(value), key, value)
			}
		}
	}
	var out []graph.Reading
	for _, f := range graph.Factors {
		if reading, ok := answers[f]; ok {
			out = append(out, reading)
		}
	}
	return out
}

// clusterTags gives the tags of a cluster to everything inside it.
func (r *reading) clusterTags(base row) {
	for _, reading := range r.tagReadings(base) {
		r.say(graph.WorkloadReading{Resource: strings.ToLower(base.ID.String()), Inside: true, Reading: reading})
	}
}

// plain is a key in lower case without punctuation.
func plain(key string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, strings.ToLower(key))
}

func yesOrNo(value string) graph.Answer {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "yes", "1", "on":
		return graph.Yes
	case "false", "no", "0", "off":
		return graph.No
	}
	return graph.Unknown
}

// criticality reads the levels of the Cloud Adoption Framework and of Defender's critical assets.
func criticality(value string) graph.Answer {
	value = plain(value)
	switch {
	case strings.Contains(value, "critical") && !strings.HasPrefix(value, "non"), value == "high", value == "veryhigh":
		return graph.Yes
	case slices.Contains([]string{"medium", "low", "none", "noncritical"}, value):
		return graph.No
	}
	return graph.Unknown
}

func sensitivity(value string) graph.Answer {
	value = plain(value)
	switch {
	case strings.Contains(value, "confidential") || slices.Contains([]string{"restricted", "sensitive", "secret", "pii", "phi", "pci"}, value):
		return graph.Yes
	case slices.Contains([]string{"public", "general", "nonbusiness", "unclassified"}, value):
		return graph.No
	}
	return graph.Unknown
}

func tagMap(tags map[string]text) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	out := make(map[string]string, len(tags))
	for k, v := range tags {
		out[k] = v.String()
	}
	return out
}

func tagOwner(tags map[string]text) string {
	for _, want := range []string{"owner", "serviceowner", "team"} {
		for _, k := range slices.Sorted(maps.Keys(tags)) {
			if plain(k) == want && tags[k] != "" {
				return tags[k].String()
			}
		}
	}
	return ""
}
