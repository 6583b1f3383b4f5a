package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"throughline/shared/graph"
)

const group = "/subscriptions/1/resourceGroups/rg/providers/"

func resourceOf(kind, name, properties string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"id":"%s%s/%s","name":"%s","type":"%s","properties":%s}`, group, kind, name, name, strings.ToLower(kind), properties))
}

// TestInventory_what_configuration_says holds what may say no to internet exposure and what may not.
func TestInventory_what_configuration_says(t *testing.T) {
	app := func(properties string) json.RawMessage {
		return resourceOf("Microsoft.App/containerApps", "x", properties)
	}
	external := `{"environmentId":"` + group + `Microsoft.App/managedEnvironments/env","configuration":{"ingress":{"external":true,"fqdn":"x.example"}}}`
	internal := `{"configuration":{"ingress":{"external":false,"fqdn":"x.internal.example"}}}`
	environment := func(internal string) json.RawMessage {
		return resourceOf("Microsoft.App/managedEnvironments", "env", `{"vnetConfiguration":{"internal":`+internal+`}}`)
	}
	gateway := func(content string) json.RawMessage {
		return resourceOf("Microsoft.Network/applicationGateways", "gw", `{"backendAddressPools":["`+content+`"]}`)
	}
	for name, c := range map[string]struct {
		row   json.RawMessage
		front rule
		want  string
	}{
		"external ingress":          {app(external), one("gateways"), "yes: ingress external"},
		"external in public":        {app(external), one("gateways", environment("false")), "yes: ingress external"},
		"external in a network":     {app(external), one("gateways", environment("true")), "no: ingress external in an internal environment"},
		"no ingress":                {app(`{"configuration":{"ingress":null}}`), one("gateways"), "no: no ingress"},
		"internal":                  {app(internal), one("gateways"), "no: ingress internal"},
		"internal, gateways closed": {app(internal), rule{words: "gateways", status: 403}, "unknown: ingress internal; gateways could not be read"},
		"internal, published":       {app(internal), one("gateways", gateway("X.internal.example")), "unknown: ingress internal; named by gateway gw"},
		"internal, other published": {app(internal), one("gateways", gateway("y.example")), "no: ingress internal"},
		"allow list": {app(`{"configuration":{"ingress":{"external":true,"ipSecurityRestrictions":[{"action":"Allow","ipAddressRange":"10.0.0.0/8"}]}}}`),
			one("gateways"), "yes: ingress external"},
		"public group":       {resourceOf("Microsoft.ContainerInstance/containerGroups", "x", `{"ipAddress":{"type":"Public","ip":"20.1.2.3"}}`), one("gateways"), "yes: public address"},
		"private group":      {resourceOf("Microsoft.ContainerInstance/containerGroups", "x", `{"ipAddress":{"type":"Private","ip":"10.1.2.3"}}`), one("gateways"), "no: private address"},
		"balanced group":     {resourceOf("Microsoft.ContainerInstance/containerGroups", "x", `{"ipAddress":{"type":"Private","ip":"10.1.2.3"}}`), one("gateways", gateway("10.1.2.3")), "unknown: private address; named by gateway gw"},
		"group, no address":  {resourceOf("Microsoft.ContainerInstance/containerGroups", "x", `{}`), one("gateways"), "no: no address"},
		"group, odd address": {resourceOf("Microsoft.ContainerInstance/containerGroups", "x", `{"ipAddress":{"type":"Other"}}`), one("gateways"), "unknown: address type Other"},
		"open site":          {resourceOf("Microsoft.Web/sites", "x", `{"publicNetworkAccess":"Enabled"}`), one("gateways"), "yes: public network access enabled"},
		"closed site":        {resourceOf("Microsoft.Web/sites", "x", `{"publicNetworkAccess":"disabled"}`), one("gateways"), "no: public network access disabled"},
		"untold site":        {resourceOf("Microsoft.Web/sites", "x", `{}`), one("gateways"), "unknown: public network access not told"},
	} {
		_, client := newStand(t, c.front, one("containerapps'", c.row))
		got := read(t, client, "workloads").Observation.Workloads
		if len(got) != 1 || len(got[0].Readings) != 1 {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		r := got[0].Readings[0]
		if says := string(r.Says) + ": " + r.Raw; says != c.want || r.Source != "configuration" || (r.Says == graph.Yes) == r.YesAt.IsZero() {
			t.Errorf("%s: %s, want %s", name, says, c.want)
		}
	}
}

func TestInventory_trouble_with_the_gateways_is_trouble(t *testing.T) {
	_, c := newStand(t, rule{words: "gateways", status: 500}, one("containerapps'", resourceOf("Microsoft.Web/sites", "x", `{}`)))
	if got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "workloads"}); err == nil {
		t.Errorf("%+v", got)
	}
}

func TestInventory_gateways_are_read_once_for_a_run(t *testing.T) {
	rows := []json.RawMessage{resourceOf("Microsoft.Web/sites", "x", `{}`)}
	s, c := newStand(t, one("gateways"), rule{words: "containerapps'", pages: [][]json.RawMessage{rows, rows, rows}})
	for cursor := ""; ; {
		got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "workloads", Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		if cursor = got.Next; cursor == "" {
			break
		}
	}
	if len(s.requests) != 4 {
		t.Errorf("%d calls for three pages", len(s.requests))
	}
}

func TestInventory_images(t *testing.T) {
	pinned := "acr.io/a@" + string(digestAB)
	app := resourceOf("Microsoft.App/containerApps", "x", `{"template":{"containers":[{"image":"acr.io/a:1"},{"image":"acr.io/a:1"},{"image":"`+pinned+`"},{"image":"acr.io/b@sha256:12"}],"initContainers":[{"image":" acr.io/init:1 "}]}}`)
	site := resourceOf("Microsoft.Web/sites", "y", `{"siteProperties":{"properties":[{"name":"LinuxFxVersion","value":"DOCKER|acr.io/y:1"},{"name":"WindowsFxVersion","value":null}]},"siteConfig":{"linuxFxVersion":"docker|acr.io/y:1"}}`)
	composed := resourceOf("Microsoft.Web/sites", "z", `{"siteConfig":{"linuxFxVersion":"COMPOSE|dmVyc2lvbg=="}}`)
	_, c := newStand(t, one("containerapps'", app, site, composed))
	got := read(t, c, "workloads")
	var images [][]string
	for _, w := range got.Observation.Workloads {
		var of []string
		for _, r := range w.Running {
			of = append(of, strings.TrimSuffix(r.Image+" "+string(r.Digest), " "))
		}
		images = append(images, of)
	}
	want := [][]string{{"acr.io/a:1", pinned + " " + string(digestAB), "acr.io/init:1"}, {"acr.io/y:1"}, nil}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, why := range []string{"image reference with a digest that is none", "web app images not readable: compose"} {
		if got.Skipped[why] != 1 {
			t.Errorf("%q is not counted: %v", why, got.Skipped)
		}
	}
}

func TestInventory_tags(t *testing.T) {
	for tags, want := range map[string]string{
		`{}`: "",
		`{"critical-resource":"true","Sensitive_Data":"no"}`:                     "sensitive-data no: Sensitive_Data: no, critical-resource yes: critical-resource: true",
		`{"Criticality":"Mission-critical","DataClassification":"Confidential"}`: "sensitive-data yes: DataClassification: Confidential, critical-resource yes: Criticality: Mission-critical",
		`{"criticality":"low","data-classification":"Public"}`:                   "sensitive-data no: data-classification: Public, critical-resource no: criticality: low",
		`{"criticality":"Some","cost":"7","lateral":"maybe"}`:                    "",
		`{"Criticality":"Very high"}`:                                            "critical-resource yes: Criticality: Very high",
		`{"criticality":"non-critical"}`:                                         "critical-resource no: criticality: non-critical",
		`{"runtime-risks":"internet-exposed; critical-resource"}`:                "internet-exposed yes: runtime-risks: internet-exposed; critical-resource, critical-resource yes: runtime-risks: internet-exposed; critical-resource",
		`{"a-critical":"no","b-critical":"yes"}`:                                 "critical-resource yes: b-critical: yes",
	} {
		row := json.RawMessage(`{"id":"` + group + `Microsoft.ContainerService/managedClusters/AKS","name":"AKS","type":"microsoft.containerservice/managedclusters","tags":` + tags + `,"properties":{"fqdn":"x"}}`)
		_, c := newStand(t, one("containerapps'", row))
		got := read(t, c, "workloads")
		var says []string
		for _, r := range got.Observation.Readings {
			if r.Resource != strings.ToLower(group)+"microsoft.containerservice/managedclusters/aks" || !r.Inside || r.Reading.Source != "tag" {
				t.Errorf("%+v", r)
			}
			says = append(says, fmt.Sprintf("%s %s: %s", r.Reading.Factor, r.Reading.Says, r.Reading.Raw))
			if held := (graph.Absence{Kind: graph.KindReading, ID: "tag|" + string(r.Reading.Factor) + "|" + r.Resource}); !slices.Contains(got.Seen, held) {
				t.Errorf("%s: not seen: %v", tags, got.Seen)
			}
		}
		if strings.Join(says, ", ") != want {
			t.Errorf("%s: %v", tags, says)
		}
		if len(got.Observation.Workloads) != 0 {
			t.Errorf("a cluster is no workload")
		}
	}
}

func TestInventory_owner_and_tags_are_kept(t *testing.T) {
	row := json.RawMessage(`{"id":"/x","name":"x","type":"microsoft.web/sites","tags":{"Team":"shop","Service-Owner":"ada"},"properties":{}}`)
	_, c := newStand(t, one("containerapps'", row))
	w := read(t, c, "workloads").Observation.Workloads[0]
	if w.Owner != "ada" || w.Tags["Team"] != "shop" {
		t.Errorf("%+v", w)
	}
}

func TestInventory_single_resource_retires_nothing(t *testing.T) {
	row := resourceOf("Microsoft.Web/sites", "o'hara", `{}`)
	s, c := newStand(t, one("containerapps'", resourceOf("Microsoft.Web/sites", "other", `{}`), row))
	got := read(t, c, "resource:"+strings.ToUpper(group[:20])+group[20:]+"Microsoft.Web/sites/o'hara")
	if len(got.Observation.Workloads) != 1 || got.Observation.Workloads[0].Name != "o'hara" || got.Seen != nil || got.Observation.Workloads[0].Scope != "azure workloads" {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(s.requests[0].Query, `o\'hara'`) {
		t.Errorf("query %s", s.requests[0].Query)
	}
	_, empty := newStand(t)
	if got := read(t, empty, "resource:/subscriptions/1/x"); got.Observation.Len() != 0 || got.Seen != nil {
		t.Errorf("absence proves nothing: %+v", got)
	}
	if _, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "resource:nothing"}); err == nil {
		t.Error("a resource that is none is read")
	}
}

func TestDecode_reports_what_it_does_not_know(t *testing.T) {
	row := `{"ID":"/r/1","NAME":"g","flavour":1,"Properties":{"displayname":"Update x","Status":{"Code":"Unhealthy","mood":"bad"},"resourcedetails":{"RESOURCETYPE":".ContainerImage"},
		"RESOURCEADDITIONALDATA":{"digest":"` + string(digestAB) + `","RepositoryDetails":{"Colour":"red"}},"additionaldata":{"ScannersDetails":{"mdvm":{"Depth":3}},"CvesDetails":[{"CveId":"CVE-2026-1","Weight":1},{"CveId":"CVE-2026-2","Weight":1}]},
		"risk":{"level":"Low","riskFactors":"Internet Exposure","mystery":{}},"metadata":7}}`
	_, c := newStand(t, one("assessments", json.RawMessage(row)))
	got := read(t, c, "findings")
	f := got.Observation.RuntimeFindings
	if len(f) != 1 || f[0].Title != "Update x" || f[0].Digest != digestAB || len(f[0].RiskFactors) != 1 {
		t.Fatalf("%+v", f)
	}
	var keys []string
	for why, n := range got.Skipped {
		keys = append(keys, fmt.Sprint(why, " ", n))
	}
	slices.Sort(keys)
	if diff := cmp.Diff([]string{
		"unexpected shape: properties.metadata 1",
		"unknown key: flavour 1",
		"unknown key: properties.RESOURCEADDITIONALDATA.RepositoryDetails.Colour 1",
		"unknown key: properties.Status.mood 1",
		"unknown key: properties.additionaldata.CvesDetails[].Weight 2",
		"unknown key: properties.additionaldata.ScannersDetails[].Depth 1",
		"unknown key: properties.risk.mystery 1",
		"vulnerability details not readable: want Security Reader on the management group 1",
	}, keys); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
