package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"throughline/shared/graph"
)

func TestEveryPageAnswersWithAtMostFiveQuestions(t *testing.T) {
	e := newEstate(t, plain)
	count := &counting{Store: e.store}
	e.store = count
	h := e.handler()
	for _, path := range []string{"/", "/coverage"} { // counts are taken once in half a minute
		get(t, h, path)
	}
	for _, path := range addresses() {
		count.asked.Store(0)
		w := get(t, h, path)
		want := http.StatusOK
		switch path {
		case "/nowhere":
			want = http.StatusNotFound
		case "/findings?tier=P7":
			want = http.StatusBadRequest
		}
		if w.Code != want {
			t.Errorf("%s answers %d: %s", path, w.Code, w.Body)
		}
		if n := count.asked.Load(); n > 5 {
			t.Errorf("%s asks the store %d questions", path, n)
		}
	}
}

func TestFindingPageTellsWhatADeveloperNeeds(t *testing.T) {
	body := get(t, newEstate(t, plain).handler(), "/findings/github-4711-dependabot-1").Body.String()
	for _, want := range []string{"Flaw 1", "Rules that fired", "What would change it", "EPSS", "1 hour ago", "Internet-exposed", "octocat", "issue opened", "pull request #9", "registry.example/api", "acme/api", "<svg"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	held := get(t, newEstate(t, plain).handler(), "/findings/github-4711-dependabot-4").Body.String()
	if !strings.Contains(held, "Why there is no issue:</strong> Held back: MODE is approve.") {
		t.Errorf("the page does not say why there is no issue")
	}
}

func TestListTurnsPagesWithoutLosingTheFilter(t *testing.T) {
	h := newEstate(t, plain).handler()
	seen := map[string]bool{}
	for path, n := "/findings?kind=dependabot&q=flaw", 0; path != ""; n++ {
		if n > 3 {
			t.Fatal("the list does not end")
		}
		doc, err := html.Parse(get(t, h, path).Body)
		if err != nil {
			t.Fatal(err)
		}
		path = ""
		for _, a := range all(doc, "a") {
			switch href := attribute(a, "href"); {
			case attribute(a, "rel") == "next":
				path = href
			case strings.HasPrefix(href, "/findings/"):
				if !strings.Contains(href, "-dependabot-") || seen[href] {
					t.Errorf("%s is listed twice or does not match", href)
				}
				seen[href] = true
			}
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d findings are listed, want 20", len(seen))
	}
}

func TestEmptyStatesSayWhatComesNext(t *testing.T) {
	e := estate{t, graph.NewMemory(), plain}
	h := e.handler()
	for path, want := range map[string]string{"/": "No finding is open", "/findings": "No finding matches", "/fixes": "No fix is tracked yet", "/coverage": "Every known image is traced",
		"/runs": "Nothing was read yet", "/parked": "No message is parked"} {
		if w := get(t, h, path); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s answers %d without %q", path, w.Code, want)
		}
	}
}

// broken is a store that is down.
type broken struct{ graph.Store }

func (broken) Read(context.Context, graph.Key) (graph.Document, error) {
	return graph.Document{}, fmt.Errorf("no route to <script>")
}

func (broken) Query(context.Context, graph.Query) (graph.Page, error) {
	return graph.Page{}, fmt.Errorf("no route to <script>")
}

func TestAStoreThatIsDownIsSaidPlainly(t *testing.T) {
	e := estate{t, broken{}, plain}
	h := e.handler()
	for _, path := range []string{"/", "/findings", "/coverage", "/runs", "/parked", "/findings/github-4711-dependabot-1"} {
		w := get(t, h, path)
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "The graph does not answer") || strings.Contains(w.Body.String(), "route") {
			t.Errorf("%s answers %d: %.300s", path, w.Code, w.Body)
		}
	}
	if w := get(t, h, "/readiness"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Attention") {
		t.Errorf("readiness answers %d and does not ask for attention", w.Code)
	}
}

func TestCountsAreTakenOnceInHalfAMinute(t *testing.T) {
	var f fresh[int]
	n := 0
	ask := func(context.Context) (int, error) { n++; return n, nil }
	now := noon
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {29 * time.Second, 1}} {
		if got, err := f.get(t.Context(), now.Add(step.after), ask); err != nil || got != step.want {
			t.Errorf("after %s: %d, %v; want %d", step.after, got, err, step.want)
		}
	}
	f.get(t.Context(), now.Add(31*time.Second), ask)
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if got, _ := f.get(t.Context(), now.Add(32*time.Second), ask); got == 2 {
			return
		}
	}
	t.Error("an old count was not taken again")
}

func all(n *html.Node, tag string) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == tag {
			found = append(found, d)
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
