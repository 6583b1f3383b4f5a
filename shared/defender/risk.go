package defender

import (
	"encoding/json"
	"strings"
	"time"

	"throughline/shared/graph"
)

// risk is what Defender says of the place that a finding runs in.
type risk struct {
	Level                 text                  `json:"level"`
	RiskFactors           texts                 `json:"riskFactors"`
	AttackPathsReferences texts                 `json:"attackPathsReferences"`
	IsContextualRisk      flag                  `json:"isContextualRisk"`
	Paths                 embedded[[]pathGraph] `json:"paths"`
}

type pathGraph struct {
	ID    json.RawMessage `json:"id"`
	Nodes embedded[[]struct {
		ID                  json.RawMessage `json:"id"`
		NodePropertiesLabel json.RawMessage `json:"nodePropertiesLabel"`
	}] `json:"nodes"`
	Edges json.RawMessage `json:"edges"`
}

// named is where a factor is named, and in which words.
type named struct{ raw, path string }

// verdict joins the risks of several rows about one resource.
type verdict struct {
	yes        map[graph.Factor]named
	contextual string // path of a row whose risk comes from the running system; empty: none
}

// hear adds the risk of one row. Words that name no factor are counted.
func (v *verdict) hear(r *reading, s *seenRow) {
	if v.yes == nil {
		v.yes = map[graph.Factor]named{}
	}
	path := "assessments/" + s.Name.String()
	for _, raw := range s.risk.RiskFactors {
		factors := graph.ParseRiskFactor(raw)
		if len(factors) == 0 {
			r.skipped.note("factor not understood: " + raw)
		}
		for _, f := range factors {
			if _, known := v.yes[f]; !known {
				v.yes[f] = named{raw, path}
			}
		}
	}
	if s.risk.IsContextualRisk.yes {
		v.contextual = path
	}
}

// readings gives the container's risk factors: a named factor is yes; one that is not named is unknown, unless the risk
// comes from the running system, which then says no under a source of its own. A container without any risk says nothing.
func (c *sighting) readings(at time.Time) []graph.Reading {
	if !c.rated {
		return nil
	}
	var out []graph.Reading
	for _, f := range graph.Factors {
		if n, ok := c.verdict.yes[f]; ok {
			out = append(out, graph.Reading{Factor: f, Source: "mdc", Says: graph.Yes, Raw: n.raw, Path: n.path, ReadAt: at, YesAt: at})
			continue
		}
		out = append(out, graph.Reading{Factor: f, Source: "mdc", Says: graph.Unknown, ReadAt: at})
		if c.verdict.contextual != "" {
			out = append(out, graph.Reading{Factor: f, Source: "mdc-contextual", Says: graph.No, Raw: "not named", Path: c.verdict.contextual, ReadAt: at})
		}
	}
	return append(out, c.paths.readings(at)...)
}

// images gives the factors that rows about an image name to the workloads that run it. Such a row never says no.
func (r *reading) images(seen []*seenRow) {
	byDigest := map[graph.Digest]*verdict{}
	var order []graph.Digest
	for _, s := range seen {
		if !s.isImage() || s.finding.State != graph.Open || !s.rated {
			continue
		}
		d := s.finding.Digest
		if byDigest[d] == nil {
			byDigest[d], order = &verdict{}, append(order, d)
		}
		byDigest[d].hear(r, s)
	}
	for _, d := range order {
		for _, f := range graph.Factors {
			if n, ok := byDigest[d].yes[f]; ok {
				r.say(graph.WorkloadReading{Digest: d, Reading: graph.Reading{Factor: f, Source: "mdc-image", Says: graph.Yes, Raw: n.raw, Path: n.path, ReadAt: r.at, YesAt: r.at}})
			}
		}
	}
}

// say adds a reading for workloads that another row describes, and notes that the scope holds it: one that a complete
// scope no longer holds has ended.
func (r *reading) say(w graph.WorkloadReading) {
	r.out.Observation.Readings = append(r.out.Observation.Readings, w)
	address := w.Resource
	if address == "" {
		address = string(w.Digest)
	}
	r.see(graph.KindReading, strings.Join([]string{w.Reading.Source, string(w.Reading.Factor), address}, "|"))
}
