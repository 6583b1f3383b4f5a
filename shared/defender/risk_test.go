package defender

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"throughline/shared/graph"
)

// TestRisk_stories tells what rows of Defender say of workloads. The answer unknown is left out of the stories.
func TestRisk_stories(t *testing.T) {
	files, err := filepath.Glob("testdata/risk/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			story, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range story.Files {
				part[f.Name] = strings.TrimSpace(string(f.Data))
			}
			var rows []json.RawMessage
			for i, line := range strings.Split(part["rows"], "\n") {
				rows = append(rows, storyRow(t, i, line))
			}
			_, c := newStand(t, one("assessments", rows...))
			got := read(t, c, "findings")
			if diff := cmp.Diff(part["says"], strings.Join(sayings(got.Observation), "\n")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			var skipped []string
			for why := range got.Skipped {
				skipped = append(skipped, why)
			}
			slices.Sort(skipped)
			if diff := cmp.Diff(part["skipped"], strings.Join(skipped, "\n")); diff != "" {
				t.Errorf("skipped (-want +got)\n%s", diff)
			}
		})
	}
}

// storyRow writes `container <name> | <context> | <factors> | <status>` as a row.
func storyRow(t *testing.T, i int, line string) json.RawMessage {
	t.Helper()
	parts := append(strings.Split(line, "|"), "", "", "")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	kind, name, _ := strings.Cut(parts[0], " ")
	digest := "sha256:" + strings.Repeat("0", 63) + "a"
	resourceType, place := "K8s-container", map[string]string{"clusterResourceId": cluster, "namespace": "n", "controllerKind": "Deployment", "controllerName": name, "containerName": "c"}
	if kind == "image" {
		digest = "sha256:" + strings.Repeat("0", 63) + name
		resourceType, place = ".containerimage", map[string]string{}
	}
	place["Digest"] = digest
	risk := map[string]any{"level": "High", "riskFactors": split(parts[2], ";")}
	switch parts[1] {
	case "contextual":
		risk["isContextualRisk"] = true
	case "static":
		risk["isContextualRisk"] = false
	case "norisk":
		risk = nil
	}
	properties := map[string]any{"displayName": "Update x", "status": map[string]string{"code": parts[3]}, "risk": risk,
		"resourceDetails": map[string]string{"Source": "Azure", "ResourceType": resourceType, "Id": "/r/" + name}, "resourceAdditionalData": place}
	raw, err := json.Marshal(map[string]any{"id": fmt.Sprintf("/r/%s/%d", name, i), "name": fmt.Sprint("guid-", i), "properties": properties})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func split(s, by string) []string {
	out := []string{}
	for _, part := range strings.Split(s, by) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func sayings(o graph.Observation) []string {
	var out []string
	line := func(who string, r graph.Reading) {
		if r.Says != graph.Unknown {
			out = append(out, fmt.Sprintf("%s %s %s %s: %s", who, r.Factor, r.Source, r.Says, r.Raw))
		}
	}
	for _, w := range o.Workloads {
		for _, r := range w.Readings {
			line(w.Name, r)
		}
	}
	for _, r := range o.Readings {
		line("image "+string(r.Digest[len(r.Digest)-1:]), r.Reading)
	}
	return out
}

func TestRisk_a_factor_that_is_named_no_longer_is_unknown(t *testing.T) {
	_, c := newStand(t, one("assessments", storyRow(t, 0, "container a | static | Internet Exposure")))
	readings := read(t, c, "findings").Observation.Workloads[0].Readings
	says := map[graph.Factor]graph.Answer{}
	for _, r := range readings {
		if r.Source == "mdc" {
			says[r.Factor] = r.Says
		}
		if r.Source == "mdc-contextual" {
			t.Errorf("a risk without context says %+v", r)
		}
	}
	want := map[graph.Factor]graph.Answer{graph.InternetExposed: graph.Yes, graph.SensitiveData: graph.Unknown, graph.CriticalResource: graph.Unknown, graph.LateralMovement: graph.Unknown}
	if diff := cmp.Diff(want, says); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
