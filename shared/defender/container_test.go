package defender

import (
	"encoding/json"
	"strings"
	"testing"

	"throughline/shared/graph"
)

func TestContainer_identity_survives_a_rollout(t *testing.T) {
	for name, c := range map[string]struct {
		in         kubernetes
		kind, path string
	}{
		"deployment":        {kubernetes{ControllerKind: "deployment", ControllerName: "api", PodName: "api-6c9f7d-abcde"}, "Deployment", "deployment/api"},
		"replica set":       {kubernetes{ControllerKind: "ReplicaSet", ControllerName: "api-6c9f7d4bb"}, "Deployment", "deployment/api"},
		"lone replica set":  {kubernetes{ControllerKind: "ReplicaSet", ControllerName: "api"}, "ReplicaSet", "replicaset/api"},
		"job of a cron job": {kubernetes{ControllerKind: "Job", ControllerName: "nightly-29054880"}, "CronJob", "cronjob/nightly"},
		"job":               {kubernetes{ControllerKind: "Job", ControllerName: "migrate"}, "Job", "job/migrate"},
		"stateful set":      {kubernetes{ControllerKind: "StatefulSet", ControllerName: "db-0"}, "StatefulSet", "statefulset/db-0"},
		"bare pod":          {kubernetes{PodName: "debug"}, "Pod", "pods/debug"},
		"pod as controller": {kubernetes{ControllerKind: "Pod", ControllerName: "debug"}, "Pod", "pods/debug"},
		"own kind":          {kubernetes{ControllerKind: "Rollout", ControllerName: "web"}, "Rollout", "rollout/web"},
	} {
		s := &seenRow{}
		c.in.ClusterResourceID, c.in.Namespace, c.in.ContainerName = text(cluster)+"/", "n", "main"
		s.AdditionalData.V.kubernetes = c.in // the other place where the context may stand
		w, named := s.workload()
		if want := cluster + "/namespaces/n/" + c.path + "/containers/main"; !named || w.Path != want || w.Kind != c.kind || w.Cluster != "aks-prod" || w.ID != graph.NewWorkloadID(want) {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

func TestContainer_the_cluster_may_stand_in_the_resource_id(t *testing.T) {
	s := &seenRow{}
	s.ResourceDetails.V.ID = text(strings.ToLower(cluster) + "/securityEntityData/container-x")
	s.ResourceAdditionalData.V.kubernetes = kubernetes{Namespace: "n", ControllerKind: "Deployment", ControllerName: "api", ContainerName: "main"}
	w, named := s.workload()
	if !named || w.ID != graph.NewWorkloadID(cluster+"/namespaces/n/deployment/api/containers/main") {
		t.Errorf("%+v", w)
	}
}

func TestContainer_without_context_is_its_resource(t *testing.T) {
	row := `{"id":"/c/x/providers/Microsoft.Security/assessments/g","name":"g","properties":{"resourceDetails":{"ResourceType":"K8s-container","Id":"/c/x","ResourceName":"api"},"resourceAdditionalData":{"Digest":"` + string(digestAB) + `"}}}`
	_, c := newStand(t, one("assessments", json.RawMessage(row)))
	got := read(t, c, "findings")
	if w := got.Observation.Workloads[0]; w.Path != "/c/x" || w.Name != "api" || !w.Runs(digestAB) {
		t.Errorf("%+v", w)
	}
	if got.Skipped["container without its place in the cluster"] != 1 {
		t.Errorf("skipped %v", got.Skipped)
	}
}

func TestContainer_runs_what_open_rows_say(t *testing.T) {
	row := func(status, changed, digit string) json.RawMessage {
		return json.RawMessage(`{"id":"/r/` + status + changed + digit + `","name":"g` + changed + digit + `","properties":{"status":{"code":"` + status + `","statusChangeDate":"` + changed + `T00:00:00Z"},
			"resourceDetails":{"ResourceType":"K8s-container","Id":"/c/x"},"resourceAdditionalData":{"Digest":"sha256:` + strings.Repeat(digit, 64) + `","clusterResourceId":"` + cluster + `","namespace":"n","controllerKind":"Deployment","controllerName":"api","containerName":"c"}}}`)
	}
	for name, c := range map[string]struct {
		rows []json.RawMessage
		want string
	}{
		"open rows win":          {[]json.RawMessage{row("Healthy", "2026-09-03", "1"), row("Unhealthy", "2026-09-01", "2")}, "2"},
		"both halves":            {[]json.RawMessage{row("Unhealthy", "2026-09-02", "1"), row("Unhealthy", "2026-09-01", "2"), row("Unhealthy", "2026-09-01", "1")}, "12"},
		"the newest healthy row": {[]json.RawMessage{row("Healthy", "2026-09-01", "1"), row("Healthy", "2026-09-03", "2"), row("NotApplicable", "2026-09-02", "3")}, "2"},
	} {
		_, client := newStand(t, one("assessments", c.rows...))
		got := ""
		for _, r := range read(t, client, "findings").Observation.Workloads[0].Running {
			got += string(r.Digest[len(r.Digest)-1:])
		}
		if got != c.want {
			t.Errorf("%s: runs %s, want %s", name, got, c.want)
		}
	}
}

func TestFinding_states_and_gaps(t *testing.T) {
	row := func(name, properties string) json.RawMessage {
		return json.RawMessage(`{"id":"/r/` + name + `","name":"` + name + `","properties":` + properties + `}`)
	}
	image := `"resourceDetails":{"resourceType":".containerimage","id":"/x/images-` + strings.ToUpper(string(digestAB)) + `"}`
	_, c := newStand(t, one("assessments",
		row("fixed", `{"status":{"code":"Healthy"},"displayName":"Update zlib",`+image+`}`),
		row("exempt", `{"status":{"code":"NotApplicable","cause":"Exempt"},`+image+`,"additionalData":"{\"softwarename\":\"curl\",\"ScannersDetails\":{\"agentlessmdvm\":{\"FixedVersion\":\"8\",\"PackageType\":\"OS\",\"CvesIds\":[\"cve-2026-1\"]}}}"}`),
		row("unknown", `{"status":{"code":"Unhealthy"},"metadata":{"severity":"Unknown"},`+image+`,"additionalData":{"CvesDetails":[{"CveId":""},{"CveId":"CVE-2026-2","Severity":"Unknown","Cvss":[]}]}}`),
		row("nodigest", `{"resourceDetails":{"resourceType":".containerimage"},"resourceAdditionalData":{"Digest":"sha256:123"}}`),
		row("machine", `{"resourceDetails":{"resourceType":"VirtualMachine"}}`),
		row("bad name", `{`+image+`}`),
		json.RawMessage(`[]`)))
	got := read(t, c, "findings")
	if len(got.Observation.RuntimeFindings) != 3 {
		t.Fatalf("%+v", got.Observation.RuntimeFindings)
	}
	fixed, exempt, unknown := got.Observation.RuntimeFindings[0], got.Observation.RuntimeFindings[1], got.Observation.RuntimeFindings[2]
	if fixed.State != graph.Fixed || fixed.Software != "zlib" || fixed.Digest != digestAB {
		t.Errorf("%+v", fixed)
	}
	if exempt.State != graph.Open || !exempt.Exempt || exempt.Reason != "Exempt" || exempt.Software != "curl" || exempt.FixedIn != "8" || exempt.Package != "os" || len(exempt.CVEs) != 1 || exempt.CVEs[0].ID != "CVE-2026-1" {
		t.Errorf("%+v", exempt)
	}
	if unknown.State != graph.Open || unknown.Severity != "" || len(unknown.CVEs) != 1 || unknown.Contextual != nil {
		t.Errorf("%+v", unknown)
	}
	for _, why := range []string{"assessment without a digest", "assessed resource type not understood: virtualmachine", "assessment without an id", "vulnerability without an id"} {
		if got.Skipped[why] == 0 {
			t.Errorf("%q is not counted: %v", why, got.Skipped)
		}
	}
}

func TestFinding_one_name_on_two_resources_is_two_findings(t *testing.T) {
	a, _ := findingID("/r/A/assessments/g", "g")
	same, _ := findingID("/R/a/Assessments/G", "G")
	b, _ := findingID("/r/b/assessments/g", "g")
	if a != same || a == b {
		t.Errorf("%s %s %s", a, same, b)
	}
}
