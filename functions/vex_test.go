package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"throughline/functions/collect"
	"throughline/functions/prioritize"
	"throughline/shared/decision"
	"throughline/shared/event"
	"throughline/shared/feeds"
	"throughline/shared/graph"
)

// shelved is a pipeline that reads VEX documents from a folder.
type shelved struct {
	*pipeline
	dir  string
	said strings.Builder // the log of the library
	lib  *feeds.Library
}

func newShelved(t *testing.T) *shelved {
	s := &shelved{pipeline: newPipeline(t), dir: t.TempDir()}
	clock, log := func() time.Time { return s.now }, slog.New(slog.DiscardHandler)
	shelf := &feeds.Shelf{Store: s.store, Now: clock}
	s.policy.Acceptance.VEXAuthors = []string{"security@shop"}
	s.lib = &feeds.Library{Store: s.store, Dir: s.dir, Check: decision.CheckVEX, Now: clock, Log: slog.New(slog.NewTextHandler(&s.said, nil))}
	reads := (&collect.Stage{Store: s.store, Sources: map[string]collect.Source{"feeds": &feeds.Source{Store: s.store, Now: clock, Log: log}}, Now: clock, Log: log}).Handle
	others := s.stages["collect"]
	s.stages["collect"] = func(ctx context.Context, e event.Event) ([]event.Event, error) {
		var c graph.Collection
		if err := e.Into(&c); err != nil || c.Source != "feeds" {
			return others(ctx, e)
		}
		return reads(ctx, e)
	}
	s.stages["prioritize"] = (&prioritize.Stage{Store: s.store, Policy: func() *decision.Policy { return s.policy }, Feeds: intelligence{shelf}, VEX: &statements{shelf: shelf, log: log}, Now: clock, Log: log}).Handle
	return s
}

func (s *shelved) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// tick looks at the folder, an hour later, as the timer does.
func (s *shelved) tick() {
	s.t.Helper()
	s.now = s.now.Add(time.Hour)
	events, err := renewVEX(context.Background(), s.lib)
	if err != nil {
		s.t.Fatal(err)
	}
	s.settle(events)
}

func (s *shelved) head() feeds.Head {
	s.t.Helper()
	heads, err := feeds.Heads(context.Background(), s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range heads {
		if h.Feed == feeds.VEX {
			return h
		}
	}
	return feeds.Head{}
}

// notAffected is a document about log4shell in a product.
func notAffected(author, product, component string) string {
	inside := ""
	if component != "" {
		inside = fmt.Sprintf(`,"subcomponents":[{"@id":%q}]`, component)
	}
	return fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://shop.example/vex/1","author":%q,"timestamp":"2026-11-23T00:00:00Z","version":1,"statements":[`+
		`{"vulnerability":{"name":"CVE-2021-44228"},"products":[{"@id":%q%s}],"status":"not_affected","justification":"vulnerable_code_not_in_execute_path"}]}`, author, product, inside)
}

func TestVEXDocumentLowersWhatItIsAbout(t *testing.T) {
	imageURL := "pkg:oci/api@" + strings.ReplaceAll(string(digestAPI), ":", "%3A") + "?repository_url=acr.example%2Fshop%2Fapi"
	log4j := "pkg:maven/org.apache.logging.log4j/log4j-core"
	for name, c := range map[string]struct {
		document string
		lowered  bool
	}{
		"the image by its digest":               {notAffected("security@shop", string(digestAPI), ""), true},
		"the image by its package URL":          {notAffected("security@shop", imageURL, ""), true},
		"the repository":                        {notAffected("security@shop", "pkg:github/shop/api", ""), true},
		"the component in any version":          {notAffected("security@shop", "pkg:github/shop/api", log4j), true},
		"the component of an image, versioned":  {notAffected("security@shop", imageURL, log4j+"@2.14.0"), true},
		"the component of all images, versions": {notAffected("security@shop", "pkg:github/shop/api", log4j+"@2.14.0"), false},
		"another component":                     {notAffected("security@shop", imageURL, "pkg:maven/org.apache.logging.log4j/log4j-api"), false},
		"another image":                         {notAffected("security@shop", "sha256:"+strings.Repeat("b", 64), ""), false},
		"a stranger's word":                     {notAffected("somebody", string(digestAPI), ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelved(t)
			s.observe(graph.Observation{Source: "test", ObservedAt: s.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}})
			s.answer(digestAPI)
			if got := s.summary("github-4711-dependabot-88"); got.Tier != graph.P0 || got.Issue == 0 {
				t.Fatalf("before: %+v", got)
			}
			s.write("log4shell.json", c.document)
			s.tick()
			got := s.summary("github-4711-dependabot-88")
			if (got.Rule == "R0") != c.lowered || (got.Tier == graph.P4) != c.lowered {
				t.Errorf("%s by %s", got.Tier, got.Rule)
			}
			if !c.lowered {
				return
			}
			x, _ := s.explained("github-4711-dependabot-88")
			if f := x.Inputs.VEX; f.Value != "not_affected" || f.Source != "VEX by security@shop: vulnerable_code_not_in_execute_path" || f.Path != "https://shop.example/vex/1" || f.At.Format(time.DateOnly) != "2026-11-23" || x.WithoutR0 != graph.P0 {
				t.Errorf("the explanation says %+v, without it %s", f, x.WithoutR0)
			}
			// The document goes, and with it what it lowered.
			if err := os.Remove(filepath.Join(s.dir, "log4shell.json")); err != nil {
				t.Fatal(err)
			}
			s.tick()
			if got := s.summary("github-4711-dependabot-88"); got.Tier != graph.P0 || got.Rule == "R0" {
				t.Errorf("after the document went: %s by %s", got.Tier, got.Rule)
			}
		})
	}
}

func TestBadVEXDocumentLeavesTheLastGoodOneInForce(t *testing.T) {
	s := newShelved(t)
	s.observe(graph.Observation{Source: "test", ObservedAt: s.now, Repositories: []graph.Repository{shop()}, Alerts: []graph.Alert{log4shell()}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}})
	s.answer(digestAPI)
	good := notAffected("security@shop", string(digestAPI), "")
	s.write("log4shell.json", good)
	s.tick()
	edition := s.head().Edition
	for bad, want := range map[string]string{
		"{": "log4shell.json: ",
		strings.Replace(good, "not_affected", "fine", 1):                     `log4shell.json: statement 1, about CVE-2021-44228: status "fine" is not one of not_affected, affected, fixed, under_investigation`,
		strings.Replace(good, `"name":"CVE-2021-44228"`, `"name":""`, 1):     "log4shell.json: statement 1 names no vulnerability",
		strings.Replace(good, `"author":"security@shop"`, `"author":""`, 1):  "log4shell.json: no author",
		strings.Replace(good, "https://openvex.dev", "https://other.dev", 1): `log4shell.json: context "https://other.dev/ns/v0.2.0" is not OpenVEX`,
	} {
		s.write("log4shell.json", bad)
		s.said.Reset()
		s.tick()
		head := s.head()
		if !strings.HasPrefix(head.Alarm, want) || strings.Contains(head.Alarm, "\n") || head.AlarmAt.IsZero() || head.Edition != edition {
			t.Errorf("alarm %q since %s, edition %+v; want %q and %+v", head.Alarm, head.AlarmAt, head.Edition, want, edition)
		}
		if strings.Count(s.said.String(), "VEX document refused") != 1 || strings.Count(s.said.String(), "\n") != 1 {
			t.Errorf("the log says %q", s.said.String())
		}
		if got := s.summary("github-4711-dependabot-88"); got.Rule != "R0" {
			t.Errorf("a bad document changed the decision: %s by %s", got.Tier, got.Rule)
		}
	}
	s.said.Reset()
	before := s.store.(*graph.Memory).Writes()
	s.tick()
	if n := s.store.(*graph.Memory).Writes() - before; n != 0 || s.said.Len() != 0 {
		t.Errorf("the same fault again: %d writes, %q", n, s.said.String())
	}
	s.write("log4shell.json", good)
	s.tick()
	if head := s.head(); head.Alarm != "" || !head.AlarmAt.IsZero() || head.Edition != edition {
		t.Errorf("mended: %+v", head)
	}
	s.lib.Dir = filepath.Join(s.dir, "nowhere")
	s.tick()
	if head := s.head(); !strings.HasPrefix(head.Alarm, "VEX_DIR: ") || s.summary("github-4711-dependabot-88").Rule != "R0" {
		t.Errorf("a folder that cannot be read: %+v", head)
	}
	s.lib.Dir = ""
	s.tick()
	if got := s.summary("github-4711-dependabot-88"); got.Rule == "R0" {
		t.Error("without a folder its documents still count")
	}
}

// A finding of several vulnerabilities is not affected only if all of them are said not to affect it.
func TestVEXOfOneVulnerabilityDoesNotSpeakForAnother(t *testing.T) {
	s := newShelved(t)
	seen := graph.RuntimeFinding{ID: "runtime-11111111-1111-1111-1111-111111111111", Assessment: "/x", Title: "Update log4j", Digest: digestAPI, Image: "acr.example/shop/api", Software: "log4j-core", FixedIn: "2.15.0",
		CVEs: []graph.CVE{{ID: "CVE-2021-44228", Severity: "Critical"}, {ID: "CVE-2021-45046", Severity: "Critical"}}, Severity: "Critical", State: graph.Open, UpdatedAt: at, FirstSeen: at}
	s.observe(graph.Observation{Source: "test", ObservedAt: s.now, Repositories: []graph.Repository{shop()}, RuntimeFindings: []graph.RuntimeFinding{seen}, Evidence: []graph.Evidence{built()}, Workloads: []graph.Workload{running()}})
	s.answer(digestAPI)
	component := "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0"
	one := notAffected("security@shop", string(digestAPI), component)
	s.write("one.json", one)
	s.tick()
	if got := s.summary(seen.ID); got.Rule == "R0" {
		t.Errorf("one of two: %s by %s", got.Tier, got.Rule)
	}
	s.write("two.json", strings.Replace(one, "CVE-2021-44228", "CVE-2021-45046", 1))
	s.tick()
	if got := s.summary(seen.ID); got.Rule != "R0" {
		t.Errorf("both: %s by %s", got.Tier, got.Rule)
	}
}
