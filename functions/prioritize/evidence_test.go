package prioritize

import (
	"slices"
	"testing"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

// subscription is where the workloads of these stories are.
const subscription = "/subscriptions/sub-1/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/aks-prod/namespaces/shop/deployments/api/containers/api"

// assessed lets CISA say that a flaw is not automatable and gives total control.
func assessed(in *decision.Inputs) {
	in.Automatable, in.Impact = decision.Fact{Value: "no", Source: "CISA"}, decision.Fact{Value: "total", Source: "CISA"}
}

// unread is a workload in a cluster of which only the given factors were read: all of them say no.
func unread(factors ...graph.Factor) graph.ExposedWorkload {
	w := graph.ExposedWorkload{ID: "w-1", Path: subscription, Name: "api", Kind: "Deployment", Cluster: "aks-prod", Digests: []graph.Digest{"sha256:a"}}
	for _, f := range factors {
		w.Readings = append(w.Readings, graph.Reading{Factor: f, Source: "mdc-contextual", Says: graph.No, ReadAt: noon})
	}
	return w
}

// TestEveryMissingFactIsToldOfRealFindings lets findings be decided by the stage and reads what their explanations say is
// missing: every text of the specification's table, and of every feed.
func TestEveryMissingFactIsToldOfRealFindings(t *testing.T) {
	all := graph.Factors[:]
	without := func(f graph.Factor) []graph.Factor {
		return slices.DeleteFunc(slices.Clone(all), func(x graph.Factor) bool { return x == f })
	}
	nowhere := func(last string) []string {
		return []string{"No source says whether the workload can be reached from the internet; counted as no. If it is: P2. To settle: record it in the catalogue.",
			"Not known whether the workload opens a way to other resources; counted as no. If it does: P2.",
			"Not known whether the workload handles sensitive data; counted as no. If it does: P2.",
			"Not known whether the workload is a critical resource; counted as no. If it is: P2.", last}
	}
	epss := 0.2
	plain := func(a *graph.Alert) { a.Dependency.EPSS = &epss }
	for name, c := range map[string]struct {
		alert  func(*graph.Alert)
		expose func(*estate)
		feeds  func(*feeds)
		want   []string
	}{
		"internet": {plain, func(e *estate) { e.expose(shop, unread(without(graph.InternetExposed)...)) },
			func(f *feeds) { f.say = func(in *decision.Inputs) { assessed(in); in.EPSS.Value = "0.01" } }, []string{
				"No source says whether api can be reached from the internet. It is treated as exposed. If it is not: P3. To settle: allow reading Services, Ingresses and Gateways of aks-prod, enable Defender CSPM on sub-1, or record it in the catalogue."}},
		"lateral, sensitive, critical": {plain, func(e *estate) { e.expose(shop, unread(graph.InternetExposed)) },
			func(f *feeds) { f.say = assessed }, []string{
				"Not known whether api opens a way to other resources; counted as no. If it does: P1.",
				"Not known whether api handles sensitive data; counted as no. If it does: P1.",
				"Not known whether api is a critical resource; counted as no. If it is: P1."}},
		"running, no image": {plain, func(e *estate) { e.bare(false, false) },
			func(f *feeds) { f.say = assessed }, nowhere("No image is known to come from shop/api. One tier slower than if it ran. If it runs: P1; if it does not: P4.")},
		"running, inventory": {plain, func(e *estate) {
			e.stage.Inventory = []string{"azure workloads", "azure findings"}
			e.put(graph.ScopeKey("azure workloads"), "scope", graph.Scope{ID: "azure workloads", StartedAt: noon, Complete: true})
			e.put(graph.ScopeKey("azure findings"), "scope", graph.Scope{ID: "azure findings", StartedAt: day(-9), Complete: true})
			e.bare(true, true)
		}, func(f *feeds) { f.say = assessed }, nowhere("Inventory of azure findings incomplete since 15 November. One tier slower than if it ran. If it runs: P1; if it does not: P4.")},
		"running, inventory never read": {plain, func(e *estate) { e.bare(true, false) },
			func(f *feeds) { f.say = assessed }, nowhere("Inventory of what runs incomplete. One tier slower than if it ran. If it runs: P1; if it does not: P4.")},
		"running, development": {func(a *graph.Alert) { a.Dependency.EPSS, a.Dependency.Scope = &epss, "development" }, func(e *estate) { e.expose(shop, unread(all...)) },
			func(f *feeds) { f.say = assessed }, nowhere("Without an SBOM it is not known whether the image contains this development dependency. One tier slower than if it ran. If it runs: P1; if it does not: P4.")},
		"automatable, impact, severity, EPSS": {func(a *graph.Alert) { a.Severity, a.Dependency.CVSS = "", nil }, func(e *estate) { e.expose(shop, unread(all...)) }, nil, []string{
			"CISA has not assessed CVE-2026-1; the 60-day fallback applies. No CVSS vector gives an estimate; counted as not automatable, partial.",
			"No severity published, treated as High.", "No EPSS value yet, counted as 0."}},
		"automatable, impact, by the vector": {plain, func(e *estate) { e.expose(shop, unread(all...)) }, nil, []string{
			"CISA has not assessed CVE-2026-1; the 60-day fallback applies. Estimated from the CVSS vector: not automatable, total."}},
		"stale feeds": {plain, func(e *estate) { e.expose(shop, unread(all...)) }, func(f *feeds) {
			f.say = assessed
			f.fresh = &decision.Feeds{KEV: decision.Feed{Version: "k", Date: day(-4)}, EPSS: decision.Feed{Version: "e", Date: day(-4)}, Vulnrichment: decision.Feed{Version: "v", Date: day(-15)}}
		}, []string{"KEV catalogue is from 20 November; newer exploitation is not seen.", "EPSS values are from 20 November; newer values are not seen.",
			"Vulnrichment data is from 9 November; newer assessments are not seen."}},
		"feeds never read": {plain, func(e *estate) { e.expose(shop, unread(all...)) }, func(f *feeds) { f.say, f.fresh = assessed, &decision.Feeds{} }, []string{
			"KEV catalogue is missing; newer exploitation is not seen.", "EPSS values are missing; newer values are not seen.", "Vulnrichment data is missing; newer assessments are not seen."}},
		"validity": {func(a *graph.Alert) {
			a.Kind, a.Dependency, a.Secret = graph.SecretScanning, nil, &graph.Secret{TypeName: "Token"}
		}, func(e *estate) { e.expose(shop, unread(all...)) }, nil, []string{
			"GitHub cannot check this type of secret. Treated as possibly live until someone says otherwise. If active: P0."}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEstate(t)
			e.feeds.fresh = &decision.Feeds{KEV: decision.Feed{Version: "k", Date: noon}, EPSS: decision.Feed{Version: "e", Date: noon}, Vulnrichment: decision.Feed{Version: "v", Date: noon}}
			if c.feeds != nil {
				c.feeds(e.feeds)
			}
			c.expose(e)
			id := e.alert(shop, 1, "CVE-2026-1")
			f := e.finding(id)
			f.Alert.Dependency.EPSS = nil
			c.alert(f.Alert)
			e.put(graph.FindingKey(shop, id), graph.KindFinding, f)
			e.say(event.Lag{Findings: []graph.FindingID{id}})
			var got []string
			x := e.explanation(id)
			for _, gap := range x.Gaps(e.policy) {
				got = append(got, gap.Text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("says %q\nwant %q", got, c.want)
			}
		})
	}
}

// bare is a repository of which nothing runs: with an image that is known, or without, and with an inventory or before it.
func (e *estate) bare(images, inventory bool) {
	x := graph.Exposure{Repository: shop, Org: org, FullName: "shop/api", Images: images, Inventory: inventory}
	e.put(graph.ExposureKey(shop), graph.KindExposure, x.Sealed())
}
