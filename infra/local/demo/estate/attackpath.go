package estate

// AttackPath is one way through the estate that Defender for Cloud found.
type AttackPath struct {
	Name     string // a GUID
	Exposure bool   // in the shape of Exposure Management, else in the documented one
	Workload int    // what the path crosses
	Internet bool   // the path starts at the internet
	Onward   bool   // it leads on from the workload to another entity
	Target   string // name of the data store that it ends at, when it leads on
}

// AttackPaths lists them: one for every third exposed workload and at least three, every third in the other shape.
func (e *Estate) AttackPaths() []AttackPath {
	var out []AttackPath
	add := func(i int) {
		w := e.Workloads[i]
		n := len(out)
		out = append(out, AttackPath{
			Name: e.guid("attackpath", i, n), Exposure: n%3 == 2, Workload: i, Internet: w.Factors[Internet],
			Onward: w.Factors[Lateral] || w.Factors[Sensitive], Target: "st" + w.Namespace + e.guid("store", i)[:6],
		})
	}
	for i, w := range e.Workloads {
		if w.Factors[Internet] && i%3 == 0 {
			add(i)
		}
	}
	for i := 0; len(out) < 3; i++ {
		add(i)
	}
	return out
}
