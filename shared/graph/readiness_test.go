package graph

import (
	"testing"
	"time"
)

func TestReadinessTellsRefusedFromSilentFromNotYetRead(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	fresh, old := now.Add(-time.Hour), now.Add(-48*time.Hour)
	chains := []Chain{
		{Scope: "github dependabot:acme", Closed: true, Read: fresh, At: fresh},
		{Scope: "github code_scanning:acme", Closed: true, Why: "Advanced Security must be enabled", At: fresh},
		{Scope: "github secret_scanning:acme", Closed: true, Why: "Resource not accessible by integration", Read: old, At: fresh},
		{Scope: "azure workloads", Closed: true, Read: old, At: old},
		{Scope: "azure findings", At: now},
		{Scope: "github delta:dependabot:acme", Closed: true, At: fresh},
		{Scope: "github dependabot:someone/app", Closed: true, At: fresh},
	}
	want := map[string]Ready{"List of Dependabot alerts": ReadyOK, "List of code scanning alerts": ReadyMissing, "List of secret scanning alerts": ReadyPartial,
		"Inventory of workloads": ReadyPartial, "Findings of Defender for Cloud": ReadyPartial}
	got := ReadinessOf(chains, 6*time.Hour, now)
	if len(got) != len(want) {
		t.Errorf("%d lists, want %d: %+v", len(got), len(want), got)
	}
	for _, r := range got {
		if r.State != want[r.Name] || r.State != ReadyOK && (r.Why == "" || r.Mend == "") {
			t.Errorf("%+v, want %s with a reason and the mend", r, want[r.Name])
		}
	}
	if Worst(got) != ReadyMissing || Worst(nil) != ReadyOK {
		t.Errorf("worst %s, of none %s", Worst(got), Worst(nil))
	}
}

func TestWebhooksThatUsedToComeAreMissed(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		heard Heard
		want  Ready
	}{
		"never sent":    {Heard{}, ReadyMissing},
		"none arrived":  {Heard{Sent: now}, ReadyMissing},
		"well":          {Heard{Sent: now, Arrived: now.Add(-time.Minute)}, ReadyOK},
		"failing since": {Heard{Sent: now, Arrived: now.Add(-time.Hour)}, ReadyPartial},
		"silent":        {Heard{Sent: now.Add(-30 * time.Hour), Arrived: now.Add(-30 * time.Hour)}, ReadyPartial},
	} {
		if got := c.heard.Readiness(now); got.State != c.want || got.State != ReadyOK && got.Mend == "" {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}
