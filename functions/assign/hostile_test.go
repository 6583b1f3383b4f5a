package assign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"pgregory.net/rapid"

	"throughline/shared/graph"
)

var kinds = []graph.AlertKind{graph.Dependabot, graph.CodeScanning, graph.SecretScanning, graph.RuntimeKind}

// hostile reads the corpus: one value to a line, as a JSON string.
func hostile(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		var v string
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if len(all) < 100 {
		t.Fatalf("%d hostile values, want at least 100", len(all))
	}
	return all
}

var renderer = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote))

// shape is what a text becomes on the page: its elements with their links, without its words.
func shape(md string) (elements []string, loose string) {
	source := []byte(md)
	var words strings.Builder
	// The walk ends with the document; the callback never fails.
	_ = ast.Walk(renderer.Parser().Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			words.Write(n.Segment.Value(source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				words.WriteByte('\n')
			}
		case *ast.String:
			words.Write(n.Value)
		case *ast.CodeSpan:
			elements = append(elements, "code")
			words.WriteByte(' ')
			return ast.WalkSkipChildren, nil
		case *ast.Link:
			elements = append(elements, "link "+string(n.Destination))
		case *ast.AutoLink:
			elements = append(elements, "autolink")
		default:
			elements = append(elements, n.Kind().String())
			words.WriteByte('\n')
		}
		return ast.WalkContinue, nil
	})
	return elements, words.String()
}

// active are the things that GitHub would make more of than words, beyond what markdown says.
var active = regexp.MustCompile(`@[A-Za-z0-9]|#\d|(?i:\bgh-\d)|(?i:\bwww\.)|://|\b[0-9a-f]{7,}\b|(?m:^\s*/\w)|:[a-z0-9_+-]+:`)

// everything renders all that is written about a remediation.
func everything(c *work) (title string, texts map[string]string, labels []string) {
	p := c.plan()
	texts = map[string]string{"body": p.draft.Body}
	p.why = "every alert was dismissed on GitHub: " + c.dismissal()
	texts["accepted"] = c.comment(string(graph.StatusAccepted), p)
	p.proof = graph.Proof{FixedAt: noon.Add(-time.Hour), Commit: commit, Fixed: []graph.Digest{digest}, Running: 1, Total: 1, CleanSince: noon}
	texts["verified"] = c.comment(string(graph.StatusVerified), p)
	texts["reopened"] = c.comment(string(graph.StatusReopened)+": "+c.subject(c.findings[0]), p)
	return p.draft.Title, texts, p.draft.Labels
}

// inert fails when a value makes more of an issue than the words that it is.
func inert(t fataler, kind graph.AlertKind, public bool, value string, render func(words) *work) {
	_, want, _ := everything(render(words{"benign", true}))
	title, got, labels := everything(render(words{value, true}))
	where := fmt.Sprintf("%s, public %v, value %.80q", kind, public, value)
	for part, md := range got {
		wantShape, _ := shape(want[part])
		gotShape, loose := shape(md)
		if !slices.Equal(gotShape, wantShape) {
			t.Fatalf("%s: the %s has the elements\n%v\nwant\n%v\n%s", where, part, gotShape, wantShape, md)
		}
		if found := active.FindString(loose); found != "" {
			t.Fatalf("%s: the %s holds the active text %q in\n%s", where, part, found, loose)
		}
		if utf8.RuneCountInString(md) > maxBody {
			t.Fatalf("%s: the %s has %d characters", where, part, utf8.RuneCountInString(md))
		}
		if strings.Count(md, "<!--") > 1 || strings.Count(md, "-->") > 1 && part != "body" {
			t.Fatalf("%s: the %s holds a foreign comment", where, part)
		}
	}
	elements, loose := shape(title)
	if !slices.Equal(elements, []string{"Document", "Paragraph"}) || active.MatchString(loose) || utf8.RuneCountInString(title) > 256 || strings.ContainsFunc(title, unicode.IsControl) {
		t.Fatalf("%s: the title is active: %q %v", where, title, elements)
	}
	for _, l := range labels {
		if !ownLabel.MatchString(l) {
			t.Fatalf("%s: label %q", where, l)
		}
	}
}

var ownLabel = regexp.MustCompile(`^(throughline|throughline: P[0-4]|needs-evidence)$`)

type fataler interface{ Fatalf(string, ...any) }

func TestNoValueIsActive(t *testing.T) {
	values := hostile(t)
	for _, kind := range kinds {
		for _, public := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/public_%v", kind, public), func(t *testing.T) {
				for _, v := range values {
					inert(t, kind, public, v, func(w words) *work { return scene(t, kind, public, w) })
				}
			})
		}
	}
}

// TestNoMixtureIsActive glues pieces of the corpus together.
func TestNoMixtureIsActive(t *testing.T) {
	values := hostile(t)
	rapid.Check(t, func(r *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SampledFrom(values), 1, 4).Draw(r, "pieces")
		kind := rapid.SampledFrom(kinds).Draw(r, "kind")
		value := strings.Join(pieces, rapid.SampledFrom([]string{"", " ", "\n", "\n\n", "`", "|"}).Draw(r, "glue"))
		if len(value) > 4000 {
			value = strings.ToValidUTF8(value[:4000], "")
		}
		inert(r, kind, false, value, func(w words) *work { return scene(t, kind, false, w) })
	})
}

func TestForgedMarkerIsNotRead(t *testing.T) {
	c := scene(t, graph.Dependabot, false, words{})
	forged := Marker{Key: []byte("another key of sixteen")}.Line("github-1-fix-0000000000000000")
	other := scene(t, graph.Dependabot, false, words{forged, true})
	id, ok := c.Marker.Read(other.plan().draft.Body)
	if !ok || id != other.remediation.ID {
		t.Errorf("reads %q %v, want the own marker", id, ok)
	}
	if _, ok := c.Marker.Read(forged + "\n"); ok {
		t.Error("a marker of another key is read")
	}
	if _, ok := c.Marker.Read("\n" + c.Marker.Line(c.remediation.ID)); ok {
		t.Error("a marker below the first line is read")
	}
}

func TestActiveTextIsSeen(t *testing.T) {
	for _, raw := range []string{"@octocat", "#12", "GH-12", "https://evil.example", "/close", ":tada:", "da39a3ee5e6b4b0d3255bfef95601890afd80709"} {
		_, loose := shape("- a\n\n" + raw + "\n")
		elements, _ := shape(raw)
		if !active.MatchString(loose) && !slices.Contains(elements, "autolink") {
			t.Errorf("the test would not see %q", raw)
		}
	}
	if got, _ := shape("![x](y) <b>"); !slices.Contains(got, "Image") || !slices.Contains(got, "RawHTML") {
		t.Errorf("the test would not see images or HTML: %v", got)
	}
}

func FuzzText(f *testing.F) {
	for _, v := range []string{"@a", "<!-- x", "# h", "`|`", "1. x", "- [ ] t", "&#64;a", "\u202e"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if !utf8.ValidString(v) {
			t.Skip("no text: GitHub sends UTF-8, and ingest refuses anything else")
		}
		var b bytes.Buffer
		if err := renderer.Convert([]byte("- "+text2(v)+"\n"), &b); err != nil {
			t.Fatal(err)
		}
		elements, loose := shape("- " + text2(v) + "\n")
		for _, e := range elements {
			if !slices.Contains([]string{"Document", "List", "ListItem", "TextBlock", "Paragraph"}, e) {
				t.Fatalf("%q becomes %v: %s", v, elements, b.String())
			}
		}
		if found := active.FindString(loose); found != "" {
			t.Fatalf("%q leaves the active text %q", v, found)
		}
	})
}

// text2 names the function under test, whose name the parser's package takes here.
func text2(v string) string { return sentence(v) }
