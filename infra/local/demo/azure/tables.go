package azure

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/kusto"
)

type rowKind uint8

const (
	subscriptionRow rowKind = iota
	registryRow
	clusterRow
	workloadRow
	environmentRow
	imageFinding     // index: image, part: package
	containerFinding // index: workload, part: package; beyond them the packages that the image before had
	attackPathRow
	cveRow
	assignmentRow
)

var rowTypes = map[string][]rowKind{
	"resourcecontainers": {subscriptionRow},
	"resources":          {registryRow, clusterRow, workloadRow, environmentRow},
	"securityresources":  {imageFinding, containerFinding, attackPathRow, cveRow, assignmentRow},
}

// typesOf names the ARM types that rows of a kind can have.
var typesOf = map[rowKind][]string{
	subscriptionRow:  {"microsoft.resources/subscriptions"},
	registryRow:      {"microsoft.containerregistry/registries"},
	clusterRow:       {"microsoft.containerservice/managedclusters"},
	workloadRow:      {"microsoft.app/containerapps", "microsoft.containerinstance/containergroups", "microsoft.web/sites"},
	environmentRow:   {"microsoft.app/managedenvironments"},
	imageFinding:     {"microsoft.security/assessments"},
	containerFinding: {"microsoft.security/assessments"},
	attackPathRow:    {"microsoft.security/attackpaths"},
	cveRow:           {"microsoft.security/cvedetails"},
	assignmentRow:    {"microsoft.security/assessments/governanceassignments"},
}

// rowRef names a row without making it: 8 bytes, so that a table of a large estate stays small.
type rowRef struct {
	index int32
	part  int16
	kind  rowKind
}

// table is the rows that a query may see, in the order of their ids.
type table struct {
	version string
	refs    []rowRef
	idOf    func(rowRef) string
}

// behind gives the place of the first row whose id comes after the given one.
func (t *table) behind(id string) int {
	if id == "" {
		return 0
	}
	return sort.Search(len(t.refs), func(i int) bool { return t.idOf(t.refs[i]) > id })
}

// table finds the rows of a query's table, of the types that it asks for. The caller holds s.mu.
func (s *Server) table(q *kusto.Query) (*table, bool) {
	kinds, known := rowTypes[q.Table]
	if !known {
		return nil, false
	}
	if types, narrow := q.Equal("type"); narrow {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k rowKind) bool {
			return !slices.ContainsFunc(typesOf[k], func(t string) bool { return slices.Contains(types, t) })
		})
	}
	version := fmt.Sprint(s.world.Version(), "/", s.version)
	key := fmt.Sprint(q.Table, kinds)
	t := s.tables[key]
	if t == nil || t.version != version {
		t = s.fill(kinds, version)
		s.tables[key] = t
	}
	return t, true
}

func (s *Server) fill(kinds []rowKind, version string) *table {
	type keyed struct {
		id  string
		ref rowRef
	}
	var all []keyed
	for _, k := range kinds {
		s.refs(k, func(ref rowRef) { all = append(all, keyed{s.rowID(ref), ref}) })
	}
	slices.SortFunc(all, func(a, b keyed) int { return strings.Compare(a.id, b.id) })
	t := &table{version: version, refs: make([]rowRef, len(all)), idOf: s.rowID}
	for i, k := range all {
		t.refs[i] = k.ref
	}
	return t
}

// refs enumerates the rows of one kind.
func (s *Server) refs(k rowKind, add func(rowRef)) {
	count := func(n int) {
		for i := range n {
			add(rowRef{index: int32(i), kind: k})
		}
	}
	switch k {
	case subscriptionRow:
		count(len(s.world.Subscriptions))
	case registryRow:
		count(1)
	case clusterRow:
		count(len(s.world.Clusters))
	case environmentRow:
		count(len(s.environments))
	case attackPathRow:
		count(len(s.paths))
	case cveRow:
		count(len(estate.Weaknesses()) + 1)
	case workloadRow:
		for i, w := range s.world.Workloads {
			if !w.OnAKS() && !s.world.Deployment(i).Removed {
				add(rowRef{index: int32(i), kind: k})
			}
		}
	case assignmentRow:
		for i := range s.assignmentList() {
			add(rowRef{index: int32(i), kind: k})
		}
	default:
		s.findingRefs(k, add)
	}
}

func (s *Server) findingRefs(k rowKind, add func(rowRef)) {
	sizes := make([]int16, s.world.Count())
	for i := range sizes {
		sizes[i] = int16(len(s.world.Software(i)))
	}
	parts := func(index, n int) {
		for p := range n {
			add(rowRef{int32(index), int16(p), k})
		}
	}
	if k == imageFinding {
		for i, n := range sizes {
			if s.world.Image(i).Host == s.world.Host() { // Defender looks into the organisation's own registry
				parts(i, int(n))
			}
		}
		return
	}
	for i, w := range s.world.Workloads {
		if d := s.world.Deployment(i); w.OnAKS() && !d.Removed {
			n := int(sizes[d.Image])
			if d.Before >= 0 {
				n += len(s.cured(i))
			}
			parts(i, n)
		}
	}
}

// cured lists the packages that the image before had and that the one that runs now has not: their rows turn healthy.
func (s *Server) cured(workload int) []estate.Package {
	d := s.world.Deployment(workload)
	if d.Before < 0 {
		return nil
	}
	now := s.world.Software(d.Image)
	return slices.DeleteFunc(slices.Clone(s.world.Software(d.Before)), func(p estate.Package) bool {
		return slices.ContainsFunc(now, func(q estate.Package) bool { return p.Name == q.Name })
	})
}
