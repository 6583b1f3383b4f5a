package azure

import (
	"encoding/json"
	"fmt"
	"strings"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/kusto"
)

// finding gives the resource that an assessment is about and the package that it wants updated.
func (s *Server) finding(ref rowRef) (home string, p estate.Package) {
	i, part := int(ref.index), int(ref.part)
	if ref.kind == imageFinding {
		img := s.world.Image(i)
		home = s.registryID() + "/securityEntityData/repositories-" + strings.ReplaceAll(img.Path, "/", "-") + "-images-" + img.Digest
		return home, s.world.Software(i)[part]
	}
	software := s.world.Software(s.world.Deployment(i).Image)
	if part < len(software) {
		return s.world.ResourceID(s.world.Workloads[i]), software[part]
	}
	return s.world.ResourceID(s.world.Workloads[i]), s.cured(i)[part-len(software)]
}

func (s *Server) assessmentName(home string, p estate.Package) string {
	return estate.GUID("assessment", s.world.Seed, home, p.Name)
}

// assessment is a row of the individual model. What the reference knows to differ between tenants differs between rows:
// CVEs inline, as text or by reference only; the spelling of keys; risk present, mirrored or missing.
func (s *Server) assessment(ref rowRef) kusto.Row {
	i := int(ref.index)
	home, p := s.finding(ref)
	variant := i + 3*int(ref.part)
	r := base(home+"/providers/Microsoft.Security/assessments/"+s.assessmentName(home, p), "microsoft.security/assessments", s.world.Tenant)
	props := bag{
		"displayName": "Update " + p.Name, "status": s.status(ref, variant), "metadata": metadata(p),
		"additionalData": kusto.Lazy(func() any { return additional(p, variant) }),
		"links":          bag{"azurePortal": "portal.azure.com/#blade/Microsoft_Azure_Security/RecommendationsBlade/assessmentKey/" + r["name"].(string)},
	}
	resource := bag{"Source": "Azure", "Id": home, "ResourceType": ".containerimage", "ResourceName": ""}
	if ref.kind == imageFinding {
		img := s.world.Image(i)
		resource["ResourceName"] = img.Path
		props["resourceAdditionalData"] = kusto.Lazy(func() any { return spelled(imageData(img), variant) })
		if risk := s.imageRisk(i, p, variant); risk != nil {
			props["risk"] = risk
		}
	} else {
		w := s.world.Workloads[i]
		resource["ResourceType"], resource["ResourceName"] = "K8s-container", w.Container
		props["resourceAdditionalData"] = kusto.Lazy(func() any { return spelled(s.containerData(i), variant) })
		if risk := s.containerRisk(i, p, variant); risk != nil {
			props["risk"] = risk
		}
	}
	if variant%7 == 3 { // the spelling that REST uses
		resource = bag{"id": home, "source": "Azure", "resourceType": resource["ResourceType"], "resourceName": resource["ResourceName"]}
	}
	props["resourceDetails"] = resource
	r["properties"] = props
	return r
}

func (s *Server) status(ref rowRef, variant int) bag {
	since := s.world.Epoch.AddDate(0, 0, -1-variant%40)
	out := bag{"code": "Unhealthy", "firstEvaluationDate": since.Format("2006-01-02T15:04:05Z"), "statusChangeDate": since.Format("2006-01-02T15:04:05Z")}
	if ref.kind == imageFinding && variant%23 == 11 {
		out["code"], out["cause"] = "NotApplicable", "Exempt"
	}
	if ref.kind == containerFinding {
		d := s.world.Deployment(int(ref.index))
		if d.Before >= 0 {
			out["statusChangeDate"] = d.At.Format("2006-01-02T15:04:05Z")
		}
		if int(ref.part) >= len(s.world.Software(d.Image)) {
			out["code"] = "Healthy"
		}
	}
	return out
}

func severity(p estate.Package) (worst string, score float64) {
	rank := map[string]int{"Unknown": 0, "Low": 1, "Medium": 2, "High": 3, "Critical": 4}
	worst = "Unknown"
	for _, w := range p.Weaknesses {
		if rank[w.Severity] > rank[worst] {
			worst = w.Severity
		}
		score = max(score, w.Score)
	}
	return worst, score
}

func metadata(p estate.Package) bag {
	level, _ := severity(p)
	advice := "Update " + p.Name + " to " + p.Fixed + " or later."
	if p.Fixed == "" {
		advice = "No fixed version of " + p.Name + " is known yet."
	}
	return bag{
		"displayName": "Update " + p.Name, "assessmentType": "BuiltIn", "severity": level, "recommendationCategory": "SoftwareUpdate",
		"categories": []any{"Container"}, "remediationDescription": advice,
	}
}

func additional(p estate.Package, variant int) bag {
	_, score := severity(p)
	var ids, details []any
	for _, w := range p.Weaknesses {
		ids = append(ids, w.CVE)
		if variant%3 == 1 {
			details = append(details, inline(w, p, variant))
		} else {
			details = append(details, bag{"CveId": w.CVE})
		}
	}
	scanner := bag{"DetectedSoftwareVersions": []any{p.Version}, "FixedVersion": p.Fixed, "CvesIds": ids, "category": p.Category, "PackageType": p.Category, "Language": p.Language, "FixStatus": fixStatus(p)}
	out := bag{
		"SoftwareName": p.Name, "DetectedSoftwareVersions": []any{p.Version}, "FixedVersion": p.Fixed, "MaxCvssScore": fmt.Sprintf("%.1f", score),
		"CvesDetails": details, "ScannersDetails": bag{[]string{"mdvm", "mdvm", "agentlessmdvm"}[variant%3]: scanner},
	}
	if variant%3 == 2 {
		out["CvesDetails"] = asText(details)
	}
	return out
}

func fixStatus(p estate.Package) string {
	if p.Fixed == "" {
		return "NoFixAvailable"
	}
	return "FixAvailable"
}

// inline is a CVE with all that some tenants get; both spellings of the exploit fields occur.
func inline(w estate.Weakness, p estate.Package, variant int) bag {
	out := bag{
		"CveId": w.CVE, "AdditionalIdentifiers": []any{}, "Description": "A weakness in " + p.Name, "ExtendedDescription": nil, "CvssSource": "Nvd", "Severity": w.Severity,
		"PublishedDate": "2024-06-27T11:15:24Z", "LastModifiedDate": "2026-06-17T08:00:00Z", "FixStatus": fixStatus(p), "FixedVersion": p.Fixed,
		"Weaknesses": []any{bag{"Id": w.CWE}}, "References": []any{}, "Tags": []any{}, "Cvss": []any{},
	}
	if w.Vector != "" {
		out["Cvss"] = []any{bag{"Key": "3", "Value": bag{"Base": w.Score, "CvssVectorString": w.Vector}}}
	}
	out["ExploitabilityDetails"] = bag{"IsInExploitKit": w.InKit, "IsPubliclyDisclosed": w.PoC, "IsVerified": w.InKit}
	if variant%2 == 0 {
		out["ExploitabilityDetails"] = bag{"IsInExploitKit": w.InKit, "ExploitStepsPublished": w.PoC, "ExploitStepsVerified": w.InKit}
	}
	return out
}

func imageData(img estate.Image) bag {
	return bag{
		"Digest": img.Digest, "ImageUri": img.Reference() + "@" + img.Digest, "LastPushedToRegistryUTC": img.Built().Format("2006-01-02T15:04:05Z"),
		"RepositoryDetails": bag{"RepositoryName": img.Path, "RegistryHost": img.Host},
	}
}

// containerData is where a container runs. A bare pod has no controller.
func (s *Server) containerData(i int) bag {
	w := s.world.Workloads[i]
	img := s.world.Image(s.world.Deployment(i).Image)
	c := s.world.Clusters[w.Cluster]
	digest := s.world.Digest(i)
	out := bag{
		"Digest": digest, "ImageUri": img.Reference() + "@" + digest, "clusterName": c.Name, "clusterResourceId": c.ID(), "namespace": w.Namespace,
		"controllerKind": w.ControllerKind, "controllerName": w.Name, "podName": w.Pod, "containerName": w.Container,
	}
	if w.ControllerKind == "" {
		out["controllerKind"], out["controllerName"] = "Pod", w.Pod
		if i%2 == 0 {
			delete(out, "controllerKind")
			delete(out, "controllerName")
		}
	}
	return out
}

// spelled gives a bag as it is, as text, or with every key beginning in the other case.
func spelled(b bag, variant int) any {
	switch variant % 11 {
	case 4:
		return asText(b)
	case 8:
		out := bag{}
		for k, v := range b {
			if first := k[:1]; first == strings.ToUpper(first) {
				k = strings.ToLower(first) + k[1:]
			} else {
				k = strings.ToUpper(first) + k[1:]
			}
			out[k] = v
		}
		return out
	}
	return b
}

func asText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "" // bags of strings and numbers always marshal
	}
	return string(raw)
}
