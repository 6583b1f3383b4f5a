package dashboard

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"
)

// hostile texts try to leave the place where they are shown.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg onload=alert(1)>`, `</td></table><h1>owned`, `javascript:alert(1)`, `" onmouseover="alert(1)`,
	`</title><script>alert(1)</script>`, `</textarea><script>`, `{{.Data}}`, `<!--`, `]]><script>`, `&lt;script&gt;`, "\u202egnp.exe", "\u2066abc", "\x00\x08", "\xff\xfe", strings.Repeat("x", 3000),
	`<a href="javascript:alert(1)">x</a>`, `<style>*{display:none}</style>`, `<base href="//evil.example">`, `<meta http-equiv=refresh content=0>`, `<iframe src=//evil.example>`, `<form action=//evil.example>`,
	`--><script>`, `<?xml version="1.0"?>`, `<math><mi xlink:href="data:x">`, `<a xlink:href="javascript:alert(1)">`, "line\u2028break", `\"-alert(1)-\"`, `<noscript><p title="</noscript><img src=x onerror=alert(1)>">`,
}

// harmless are the elements that our templates use; nothing else may be on a page.
var harmless = []string{"html", "head", "meta", "title", "link", "body", "a", "header", "nav", "ul", "ol", "li", "main", "h1", "h2", "h3", "p", "section", "div", "span", "strong", "em", "small", "code", "pre", "table",
	"caption", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "form", "label", "select", "option", "input", "button", "details", "summary", "article", "time", "footer", "svg", "g", "rect", "path", "text", "picture", "source", "img", "textarea"}

func TestHostileTextsExecuteNothing(t *testing.T) {
	for n, text := range corpus(t) {
		if os.Getenv("THROUGHLINE_LONG") == "" && n%2 != 0 {
			continue // half of them are more than a hundred; the long run takes all
		}
		h := newEstate(t, func(s string) string { return s + text }).handler()
		for _, path := range append(addresses(), "/findings?q="+escapeQuery(text), "/fixes?status="+escapeQuery(text)) {
			w := get(t, h, path)
			checkTokens(t, path, text, w.Body.String())
			if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s has the policy %q", path, csp)
			}
		}
	}
}

// corpus are the values above and those that issues are tested with.
func corpus(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../assign/testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(hostile)
	for line := range strings.Lines(string(raw)) {
		var value string
		if json.Unmarshal([]byte(line), &value) == nil && value != "" {
			all = append(all, value)
		}
	}
	if len(all) < 150 {
		t.Fatalf("%d hostile values, want at least 150", len(all))
	}
	return all
}

// TestHostileTextsExecuteNothingInABrowser shows every value somewhere and listens to the browser.
func TestHostileTextsExecuteNothingInABrowser(t *testing.T) {
	values, n := corpus(t), 0
	h := newEstate(t, func(s string) string { n++; return s + values[n%len(values)] }).handler()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	b := open(t, s.URL)
	var dialogs atomic.Int64
	if err := chromedp.Listen(b.ctx, func(e any) {
		if _, opens := e.(*page.EventJavascriptDialogOpening); opens {
			dialogs.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	const foreign = `[...document.querySelectorAll("script:not([src='/live.js']:empty),iframe,base,object,embed,style,[onerror],[onload],[onmouseover],a[href^='javascript:' i],form[action^='//']")].map(e => e.outerHTML.slice(0, 100))`
	for _, path := range addresses() {
		b.visit(path)
		for _, f := range ask(b, chromedp.Evaluate[[]string](foreign)) {
			t.Errorf("%s holds %s", path, f)
		}
		if path != "/nowhere" && !strings.Contains(path, "P7") {
			b.quiet()
		}
		b.said = nil
	}
	if dialogs.Load() > 0 {
		t.Errorf("%d dialogs were opened", dialogs.Load())
	}
}

func escapeQuery(s string) string {
	var b strings.Builder
	for i := range len(s) {
		const digits = "0123456789ABCDEF"
		b.WriteString("%" + string(digits[s[i]>>4]) + string(digits[s[i]&15]))
	}
	return b.String()
}

// ourScript is the one script that a page may name.
const ourScript = `<script src="/live.js" defer="">`

// checkTokens walks the tokens as a browser would see them.
func checkTokens(t *testing.T, path, text, body string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.CommentToken:
			t.Errorf("%s with %.40q has a comment", path, text)
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			if !slices.Contains(harmless, token.Data) && token.String() != ourScript {
				t.Errorf("%s with %.40q has <%s>", path, text, token.Data)
			}
			for _, a := range token.Attr {
				checkAttribute(t, path, text, a)
			}
		}
	}
}

func checkAttribute(t *testing.T, path, text string, a html.Attribute) {
	t.Helper()
	if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "http-equiv" || strings.Contains(a.Key, "xlink") {
		t.Errorf("%s with %.40q has the attribute %s=%q", path, text, a.Key, a.Val)
	}
	if a.Key == "href" || a.Key == "src" || a.Key == "action" {
		if v := strings.ToLower(strings.TrimSpace(a.Val)); !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "#") && !strings.HasPrefix(v, "https://github.example/") {
			t.Errorf("%s with %.40q links to %q", path, text, a.Val)
		}
	}
}

// TestTokensSeeFaults shows that the check above can fail.
func TestTokensSeeFaults(t *testing.T) {
	for _, bad := range []string{`<script>`, `<p onclick="x">`, `<a href="javascript:x">`, `<!-- x -->`, `<p style="x">`} {
		spy := &testing.T{}
		checkTokens(spy, "/", "", bad)
		if !spy.Failed() {
			t.Errorf("%s is not noticed", bad)
		}
	}
}
