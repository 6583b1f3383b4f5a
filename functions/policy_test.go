package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"throughline/functions/api"
	"throughline/shared/decision"
	"throughline/shared/feeds"
	"throughline/shared/graph"
)

// desk is a house with nothing but a policy file and a store.
type desk struct {
	*house
	t    *testing.T
	file string
	log  *bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, file: filepath.Join(t.TempDir(), "policy.yaml"), log: &bytes.Buffer{}}
	d.write("version: 1\n")
	d.house = &house{cfg: Config{Root: filepath.Dir(d.file)}, log: slog.New(slog.NewTextHandler(d.log, nil))}
	if err := d.openPolicy(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) write(policy string) {
	d.t.Helper()
	if err := os.WriteFile(d.file, []byte(policy), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// renew is one tick; it tells whether the findings are asked to be decided again.
func (d *desk) renew(s graph.Store) bool {
	d.t.Helper()
	said, err := d.renewPolicy(context.Background(), s)
	if err != nil {
		d.t.Fatal(err)
	}
	return len(said) > 0
}

func TestChangedPolicyTakesEffectAndAsksForEveryFinding(t *testing.T) {
	d, s := newDesk(t), graph.NewMemory()
	for range 2 {
		if d.renew(s) {
			t.Error("the first policy asks for decisions that were never made otherwise")
		}
	}
	d.write("version: 1 # a comment\n")
	if d.renew(s) {
		t.Error("a comment asks for new decisions")
	}
	d.write("version: 1\nthresholds: {epss_likely: 0.2}\n")
	if !d.renew(s) || d.policyInForce().Thresholds.EPSSLikely != 0.2 {
		t.Errorf("the changed policy does not take effect: %v", d.policyInForce().Thresholds)
	}
	changes, err := graph.ListAll[feeds.Change](context.Background(), s, graph.Query{Container: graph.StateContainer, Partition: "feedChanges"})
	if err != nil || len(changes) != 1 || len(changes[0].CVEs) != 0 || !strings.Contains(changes[0].Cause, d.policyInForce().Hash()) {
		t.Errorf("left to be decided again: %+v, %v", changes, err)
	}
	if d.renew(s) {
		t.Error("the same policy asks twice")
	}
}

func TestPolicyWithErrorsLeavesTheOneInForceAndNamesEveryLine(t *testing.T) {
	d, s := newDesk(t), graph.NewMemory()
	d.renew(s)
	before := d.policyInForce().Hash()
	d.write("version: 1\nthreshold: {}\nguard: many\n")
	if d.renew(s) || d.policyInForce().Hash() != before {
		t.Error("a policy with errors took effect")
	}
	for _, want := range []string{"policy.yaml:2:", "policy.yaml:3:", "the one in force stays"} {
		if !strings.Contains(d.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, d.log)
		}
	}
	mark, err := graph.Get[policyMark](context.Background(), s, graph.StateKey("policies", "in force"))
	if err != nil || len(mark.Value.Faults) != 2 || mark.Value.Hash != before {
		t.Errorf("noted %+v, %v", mark.Value, err)
	}
	said := d.log.Len()
	d.renew(s)
	if d.log.Len() != said {
		t.Error("the same errors are said with every tick")
	}
	d.write("version: 1\n")
	d.renew(s)
	if mark, err := graph.Get[policyMark](context.Background(), s, graph.StateKey("policies", "in force")); err != nil || len(mark.Value.Faults) != 0 {
		t.Errorf("mended, and still %+v, %v", mark.Value, err)
	}
}

func TestPlanCommandPrintsWhatWouldChange(t *testing.T) {
	d := newDesk(t)
	a := &api.API{Store: graph.NewMemory(), Access: api.Access{Local: true}, Policy: d.policyInForce, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	var out bytes.Buffer
	if err := plan([]string{"-url", server.URL, d.file}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{d.policyInForce().Hash(), "0 of 0 findings change tier", "issues: 0 would open, 0 change, 0 close", "P0"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	d.write("version: 1\nthreshold: {}\nguard: many\n")
	if err := plan([]string{"-url", server.URL, d.file}, &out); err == nil || !strings.Contains(err.Error(), "policy.yaml:2:") || !strings.Contains(err.Error(), "policy.yaml:3:") {
		t.Errorf("errors: %v", err)
	}
	if err := plan([]string{"-url", server.URL, "nowhere.yaml"}, &out); err == nil {
		t.Error("a file that is not there was planned")
	}
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	d.write("version: 1\n")
	if err := plan([]string{"-url", refusing.URL, d.file}, &out); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an app that is none: %v", err)
	}
}

func TestIntelligenceKeepsTheMostThreateningOfSeveralVulnerabilities(t *testing.T) {
	store := graph.NewMemory()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	policy := decision.DefaultPolicy()
	source := &feeds.Source{Store: store, Dir: "../shared/feeds/testdata/sample", Now: now, Log: slog.New(slog.DiscardHandler), Window: func() int { return 30 }, Thresholds: func() []float64 { return thresholds(policy) }}
	for _, f := range feeds.All {
		if _, err := source.Read(context.Background(), graph.Collection{Source: "feeds", Scope: string(f)}); err != nil {
			t.Fatal(err)
		}
	}
	i := intelligence{&feeds.Shelf{Store: store, Now: now}}
	if err := i.Ready(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	in := decision.Inputs{Kind: decision.Vuln, EPSS: decision.Fact{Value: "0.97", Source: "GitHub"}}
	i.Describe([]string{"CVE-2024-6387", "CVE-2021-44228"}, &in)
	if in.KEV.Value != "yes" || !strings.Contains(in.KEV.Path, "2021-12-10") || in.Exploitation.Value != "active" || in.Automatable.Value != "yes" || in.Impact.Value != "total" || in.EPSS.Source != "GitHub" {
		t.Errorf("%+v", in)
	}
	in = decision.Inputs{Kind: decision.Vuln, EPSS: decision.Fact{Value: "0.01", Source: "GitHub"}}
	i.Describe([]string{"CVE-2024-6387"}, &in)
	if in.KEV.Value != "no" || in.EPSS.Value != "0.6112" || in.EPSS.At.IsZero() || in.Exploitation.Path != "CVE-2024-6387" || in.Feeds.EPSS.Version != "2026-11-20/v4" {
		t.Errorf("%+v", in)
	}
	if listed := i.Listed([]string{"CVE-2024-6387", "CVE-2023-44487", "CVE-2021-44228"}); listed.Format(time.DateOnly) != "2021-12-10" {
		t.Errorf("listed %s", listed)
	}
	if a, b := i.Version([]string{"CVE-2021-44228"}, policy), i.Version([]string{"CVE-2024-6387"}, policy); a == "" || b == "" || a == b {
		t.Errorf("versions %q and %q", a, b)
	}
}

// What a policy asks for and the surroundings lack is said once, with the line of the file.
func TestPolicyAtOddsWithItsSurroundingsIsSaidOnce(t *testing.T) {
	d, s := newDesk(t), graph.NewMemory()
	d.write("version: 1\ntiers:\n  P1: {due: 14d, actions: [issue, assign, copilot]}\n")
	head, err := graph.NewWrite(graph.StateKey("feeds", "epss"), "feed", graph.Any, feeds.Head{Feed: feeds.EPSS, Edition: feeds.Edition{Version: "e", Model: "v5"}})
	if err == nil {
		err = s.Write(context.Background(), head)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.renew(s)
	d.renew(s)
	for _, want := range []string{"policy.yaml:3:27: warning: tiers.P1.actions: copilot has no user credential configured; issues will wait for a person", "warning: thresholds.epss_model: feed is v5, thresholds were chosen for v4"} {
		if n := strings.Count(d.log.String(), want); n != 1 {
			t.Errorf("said %d times: %q in\n%s", n, want, d.log.String())
		}
	}
}
