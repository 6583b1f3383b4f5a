package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"throughline/shared/graph"
)

// fixtures gives the folder of outside examples, or "" when it is not here.
func fixtures() string {
	root := os.Getenv("FIXTURES")
	if root == "" {
		root = filepath.Join("..", "..", "..", "..", "shared", "fixtures")
	}
	dir := filepath.Join(root, "github")
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// deliveries gives event and body of every outside example and of every story.
func deliveries(t testing.TB) (events []string, bodies [][]byte) {
	files, err := filepath.Glob(filepath.Join(fixtures(), "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		events, bodies = append(events, filepath.Base(filepath.Dir(file))), append(bodies, body)
	}
	stories, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range stories {
		story, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range story.Files {
			if name, ok := strings.CutSuffix(f.Name, ".json"); ok {
				event, _, _ := strings.Cut(name, "-")
				events, bodies = append(events, event), append(bodies, f.Data)
			}
		}
	}
	return events, bodies
}

func TestDecodeExamples(t *testing.T) {
	if fixtures() == "" {
		t.Skip("the outside fixtures are not here (set FIXTURES)")
	}
	counts := map[string]int{}
	events, bodies := deliveries(t)
	for i, event := range events {
		r, err := decoder.Decode(Delivery{Event: event}, bodies[i], now)
		if err != nil {
			t.Errorf("%s: %v", event, err)
		}
		if r.Handled != slices.Contains(Events(), event) {
			t.Errorf("%s: handled %v", event, r.Handled)
		}
		counts["alerts"] += len(r.Observation.Alerts)
		counts["repositories"] += len(r.Observation.Repositories)
		counts["pull requests"] += len(r.Observation.PullRequests)
		counts["follow"] += len(r.Follow)
		check(t, event, r)
	}
	for what, n := range counts {
		if n == 0 {
			t.Errorf("the examples told of no %s", what)
		}
	}
}

// check holds what must be true of every result, whatever the body.
func check(t testing.TB, event string, r Result) {
	t.Helper()
	for _, a := range r.Observation.Alerts {
		repository, kind, number, ok := graph.ParseAlertID(a.ID)
		if !ok || repository != a.Repository || kind != a.Kind || number != a.Number || a.State == "" {
			t.Errorf("%s: alert %+v", event, a)
		}
	}
	for _, repository := range r.Observation.Repositories {
		if !repository.ID.Valid() || repository.Name == "" || repository.Owner == "" {
			t.Errorf("%s: repository %+v", event, repository)
		}
	}
	for _, e := range r.Observation.Evidence {
		_, err := graph.ParseDigest(string(e.Digest))
		run := e.Method == graph.WorkflowRun && e.Digest == "" && e.Commit != "" // a run names no image
		if err != nil && !run || !e.Repository.Valid() {
			t.Errorf("%s: evidence %+v", event, e)
		}
	}
	for _, f := range r.Follow {
		if name, subject, _ := strings.Cut(f.Scope, ":"); f.Source != API || name == "" || subject == "" {
			t.Errorf("%s: follow %+v", event, f)
		}
	}
	if raw, err := json.Marshal(r.Observation); err != nil || !utf8.Valid(raw) {
		t.Errorf("%s: %v", event, err)
	}
}

func TestSecretsAreNeverRead(t *testing.T) {
	const value = "ghp_TheVerySecretItself"
	events, bodies := deliveries(t)
	for i, event := range events {
		var body map[string]any
		if json.Unmarshal(bodies[i], &body) != nil {
			continue
		}
		alert, ok := body["alert"].(map[string]any)
		if !ok {
			continue
		}
		alert["secret"] = value
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := decoder.Decode(Delivery{Event: event}, raw, now)
		if err != nil {
			t.Fatal(err)
		}
		if shown, err := json.Marshal(r); err != nil || bytes.Contains(shown, []byte(value)) {
			t.Errorf("%s: %s %v", event, shown, err)
		}
	}
}

func TestOldestIsKnownToBeOld(t *testing.T) {
	// Without updated_at the clock must not be later than anything the alert names: a late redelivery would win.
	body := `{"action":"reopened","alert":{"number":7,"state":"open","created_at":"2026-01-01T00:00:00Z","rule":{"id":"x"}},"repository":{"id":1,"full_name":"a/b"}}`
	r, err := decoder.Decode(Delivery{Event: "code_scanning_alert"}, []byte(body), now)
	if err != nil || !r.Observation.Alerts[0].UpdatedAt.Equal(r.Observation.Alerts[0].CreatedAt) {
		t.Errorf("%+v %v", r.Observation.Alerts, err)
	}
}

func TestEchoWithoutTheBotsName(t *testing.T) {
	d := Decoder{Host: "github", AppID: 42}
	for sender, want := range map[string]bool{`{"login":"tl[bot]","type":"Bot"}`: true, `{"login":"stale[bot]","type":"Bot"}`: false, `{"login":"ada","type":"User"}`: false, `null`: false} {
		body := `{"action":"closed","issue":{"number":1,"user":{"login":"tl[bot]","type":"Bot"},"performed_via_github_app":{"id":42}},"sender":` + sender + `,"repository":{"id":1,"full_name":"a/b"}}`
		r, err := d.Decode(Delivery{Event: "issues"}, []byte(body), now)
		if err != nil || len(r.Observation.Issues) != 1 || r.Observation.Issues[0].Own != want {
			t.Errorf("%s: %+v %v", sender, r.Observation.Issues, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	events, bodies := deliveries(f)
	for i, event := range events {
		f.Add(event, bodies[i])
	}
	for _, event := range Events() {
		f.Add(event, []byte(`{"action":1,"alert":[],"repository":{"id":-1,"full_name":"/"},"issue":null,"package":{"package_version":[]},"commits":{}}`))
		f.Add(event, []byte(`{`))
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		r, err := decoder.Decode(Delivery{Event: event}, body, now)
		if err != nil {
			var refused *Refusal
			if !errors.As(err, &refused) || refused.Unauthorized {
				t.Fatalf("%v", err)
			}
			text := bytes.TrimLeft(body, " \t\r\n")
			if json.Valid(body) && utf8.Valid(body) && text[0] == '{' && !strings.Contains(err.Error(), "deeply") {
				t.Fatalf("refused a JSON object: %v", err)
			}
			return
		}
		if r.Handled && !json.Valid(body) {
			t.Fatal("took what is not JSON")
		}
		check(t, event, r)
	})
}
