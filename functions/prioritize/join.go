package prioritize

import (
	"cmp"
	"context"
	"slices"

	"throughline/shared/graph"
)

// join ties a finding to those of the other side that are about the same vulnerability: an alert to the runtime
// findings that saw it running, a runtime finding to the alerts that know it already.
func (r *round) join(ctx context.Context, f *graph.Finding) error {
	if !r.exposure.Observed || len(f.CVEs) == 0 {
		f.Matches, f.Known = nil, nil
		return nil
	}
	kin, err := r.kin(ctx, *f)
	if err != nil {
		return err
	}
	if f.Runtime == nil {
		f.Matches = matchesOf(*f, kin)
		return nil
	}
	f.Known = knownBy(*f, kin)
	return nil
}

// kin lists the open findings of the other side that share a vulnerability.
func (r *round) kin(ctx context.Context, f graph.Finding) ([]graph.Finding, error) {
	var kin []graph.Finding
	for _, cve := range f.CVEs {
		found, err := graph.ListAll[graph.Finding](ctx, r.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(f.Repository),
			Kind: graph.KindFinding, Where: []graph.Where{{Field: "cves", Op: graph.Contains, Value: cve}, {Field: "state", Op: graph.Equal, Value: string(graph.Open)}}})
		if err != nil {
			return nil, err
		}
		for _, k := range found {
			known := slices.ContainsFunc(kin, func(have graph.Finding) bool { return have.ID == k.ID })
			if (k.Runtime == nil) != (f.Runtime == nil) && !known {
				kin = append(kin, k)
			}
		}
	}
	slices.SortFunc(kin, func(a, b graph.Finding) int { return cmp.Compare(a.ID, b.ID) })
	return kin, nil
}

func matchesOf(f graph.Finding, kin []graph.Finding) []graph.RuntimeMatch {
	var ms []graph.RuntimeMatch
	for _, k := range kin {
		m := graph.RuntimeMatch{ID: k.ID, Digest: k.Runtime.Digest, Workload: k.Runtime.Workload}
		for _, c := range k.Runtime.CVEs {
			if !slices.Contains(f.CVEs, c.ID) {
				continue
			}
			m.CVEs = append(m.CVEs, c.ID)
			m.ExploitKit = m.ExploitKit || c.ExploitKit
			m.Verified = m.Verified || c.Verified
			m.Severity = cmp.Or(c.Severity, m.Severity)
		}
		ms = append(ms, m)
	}
	return ms
}

// knownBy lists the alerts that together know every vulnerability of a runtime finding; nil when one is unknown to them.
func knownBy(f graph.Finding, kin []graph.Finding) []graph.FindingID {
	var ids []graph.FindingID
	for _, cve := range f.CVEs {
		i := slices.IndexFunc(kin, func(k graph.Finding) bool { return slices.Contains(k.CVEs, cve) })
		if i < 0 {
			return nil
		}
		if !slices.Contains(ids, kin[i].ID) {
			ids = append(ids, kin[i].ID)
		}
	}
	return ids
}
