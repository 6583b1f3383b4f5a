package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"throughline/shared/graph"
)

const attackPathQuery = `securityresources
| where type == 'microsoft.security/attackpaths'
| project ` + columns + `
| order by id asc`

// attackPath holds both shapes that tenants have: the documented one with a graph, and that of Exposure Management with
// an entry point, a target and steps.
type attackPath struct {
	DisplayName         text                    `json:"displayName"`
	RiskFactors         texts                   `json:"riskFactors"`
	EntryPointEntityID  text                    `json:"entryPointEntityInternalID"`
	TargetEntityID      text                    `json:"targetEntityInternalID"`
	GraphComponent      embedded[pathComponent] `json:"graphComponent"`
	EntryPoint          json.RawMessage         `json:"entryPoint"`
	Target              json.RawMessage         `json:"target"`
	AttackPathSteps     json.RawMessage         `json:"attackPathSteps"`
	Description         json.RawMessage         `json:"description"`
	AttackPathID        json.RawMessage         `json:"AttackPathID"`
	AttackPathType      json.RawMessage         `json:"attackPathType"`
	RemediationSteps    json.RawMessage         `json:"manualRemediationSteps"`
	RefreshInterval     json.RawMessage         `json:"refreshInterval"`
	PotentialImpact     json.RawMessage         `json:"potentialImpact"`
	RiskCategories      json.RawMessage         `json:"riskCategories"`
	RiskLevel           json.RawMessage         `json:"riskLevel"`
	Assessments         json.RawMessage         `json:"assessments"`
	TacticsAndTechnique json.RawMessage         `json:"mITRETacticsAndTechniques"`
	AttackStory         json.RawMessage         `json:"attackStory"`
	IsPartial           json.RawMessage         `json:"isPartialAttackPath"`
}

type pathComponent struct {
	Entities embedded[[]struct {
		ID          text `json:"entityInternalId"`
		Name        text `json:"entityName"`
		Type        text `json:"entityType"`
		Identifiers embedded[struct {
			Resource text            `json:"azureResourceId"`
			Storage  json.RawMessage `json:"storageAccountAzureResourceId"`
			Store    json.RawMessage `json:"entityStoreUniqueIdentifier"`
		}] `json:"entityIdentifiers"`
	}] `json:"entities"`
	Connections embedded[[]struct {
		ID          json.RawMessage `json:"connectionId"`
		Source      text            `json:"sourceEntityInternalId"`
		Target      text            `json:"targetEntityInternalId"`
		Description json.RawMessage `json:"description"`
	}] `json:"connections"`
	Insights json.RawMessage `json:"insights"`
}

// steps is an attack path as a chain of resources.
type steps struct {
	id, name string
	internet bool            // it starts there
	entries  map[string]bool // lower-case resource ids where it enters
	onward   map[string]bool // from which it goes on to something else
	order    []string        // every resource, first seen first
}

// pathRole is what attack paths say of one workload.
type pathRole struct {
	read              bool // the paths that Defender names could be read
	internet, lateral named
}

func (p *pathRole) merge(o pathRole) {
	p.read = p.read || o.read
	if p.internet.path == "" {
		p.internet = o.internet
	}
	if p.lateral.path == "" {
		p.lateral = o.lateral
	}
}

// readings says yes where a path says so. That no path does proves nothing, but ends an earlier yes.
func (p pathRole) readings(at time.Time) []graph.Reading {
	if !p.read {
		return nil
	}
	var out []graph.Reading
	for _, x := range []struct {
		factor graph.Factor
		named
	}{{graph.InternetExposed, p.internet}, {graph.LateralMovement, p.lateral}} {
		if x.path == "" {
			out = append(out, graph.Reading{Factor: x.factor, Source: "attack-path", Says: graph.Unknown, ReadAt: at})
			continue
		}
		out = append(out, pathReading(x.factor, x.raw, x.path, at))
	}
	return out
}

func pathReading(f graph.Factor, raw, path string, at time.Time) graph.Reading {
	return graph.Reading{Factor: f, Source: "attack-path", Says: graph.Yes, Raw: raw, Path: path, ReadAt: at, YesAt: at}
}

// attackPaths turns rows into readings for the resources on them. A cluster on a path says nothing of the single
// workload: for containers, Defender names the paths on the finding, and Read looks them up there.
func (r *reading) attackPaths(_ context.Context, _ scopeGroup, rows []json.RawMessage) error {
	said := map[string]bool{}
	for _, raw := range rows {
		p, ok := r.steps(raw)
		if !ok {
			continue
		}
		if len(p.order) == 0 {
			r.skipped.note("attack path without a resource")
		}
		for _, resource := range p.order {
			if clusterOf(resource) != "" {
				r.skipped.note("attack path through a cluster: its containers are known by their findings")
				continue
			}
			role := p.role(resource)
			for _, reading := range role.readings(r.at) {
				key := string(reading.Factor) + resource
				if reading.Says == graph.Yes && !said[key] {
					said[key] = true
					r.say(graph.WorkloadReading{Resource: resource, Reading: reading})
				}
			}
		}
	}
	return nil
}

// steps reads one row.
func (r *reading) steps(raw json.RawMessage) (steps, bool) {
	base := decode[row](raw, "", r.skipped)
	a := decode[attackPath](base.Properties, "properties", r.skipped)
	p := steps{id: base.Name.String(), name: a.DisplayName.String(), entries: map[string]bool{}, onward: map[string]bool{}}
	if p.id == "" {
		r.skipped.note("attack path without a name")
		return p, false
	}
	for _, said := range append([]string{p.name}, a.RiskFactors...) {
		p.internet = p.internet || slices.Contains(graph.ParseRiskFactor(said), graph.InternetExposed)
	}
	p.readGraph(a)
	p.readSteps(a)
	return p, true
}

// readGraph follows the documented shape. An entry that is no resource, such as an address, hands the entry on to what
// it connects to.
func (p *steps) readGraph(a attackPath) {
	component := a.GraphComponent.V
	resource := map[text]string{}
	outside := map[text]bool{}
	for _, e := range component.Entities.V {
		id := strings.ToLower(e.Identifiers.V.Resource.String())
		resource[e.ID] = id
		switch strings.ToLower(e.Type.String()) {
		case "ip", "internet", "ipaddress":
			outside[e.ID] = true
		default:
			p.meet(id)
		}
	}
	entry := a.EntryPointEntityID
	p.internet = p.internet || outside[entry]
	if id := resource[entry]; id != "" && !outside[entry] {
		p.entries[id] = true
	}
	for _, c := range component.Connections.V {
		source, target := resource[c.Source], resource[c.Target]
		if outside[c.Source] {
			p.internet = true
			if target != "" {
				p.entries[target] = true
			}
			continue
		}
		if source != "" && c.Target != c.Source && source != target {
			p.onward[source] = true
		}
	}
}

var resourceID = regexp.MustCompile(`(?i)"(/subscriptions/[^"]+/providers/[^"]+)"`)

// readSteps follows the shape of Exposure Management, whose inner keys are not documented: resource ids are taken in the
// order in which they stand. An entry point that is the internet itself hands the entry on to the first of them.
func (p *steps) readSteps(a attackPath) {
	target, entry, chain := idsIn(a.Target), idsIn(a.EntryPoint), idsIn(a.AttackPathSteps)
	if len(entry) == 0 && strings.Contains(strings.ToLower(string(a.EntryPoint)), `internet`) {
		p.internet = true
		entry = slices.Concat(chain, target)
		entry = entry[:min(1, len(entry))]
	}
	for _, id := range entry {
		p.meet(id)
		p.entries[id] = true
		if len(target) > 0 && !slices.Contains(target, id) {
			p.onward[id] = true
		}
	}
	for i, id := range chain {
		p.meet(id)
		if i+1 < len(chain) || len(target) > 0 && !slices.Contains(target, id) {
			p.onward[id] = true
		}
	}
}

// idsIn lists the resource ids in a value, lower case, once each.
func idsIn(raw json.RawMessage) []string {
	var out []string
	for _, m := range resourceID.FindAllSubmatch(unwrapped(raw), -1) {
		id := strings.ToLower(string(m[1]))
		id, _, _ = strings.Cut(id, "/providers/microsoft.security/")
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func (p *steps) meet(id string) {
	if id != "" && !slices.Contains(p.order, id) {
		p.order = append(p.order, id)
	}
}

// role is what the path says of a resource on it.
func (p steps) role(resource string) pathRole {
	role := pathRole{read: true}
	if p.internet && p.entries[resource] {
		role.internet = named{p.name, "attackPaths/" + p.id}
	}
	if p.onward[resource] {
		role.lateral = named{p.name, "attackPaths/" + p.id}
	}
	return role
}

const (
	// pathAge is how long an attack path is taken as read.
	pathAge = 10 * time.Minute
	// pathBatch bounds the names in one query.
	pathBatch = 200
	// maxPaths bounds the memory for them.
	maxPaths = 20_000
)

// attackPaths remembers paths by name.
type attackPaths struct {
	mu     sync.Mutex
	byName map[string]knownPath
}

type knownPath struct {
	steps
	found  bool
	readAt time.Time
}

func newAttackPaths() *attackPaths { return &attackPaths{byName: map[string]knownPath{}} }

func (a *attackPaths) get(name string, now time.Time) (knownPath, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.byName[name]
	return p, ok && now.Sub(p.readAt) < pathAge
}

func (a *attackPaths) put(name string, p knownPath) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.byName) >= maxPaths {
		clear(a.byName)
	}
	a.byName[name] = p
}

// pathsOf reads the attack paths that the rows of containers name and answers what they say of a container: a path that
// runs through its cluster, its resource or itself runs through the container, because Defender says so on the row.
func (r *reading) pathsOf(ctx context.Context, g scopeGroup, seen []*seenRow) (func(*seenRow, graph.Workload) pathRole, error) {
	var names []string
	for _, s := range seen {
		if s.isImage() || s.finding.State != graph.Open {
			continue
		}
		for _, ref := range s.risk.AttackPathsReferences {
			if name := pathName(ref); name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	known, err := r.readPaths(ctx, g, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	return func(s *seenRow, w graph.Workload) pathRole { return s.role(w, known) }, nil
}

var pathNameForm = regexp.MustCompile(`^[A-Za-z0-9-]{1,80}$`)

// pathName is the last segment of a reference, lower case; empty for what is none.
func pathName(ref string) string {
	name := ref[strings.LastIndexByte(ref, '/')+1:]
	if !pathNameForm.MatchString(name) {
		return ""
	}
	return strings.ToLower(name)
}

func (s *seenRow) role(w graph.Workload, known map[string]steps) pathRole {
	role := pathRole{read: known != nil}
	places := []string{strings.ToLower(w.Path), strings.ToLower(s.ResourceDetails.V.ID.String()), clusterOf(strings.ToLower(w.Path)), strings.ToLower(s.place().ClusterResourceID.String())}
	for _, ref := range s.risk.AttackPathsReferences {
		p, ok := known[pathName(ref)]
		if !ok {
			continue
		}
		for _, place := range places {
			if place != "" {
				role.merge(p.role(place))
			}
		}
	}
	return role
}

// readPaths answers the paths by name; nil when they may not be read.
func (r *reading) readPaths(ctx context.Context, g scopeGroup, names []string) (map[string]steps, error) {
	missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		_, ok := r.paths.get(n, r.now())
		return ok
	})
	for batch := range chunks(missing, pathBatch) {
		err := r.pathBatch(ctx, g, batch)
		if denied := refused(err); denied != nil {
			r.skipped.note("attack paths not readable")
			r.log.WarnContext(ctx, "attack paths not readable", "reason", denied.Error())
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	known := map[string]steps{}
	for _, n := range names {
		if p, ok := r.paths.get(n, r.now()); ok && p.found {
			known[n] = p.steps
		}
	}
	return known, nil
}

func (r *reading) pathBatch(ctx context.Context, g scopeGroup, names []string) error {
	kql := fmt.Sprintf("securityresources\n| where type == 'microsoft.security/attackpaths'\n| where name in~ (%s)\n| project id, name, type, properties\n| order by id asc", quotedList(names))
	for token := ""; ; {
		p, err := r.arm.query(ctx, g, kql, token)
		if err != nil {
			return err
		}
		for _, raw := range p.Data {
			if s, ok := r.steps(raw); ok {
				r.paths.put(strings.ToLower(s.id), knownPath{s, true, r.now()})
			}
		}
		if token = p.SkipToken; token == "" {
			break
		}
	}
	for _, n := range names {
		if _, ok := r.paths.get(n, r.now()); !ok {
			r.paths.put(n, knownPath{readAt: r.now()})
		}
	}
	return nil
}
