package webhook

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"throughline/shared/graph"
)

var update = flag.Bool("update", false, "write the golden part of the stories")

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var decoder = Decoder{Host: "github", AppID: 42, AppSlug: "throughline"}

// said is what a story shows of a result.
type said struct {
	graph.Observation
	Follow  []string       `json:"follow,omitempty"`
	Skipped map[string]int `json:"skipped,omitempty"`
}

// TestStories reads each delivery of a story, <event>.json or <event>-<what>.json, and compares what it says with the
// golden file of the same name.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d stories: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { tell(t, file) })
	}
}

func tell(t *testing.T, file string) {
	story, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string][]byte{}
	var deliveries []txtar.File
	for _, f := range story.Files {
		if name, ok := strings.CutSuffix(f.Name, ".golden"); ok {
			golden[name] = f.Data
		} else {
			deliveries = append(deliveries, f)
		}
	}
	story.Files = nil
	for _, f := range deliveries {
		got := says(t, f)
		story.Files = append(story.Files, f, txtar.File{Name: f.Name + ".golden", Data: got})
		if !*update {
			if diff := cmp.Diff(string(golden[f.Name]), string(got)); diff != "" {
				t.Errorf("%s (-want +got, -update renews):\n%s", f.Name, diff)
			}
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(story), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func says(t *testing.T, f txtar.File) []byte {
	event, _, _ := strings.Cut(strings.TrimSuffix(f.Name, ".json"), "-")
	r, err := decoder.Decode(Delivery{Event: event}, f.Data, now)
	if err != nil {
		return []byte("refused: " + err.Error() + "\n")
	}
	if !r.Handled {
		t.Fatalf("%s: nobody handles %s", f.Name, event)
	}
	s := said{Observation: r.Observation, Skipped: r.Skipped}
	for _, c := range r.Follow {
		s.Follow = append(s.Follow, c.Source+" "+c.Scope)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
