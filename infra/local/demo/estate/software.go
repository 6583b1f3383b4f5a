package estate

import (
	"strconv"
	"strings"
)

// Weakness is one CVE of an operating system package, or of a language package that no Dependabot alert speaks of.
type Weakness struct {
	CVE, Severity string // severity "Unknown" with no score occurs
	Score         float64
	Vector        string
	CWE           string
	EPSS          float64
	InKit, PoC    bool
}

// Package is a piece of software in an image, with what is wrong with it.
type Package struct {
	Name, Version, Fixed string // Fixed may be ""
	Category             string // "OS" or "Language"
	Language             string
	Weaknesses           []Weakness
	FromAlert            bool // a Dependabot alert of the source repository speaks of it too
}

// a line: name|version|fixed|category, then CVE,severity,score,vector,cwe,epss,flags ...
const packageText = `
openssl|3.0.11-1~deb12u2|3.0.14-1~deb12u1|OS|CVE-2024-5535,Critical,9.1,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:H,CWE-125,0.0388,|CVE-2024-4741,High,7.5,AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H,CWE-416,0.0021,
zlib1g|1:1.2.13.dfsg-1||OS|CVE-2023-45853,Critical,9.8,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-190,0.0187,
libexpat1|2.5.0-1|2.5.0-1+deb12u1|OS|CVE-2024-45490,Critical,9.1,AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:H,CWE-611,0.0013,|CVE-2024-45491,Critical,9.8,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-190,0.0012,|CVE-2024-45492,Critical,9.8,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-190,0.0094,
curl|7.88.1-10+deb12u5|7.88.1-10+deb12u7|OS|CVE-2024-2398,High,8.6,AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:H,CWE-772,0.0133,|CVE-2023-38545,Critical,9.8,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-787,0.2614,poc
libc6|2.36-9+deb12u1|2.36-9+deb12u3|OS|CVE-2023-4911,High,7.8,AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H,CWE-787,0.7402,kit
libssh2-1|1.10.0-3+b1|1.11.0-5|OS|CVE-2023-48795,Medium,5.9,AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:H/A:N,CWE-354,0.6581,poc
libkrb5-3|1.20.1-2|1.20.1-2+deb12u2|OS|CVE-2024-37370,High,7.5,AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N,CWE-130,0.0031,|CVE-2024-37371,Critical,9.1,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:H,CWE-130,0.0047,
perl-base|5.36.0-7|5.36.0-7+deb12u1|OS|CVE-2023-31484,High,8.1,AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-295,0.0116,
libsystemd0|252.12-1~deb12u1|252.23-1~deb12u1|OS|CVE-2023-7008,Medium,5.9,AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:H/A:N,CWE-300,0.0035,
libtasn1-6|4.19.0-2||OS|CVE-2024-12133,Unknown,0,,,0,
liblzma5|5.6.0-0.2|5.6.1+really5.4.5-1|OS|CVE-2024-3094,Critical,10.0,AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H,CWE-506,0.8571,poc
busybox|1.35.0-4+b3||OS|CVE-2022-48174,Critical,9.8,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-787,0.0028,
setuptools|65.5.1|70.0.0|Language|CVE-2024-6345,High,8.8,AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H,CWE-94,0.0177,
ip|1.1.8||Language|CVE-2024-29415,High,8.1,AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-918,0.0102,
stdlib|1.21.0|1.21.11|Language|CVE-2024-24790,Critical,9.8,AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H,CWE-180,0.0016,|CVE-2023-45288,High,7.5,AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H,CWE-400,0.6655,
`

var packages = readPackages(packageText)

func readPackages(text string) []Package {
	var out []Package
	for line := range strings.Lines(strings.TrimSpace(text)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "|")
		p := Package{Name: f[0], Version: f[1], Fixed: f[2], Category: f[3]}
		for _, cve := range f[4:] {
			c := strings.Split(cve, ",")
			w := Weakness{CVE: c[0], Severity: c[1], Score: decimal(c[2]), CWE: c[4], EPSS: decimal(c[5]), InKit: c[6] == "kit", PoC: c[6] == "poc"}
			if c[3] != "" {
				w.Vector = "CVSS:3.1/" + c[3]
			}
			p.Weaknesses = append(p.Weaknesses, w)
		}
		out = append(out, p)
	}
	return out
}

// decimal reads a number of the tables above; an empty field is 0.
func decimal(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return f
}

// beyond are weaknesses of language packages that scanners know and no advisory of GitHub's names: what runs may have more
// wrong with it than its alerts tell.
var beyond = map[string]Weakness{
	"Newtonsoft.Json": {CVE: "CVE-2025-90407", Severity: "High", Score: 7.5, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", CWE: "CWE-755", EPSS: 0.0019},
}

// Weaknesses lists every CVE that any image of any estate may have, once, in a fixed order.
func Weaknesses() []Weakness {
	var out []Weakness
	seen := map[string]bool{}
	add := func(w Weakness) {
		if w.CVE != "" && !seen[w.CVE] {
			seen[w.CVE] = true
			out = append(out, w)
		}
	}
	for _, p := range packages {
		for _, w := range p.Weaknesses {
			add(w)
		}
	}
	for _, a := range advisories {
		add(a.Weakness())
		add(beyond[a.Package])
	}
	return out
}

// Weakness is the advisory as Defender tells it. Its CVE is "" when none was assigned.
func (a Advisory) Weakness() Weakness {
	return Weakness{CVE: a.CVE, Severity: title(a.Severity), Score: a.Score, Vector: a.Vector, CWE: a.CWE, EPSS: a.EPSS, InKit: a.InKit, PoC: a.PoC}
}

// Software lists what is vulnerable in an image: packages of its operating system (those of its base first) and language
// packages, some of which its repository's open Dependabot alerts speak of.
func (e *Estate) Software(image int) []Package {
	img := e.Images[image]
	var out []Package
	seen := map[string]bool{}
	add := func(p Package) {
		if !seen[p.Name] {
			seen[p.Name] = true
			out = append(out, p)
		}
	}
	if img.Base >= 0 {
		for _, p := range e.Software(img.Base) {
			if len(out) < e.plan.software-2 {
				add(p)
			}
		}
	}
	if img.Repo >= 0 && e.Repositories[img.Repo].shape == base {
		add(*unrated()) // scanners know packages of some base systems only by name
	}
	r := e.random("software", image)
	for _, i := range r.Perm(len(packages))[:1+r.IntN(2)] {
		add(packages[i])
	}
	if img.Repo < 0 {
		return out
	}
	for _, i := range e.alertsOf[img.Repo] {
		if a := e.Alerts[Dependabot][i]; a.State == "open" && a.Advisory().Ecosystem != "actions" && len(out) < e.plan.software && chance(r, 60) && strings.HasPrefix(a.Path, img.Context) {
			add(fromAlert(a))
		}
	}
	return out
}

// unrated is the package whose CVE has neither severity nor score.
func unrated() *Package {
	for i := range packages {
		if packages[i].Weaknesses[0].Severity == "Unknown" {
			return &packages[i]
		}
	}
	return &packages[0]
}

func fromAlert(a Alert) Package {
	adv := advisories[a.Entry]
	if adv.CVE == "" {
		return Package{Name: adv.Package, Version: installed(adv), Fixed: adv.Fixed, Category: "Language", Language: adv.Ecosystem, FromAlert: true,
			Weaknesses: []Weakness{{CVE: adv.GHSA, Severity: title(adv.Severity), Score: adv.Score, Vector: adv.Vector, CWE: adv.CWE}}}
	}
	p := Package{Name: adv.Package, Version: installed(adv), Fixed: adv.Fixed, Category: "Language", Language: adv.Ecosystem, FromAlert: true, Weaknesses: []Weakness{adv.Weakness()}}
	if more, known := beyond[adv.Package]; known {
		p.Weaknesses = append(p.Weaknesses, more)
	}
	return p
}

// installed names a version inside the vulnerable range: the lower bound, or one release before the fix.
func installed(a Advisory) string {
	for _, part := range strings.Split(a.Range, ",") {
		part = strings.TrimSpace(part)
		if v, ok := strings.CutPrefix(part, ">= "); ok && v != "0" {
			return v
		}
		if v, ok := strings.CutPrefix(part, "<= "); ok {
			return v
		}
	}
	return "1.0.0"
}
