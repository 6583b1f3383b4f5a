package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a real Chromium with what it complained about.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string
	mu   sync.Mutex
	said []string
}

// asked skips what takes a browser or npm unless it is asked for, so that the unit tests stay quick.
func asked(t *testing.T) {
	t.Helper()
	if os.Getenv("THROUGHLINE_BROWSER") == "" && os.Getenv("SCREENSHOTS") == "" {
		t.Skip("browser: set THROUGHLINE_BROWSER=1 (make test does)")
	}
}

// open starts Chromium, or skips the test where there is none.
func open(t *testing.T, base string) *browser {
	t.Helper()
	asked(t)
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Skip("no Chromium: apt-get install chromium, or set CHROMIUM to a browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx, base: base}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("the browser did not close: %v", err)
		}
		stop()
		cancel()
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	for _, err := range []error{try(chromedp.Call(ctx, log.Enable, cdp.Empty{})), try(chromedp.Call(ctx, runtime.Enable, cdp.Empty{}))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	limited, end := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(end)
	b.ctx = limited
	return b
}

func try(_ cdp.Empty, err error) error { return err }

// hear notes every error and every violation of the content security policy.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Source == log.EntrySourceSecurity {
			b.said = append(b.said, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.said = append(b.said, "console: "+string(e.Type))
	}
}

func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.said {
		b.t.Errorf("the browser complains: %s", s)
	}
	b.said = nil
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// ask runs one action and gives its answer.
func ask[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	answer, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

func (b *browser) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("body")))
}

// click follows a link or presses a button and waits for the page behind it.
func (b *browser) click(selector string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("click %s: %v", selector, err)
	}
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	return ask(b, chromedp.Text(chromedp.CSS(selector)))
}

func (b *browser) at() string {
	b.t.Helper()
	return strings.TrimPrefix(ask(b, chromedp.Location()), b.base)
}

func (b *browser) says(selector, want string) {
	b.t.Helper()
	if got := b.text(selector); !strings.Contains(got, want) {
		b.t.Errorf("%s: %s says %.200q, want %q", b.at(), selector, got, want)
	}
}

// site serves the pages and takes the forms as the API would.
func site(t *testing.T) (string, *[]string) {
	t.Helper()
	pages := newEstate(t, plain).handler()
	var posted []string
	var mu sync.Mutex
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("POST /api/", http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, r.URL.Path)
		http.Redirect(w, r, r.PostFormValue("return")+"?action=a1", http.StatusSeeOther)
	})))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, &posted
}

func TestWalkByClicks(t *testing.T) {
	base, posted := site(t)
	b := open(t, base)
	b.visit("/")
	b.says("#main", "Fix these first this week")
	b.says(".first", "Who:")
	b.click(".first .title") // one click: why
	b.says("#main", "Rules that fired")
	b.says("#main", "What would change it")
	b.click(".facts a[href='/repositories/acme/api']")
	b.says("h1", "acme/api")
	b.click(".picture a[href^='/artifacts/']") // the picture links
	b.says("h1", "registry.example/api")
	b.click(".stack a[href^='/workloads/']")
	b.says("h1", "api")
	b.click("nav a[href='/coverage']")
	b.says("#main", "registry.example/orphan")
	b.click("nav a[href='/parked']")
	b.click("button[aria-label='Replay message m1']")
	b.says("[role=status]", "Done")
	if len(*posted) != 1 || (*posted)[0] != "/api/parked/p1/replay" {
		t.Errorf("posted %v", *posted)
	}
	b.quiet()
}

func TestFiltersStandInTheAddress(t *testing.T) {
	base, _ := site(t)
	b := open(t, base)
	b.visit("/findings")
	b.do(chromedp.SetValue(chromedp.CSS("select[name=kind]"), "secret_scanning"), chromedp.SendKeys(chromedp.CSS("input[name=q]"), "flaw"))
	b.click("form.filter button")
	if at := b.at(); !strings.Contains(at, "kind=secret_scanning") || !strings.Contains(at, "q=flaw") {
		t.Errorf("the address is %s", at)
	}
	kinds := ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".list tbody td:nth-child(2) a")].map(a => a.getAttribute("href"))`))
	if len(kinds) != 20 {
		t.Errorf("%d secrets are listed, want 20", len(kinds))
	}
	b.click("a.clear")
	b.click("a[rel=next]")
	b.says("#main", "First page")
	b.quiet()
}

func TestKeyboardAlone(t *testing.T) {
	base, _ := site(t)
	b := open(t, base)
	b.visit("/")
	press := func(keys string) {
		b.do(chromedp.KeyEvent(keys))
	}
	press(kb.Tab)
	if got := b.focus(); got != "Skip to the content" {
		t.Errorf("the first stop is %q", got)
	}
	press(kb.Enter)
	if got := b.at(); got != "/#main" {
		t.Errorf("skipping leads to %s", got)
	}
	for n := 0; !strings.HasPrefix(b.focus(), "Flaw"); n++ {
		if n > 20 {
			t.Fatal("the first finding is not reached by Tab")
		}
		press(kb.Tab)
	}
	if !b.outlined() {
		t.Error("the focus cannot be seen")
	}
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatal(err)
	}
	b.says("#main", "Rules that fired")
	b.quiet()
}

func (b *browser) focus() string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string](`document.activeElement.textContent.trim()`))
}

func (b *browser) outlined() bool {
	b.t.Helper()
	s := ask(b, chromedp.Evaluate[string](`getComputedStyle(document.activeElement).outlineStyle`))
	return s == "solid" || s == "auto"
}

// TestEveryPageIsUsable checks in light and dark, wide and narrow, what a screen reader and a small screen need.
func TestEveryPageIsUsable(t *testing.T) {
	base, _ := site(t)
	b := open(t, base)
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		for _, width := range []int64{1280, 360} {
			if scheme == "dark" && width == 360 {
				continue // colours do not depend on the width
			}
			b.do(chromedp.EmulateViewport(width, 900))
			for _, path := range addresses() {
				b.visit(path)
				for _, f := range ask(b, chromedp.Evaluate[[]string](usable)) {
					t.Errorf("%s (%s, %d px): %s", path, scheme, width, f)
				}
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.said {
		if !strings.Contains(s, "404") && !strings.Contains(s, "400") {
			t.Errorf("the browser complains: %s", s)
		}
	}
}

// TestUsableSeesFaults breaks a page on purpose.
func TestUsableSeesFaults(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>x</title><main><h1>a</h1><h3>b</h3><input><p style="color:#aaa;background:#fff">faint</p><div style="width:3000px">wide</div><table><tr><td>1</td></tr></table><button></button><i id=a></i><i id=a></i></main>`)
	}))
	defer s.Close()
	b := open(t, s.URL)
	b.visit("/")
	faults := ask(b, chromedp.Evaluate[[]string](usable))
	all := strings.Join(faults, "\n")
	for _, want := range []string{"no language", "banner", "skips", "no label", "contrast", "wider", "header cell", "no name", "id a twice"} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody notices: %s\n%s", want, all)
		}
	}
}

// TestScreenshots writes a picture of every page into the folder SCREENSHOTS, of the site at DASHBOARD_URL if that is set.
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		t.Skip("SCREENSHOTS names no folder")
	}
	base := os.Getenv("DASHBOARD_URL")
	if base == "" {
		base, _ = site(t)
	}
	b := open(t, strings.TrimSuffix(base, "/"))
	tour := b.tour()
	for _, scheme := range []string{"light", "dark"} {
		b.prefer(scheme)
		for name, path := range tour {
			for _, width := range []int64{1280, 360} {
				b.do(chromedp.EmulateViewport(width, 900))
				b.visit(path)
				png := ask(b, chromedp.FullScreenshot(100))
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), png, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// prefer switches between light and dark.
func (b *browser) prefer(scheme string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		b.t.Fatal(err)
	}
}

// tour finds one page of each sort by following links.
func (b *browser) tour() map[string]string {
	b.t.Helper()
	found := map[string]string{"overview": "/", "list": "/findings", "filtered": "/findings?tier=P0&kind=dependabot", "fixes": "/fixes", "campaigns": "/campaigns", "coverage": "/coverage", "runs": "/runs", "parked": "/parked", "plan": "/plan", "actions": "/actions", "readiness": "/readiness", "missing": "/nowhere"}
	first := func(page, selector string) string {
		b.visit(page)
		return ask(b, chromedp.Evaluate[string](`document.querySelector("`+selector+`")?.getAttribute("href") ?? ""`))
	}
	found["finding"] = cmp.Or(first("/", ".first .title"), first("/findings", ".list a[href^='/findings/']"), "/")
	found["repository"] = cmp.Or(first(found["finding"], ".facts a[href^='/repositories/']"), "/")
	found["artifact"] = cmp.Or(first(found["repository"], "a[href^='/artifacts/']"), "/")
	found["workload"] = cmp.Or(first(found["artifact"], ".stack a[href^='/workloads/']"), "/")
	return found
}
