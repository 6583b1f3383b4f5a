package decision

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the stories say now")

// A story is a finding in a few lines, and below it all that is said of it.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 2 || archive.Files[0].Name != "finding" || archive.Files[1].Name != "says" {
				t.Fatal("a story has two parts: finding, says")
			}
			got := tell(t, string(archive.Files[0].Data))
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("says (-want +got):\n%s", diff)
			}
		})
	}
}

func date(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// tell reads the lines of a finding and writes everything a reader would be told.
func tell(t *testing.T, finding string) string {
	t.Helper()
	p := DefaultPolicy()
	var in Inputs
	for line := range strings.Lines(finding) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "vuln", "code", "secret", "malware":
			in = given(Kind(word), rest)
		case "cve":
			in.CVE = rest
		case "at":
			in.At = date(t, rest)
		case "workload":
			in.Place.Name = rest
		case "cluster":
			in.Place.Cluster = rest
		case "subscription":
			in.Place.Subscription = rest
		case "repository":
			in.Place.Repository = rest
		case "inventory":
			scope, since, _ := strings.Cut(rest, " since ")
			in.Running = Fact{Value: "unknown", Source: InventoryIncomplete, Path: scope}
			if since != "" {
				in.Running.At = date(t, since)
			}
		case "development":
			in.Running = Fact{Value: "unknown", Source: DevelopmentScope}
		case "accepted":
			tier, by, _ := strings.Cut(rest, " ")
			in.Accepted = Fact{Value: tier, Source: by}
		case "feeds":
			dates := strings.Fields(rest)
			in.Feeds = Feeds{KEV: Feed{Date: date(t, dates[0])}, EPSS: Feed{Date: date(t, dates[1])}, Vulnrichment: Feed{Date: date(t, dates[2])}}
		case "policy":
			var problems []Problem
			if p, problems = ParsePolicy("policy.yaml", []byte(rest)); p == nil {
				t.Fatalf("policy: %v", problems)
			}
		default:
			t.Fatalf("line %q", line)
		}
	}
	return told(Explain(in, p), p)
}

func told(e Explanation, p *Policy) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s by %s, score %d, due %s\n", e.Tier, e.Rule, e.Score, e.Due)
	for _, f := range e.Fired {
		fmt.Fprintf(&out, "fired %s %s\n", f.Rule, f.Tier)
	}
	fmt.Fprintf(&out, "between %s and %s, label %v\n", e.Range.Best, e.Range.Worst, e.Range.NeedsLabel())
	for _, text := range []string{e.VoidedText(), e.SecondLookText(), p.SlowerNotice()} {
		if text != "" {
			fmt.Fprintf(&out, "note: %s\n", text)
		}
	}
	for _, g := range e.Gaps(p) {
		fmt.Fprintf(&out, "missing %s [%s]: %s\n", g.Fact, g.Settle, g.Text)
	}
	for _, f := range e.Flips {
		fmt.Fprintf(&out, "flip %s\n", f.Text(e.Inputs))
	}
	return out.String()
}

// stories are the files; each text of missing evidence must be told in one of them.
func TestEveryTextIsTold(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	texts := []string{
		"No source says whether api can be reached from the internet. It is treated as exposed. If it is not: P3. To settle: allow reading Services, Ingresses and Gateways of aks-prod, enable Defender CSPM on sub-1, or record it in the catalogue.",
		"Not known whether api handles sensitive data; counted as no. If it does: P1.",
		"Not known whether api is a critical resource; counted as no. If it is: P1.",
		"Not known whether api opens a way to other resources; counted as no. If it does: P1.",
		"No image is known to come from shop/tools. One tier slower than if it ran. If it runs: P1; if it does not: P4.",
		"Inventory of sub-2 incomplete since 4 May. One tier slower than if it ran. If it runs: P1; if it does not: P4.",
		"CISA has not assessed CVE-2026-1234; the 60-day fallback applies. Estimated from the CVSS vector: not automatable, partial.",
		"No severity published, treated as High.",
		"No EPSS value yet, counted as 0.",
		"KEV catalogue is from 1 May; newer exploitation is not seen.",
		"EPSS values are from 1 May; newer values are not seen.",
		"Vulnrichment data is from 1 May; newer assessments are not seen.",
		"GitHub cannot check this type of secret. Treated as possibly live until someone says otherwise. If active: P0.",
	}
	for _, f := range slices.Sorted(maps.Keys(flipTexts)) {
		texts = append(texts, "flip "+flipTexts[f]+" → P")
	}
	for _, want := range texts {
		if !strings.Contains(all, want) {
			t.Errorf("no story tells: %s", want)
		}
	}
}
