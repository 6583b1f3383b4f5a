package estate

import "fmt"

// shape says what kind of repository stands at a place of the plan.
type shape int

const (
	service shape = iota
	public
	monorepo
	base
	library
	archived
)

// Evidence tells by which means the origin of an image can be found, as a set.
type Evidence uint8

// The means, strongest first. InheritedLabel and ForeignLabel are wrong on purpose: the first was copied from the base
// image, the second names another repository than the attestation does.
const (
	Attested Evidence = 1 << iota
	Packaged
	Labelled
	Declared
	InheritedLabel
	ForeignLabel
)

// Has tells whether the set holds all of x.
func (v Evidence) Has(x Evidence) bool { return v&x == x }

// Names lists the members of the set in words.
func (v Evidence) Names() []string {
	var out []string
	for i, name := range []string{"attestation", "package", "label", "catalogue", "inherited-label", "foreign-label"} {
		if v&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// origin says where an image comes from.
type origin int

const (
	built      origin = iota // by a repository of the organisation
	thirdParty               // from somebody else
	unmapped                 // nobody can tell
)

// imagePlan describes one image before it has names. of counts repositories of a shape (the of-th service ...).
type imagePlan struct {
	origin   origin
	repo     int // index into plan.repositories, when built
	unit     int // which build unit of that repository
	version  int // 0 is the newest
	multi    bool
	onBase   bool
	evidence Evidence
}

// platform is where a workload runs.
type platform int

const (
	aks platform = iota
	pod
	containerApp
	containerGroup
	webApp
)

type workloadPlan struct {
	platform platform
	image    int
	sidecar  bool
	factors  []int // factors of risk that it surely has, and that Defender has seen
}

type plan struct {
	users, teams int
	closed       int // of a hundred alerts
	software     int // most packages in one image
	clusters     int
	alerts       [3]int
	repositories []shape
	images       []imagePlan
	workloads    []workloadPlan
}

func planFor(c Config) (plan, error) {
	switch c.Size {
	case "small":
		return smallPlan(), nil
	case "medium":
		return mediumPlan(), nil
	}
	part, ok := Part(c.Size)
	if !ok {
		return plan{}, fmt.Errorf("estate %q: want small, medium, large, or large/N for an Nth of it", c.Size)
	}
	return largePlan(c.Seed, part), nil
}

// smallPlan is an estate that can be looked through in ten minutes, with each case once.
func smallPlan() plan {
	p := plan{users: 14, teams: 4, closed: 20, software: 7, clusters: 2, alerts: [3]int{70, 62, 18}}
	p.repositories = []shape{service, public, monorepo, base, service, service, library, archived}
	p.images = []imagePlan{
		{repo: 3, evidence: Labelled},                                          // 0: the shared base
		{repo: 0, multi: true, onBase: true, evidence: Attested | Labelled},    // 1: the index with its manifests
		{repo: 0, version: 1, multi: true, evidence: Attested},                 // 2: its superseded release
		{repo: 1, onBase: true, evidence: Labelled},                            // 3: label only
		{repo: 2, unit: 0, evidence: Attested},                                 // 4: monorepo, first half
		{repo: 2, unit: 1, onBase: true, evidence: Attested | Labelled},        // 5: monorepo, second half
		{repo: 4, evidence: Packaged},                                          // 6: package webhook only
		{repo: 5, onBase: true, evidence: Declared | InheritedLabel},           // 7: the label is the base's
		{repo: 7, evidence: Labelled},                                          // 8: of an archived repository
		{repo: 4, version: 1, onBase: true, evidence: Attested | ForeignLabel}, // 9: evidence contradicts itself
		{origin: thirdParty},                                                   // 10
		{origin: unmapped},                                                     // 11
	}
	for _, image := range []int{1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 10, 11} {
		p.workloads = append(p.workloads, workloadPlan{platform: aks, image: image})
	}
	p.workloads[0].factors = []int{Internet}
	p.workloads[3].factors = []int{Sensitive}
	p.workloads[5].factors = []int{Lateral}
	p.workloads = append(p.workloads,
		workloadPlan{platform: aks, image: 10, sidecar: true},
		workloadPlan{platform: pod, image: 1, factors: []int{Critical, Internet}},
		workloadPlan{platform: containerApp, image: 3}, workloadPlan{platform: containerApp, image: 4},
		workloadPlan{platform: containerApp, image: 6}, workloadPlan{platform: containerApp, image: 9},
		workloadPlan{platform: containerGroup, image: 7}, workloadPlan{platform: webApp, image: 5})
	return p
}
