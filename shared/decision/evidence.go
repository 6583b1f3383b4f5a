package decision

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"throughline/shared/graph"
)

const day = 24 * time.Hour

// Combine is the evidence rule for one factor of one workload: one yes is enough; else one no from a source whose no
// counts; else unknown. Readings of other factors are passed over and their order does not matter.
func Combine(readings []graph.Reading, f graph.Factor, now time.Time, p *Policy) Fact {
	var own []graph.Reading
	for _, r := range readings {
		if r.Factor == f {
			own = append(own, r)
		}
	}
	slices.SortFunc(own, newestFirst)
	for _, wanted := range []graph.Answer{graph.Yes, graph.No} {
		for i := range own {
			r := &own[i]
			counts := wanted == graph.Yes || slices.Contains(p.NoFrom, r.Source)
			if counts && Says(*r, now, p) == wanted {
				return evidence(wanted, r)
			}
		}
	}
	if len(own) == 0 {
		return Fact{Value: string(graph.Unknown)}
	}
	return evidence(graph.Unknown, &own[0])
}

// Says is what one source says under the evidence rule: yes if it said yes at or after its last complete read less the
// window; no if that read is no older than the window and says no; else unknown. So a stale yes stays, a stale no
// expires, and a failed or partial read, which leaves the reading as it was, changes nothing.
func Says(r graph.Reading, now time.Time, p *Policy) graph.Answer {
	window := time.Duration(p.Windows.FactorDays) * day
	yes := lastYes(r)
	switch {
	case !yes.IsZero() && !yes.Before(r.ReadAt.Add(-window)):
		return graph.Yes
	case r.Says == graph.No && !r.ReadAt.IsZero() && now.Sub(r.ReadAt) <= window:
		return graph.No
	}
	return graph.Unknown
}

func lastYes(r graph.Reading) time.Time {
	if r.Says == graph.Yes && r.YesAt.Before(r.ReadAt) {
		return r.ReadAt
	}
	return r.YesAt
}

// newestFirst puts the freshest evidence first and settles equals by name, so that order never decides.
func newestFirst(a, b graph.Reading) int {
	newest := func(r graph.Reading) time.Time {
		if yes := lastYes(r); yes.After(r.ReadAt) {
			return yes
		}
		return r.ReadAt
	}
	return cmp.Or(newest(b).Compare(newest(a)), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Raw, b.Raw), cmp.Compare(a.Says, b.Says), b.YesAt.Compare(a.YesAt))
}

func evidence(a graph.Answer, r *graph.Reading) Fact {
	f := Fact{Value: string(a), Source: r.Source, Path: r.Path, At: r.ReadAt}
	if r.Raw != "" {
		f.Source += " " + strconv.Quote(r.Raw)
	}
	if a == graph.Yes {
		f.At = lastYes(*r)
	}
	return f
}

// Sources of Inputs.Running when it is unknown; the texts of missing evidence tell them apart.
const (
	NoKnownImage        = "no image is known"
	InventoryIncomplete = "inventory incomplete"
	DevelopmentScope    = "development scope without SBOM"
)

// Inventory is what is known about where the images that contain a finding are deployed.
type Inventory struct {
	// Scopes holds one reading for each connected scope, with Path naming it: yes when a workload definition in it
	// references a digest of the closure of such an image, at zero replicas too.
	Scopes []graph.Reading
	// KnownImages tells that the repository has images at all.
	KnownImages bool
	// Development marks a dependency of development scope whose image has no SBOM.
	Development bool
}

// Running is the fact for Inputs.Running. No needs every connected scope read to its end within the window, and a
// repository with known images; anything less is unknown.
func Running(i Inventory, now time.Time, p *Policy) Fact {
	if i.Development {
		return Fact{Value: string(graph.Unknown), Source: DevelopmentScope}
	}
	scopes := slices.Clone(i.Scopes)
	slices.SortFunc(scopes, newestFirst)
	for k := range scopes {
		if Says(scopes[k], now, p) == graph.Yes {
			return evidence(graph.Yes, &scopes[k])
		}
	}
	switch {
	case !i.KnownImages:
		return Fact{Value: string(graph.Unknown), Source: NoKnownImage}
	case len(scopes) == 0:
		return Fact{Value: string(graph.Unknown), Source: InventoryIncomplete}
	}
	oldest := &scopes[len(scopes)-1]
	for k := len(scopes) - 1; k >= 0; k-- {
		if Says(scopes[k], now, p) == graph.Unknown {
			return Fact{Value: string(graph.Unknown), Source: InventoryIncomplete, Path: scopes[k].Path, At: scopes[k].ReadAt}
		}
	}
	return evidence(graph.No, oldest)
}
