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
	if err := r.match(ctx, f); err != nil {
		return err
	}
	if f.Based.Joined == "" || f.Based.Joined == graph.Version(f.Matches, f.Known) {
		return nil
	}
	// Somebody may have decided it on kin that came after this round asked.
	clear(r.relatives)
	return r.match(ctx, f)
}

func (r *round) match(ctx context.Context, f *graph.Finding) error {
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
	side := graph.Equal // an alert's kin are runtime findings
	if f.Runtime != nil {
		side = graph.NotEqual
	}
	for _, cve := range f.CVEs {
		found, err := r.withCVE(ctx, f.Repository, cve, side)
		if err != nil {
			return nil, err
		}
		for _, k := range found {
			known := slices.ContainsFunc(kin, func(have graph.Finding) bool { return have.ID == k.ID })
			if !known {
				kin = append(kin, k)
			}
		}
	}
	slices.SortFunc(kin, func(a, b graph.Finding) int { return cmp.Compare(a.ID, b.ID) })
	return kin, nil
}

// withCVE lists the open findings of one side with a vulnerability. It is asked once in a round: the images of a repository
// have most of theirs in common.
func (r *round) withCVE(ctx context.Context, in graph.RepositoryID, cve string, side graph.Op) ([]graph.Finding, error) {
	key := string(side) + cve
	if found, asked := r.relatives[key]; asked {
		return found, nil
	}
	found, err := graph.ListAll[graph.Finding](ctx, r.Store, graph.Query{Container: graph.GraphContainer, Partition: graph.RepositoryPartition(in), Kind: graph.KindFinding,
		Where: []graph.Where{{Field: "cves", Op: graph.Contains, Value: cve}, {Field: "state", Op: graph.Equal, Value: string(graph.Open)}, {Field: "kind", Op: side, Value: string(graph.RuntimeKind)}}})
	if err == nil {
		r.relatives[key] = found
	}
	return found, err
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
