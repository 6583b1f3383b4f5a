package azure

import (
	"fmt"
	"strings"

	"throughline/infra/local/demo/estate"
	"throughline/infra/local/demo/kusto"
)

type bag = map[string]any

// rowID is the id of a row as Resource Graph gives it: in lower case.
func (s *Server) rowID(ref rowRef) string { return strings.ToLower(s.id(ref)) }

func (s *Server) id(ref rowRef) string {
	i := int(ref.index)
	switch ref.kind {
	case subscriptionRow:
		return "/subscriptions/" + s.world.Subscriptions[i]
	case registryRow:
		return s.registryID()
	case clusterRow:
		return s.world.Clusters[i].ID()
	case workloadRow:
		return s.world.ResourceID(s.world.Workloads[i])
	case environmentRow:
		return s.environments[i]
	case attackPathRow:
		p := s.paths[i]
		return "/subscriptions/" + s.world.Workloads[p.Workload].Subscription + "/providers/Microsoft.Security/attackPaths/" + p.Name
	case cveRow:
		return "/providers/Microsoft.Security/cveDetails/" + cveAt(i).CVE
	case assignmentRow:
		return s.assignmentList()[i].ID
	}
	home, p := s.finding(ref)
	return home + "/providers/Microsoft.Security/assessments/" + s.assessmentName(home, p)
}

func (s *Server) row(ref rowRef) kusto.Row {
	i := int(ref.index)
	switch ref.kind {
	case subscriptionRow:
		r := base(s.id(ref), "microsoft.resources/subscriptions", s.world.Tenant)
		r["name"], r["properties"] = fmt.Sprintf("throughline-demo-%d", i), bag{"state": "Enabled"}
		return r
	case registryRow:
		r := base(s.id(ref), typesOf[registryRow][0], s.world.Tenant)
		r["location"], r["properties"] = "westeurope", bag{"loginServer": s.world.Host(), "adminUserEnabled": false}
		return r
	case clusterRow:
		c := s.world.Clusters[i]
		r := base(c.ID(), typesOf[clusterRow][0], s.world.Tenant)
		r["location"] = c.Region
		r["properties"] = bag{"kubernetesVersion": "1.33.4", "provisioningState": "Succeeded", "apiServerAccessProfile": bag{"enablePrivateCluster": i%2 == 1}}
		return r
	case workloadRow:
		return s.workload(i)
	case environmentRow:
		r := base(s.environments[i], typesOf[environmentRow][0], s.world.Tenant)
		r["properties"] = bag{"provisioningState": "Succeeded", "defaultDomain": "happyhill.westeurope.azurecontainerapps.io", "vnetConfiguration": bag{"internal": strings.HasSuffix(s.environments[i], "-internal")}}
		return r
	case attackPathRow:
		return s.attackPath(i)
	case cveRow:
		return s.cve(i)
	case assignmentRow:
		return s.assignmentRow(i)
	}
	return s.assessment(ref)
}

// base is what every row has. The columns that Resource Graph derives from the id are derived here too.
func base(id, kind, tenant string) kusto.Row {
	parts := strings.Split(id, "/")
	r := kusto.Row{
		"id": strings.ToLower(id), "name": parts[len(parts)-1], "type": kind, "tenantId": tenant, "kind": "", "location": "", "resourceGroup": "", "subscriptionId": "",
		"managedBy": "", "sku": nil, "plan": nil, "tags": nil, "identity": nil, "zones": nil, "extendedLocation": nil,
	}
	for i := 0; i+1 < len(parts); i++ {
		switch strings.ToLower(parts[i]) {
		case "subscriptions":
			r["subscriptionId"] = parts[i+1]
		case "resourcegroups":
			r["resourceGroup"] = strings.ToLower(parts[i+1])
		}
	}
	return r
}

func (s *Server) registryID() string {
	name, _, _ := strings.Cut(s.world.Host(), ".")
	return "/subscriptions/" + s.world.Subscriptions[0] + "/resourceGroups/RG-Registry/providers/Microsoft.ContainerRegistry/registries/" + name
}

// imageName is how a workload names its image: by tag mostly, which says nothing about the digest.
func (s *Server) imageName(i int) string {
	img := s.world.Image(s.world.Deployment(i).Image)
	if s.world.Workloads[i].ByTag {
		return img.Reference() + ":" + img.Tag
	}
	return img.Reference() + "@" + img.Digest
}

// workload is a row of the resources table. Exposure is told by each platform in its own way.
func (s *Server) workload(i int) kusto.Row {
	w, d := s.world.Workloads[i], s.world.Deployment(i)
	kind := typesOf[workloadRow][0]
	switch {
	case w.IsContainerGroup():
		kind = typesOf[workloadRow][1]
	case w.IsWebApp():
		kind = typesOf[workloadRow][2]
	}
	r := base(s.world.ResourceID(w), kind, s.world.Tenant)
	r["location"], r["tags"] = w.Region, tags(i, d.Factors)
	image, exposed := s.imageName(i), d.Factors[estate.Internet]
	switch {
	case w.IsContainerApp():
		r["properties"] = s.containerApp(i, image, exposed)
	case w.IsContainerGroup():
		address := map[bool]string{true: "Public", false: "Private"}[exposed]
		r["properties"] = bag{
			"provisioningState": "Succeeded", "osType": "Linux", "restartPolicy": "Always",
			"ipAddress":  bag{"type": address, "ip": fmt.Sprintf("10.1.0.%d", i%250+1), "ports": []any{bag{"port": 80.0, "protocol": "TCP"}}},
			"containers": []any{bag{"name": w.Container, "properties": bag{"image": image, "ports": []any{bag{"port": 80.0}}, "resources": bag{"requests": bag{"cpu": 1.0, "memoryInGB": 1.5}}}}},
		}
	default:
		r["kind"] = "app,linux,container"
		r["properties"] = bag{
			"state": "Running", "defaultHostName": w.Name + ".azurewebsites.net", "publicNetworkAccess": map[bool]string{true: "Enabled", false: "Disabled"}[exposed],
			"siteProperties": bag{"properties": []any{bag{"name": "LinuxFxVersion", "value": "DOCKER|" + image}, bag{"name": "WindowsFxVersion", "value": nil}}},
		}
	}
	return r
}

// environment is where a Container App runs. Every third one that is not exposed lies in an internal environment, where
// even an external ingress ends in the network.
func (s *Server) environment(i int) string {
	open, internal := s.environmentsOf(i)
	if !s.world.Deployment(i).Factors[estate.Internet] && i%3 == 0 {
		return internal
	}
	return open
}

func (s *Server) environmentsOf(i int) (open, internal string) {
	w := s.world.Workloads[i]
	open = "/subscriptions/" + w.Subscription + "/resourceGroups/" + w.ResourceGroup + "/providers/Microsoft.App/managedEnvironments/env-" + w.Region
	return open, open + "-internal"
}

func (s *Server) containerApp(i int, image string, exposed bool) bag {
	w, environment := s.world.Workloads[i], s.environment(i)
	external := exposed || strings.HasSuffix(environment, "-internal")
	var ingress any
	if external || i%2 == 0 {
		ingress = bag{
			"external": external, "fqdn": w.Name + ".happyhill.westeurope.azurecontainerapps.io", "targetPort": 8080.0, "transport": "auto", "customDomains": nil,
			"ipSecurityRestrictions": nil, "traffic": []any{bag{"weight": 100.0, "latestRevision": true}},
		}
	}
	return bag{
		"provisioningState": "Succeeded", "runningStatus": "Running", "latestReadyRevisionName": w.Name + "--r1", "workloadProfileName": "Consumption",
		"managedEnvironmentId": environment,
		"configuration":        bag{"ingress": ingress, "activeRevisionsMode": "Single"},
		"template": bag{"initContainers": nil, "scale": bag{"minReplicas": 1.0, "maxReplicas": 5.0},
			"containers": []any{bag{"name": w.Container, "image": image, "resources": bag{"cpu": 0.5, "memory": "1Gi"}}}},
	}
}

// tags are what people wrote on a resource; some say that it matters or what data it holds.
func tags(i int, f [len(estate.Factors)]bool) any {
	out := bag{"env": "prod"}
	if f[estate.Critical] {
		out[[]string{"criticality", "Criticality"}[i%2]] = "high"
	}
	if f[estate.Sensitive] {
		out["data-classification"] = "confidential"
	}
	return out
}
