package estate

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// Part tells which part of the large estate a size names: 1 for "large", N for "large/N", its Nth, which shows how cost
// grows. ok is false for everything else.
func Part(size string) (n int, ok bool) {
	text, parted := strings.CutPrefix(size, "large/")
	if !parted {
		return 1, size == "large"
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= 100
}

// largePlan is a part of the estate that the performance goals speak of: 2,000 repositories, 10,000 images of which 5,000
// are attested, 50,000 workloads and 60,000 open alerts. A plan takes about 1 MB.
func largePlan(seed int64, part int) plan {
	r := rand.New(rand.NewPCG(uint64(seed), 0x6c61726765))
	p := plan{users: 400, teams: 60, software: 3, clusters: 40, alerts: [3]int{40_000 / part, 18_000 / part, 2_000 / part}}
	for i := range 2000 / part {
		p.repositories = append(p.repositories, largeShape(r, i))
	}
	p.largeImages(r, part)
	p.largeWorkloads(r, 50_000/part)
	return p
}

func largeShape(r *rand.Rand, i int) shape {
	switch n := r.IntN(100); {
	case i == 0 || n < 1:
		return base
	case n < 11:
		return library
	case n < 16:
		return archived
	case n < 24:
		return public
	case n < 34:
		return monorepo
	}
	return service
}

// largeImages gives 600 images to nobody or to strangers and the rest to the repositories in turn, release by release.
func (p *plan) largeImages(r *rand.Rand, part int) {
	total, foreign, attested := 10_000/part, 600/part, 5_000/part
	for i := range foreign {
		p.images = append(p.images, imagePlan{origin: origin(1 + i%2)})
	}
	var builders []int
	for i, s := range p.repositories {
		if s != library {
			builders = append(builders, i)
		}
		if s == base {
			p.images = append(p.images, imagePlan{repo: i, evidence: Labelled})
		}
	}
	left := attested
	for version := 0; len(p.images) < total; version++ {
		for _, repo := range builders {
			for unit := range units(p.repositories[repo]) {
				if p.repositories[repo] == base || len(p.images) == total {
					continue
				}
				p.images = append(p.images, largeImage(r, repo, unit, version, &left, total-len(p.images)))
			}
		}
	}
}

// largeImage hands out exactly as many attestations as are left over the images that are still to come.
func largeImage(r *rand.Rand, repo, unit, version int, left *int, images int) imagePlan {
	ip := imagePlan{repo: repo, unit: unit, version: version, multi: chance(r, 15), onBase: chance(r, 40)}
	switch n := r.IntN(100); {
	case r.IntN(images) < *left:
		*left--
		ip.evidence = Attested
		if n < 60 || ip.onBase {
			ip.evidence |= Labelled
		}
		if n >= 97 {
			ip.evidence = Attested | ForeignLabel
		}
	case n < 70:
		ip.evidence = Labelled
	case n < 92:
		ip.evidence, ip.onBase = Packaged, false
	case n < 96:
		ip.evidence, ip.onBase = Declared|InheritedLabel, true
	default:
		ip.onBase = false // nothing tells where it comes from
	}
	return ip
}

func (p *plan) largeWorkloads(r *rand.Rand, workloads int) {
	for i := range workloads {
		w := workloadPlan{image: i, platform: aks}
		if i >= len(p.images)*9/10 {
			w.image = r.IntN(len(p.images) * 9 / 10) // a tenth of the images lies in the registry only
		}
		switch n := r.IntN(100); {
		case n < 3:
			w.platform = pod
		case n < 14:
			w.platform = containerApp
		case n < 16:
			w.platform = containerGroup
		case n < 19:
			w.platform = webApp
		default:
			w.sidecar = n > 93
		}
		p.workloads = append(p.workloads, w)
	}
}
