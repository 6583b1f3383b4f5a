package defender

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"throughline/shared/graph"
)

// stand is Resource Graph as far as the tests need it: each query is answered by the first rule whose words it holds.
type stand struct {
	*httptest.Server
	mu       sync.Mutex
	rules    []rule
	requests []graphRequest
}

type rule struct {
	words  string
	status int
	header http.Header
	pages  [][]json.RawMessage
}

func newStand(t *testing.T, rules ...rule) (*stand, *Client) {
	t.Helper()
	s := &stand{rules: rules}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	c, err := Open(Options{ARM: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func (s *stand) serve(w http.ResponseWriter, req *http.Request) {
	var in graphRequest
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil || req.URL.Path != graphPath || req.URL.Query().Get("api-version") != graphVersion {
		http.Error(w, "not Resource Graph", http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, in)
	for _, r := range s.rules {
		if strings.Contains(in.Query, r.words) {
			r.answer(w, in.Options.SkipToken)
			return
		}
	}
	_, _ = io.WriteString(w, `{"count":0,"data":[],"resultTruncated":"false"}`)
}

func (r rule) answer(w http.ResponseWriter, token string) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	if r.status >= 300 {
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, `{"error":{"code":"Refused","message":"by the test"}}`)
		return
	}
	n := len(token)
	out := map[string]any{"data": []json.RawMessage{}, "resultTruncated": "false"}
	if n < len(r.pages) && r.pages[n] != nil {
		out["data"] = r.pages[n]
	}
	if n+1 < len(r.pages) {
		out["$skipToken"] = strings.Repeat("x", n+1)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// fixture reads the rows of a file among the outside fixtures.
func fixture(t *testing.T, name string) []json.RawMessage {
	t.Helper()
	dir := os.Getenv("FIXTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "fixtures")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "azure", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no fixtures: set FIXTURES (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Data []json.RawMessage }
	if err := json.Unmarshal(raw, &file); err != nil || file.Data == nil {
		file.Data = []json.RawMessage{raw}
	}
	return file.Data
}

func read(t *testing.T, c *Client, scope string) graph.Collected {
	t.Helper()
	got, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: scope, StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var (
	digestAB = graph.Digest("sha256:" + strings.Repeat("ab", 32))
	cluster  = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop/providers/Microsoft.ContainerService/managedClusters/aks-prod"
)

// one answers a rule with one page of rows.
func one(words string, rows ...json.RawMessage) rule {
	return rule{words: words, pages: [][]json.RawMessage{rows}}
}

func TestRead_all_names_the_scopes(t *testing.T) {
	_, c := newStand(t)
	got := read(t, c, "all")
	var scopes []string
	for _, f := range got.Follow {
		scopes = append(scopes, f.Source+" "+f.Scope)
	}
	if strings.Join(scopes, ", ") != "azure workloads, azure findings, azure attackpaths" || got.Seen != nil {
		t.Errorf("%v", scopes)
	}
	if _, err := c.Read(context.Background(), graph.Collection{Source: Source, Scope: "everything"}); err == nil {
		t.Error("an unknown scope is read")
	}
}

// TestRead_image_rows reads the three states in which tenants have the vulnerabilities of a row.
func TestRead_image_rows(t *testing.T) {
	for _, name := range []string{"cves-by-reference", "cves-inline", "cves-string-encoded"} {
		t.Run(name, func(t *testing.T) {
			rows := fixture(t, "synth.arg.assessment.softwareupdate.containerimage."+name+".json")
			_, c := newStand(t, one("cvedetails", fixture(t, "synth.arg.cvedetails.json")...), one("assessments", rows...))
			got := read(t, c, "findings")
			if len(got.Skipped) != 0 {
				t.Errorf("skipped %v", got.Skipped)
			}
			if len(got.Observation.RuntimeFindings) != 1 || len(got.Observation.Workloads) != 0 {
				t.Fatalf("%+v", got.Observation)
			}
			f := got.Observation.RuntimeFindings[0]
			if !strings.HasPrefix(string(f.ID), "runtime-0f4c8b8e-1111-4222-8333-444455556666-") || f.Digest != digestAB || f.Workload != "" || f.Software != "openssl" ||
				f.FixedIn != "3.0.14-1~deb12u1" || f.Severity != "critical" || f.RiskLevel != "Critical" || f.State != graph.Open || f.Scope != "azure findings" ||
				len(f.Versions) != 1 || f.Contextual == nil || !*f.Contextual || f.UpdatedAt.IsZero() || !strings.HasPrefix(f.Assessment, "/subscriptions/11111111") {
				t.Errorf("%+v", f)
			}
			if len(f.CVEs) != 2 || f.CVEs[0].ID != "CVE-2024-4741" || f.CVEs[1].ID != "CVE-2024-5535" || f.CVEs[1].Severity != "critical" ||
				len(f.CVEs[1].CVSS) != 1 || !strings.HasPrefix(f.CVEs[1].CVSS[0], "CVSS:3.1/") {
				t.Errorf("%+v", f.CVEs)
			}
			var says []string
			for _, r := range got.Observation.Readings {
				if r.Digest != digestAB || r.Reading.Source != "mdc-image" || r.Reading.YesAt.IsZero() {
					t.Errorf("%+v", r)
				}
				says = append(says, string(r.Reading.Factor)+" "+string(r.Reading.Says))
			}
			if strings.Join(says, ", ") != "internet-exposed yes, critical-resource yes" {
				t.Errorf("a row about an image says %v", says)
			}
			want := graph.Absence{Kind: graph.KindRuntimeFinding, ID: string(digestAB) + "|" + string(f.ID)}
			if !slices.Contains(got.Seen, want) {
				t.Errorf("seen %v", got.Seen)
			}
		})
	}
}

func TestRead_container_row(t *testing.T) {
	rows := fixture(t, "synth.arg.assessment.softwareupdate.k8s-container.json")
	_, c := newStand(t, one("cvedetails", fixture(t, "synth.arg.cvedetails.json")...), one("attackpaths", fixture(t, "synth.arg.attackpath.two-shapes.json")...),
		one("assessments", append(rows, rows[0])...))
	got := read(t, c, "findings")
	if len(got.Observation.Workloads) != 1 {
		t.Fatalf("the same container twice: %+v", got.Observation.Workloads)
	}
	w := got.Observation.Workloads[0]
	path := cluster + "/namespaces/shop/deployment/api/containers/api"
	if w.Path != path || w.ID != graph.NewWorkloadID(path) || w.Kind != "Deployment" || w.Name != "api" || w.Cluster != "aks-prod" || w.Namespace != "shop" ||
		w.Container != "api" || w.Cloud != "Azure" || w.Scope != "azure findings" || len(w.Running) != 1 || w.Running[0].Digest != digestAB {
		t.Errorf("%+v", w)
	}
	if f := got.Observation.RuntimeFindings[0]; f.Workload != w.ID {
		t.Errorf("finding of %s, want %s", f.Workload, w.ID)
	}
	if !slices.Contains(got.Seen, graph.Absence{Kind: graph.KindWorkload, ID: string(w.ID)}) {
		t.Errorf("seen %v", got.Seen)
	}
	internet := slices.IndexFunc(w.Readings, func(r graph.Reading) bool { return r.Source == "attack-path" && r.Says == graph.Yes })
	if internet < 0 || w.Readings[internet].Factor != graph.InternetExposed || !strings.HasPrefix(w.Readings[internet].Path, "attackPaths/9d7d0f0e") {
		t.Errorf("the path that the row names is not on the workload: %+v", w.Readings)
	}
}

func TestRead_attack_paths_of_both_shapes(t *testing.T) {
	_, c := newStand(t, one("attackpaths", fixture(t, "synth.arg.attackpath.two-shapes.json")...))
	got := read(t, c, "attackpaths")
	if len(got.Observation.Readings) != 0 {
		t.Errorf("a cluster on a path is not its workloads: %+v", got.Observation.Readings)
	}
	for _, why := range []string{"attack path through a cluster: its containers are known by their findings", "attack path without a resource"} {
		if got.Skipped[why] != 1 {
			t.Errorf("%q is not counted: %v", why, got.Skipped)
		}
	}
	if len(got.Skipped) != 2 {
		t.Errorf("skipped %v", got.Skipped)
	}
}

func TestRead_workloads(t *testing.T) {
	rows := slices.Concat(fixture(t, "synth.arg.webapp.container.json"), fixture(t, "res.containerapp.get.quoted.json"), fixture(t, "res.containerinstance.get.quoted.json"))
	_, c := newStand(t, one("containerapps'", rows...))
	got := read(t, c, "workloads")
	if len(got.Skipped) != 0 || len(got.Observation.Workloads) != 3 || len(got.Seen) != 3 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []struct{ kind, image, raw string }{
		{"WebApp", "contosoacr.azurecr.io/shop/admin:2.0.1", "public network access enabled"},
		{"ContainerApp", "repo/testcontainerapp0:v4", "ingress external"},
		{"ContainerGroup", "nginx", "public address"},
	} {
		w := got.Observation.Workloads[i]
		if w.Kind != want.kind || len(w.Running) != 1 || w.Running[0].Image != want.image || w.ID != graph.NewWorkloadID(w.Path) || w.Scope != "azure workloads" {
			t.Errorf("%+v", w)
		}
		if r := w.Readings[0]; len(w.Readings) != 1 || r.Source != "configuration" || r.Says != graph.Yes || r.Raw != want.raw {
			t.Errorf("%s: %+v", want.kind, w.Readings)
		}
	}
}

func TestRead_vulnerability_details(t *testing.T) {
	rows := fixture(t, "synth.arg.assessment.softwareupdate.containerimage.cves-by-reference.json")
	reject := json.RawMessage(`{"id":"/providers/microsoft.security/cvedetails/cve-2024-4741","name":"cve-2024-4741","properties":{"cveId":"CVE-2024-4741","status":"Reject","severity":"","cvss":{"4.0":null,"3.0":null,"2.0":null}}}`)
	newest := json.RawMessage(`{"id":"/x","name":"cve-2024-5535","properties":{"cveId":"CVE-2024-5535","severity":"Unknown","cvss":{"2.0":{"base":5,"cvssVectorString":"AV:N"},"4.0":{"base":9,"cvssVectorString":"CVSS:4.0/AV:N"}},"exploitabilityDetails":{"IsInExploitKit":true,"ExploitStepsVerified":true,"Epss":{"Score":"0.5"}}}}`)
	s, _ := newStand(t, one("cvedetails", reject, newest), one("assessments", rows...))
	c, err := Open(Options{ARM: s.URL, Scopes: []string{"sub-1"}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f := read(t, c, "findings").Observation.RuntimeFindings[0]
		if len(f.CVEs) != 1 || f.CVEs[0].ID != "CVE-2024-5535" {
			t.Fatalf("a rejected vulnerability stays: %+v", f.CVEs)
		}
		v := f.CVEs[0]
		if v.Severity != "" || len(v.CVSS) != 1 || v.CVSS[0] != "CVSS:4.0/AV:N" || !v.ExploitKit || !v.Verified || v.EPSS == nil || *v.EPSS != 0.5 {
			t.Errorf("%+v", v)
		}
	}
	asked := 0
	for _, r := range s.requests {
		if strings.Contains(r.Query, "cvedetails") {
			asked++
			if len(r.Subscriptions) != 0 {
				t.Errorf("details stand at tenant scope, asked in %v", r.Subscriptions)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for the same details", asked)
	}
}

func TestRead_goes_on_without_vulnerability_details(t *testing.T) {
	for name, r := range map[string]rule{"no rows": one("cvedetails"), "forbidden": {words: "cvedetails", status: 403}} {
		t.Run(name, func(t *testing.T) {
			_, c := newStand(t, r, one("assessments", fixture(t, "synth.arg.assessment.softwareupdate.containerimage.cves-by-reference.json")...))
			got := read(t, c, "findings")
			if len(got.Observation.RuntimeFindings[0].CVEs) != 2 || got.Skipped["vulnerability details not readable: want Security Reader on the management group"] != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}
