package estate

// mediumPlan is what a kill test opens issues for within minutes: 50 repositories with 1,000 open alerts, an attested image
// each, and two workloads of every image.
func mediumPlan() plan {
	p := plan{users: 60, teams: 12, software: 2, clusters: 4, alerts: [3]int{450, 450, 100}}
	for i := range 50 {
		p.repositories = append(p.repositories, service)
		p.images = append(p.images, imagePlan{repo: i, evidence: Attested})
	}
	p.repositories[0], p.images[0].evidence = base, Labelled
	for i := range 2 * len(p.images) {
		w := workloadPlan{image: i / 2, platform: aks}
		if i%2 == 0 {
			w.factors = []int{Internet, i / 2 % 4}
		}
		p.workloads = append(p.workloads, w)
	}
	return p
}
