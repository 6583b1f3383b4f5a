package azure

import (
	"fmt"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/kusto"
)

// spellings are the words that have been seen for each factor of estate.Factors.
var spellings = [len(estate.Factors)][]string{
	{"Exposure to the Internet", "Internet Exposure", "exposedToInternet", "internet-exposed", "Internet exposure"},
	{"Sensitive Data", "containsSensitiveData", "sensitive-data", "SENSITIVE DATA"},
	{"Critical Resource", "Critical Resources", "critical-resource", "criticalResource"},
	{"Lateral Movement", "lateral-movement", "lateralMovement"},
}

// noise are words that stand among the factors and are none.
var noise = []string{"Weak authorization", "Critical severity vulnerabilities", "No internet exposure", "Vulnerabilities"}

func factors(f [len(estate.Factors)]bool, variant int) []any {
	out := []any{}
	for n, on := range f {
		if on {
			out = append(out, spellings[n][variant%len(spellings[n])])
		}
	}
	if variant%5 == 2 {
		out = append(out, noise[variant/5%len(noise)])
	}
	return out
}

func level(p estate.Package, f [len(estate.Factors)]bool) string {
	_, score := severity(p)
	n := 0
	for _, on := range f {
		if on {
			n++
		}
	}
	switch {
	case score >= 9 && n >= 2:
		return "Critical"
	case score >= 7 && n >= 1:
		return "High"
	case score >= 4:
		return "Medium"
	case score > 0:
		return "Low"
	}
	return "None"
}

// containerRisk is the risk of one finding on one container. Without the plan that evaluates it, the level mirrors the
// severity and no factor is named; for some tenants there is no risk object at all.
func (s *Server) containerRisk(i int, p estate.Package, variant int) any {
	w, d := s.world.Workloads[i], s.world.Deployment(i)
	switch w.Contextual {
	case 0:
		return nil
	case 1:
		return bag{"level": mirrored(p), "riskFactors": []any{}, "attackPathsReferences": []any{}, "isContextualRisk": false, "paths": []any{}}
	}
	out := bag{"level": level(p, d.Factors), "riskFactors": factors(d.Factors, variant), "attackPathsReferences": s.pathsOf(i), "isContextualRisk": true, "paths": []any{}}
	if d.Factors[estate.Internet] {
		id := estate.GUID("node", i)
		out["paths"] = []any{bag{"id": id, "edges": []any{}, "nodes": []any{bag{"id": id, "nodePropertiesLabel": []any{"exposedToInternet"}}}}}
	}
	return out
}

func mirrored(p estate.Package) string {
	if worst, _ := severity(p); worst != "Unknown" {
		return worst
	}
	return "None"
}

// imageRisk is the risk of a finding on an image in the registry. It names only what is true of every workload that runs
// the image, so that nobody is told more than is so.
func (s *Server) imageRisk(image int, p estate.Package, variant int) any {
	if variant%20 == 19 {
		return nil
	}
	f := s.shared(image)
	return bag{"level": level(p, f), "riskFactors": factors(f, variant), "attackPathsReferences": []any{}, "isContextualRisk": true, "paths": []any{}}
}

// shared are the factors that all workloads have that run an image of the estate; those of later builds are not known yet.
func (s *Server) shared(image int) (f [len(estate.Factors)]bool) {
	if image >= len(s.world.Images) {
		return f
	}
	first := true
	for _, i := range s.world.WorkloadsOf(image) {
		d := s.world.Deployment(i)
		if d.Image != image || d.Removed {
			continue
		}
		for n := range f {
			f[n] = d.Factors[n] && (first || f[n])
		}
		first = false
	}
	return f
}

func (s *Server) pathsOf(workload int) []any {
	out := []any{}
	for _, n := range s.crossed[workload] {
		out = append(out, s.id(rowRef{index: int32(n), kind: attackPathRow}))
	}
	return out
}

// attackPath is a row in one of the two shapes that occur; each has fields that the other lacks.
func (s *Server) attackPath(n int) kusto.Row {
	p := s.paths[n]
	w := s.world.Workloads[p.Workload]
	id := s.id(rowRef{index: int32(n), kind: attackPathRow})
	r := base(id, "microsoft.security/attackpaths", s.world.Tenant)
	name := "Internet exposed container with high severity vulnerabilities"
	if !p.Internet {
		name = "Container with high severity vulnerabilities"
	}
	if p.Onward {
		name += " can read a data store"
	}
	store := "/subscriptions/" + w.Subscription + "/resourceGroups/" + w.ResourceGroup + "/providers/Microsoft.Storage/storageAccounts/" + p.Target
	props := bag{
		"displayName": name, "description": name + ".", "attackPathType": estate.GUID("attackpathtype", p.Internet, p.Onward),
		"manualRemediationSteps": "Update the vulnerable software.", "refreshInterval": "0.12:00:00",
	}
	if p.Exposure {
		exposure(props, p, s.world.ResourceID(w), w.Container, store)
	} else {
		s.documented(props, p, w, store)
	}
	r["properties"] = props
	return r
}

func (s *Server) documented(props bag, p estate.AttackPath, w estate.Workload, store string) {
	entities, connections, insights := []any{}, []any{}, []any{}
	entity := func(key, name, kind, id string) {
		ids := bag{}
		if id != "" {
			ids["azureResourceId"] = id
		}
		entities = append(entities, bag{"entityInternalId": key, "entityName": name, "entityType": kind, "entityIdentifiers": ids})
	}
	connect := func(from, to, how string) {
		connections = append(connections, bag{"connectionId": fmt.Sprintf("c%d", len(connections)+1), "sourceEntityInternalId": from, "targetEntityInternalId": to, "description": how})
	}
	entry, target := "e2", "e2"
	if p.Internet {
		entry = "e1"
		entity("e1", "20.1.2.3", "ip", "")
		connect("e1", "e2", "routes traffic to")
	}
	entity("e2", w.Name, map[bool]string{true: "k8s-container", false: "container"}[w.OnAKS()], s.world.ResourceID(w))
	if p.Onward {
		target = "e3"
		entity("e3", p.Target, "storageaccount", store)
		connect("e2", "e3", "can authenticate to")
		insights = append(insights, bag{"entityInternalId": "e3", "additionalData": bag{"type": "Sensitivity", "fileSamples": []any{bag{"path": "a%20b.csv", "classificationNames": []any{"Credit Card Number"}}}}})
	}
	props["AttackPathID"], props["potentialImpact"], props["riskCategories"] = p.Name, "An attacker may run code and read data.", []any{"ComputeAbuse"}
	props["entryPointEntityInternalID"], props["targetEntityInternalID"], props["assessments"] = entry, target, bag{}
	props["graphComponent"] = bag{"entities": entities, "connections": connections, "insights": insights}
}

func exposure(props bag, p estate.AttackPath, id, name, store string) {
	here := bag{"id": id, "name": name, "type": "container"}
	entry, target := here, here
	steps := []any{}
	risk := []any{"Weak authorization"}
	if p.Internet {
		entry = bag{"id": "", "name": "Internet", "type": "internet"}
		steps = append(steps, bag{"source": entry, "target": here, "description": "routes traffic to"})
		risk = append(risk, "Internet exposure")
	}
	if p.Onward {
		target = bag{"id": store, "name": p.Target, "type": "microsoft.storage/storageaccounts"}
		steps = append(steps, bag{"source": here, "target": target, "description": "can authenticate to"})
		risk = append(risk, "Lateral Movement")
	}
	props["riskLevel"], props["riskFactors"], props["entryPoint"], props["target"], props["attackPathSteps"] = "High", risk, entry, target, steps
	props["mITRETacticsAndTechniques"], props["attackStory"], props["isPartialAttackPath"], props["assessments"] = []any{}, props["displayName"], false, bag{}
	props["graphComponent"] = bag{"entities": []any{}, "connections": []any{}, "insights": []any{}}
}

// cveAt gives the i-th CVE; the last one is a rejected one.
func cveAt(i int) estate.Weakness {
	all := estate.Weaknesses()
	if i < len(all) {
		return all[i]
	}
	return estate.Weakness{CVE: "CVE-2024-5776"}
}

// cve is a row of cvedetails: tenant-wide, without tenant or subscription of its own.
func (s *Server) cve(i int) kusto.Row {
	w := cveAt(i)
	r := base("/providers/Microsoft.Security/cveDetails/"+w.CVE, "microsoft.security/cvedetails", "")
	r["name"] = r["id"].(string)[len("/providers/microsoft.security/cvedetails/"):]
	scores := bag{"4.0": nil, "3.0": nil, "2.0": nil}
	if w.Vector != "" {
		scores["3.0"] = bag{"base": w.Score, "cvssVectorString": w.Vector} // a 3.1 vector under the key 3.0
		if i%6 == 5 {
			scores["4.0"] = bag{"base": w.Score, "cvssVectorString": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}
		}
	}
	if w.Severity == "" {
		r["properties"] = bag{"cveId": w.CVE, "severity": "", "status": "Reject", "cvss": scores}
		return r
	}
	r["properties"] = bag{
		"cveId": w.CVE, "severity": w.Severity, "status": "", "cvssSource": "Nvd", "publishedDate": "2024-06-27T11:15:24.447Z", "lastModifiedDate": "2026-06-17T08:00:00.000Z",
		"cvss": scores, "weaknesses": []any{bag{"Id": w.CWE}}, "description": "A weakness.", "DSag": true, "key": bag{"id": w.CVE},
		"references":          []any{bag{"Source": "Nvd", "Title": w.CVE, "Url": "https://nvd.nist.gov/vuln/detail/" + w.CVE}},
		"extendedDescription": bag{"Summary": "A weakness.", "Impact": "", "Remediation": "Update.", "AdditionalInformation": ""},
		"exploitabilityDetails": bag{
			"IsPubliclyDisclosed": w.PoC, "IsInExploitKit": w.InKit, "IsVerified": w.InKit, "ExploitUris": []any{}, "ExploitUri": nil, "Types": []any{},
			"Epss": bag{"Percentile": 0.5, "Score": w.EPSS},
		},
	}
	return r
}
