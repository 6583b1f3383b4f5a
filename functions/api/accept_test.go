package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/graph"
)

func (o *office) finding(r graph.RepositoryID, id graph.FindingID) graph.Finding {
	o.t.Helper()
	f, err := graph.Get[graph.Finding](context.Background(), o.store, graph.FindingKey(r, id))
	if err != nil || !f.Exists() {
		o.t.Fatalf("finding %s: %v", id, err)
	}
	return f.Value
}

func TestAcceptanceIsRecordedAndDecided(t *testing.T) {
	o := newOffice(t)
	id := o.decided("github-1", 1, inputs("0.2", graph.No))
	status, _ := o.ask("POST", "/api/findings/"+string(id)+"/accept", `{"until":"2026-12-31","reason":" behind a gateway "}`)
	a := o.finding("github-1", id).Acceptance
	if status != http.StatusOK || a == nil || a.By != "local operator" || a.Reason != "behind a gateway" || a.Tier != graph.P2 || !a.At.Equal(o.now) || a.Until.Format(time.RFC3339) != "2026-12-31T23:59:59Z" {
		t.Fatalf("status %d: %+v", status, a)
	}
	var l event.Lag
	if len(o.said) != 1 || o.said[0].Type != event.Correlated || o.said[0].Into(&l) != nil || len(l.Findings) != 1 || l.Findings[0] != id {
		t.Errorf("said %+v", o.said)
	}
}

func TestAcceptanceIsRefused(t *testing.T) {
	o := newOffice(t)
	id := o.decided("github-1", 1, inputs("0.2", graph.No)) // P2: at most 180 days
	for name, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"too long":      {string(id), `{"until":"2027-11-24","reason":"x"}`, 422, "at most 180 days"},
		"in the past":   {string(id), `{"until":"2026-11-01","reason":"x"}`, 422, "not in the future"},
		"no reason":     {string(id), `{"until":"2026-12-31","reason":"  "}`, 422, "reason"},
		"no date":       {string(id), `{"reason":"x"}`, 400, "2026-12-31"},
		"no JSON":       {string(id), `until tomorrow`, 400, "send JSON"},
		"not a finding": {"github-1-dependabot-99", `{"until":"2026-12-31","reason":"x"}`, 404, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := o.ask("POST", "/api/findings/"+c.path+"/accept", c.body)
			if detail, _ := answer["detail"].(string); status != c.status || !strings.Contains(detail, c.says) {
				t.Errorf("status %d: %q", status, detail)
			}
		})
	}
	if a := o.finding("github-1", id).Acceptance; a != nil || len(o.said) != 0 {
		t.Errorf("a refused acceptance left %+v and %d events", a, len(o.said))
	}
}

func TestAcceptanceNeedsTheOperator(t *testing.T) {
	o := newOffice(t)
	o.api.Access = Access{Authenticated: true}
	o.server.Config.Handler = o.api.Handler()
	id := o.decided("github-1", 1, inputs("0.2", graph.No))
	if status, _ := o.ask("POST", "/api/findings/"+string(id)+"/accept", `{"until":"2026-12-31","reason":"x"}`); status != http.StatusUnauthorized {
		t.Errorf("nobody: status %d", status)
	}
	req, err := http.NewRequest("POST", o.server.URL+"/api/findings/"+string(id)+"/accept", strings.NewReader(`{"until":"2026-12-31","reason":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-MS-CLIENT-PRINCIPAL", "eyJjbGFpbXMiOlt7InR5cCI6InJvbGVzIiwidmFsIjoiUmVhZGVyIn0seyJ0eXAiOiJwcmVmZXJyZWRfdXNlcm5hbWUiLCJ2YWwiOiJib2IifV19")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || o.finding("github-1", id).Acceptance != nil {
		t.Errorf("a reader: status %d", resp.StatusCode)
	}
}

func TestReassessEndsTheHold(t *testing.T) {
	o := newOffice(t)
	id := o.decided("github-1", 1, inputs("0.2", graph.No))
	if status, _ := o.ask("POST", "/api/findings/"+string(id)+"/reassess", `{"reason":""}`); status != http.StatusUnprocessableEntity {
		t.Errorf("without a reason: status %d", status)
	}
	status, _ := o.ask("POST", "/api/findings/"+string(id)+"/reassess", `{"reason":"ingress removed"}`)
	f := o.finding("github-1", id)
	last := f.Decision.History[len(f.Decision.History)-1]
	if status != http.StatusOK || last.Cause != string(decision.Released) || last.By == "" || last.Reason != "ingress removed" || f.Based != (graph.Basis{}) || len(o.said) != 1 {
		t.Errorf("status %d: %+v", status, last)
	}
}

func TestReplayAgreesWithWhatWasStored(t *testing.T) {
	o := newOffice(t)
	id := o.decided("github-1", 1, inputs("0.2", graph.No))
	f := o.finding("github-1", id)
	old := *f.Decision
	// The past: another answer, under another policy.
	before := decision.DefaultPolicy()
	before.Thresholds.EPSSLikely = 0.5
	o.put(graph.PolicyKey(before.Hash()), graph.KindPolicy, before)
	x := decision.Explain(inputs("0.2", graph.No), before)
	raw, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	past := graph.Decision{Version: "past", Tier: x.Tier, Published: x.Tier, Rule: x.Rule, Since: planNoon.AddDate(0, 0, -9), Workloads: []graph.WorkloadDecision{{Explanation: raw}}}
	record, err := graph.NewRecord(id, past, old.Since)
	if err != nil {
		t.Fatal(err)
	}
	o.put(graph.RecordKey("github-1", id, past.Since), graph.KindRecord, record)
	old.Past = []time.Time{past.Since}
	f.Decision = &old
	o.put(graph.FindingKey("github-1", id), graph.KindFinding, f)

	for at, want := range map[string]struct {
		tier   graph.Tier
		policy string
	}{"2026-11-24T13:00:00Z": {graph.P2, o.policy.Hash()}, "2026-11-20T00:00:00Z": {graph.P3, before.Hash()}} {
		status, answer := o.ask("GET", "/api/findings/"+string(id)+"?at="+at, "")
		if status != http.StatusOK || answer["agrees"] != true || answer["tier"] != string(want.tier) || answer["policy"] != want.policy {
			t.Errorf("at %s: status %d, agrees %v, tier %v, policy %v", at, status, answer["agrees"], answer["tier"], answer["policy"])
		}
	}
	if status, _ := o.ask("GET", "/api/findings/"+string(id)+"?at=2026-01-01T00:00:00Z", ""); status != http.StatusNotFound {
		t.Errorf("before anything was decided: status %d", status)
	}
	if status, _ := o.ask("GET", "/api/findings/"+string(id)+"?at=yesterday", ""); status != http.StatusBadRequest {
		t.Errorf("no time: status %d", status)
	}
	// Stored inputs that were tampered with no longer agree.
	f.Decision.Workloads[0].Explanation = []byte(strings.Replace(string(f.Decision.Workloads[0].Explanation), `"epss":{"value":"0.2"`, `"epss":{"value":"0.001"`, 1))
	o.put(graph.FindingKey("github-1", id), graph.KindFinding, f)
	if _, answer := o.ask("GET", "/api/findings/"+string(id)+"?at=2026-11-24T13:00:00Z", ""); answer["agrees"] != false {
		t.Errorf("tampered inputs agree: %v", answer)
	}
}

func TestParseUntil(t *testing.T) {
	for s, want := range map[string]string{"2026-12-31": "2026-12-31T23:59:59Z", "2026-12-31T08:00:00+01:00": "2026-12-31T07:00:00Z"} {
		if at, err := decision.ParseUntil(s); err != nil || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v", s, at, err)
		}
	}
	for _, s := range []string{"", "31.12.2026", "2026-13-01", "tomorrow"} {
		if at, err := decision.ParseUntil(s); err == nil {
			t.Errorf("%q is %s", s, at)
		}
	}
}
