package client

import (
	"testing"

	"throughline/shared/graph"
)

// TestReadinessNamesWhatAnInstallationLacks tells permissions and events that were not granted from those that were, and
// says what would mend each.
func TestReadinessNamesWhatAnInstallationLacks(t *testing.T) {
	c := newStand(t).client(nil)
	got, err := c.Readiness(t.Context(), true, []string{"push", "issues", "dependabot_alert", "installation"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]graph.Ready{"acme Metadata": graph.ReadyOK, "acme Dependabot alerts": graph.ReadyOK, "acme Secret scanning alerts": graph.ReadyMissing,
		"acme Issues": graph.ReadyPartial, "acme Webhook events": graph.ReadyPartial, "acme Installation": graph.ReadyOK, "gone Installation": graph.ReadyMissing}
	for _, r := range got {
		name := r.Account + " " + r.Name
		if state, asked := want[name]; asked && r.State != state {
			t.Errorf("%s is %s, want %s (%s)", name, r.State, state, r.Why)
		}
		if r.State != graph.ReadyOK && r.Mend == "" {
			t.Errorf("%s is %s and nothing is said to mend it", name, r.State)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("nothing is said of %v", want)
	}
	observing, err := c.Readiness(t.Context(), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range observing {
		if r.Account == "acme" && r.Name == "Issues" && r.State != graph.ReadyOff {
			t.Errorf("writing issues is %s although nothing is written", r.State)
		}
	}
}
