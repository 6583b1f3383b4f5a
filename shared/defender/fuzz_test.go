package defender

import (
	"encoding/json"
	"testing"
	"time"

	"throughline/shared/graph"
)

// fuzzed is a reading whose client has nobody to ask.
func fuzzed(t *testing.T) *reading {
	c, err := Open(Options{ARM: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return &reading{Client: c, at: time.Unix(1, 0).UTC(), skipped: newTally()}
}

// sound fails for nouns that break the promises of graph.
func sound(t *testing.T, o graph.Observation) {
	t.Helper()
	for _, w := range o.Workloads {
		if w.ID != graph.NewWorkloadID(w.Path) {
			t.Errorf("workload %s is not %s", w.ID, w.Path)
		}
		for _, r := range w.Running {
			if r.Digest != "" {
				soundDigest(t, r.Digest)
			}
		}
	}
	for _, f := range o.RuntimeFindings {
		soundDigest(t, f.Digest)
		if len(f.ID) > 150 {
			t.Errorf("id %q", f.ID)
		}
	}
}

func soundDigest(t *testing.T, d graph.Digest) {
	t.Helper()
	if known, err := graph.ParseDigest(string(d)); err != nil || known != d {
		t.Errorf("digest %q", d)
	}
}

func FuzzAssessmentRow(f *testing.F) {
	f.Add([]byte(`{"id":"/r","name":"g","properties":{"resourceDetails":{"ResourceType":"K8s-container"},"resourceAdditionalData":"{\"Digest\":\"sha256:abababababababababababababababababababababababababababababababab\"}"}}`))
	f.Add([]byte(`{"id":"/r","name":"g","properties":{"resourceDetails":{"ResourceType":".containerimage"},"additionalData":{"CvesDetails":"[{\"CveId\":\"CVE-1-2\",\"Cvss\":{\"3.0\":null}}]","ScannersDetails":[]}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := fuzzed(t)
		if s := r.assessmentRow(raw); s != nil {
			r.containers([]*seenRow{s}, func(*seenRow, graph.Workload) pathRole { return pathRole{} })
			r.images([]*seenRow{s})
			r.out.Observation.RuntimeFindings = append(r.out.Observation.RuntimeFindings, s.finding)
		}
		sound(t, r.out.Observation)
	})
}

func FuzzResourceRow(f *testing.F) {
	for _, kind := range []string{"microsoft.app/containerapps", "microsoft.containerinstance/containergroups", "microsoft.web/sites", "microsoft.containerservice/managedclusters"} {
		f.Add([]byte(`{"id":"/r","name":"g","type":"` + kind + `","tags":{"critical":"yes"},"properties":{"template":{"containers":[{"image":"a@b"}]},"containers":[{"properties":{"image":"c"}}]}}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := fuzzed(t)
		front := &front{readable: true, inside: map[string]bool{}}
		front.add(raw)
		r.resourceRow(raw, front)
		sound(t, r.out.Observation)
	})
}

func FuzzAttackPathRow(f *testing.F) {
	f.Add([]byte(`{"name":"p","properties":{"graphComponent":{"entities":[{"entityInternalId":"1","entityType":"ip"}],"connections":[{"sourceEntityInternalId":"1"}]},"entryPoint":"{\"a\":\"/subscriptions/1/providers/x\"}"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := fuzzed(t)
		if err := r.attackPaths(t.Context(), scopeGroup{}, []json.RawMessage{raw}); err != nil {
			t.Error(err)
		}
	})
}

func FuzzVulnerabilityRow(f *testing.F) {
	f.Add([]byte(`{"cveId":"CVE-1-2","cvss":{"4.0":null,"3.0":{"base":9,"cvssVectorString":"x"}},"exploitabilityDetails":{"Epss":{"Score":2}}}`))
	f.Add([]byte(`{"cveId":"CVE-1-2","Cvss":[{"Key":"3","Value":{"CvssVectorString":"x"}}],"status":"Reject"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := decode[cveDetail](raw, "", newTally())
		c := d.cve(cveID(d.CveID.String()))
		if c.EPSS != nil && (*c.EPSS < 0 || *c.EPSS > 1) {
			t.Errorf("EPSS %v", *c.EPSS)
		}
	})
}
