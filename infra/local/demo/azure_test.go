package demo_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"throughline/infra/local/demo"
)

type rows struct {
	Total     int             `json:"totalRecords"`
	Count     int             `json:"count"`
	Truncated string          `json:"resultTruncated"`
	Token     string          `json:"$skipToken"`
	Data      json.RawMessage `json:"data"`
	Error     *struct{ Code, Message string }
}

func (r rows) list(t *testing.T) []object {
	t.Helper()
	var out []object
	if err := json.Unmarshal(r.Data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// query asks Resource Graph; options are name, value pairs of the options object.
func query(t *testing.T, d *demo.Demo, kql string, options ...any) (rows, int) {
	t.Helper()
	o := object{}
	body := object{"query": kql, "options": o}
	for i := 0; i < len(options); i += 2 {
		if k := options[i].(string); k == "subscriptions" || k == "managementGroups" {
			body[k] = options[i+1]
		} else {
			o[k] = options[i+1]
		}
	}
	var out rows
	status := post(t, d.AzureURL()+"/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01", body, &out)
	return out, status
}

func unlimited(t *testing.T, d *demo.Demo) {
	t.Helper()
	if status := post(t, d.AzureURL()+"/_limits", object{"queries": 0}, nil); status != 200 {
		t.Fatal(status)
	}
}

const assessments = `securityresources | where type == "microsoft.security/assessments" `

func TestResourceGraphPagesByTokenAlone(t *testing.T) {
	d := shared(t)
	unlimited(t, d)
	whole, _ := query(t, d, assessments+"| project id, name | order by id asc", "$top", 1000)
	if whole.Count != whole.Total || whole.Token != "" || whole.Total < 100 {
		t.Fatalf("%d of %d rows, token %q", whole.Count, whole.Total, whole.Token)
	}
	byDefault, _ := query(t, d, assessments+"| project id")
	if byDefault.Count != 100 || byDefault.Token == "" || byDefault.Truncated != "false" {
		t.Errorf("without $top: %d rows, token %q, truncated %q", byDefault.Count, byDefault.Token, byDefault.Truncated)
	}
	var ids []string
	page := rows{Token: "first"}
	options := []any{"$top", 13}
	for page.Token != "" {
		page, _ = query(t, d, assessments+"| project id, name | order by id asc", options...)
		for _, r := range page.list(t) {
			ids = append(ids, r["id"].(string))
		}
		options = []any{"$top", 13, "$skipToken", page.Token}
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != whole.Total {
		t.Errorf("%d different ids over all pages, want %d", len(slices.Compact(ids)), whole.Total)
	}
	for kql, why := range map[string]string{
		assessments + "| project name":                  "id is not projected",
		assessments + "| project id | take 20":          "the query limits itself",
		assessments + "| summarize count() by tenantId": "there is one row",
	} {
		if got, _ := query(t, d, kql, "$top", 13); got.Token != "" {
			t.Errorf("a token although %s", why)
		}
	}
	page, _ = query(t, d, assessments+"| project id", "$top", 13)
	for what, options := range map[string][]any{"another query": {"$top", 13, "$skipToken", page.Token}, "$top of 1001": {"$top", 1001}, "$top of 0": {"$top", 0}} {
		if _, status := query(t, d, assessments+"| project id, name", options...); status != 400 {
			t.Errorf("%s: %d, want 400", what, status)
		}
	}
	if got, status := query(t, d, "nonsense | where"); status != 400 || got.Error.Code != "InvalidQuery" {
		t.Errorf("nonsense: %d %v", status, got.Error)
	}
}

func TestRowIDsAreLowerAndInnerIDsAreNot(t *testing.T) {
	d := shared(t)
	unlimited(t, d)
	all, _ := query(t, d, assessments+"| project id, inner = coalesce(tostring(properties.resourceDetails.Id), tostring(properties.resourceDetails.id))", "$top", 1000)
	mixed := 0
	for _, r := range all.list(t) {
		id, inner := r["id"].(string), r["inner"].(string)
		if id != strings.ToLower(id) || !strings.HasPrefix(id, strings.ToLower(inner)+"/providers/") {
			t.Fatalf("row %s of %s", id, inner)
		}
		if inner != strings.ToLower(inner) {
			mixed++
		}
	}
	if mixed == 0 {
		t.Error("no id inside is of mixed case")
	}
}

// TestFindingsHaveEveryShape holds for the seed that people look at and a few others.
func TestFindingsHaveEveryShape(t *testing.T) {
	for seed := range int64(4) {
		d := start(t, func(o *demo.Options) { o.Seed = seed + 1 })
		unlimited(t, d)
		all, _ := query(t, d, assessments+"| project id, properties", "$top", 1000)
		seen := map[string]bool{}
		for _, r := range all.list(t) {
			shapes(r["properties"].(object), seen)
		}
		paths, _ := query(t, d, `securityresources | where type == "microsoft.security/attackpaths" | project id, name, properties`)
		for _, r := range paths.list(t) {
			_, exposure := r["properties"].(object)["attackPathSteps"]
			seen[fmt.Sprint("attack path of exposure management: ", exposure)] = true
		}
		for _, want := range []string{
			"by reference", "inline", "as text", "K8s-container", ".containerimage", "risk absent", "contextual", "not contextual", "upper keys", "lower keys", "data as text",
			"no fixed version", "unknown severity", "factor internet", "factor sensitive", "factor critical", "factor lateral", "factor noise", "bare pod",
			"attack path of exposure management: true", "attack path of exposure management: false",
		} {
			if !seen[want] {
				t.Errorf("seed %d has no finding %q", seed+1, want)
			}
		}
		spellings := 0
		for k := range seen {
			if strings.HasPrefix(k, "spelled ") {
				spellings++
			}
		}
		if spellings < 8 {
			t.Errorf("seed %d: factors are spelled in %d ways only", seed+1, spellings)
		}
	}
}

func shapes(p object, seen map[string]bool) {
	more := p["additionalData"].(object)
	switch v := more["CvesDetails"].(type) {
	case string:
		seen["as text"] = true
	case []any:
		seen[map[bool]string{true: "by reference", false: "inline"}[len(v[0].(object)) == 1]] = true
	}
	seen["no fixed version"] = seen["no fixed version"] || more["FixedVersion"] == ""
	seen["unknown severity"] = seen["unknown severity"] || p["metadata"].(object)["severity"] == "Unknown"
	details := p["resourceDetails"].(object)
	_, upper := details["Id"]
	seen[map[bool]string{true: "upper keys", false: "lower keys"}[upper]] = true
	for _, k := range []string{"ResourceType", "resourceType"} {
		if kind, found := details[k].(string); found {
			seen[kind] = true
		}
	}
	switch data := p["resourceAdditionalData"].(type) {
	case string:
		seen["data as text"] = true
	case object:
		_, controlled := data["controllerName"]
		_, podded := data["podName"]
		seen["bare pod"] = seen["bare pod"] || podded && (!controlled || data["controllerKind"] == "Pod")
	}
	risk, found := p["risk"].(object)
	if !found {
		seen["risk absent"] = true
		return
	}
	seen[map[any]string{true: "contextual", false: "not contextual"}[risk["isContextualRisk"]]] = true
	for _, f := range risk["riskFactors"].([]any) {
		word := strings.ToLower(f.(string))
		kind := "noise"
		for _, k := range []string{"internet", "sensitive", "critical", "lateral"} {
			if strings.Contains(word, k) && !strings.HasPrefix(word, "no ") && !strings.Contains(word, "severity") {
				kind = k
			}
		}
		seen["factor "+kind], seen["spelled "+f.(string)] = true, true
	}
}

func TestScopesOfResourceGraph(t *testing.T) {
	d := shared(t)
	unlimited(t, d)
	const cves = `securityresources | where type == "microsoft.security/cvedetails" | project id, properties`
	tenant, _ := query(t, d, cves)
	group, _ := query(t, d, cves, "managementGroups", []string{"throughline-demo"})
	subscriptions, _ := query(t, d, `resourcecontainers | where type == "microsoft.resources/subscriptions" | project id, subscriptionId`)
	ids := subscriptions.list(t)
	one, status := query(t, d, cves, "subscriptions", []string{ids[0]["subscriptionId"].(string)})
	if tenant.Total == 0 || group.Total != tenant.Total || one.Total != 0 || status != 200 {
		t.Errorf("CVE details: %d in the tenant, %d in the group, %d in a subscription (%d)", tenant.Total, group.Total, one.Total, status)
	}
	sum := 0
	for _, s := range ids {
		part, _ := query(t, d, assessments+"| project id", "subscriptions", []string{s["subscriptionId"].(string)})
		sum += part.Total
	}
	if all, _ := query(t, d, assessments+"| project id"); sum != all.Total || sum == 0 {
		t.Errorf("the subscriptions hold %d assessments, the tenant %d", sum, all.Total)
	}
}

func TestQuotaOfResourceGraph(t *testing.T) {
	d := start(t)
	for n := range 16 {
		_, status := query(t, d, "resources | project id")
		if want := map[bool]int{true: 200, false: 429}[n < 15]; status != want {
			t.Fatalf("query %d: %d, want %d", n+1, status, want)
		}
	}
	r, err := http.Post(d.AzureURL()+"/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 429 || r.Header.Get("X-Ms-User-Quota-Remaining") != "0" || r.Header.Get("X-Ms-User-Quota-Resets-After") < "00:00:01" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	post(t, d.AzureURL()+"/_limits", object{"forward": "5s"}, nil)
	if _, status := query(t, d, "resources | project id"); status != 200 {
		t.Errorf("5 seconds later: %d", status)
	}
}

func TestInventoryIsTheTruth(t *testing.T) {
	d := shared(t)
	unlimited(t, d)
	var want, got []string
	for _, w := range d.Expected().WorkloadList {
		if w.Cluster != "" {
			want = append(want, strings.ToLower(w.ResourceID)+" "+w.Digest)
		} else {
			want = append(want, strings.ToLower(w.ResourceID))
		}
	}
	inventory, _ := query(t, d, `resources | where type in~ ("microsoft.app/containerapps","microsoft.containerinstance/containergroups","microsoft.web/sites") | project id`)
	for _, r := range inventory.list(t) {
		got = append(got, r["id"].(string))
	}
	containers, _ := query(t, d, assessments+`| where id contains "/managedclusters/" | extend rad = parse_json(tostring(properties.resourceAdditionalData))
		| distinct resource = tolower(coalesce(tostring(properties.resourceDetails.Id), tostring(properties.resourceDetails.id))), digest = coalesce(tostring(rad.Digest), tostring(rad.digest))`, "$top", 1000)
	for _, r := range containers.list(t) {
		got = append(got, fmt.Sprint(r["resource"], " ", r["digest"]))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("Resource Graph tells of\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGovernanceAssignments(t *testing.T) {
	dir := t.TempDir()
	d := start(t, func(o *demo.Options) { o.Dir = dir })
	unlimited(t, d)
	first, _ := query(t, d, assessments+"| project id, inner = properties.resourceDetails.Id, name | order by id desc", "$top", 1)
	row := first.list(t)[0]
	home := fmt.Sprint(row["inner"], "/providers/Microsoft.Security/assessments/", row["name"])
	at := home + "/governanceAssignments/6634ff9f-127b-4bf2-8e6e-b1737f5e789c?api-version=2022-01-01-preview"
	body := object{"properties": object{"remediationDueDate": "2026-12-07T13:00:00Z", "owner": "a@example.com", "isGracePeriod": false,
		"additionalData": object{"ticketNumber": 12, "ticketLink": "https://github.com/o/r/issues/12", "ticketStatus": "open"}}}
	for n, want := range []int{201, 200} {
		if got := put(t, d.AzureURL()+at, body); got != want {
			t.Errorf("put %d: %d, want %d", n+1, got, want)
		}
	}
	for what, bad := range map[string]object{
		"no due date": {"owner": "a"}, "a ticket beyond int32": {"remediationDueDate": "2026-12-07T13:00:00Z", "additionalData": object{"ticketNumber": 1 << 40}},
		"half an estimate": {"remediationDueDate": "2026-12-07T13:00:00Z", "remediationEta": object{"eta": "2026-12-07T13:00:00Z"}},
	} {
		if got := put(t, d.AzureURL()+at, object{"properties": bad}); got != 400 {
			t.Errorf("%s: %d, want 400", what, got)
		}
	}
	if got := put(t, d.AzureURL()+strings.Replace(at, fmt.Sprint(row["name"]), "00000000-0000-0000-0000-000000000000", 1), body); got != 404 {
		t.Errorf("an assessment that is not there: %d", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = start(t, func(o *demo.Options) { o.Dir = dir })
	unlimited(t, d)
	r, err := http.Get(d.AzureURL() + strings.ToLower(home) + "/governanceAssignments?api-version=2022-01-01-preview")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(text), `"ticketNumber":12`) {
		t.Errorf("after a restart: %s %v", text, err)
	}
	found, _ := query(t, d, `securityresources | where type == "microsoft.security/assessments/governanceassignments" | where properties.additionalData.ticketNumber == 12
		| project id, assessmentId=tolower(tostring(properties.assignedResourceId))`)
	if list := found.list(t); len(list) != 1 || list[0]["assessmentId"] != strings.ToLower(home) {
		t.Errorf("Resource Graph shows %v", list)
	}
}

func put(t *testing.T, url string, body any) int {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}

// TestRegistryServesEveryImage pulls with the client that the product uses, through REGISTRY_MIRRORS.
func TestRegistryServesEveryImage(t *testing.T) {
	d := shared(t)
	mirrors := map[string]string{}
	for _, m := range strings.Split(setting(t, d, "REGISTRY_MIRRORS"), ",") {
		host, mirror, _ := strings.Cut(m, "=")
		mirrors[host] = mirror
	}
	for _, img := range d.Expected().ImageList {
		host, path, _ := strings.Cut(img.Reference, "/")
		tag, err := name.NewTag(mirrors[host] + "/" + path + ":" + img.Tag)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Head(tag)
		if err != nil || got.Digest.String() != img.Digest {
			t.Fatalf("%s is %v, want %s: %v", tag, got, img.Digest, err)
		}
		for _, digest := range img.Closure {
			ref, err := name.NewDigest(mirrors[host] + "/" + path + "@" + digest)
			if err != nil {
				t.Fatal(err)
			}
			desc, err := remote.Get(ref)
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			if desc.MediaType.IsIndex() {
				continue
			}
			pulled, err := desc.Image()
			if err != nil {
				t.Fatal(err)
			}
			config, err := pulled.ConfigFile()
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			label := config.Config.Labels["org.opencontainers.image.source"]
			if slices.Contains(img.Evidence, "label") && digest == img.Closure[min(1, len(img.Closure)-1)] && label == "" {
				t.Errorf("%s has no label", ref)
			}
			layers, err := pulled.Layers()
			if err != nil || len(layers) == 0 {
				t.Errorf("%s: %d layers, %v", ref, len(layers), err)
			}
		}
	}
}

// TestRollOut merges, builds and deploys: the finding turns healthy and the workload reports the new digest.
func TestRollOut(t *testing.T) {
	dir := t.TempDir()
	d := start(t, func(o *demo.Options) { o.Dir = dir })
	x := d.Expected()
	w := x.WorkloadList[slices.IndexFunc(x.WorkloadList, func(w demo.ExpectedWorkload) bool { return w.Kind == "pod" })]
	name := ""
	for _, r := range x.RepositoryList {
		if r.ID == w.Repository {
			name = strings.TrimPrefix(r.FullName, "throughline-demo/")
		}
	}
	admin := func(base, path string, body any) object {
		t.Helper()
		var out object
		if status := post(t, base+"/_demo/"+path, body, &out); status != 200 {
			t.Fatalf("%s: %d %v", path, status, out)
		}
		return out
	}
	admin(d.GitHubURL(), "pulls", object{"repository": name, "title": "Fix"})
	merged := admin(d.GitHubURL(), "pulls/"+name+"/1/merge", nil)
	built := admin(d.GitHubURL(), fmt.Sprintf("images/%d/build", w.Image), nil)
	if built["revision"] != merged["sha"] {
		t.Errorf("built from %v, merged %v", built["revision"], merged["sha"])
	}
	admin(d.AzureURL(), fmt.Sprintf("workloads/%d", w.Index), object{"image": built["image"]})
	check := func(d *demo.Demo) {
		t.Helper()
		unlimited(t, d)
		now := d.Expected().WorkloadList[w.Index]
		if now.Digest == w.Digest || !slices.Contains(d.Expected().ImageList[now.Image].Closure, now.Digest) {
			t.Errorf("the workload reports %s after %s", now.Digest, w.Digest)
		}
		got, _ := query(t, d, assessments+`| where id startswith "`+strings.ToLower(w.ResourceID)+`" | extend rad = parse_json(tostring(properties.resourceAdditionalData))
			| project id, code = tostring(properties.status.code), digest = coalesce(tostring(rad.Digest), tostring(rad.digest))`)
		healthy := 0
		for _, r := range got.list(t) {
			if r["code"] == "Healthy" {
				healthy++
			}
			if r["digest"] != now.Digest {
				t.Errorf("a row still tells of %v", r["digest"])
			}
		}
		if healthy == 0 {
			t.Error("no finding turned healthy")
		}
	}
	check(d)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	check(start(t, func(o *demo.Options) { o.Dir = dir }))
}
