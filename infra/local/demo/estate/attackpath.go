package estate

// AttackPath is one way through the estate that Defender for Cloud found. It says of its workload what is true of it.
type AttackPath struct {
	Name     string // a GUID
	Exposure bool   // in the shape of Exposure Management, else in the documented one
	Workload int    // what the path crosses
	Internet bool   // the path starts at the internet
	Onward   bool   // it leads on from the workload to another entity
	Target   string // name of the data store that it ends at, when it leads on
}

// AttackPaths lists them: over every third exposed workload, over the first two that lead on, and over at least three;
// every third is in the other shape.
func (e *Estate) AttackPaths() []AttackPath {
	var out []AttackPath
	taken := map[int]bool{}
	add := func(i int) {
		if taken[i] {
			return
		}
		taken[i] = true
		w := e.Workloads[i]
		out = append(out, AttackPath{
			Name: e.guid("attackpath", i), Exposure: len(out)%3 == 2, Workload: i, Internet: w.Factors[Internet], Onward: w.Factors[Lateral],
			Target: "st" + w.Namespace + e.guid("store", i)[:6],
		})
	}
	onward := 0
	for i, w := range e.Workloads {
		if w.Factors[Lateral] && onward < 2 {
			onward++
			add(i)
		}
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
