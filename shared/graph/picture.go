package graph

import (
	"slices"
	"strconv"
)

// The columns of a picture, from the source to what it is exposed to.
const (
	ColumnSource = iota
	ColumnImage
	ColumnWorkload
	ColumnExposure
	columns
)

// Node is one box of a picture.
type Node struct {
	ID     string `json:"id"`
	Column int    `json:"column"` // 0 source, 1 image, 2 workload, 3 exposure
	Label  string `json:"label"`
	Sub    string `json:"sub,omitempty"`
	Link   string `json:"link,omitempty"` // path of its page
}

// Edge joins two nodes, from the source towards the running system.
type Edge struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label string `json:"label,omitempty"`
}

// Picture is a part of the mapping graph, laid out in columns.
type Picture struct {
	Title string `json:"title"`
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
	// Folded is how many nodes are not drawn one by one.
	Folded int `json:"folded,omitempty"`

	whole *Picture // before it was folded
}

// Whole is the picture with every node, for those who do not look at it.
func (p Picture) Whole() Picture {
	if p.whole != nil {
		return *p.whole
	}
	return p
}

func (p *Picture) node(n Node) {
	if !slices.ContainsFunc(p.Nodes, func(o Node) bool { return o.ID == n.ID }) {
		p.Nodes = append(p.Nodes, n)
	}
}

func (p *Picture) edge(from, to, label string) {
	e := Edge{from, to, label}
	if !slices.ContainsFunc(p.Edges, func(o Edge) bool { return o.From == from && o.To == to }) {
		p.Edges = append(p.Edges, e)
	}
}

func (p *Picture) repository(id RepositoryID, fullName string) string {
	n := Node{ID: "repository:" + string(id), Label: fullName, Sub: "repository", Link: "/repositories/" + fullName}
	if fullName == "" {
		n.Label, n.Sub, n.Link = "unknown to engineering", "no repository known", ""
	}
	p.node(n)
	return n.ID
}

func (p *Picture) image(d Digest, name string) string {
	n := Node{ID: "artifact:" + string(d), Column: ColumnImage, Label: name, Sub: d.Short(), Link: "/artifacts/" + string(d)}
	if name == "" {
		n.Label = "image"
	}
	p.node(n)
	return n.ID
}

func (p *Picture) workload(w ExposedWorkload) string {
	n := Node{ID: "workload:" + string(w.ID), Column: ColumnWorkload, Label: w.Name, Sub: w.Kind, Link: "/workloads/" + string(w.ID)}
	p.node(n)
	for _, f := range w.Risks() {
		p.node(Node{ID: "factor:" + string(f), Column: ColumnExposure, Label: factorNames[f], Sub: "risk factor", Link: "/findings?risk=" + string(f)})
		p.edge(n.ID, "factor:"+string(f), "")
	}
	return n.ID
}

var factorNames = map[Factor]string{InternetExposed: "Internet-exposed", SensitiveData: "Sensitive data", CriticalResource: "Critical resource", LateralMovement: "Lateral movement"}

// Risks are the factors that some source says yes to.
func (w ExposedWorkload) Risks() []Factor {
	var fs []Factor
	for _, f := range Factors {
		if slices.ContainsFunc(w.Readings, func(r Reading) bool { return r.Factor == f && r.Says == Yes }) {
			fs = append(fs, f)
		}
	}
	return fs
}

// Picture draws a repository's way to production.
func (v RepositoryView) Picture() Picture {
	p := Picture{Title: v.Repository.FullName()}
	p.exposure(p.repository(v.Repository.ID, v.Repository.FullName()), v.Exposure, nil)
	return p.Fold()
}

// exposure adds the images and workloads that keep wants; nil wants all.
func (p *Picture) exposure(from string, x Exposure, keep func(WorkloadID) bool) {
	for _, w := range x.Workloads {
		if keep != nil && !keep(w.ID) {
			continue
		}
		for _, a := range x.Artifacts {
			if slices.Contains(w.Digests, a.Digest) {
				image := p.image(a.Digest, a.Name)
				p.edge(from, image, string(a.Method))
				p.edge(image, p.workload(w), "runs")
			}
		}
	}
	if keep != nil {
		return
	}
	for _, a := range x.Artifacts {
		p.edge(from, p.image(a.Digest, a.Name), string(a.Method))
	}
}

// Picture draws the way of a finding to the workloads that it reaches.
func (v FindingView) Picture() Picture {
	p := Picture{Title: string(v.Finding.ID)}
	name := ""
	if v.Repository.Name != "" {
		name = v.Repository.FullName()
	}
	from := p.repository(v.Finding.Repository, name)
	reached := map[WorkloadID]bool{}
	if v.Finding.Decision != nil {
		for _, d := range v.Finding.Decision.Workloads {
			reached[d.Workload] = true
		}
	}
	p.exposure(from, v.Exposure, func(w WorkloadID) bool { return reached[w] })
	return p.Fold()
}

// Picture draws where an image comes from and where it runs.
func (v ArtifactView) Picture() Picture {
	p := Picture{Title: string(v.Artifact.Digest)}
	image := p.artifact(v)
	for _, w := range v.Runners {
		p.edge(image, p.workload(w), "runs")
	}
	return p.Fold()
}

func (p *Picture) artifact(v ArtifactView) string {
	name := ""
	if len(v.Artifact.Names) > 0 {
		name = v.Artifact.Names[0]
	}
	image := p.image(v.Artifact.Digest, name)
	for _, e := range v.Evidence {
		if e.Counts() {
			p.edge(p.repository(e.Repository, e.RepositoryName), image, string(e.Method))
		}
	}
	return image
}

// Picture draws what a workload runs and which repositories built it.
func (v WorkloadView) Picture() Picture {
	p := Picture{Title: v.Workload.Name}
	w := v.Workload
	to := p.workload(ExposedWorkload{ID: w.ID, Name: w.Name, Kind: w.Kind, Readings: w.Readings})
	for _, a := range v.Artifacts {
		p.edge(p.artifact(a), to, "runs")
	}
	return p.Fold()
}

// The limits of a picture that a person can read.
const (
	maxNodes = 40
	maxRows  = 9
)

// Fold puts the nodes beyond the ninth of a column into one when the picture has more than 40.
func (p Picture) Fold() Picture {
	if len(p.Nodes) <= maxNodes {
		return p
	}
	out := Picture{Title: p.Title, whole: &p}
	count, moved := [columns]int{}, map[string]string{}
	more := [columns]int{}
	for _, n := range p.Nodes {
		if count[n.Column] < maxRows {
			count[n.Column]++
			out.Nodes = append(out.Nodes, n)
			continue
		}
		more[n.Column]++
		moved[n.ID] = "folded:" + strconv.Itoa(n.Column)
	}
	for column, n := range more {
		if n > 0 {
			out.Folded += n
			out.Nodes = append(out.Nodes, Node{ID: "folded:" + strconv.Itoa(column), Column: column, Label: "and " + strconv.Itoa(n) + " more", Sub: "see the list below"})
		}
	}
	at := func(id string) string {
		if to, ok := moved[id]; ok {
			return to
		}
		return id
	}
	seen := map[Edge]bool{}
	for _, e := range p.Edges {
		e.From, e.To = at(e.From), at(e.To)
		if key := (Edge{From: e.From, To: e.To}); !seen[key] {
			seen[key] = true
			out.Edges = append(out.Edges, e)
		}
	}
	return out
}
