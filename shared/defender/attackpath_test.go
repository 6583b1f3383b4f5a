package defender

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

func pathRow(name, properties string) json.RawMessage {
	return json.RawMessage(`{"id":"/subscriptions/1/providers/Microsoft.Security/attackPaths/` + name + `","name":"` + name + `","properties":` + properties + `}`)
}

func entity(id, kind, resource string) string {
	return fmt.Sprintf(`{"entityInternalId":"%s","entityType":"%s","entityIdentifiers":{"azureResourceId":"%s"}}`, id, kind, resource)
}

func edge(from, to string) string {
	return fmt.Sprintf(`{"sourceEntityInternalId":"%s","targetEntityInternalId":"%s"}`, from, to)
}

func shown(entry, name string, entities []string, edges ...string) string {
	return fmt.Sprintf(`{"displayName":"%s","entryPointEntityInternalID":"%s","graphComponent":{"entities":[%s],"connections":[%s]}}`, name, entry, strings.Join(entities, ","), strings.Join(edges, ","))
}

func TestAttackPath_roles(t *testing.T) {
	app, vault, site := group+"Microsoft.App/containerApps/a", group+"Microsoft.KeyVault/vaults/v", group+"Microsoft.Web/sites/s"
	for name, c := range map[string]struct {
		properties string
		want       []string
	}{
		"from an address onward": {
			shown("1", "x", []string{entity("1", "ip", ""), entity("2", "containerapp", app), entity("3", "vault", vault)}, edge("1", "2"), edge("2", "3")),
			[]string{"a internet-exposed", "a lateral-movement"}},
		"from an address that is a resource": {
			shown("1", "x", []string{entity("1", "IP", group+"Microsoft.Network/publicIPAddresses/p"), entity("2", "containerapp", app)}, edge("1", "2")),
			[]string{"a internet-exposed"}},
		"an entry that the name calls internet exposed": {
			shown("2", "Internet exposed app reaches a vault", []string{entity("2", "containerapp", app), entity("3", "vault", vault)}, edge("2", "3")),
			[]string{"a internet-exposed", "a lateral-movement"}},
		"an entry inside": {
			shown("2", "App with secrets reaches a vault", []string{entity("2", "containerapp", app), entity("3", "vault", vault)}, edge("2", "3")),
			[]string{"a lateral-movement"}},
		"a loop leads nowhere": {
			shown("2", "x", []string{entity("2", "containerapp", app)}, edge("2", "2")), nil},
		"exposure management": {
			`{"displayName":"x","riskFactors":["Internet exposure"],"entryPoint":{"what":{"resource":"` + strings.ToUpper(app[:14]) + app[14:] + `"}},"target":{"id":"` + vault + `"},"attackPathSteps":[{"id":"` + app + `"},{"id":"` + site + `"},{"id":"` + vault + `"}]}`,
			[]string{"a internet-exposed", "a lateral-movement", "s lateral-movement"}},
		"exposure management from the internet itself": {
			`{"displayName":"x","entryPoint":{"id":"","type":"internet"},"target":{"id":"` + app + `"},"attackPathSteps":[{"source":{"type":"internet"},"target":{"id":"` + app + `"}}]}`,
			[]string{"a internet-exposed"}},
		"exposure management in strings": {
			`{"displayName":"x","riskFactors":"[\"Weak authorization\"]","entryPoint":"{\"resource\":\"` + app + `\"}","target":{"id":"` + vault + `"}}`,
			[]string{"a lateral-movement"}},
		"an entry that is the target": {
			`{"displayName":"x","entryPoint":{"id":"` + app + `"},"target":{"id":"` + app + `"}}`, nil},
	} {
		_, client := newStand(t, one("attackpaths", pathRow("p-1", c.properties), pathRow("p-2", c.properties)))
		got := read(t, client, "attackpaths")
		var says []string
		for _, r := range got.Observation.Readings {
			if r.Reading.Source != "attack-path" || r.Reading.Says != graph.Yes || r.Inside || r.Resource != strings.ToLower(r.Resource) || r.Reading.Path != "attackPaths/p-1" {
				t.Errorf("%s: %+v", name, r)
			}
			says = append(says, r.Resource[strings.LastIndexByte(r.Resource, '/')+1:]+" "+string(r.Reading.Factor))
		}
		if diff := cmp.Diff(c.want, says); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if len(got.Seen) != len(says) {
			t.Errorf("%s: seen %v", name, got.Seen)
		}
	}
}

func TestAttackPath_a_container_is_on_the_paths_that_its_finding_names(t *testing.T) {
	path := pathRow("p-1", shown("1", "x", []string{entity("1", "ip", ""), entity("2", "managedcluster", strings.ToUpper(cluster[:30])+cluster[30:]), entity("3", "vault", group+"x/y/v")}, edge("1", "2"), edge("2", "3")))
	row := func(name, refs string) json.RawMessage {
		return json.RawMessage(`{"id":"/r/` + name + `","name":"g-` + name + `","properties":{"risk":{"attackPathsReferences":[` + refs + `]},"resourceDetails":{"ResourceType":"K8s-container","Id":"/c/` + name + `"},
			"resourceAdditionalData":{"Digest":"` + string(digestAB) + `","clusterResourceId":"` + cluster + `","namespace":"n","controllerKind":"Deployment","controllerName":"` + name + `","containerName":"c"}}}`)
	}
	rows := []json.RawMessage{row("on", `"/subscriptions/1/providers/Microsoft.Security/attackPaths/P-1","not a reference'"`), row("off", "")}
	_, c := newStand(t, one("attackpaths", path), one("assessments", rows...))
	says := map[string]string{}
	for _, w := range read(t, c, "findings").Observation.Workloads {
		for _, r := range w.Readings {
			if r.Source == "attack-path" {
				says[w.Name] += string(r.Factor) + " " + string(r.Says) + " "
			}
		}
	}
	want := map[string]string{"on": "internet-exposed yes lateral-movement yes ", "off": "internet-exposed unknown lateral-movement unknown "}
	if diff := cmp.Diff(want, says); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	_, closed := newStand(t, rule{words: "attackpaths", status: 403}, one("assessments", rows...))
	got := read(t, closed, "findings")
	if got.Skipped["attack paths not readable"] != 1 || len(got.Observation.Workloads) != 2 {
		t.Errorf("%+v", got)
	}
	for _, w := range got.Observation.Workloads {
		for _, r := range w.Readings {
			if r.Source == "attack-path" {
				t.Errorf("paths that could not be read say %+v", r)
			}
		}
	}
}
