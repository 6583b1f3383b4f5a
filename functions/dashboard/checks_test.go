package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The checkers of accessibility and of HTML come from npm, once for each user of a machine.
const axeVersion, validatorVersion = "4.10.3", "9.5.5"

// checkers gives the folder with both, or skips the test where they cannot be had.
func checkers(t *testing.T) string {
	t.Helper()
	asked(t)
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("no npm: axe-core and html-validate cannot be had")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to keep axe-core: %v", err)
	}
	folder := filepath.Join(cache, "throughline-checkers-"+axeVersion+"-"+validatorVersion)
	if _, err := os.Stat(filepath.Join(folder, "whole")); err == nil {
		return folder
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, npm, "install", "--no-audit", "--no-fund", "--prefix", folder, "axe-core@"+axeVersion, "html-validate@"+validatorVersion).CombinedOutput()
	if err != nil {
		t.Skipf("npm has no axe-core and html-validate for us: %v %.300s", err, out)
	}
	if err := os.WriteFile(filepath.Join(folder, "whole"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// violation is what axe finds.
type violation struct{ ID, Impact, Help, Where string }

const runAxe = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Where: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(" | ")})))`

// axe checks the page that is shown; violations that are serious or critical count.
func (b *browser) axe(script string) []violation {
	b.t.Helper()
	ask(b, chromedp.Evaluate[int](script+"; 1"))
	var grave []violation
	for _, v := range ask(b, chromedp.Evaluate[[]violation](runAxe, chromedp.EvalAwaitPromise)) {
		if v.Impact == "serious" || v.Impact == "critical" {
			grave = append(grave, v)
		}
	}
	return grave
}

// TestAxeFindsNothingGrave checks every page in light and dark, wide and narrow.
func TestAxeFindsNothingGrave(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(checkers(t), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	base, _ := site(t)
	b := open(t, base)
	for n, path := range addresses() {
		scheme, width := "light", int64(1280)
		if os.Getenv("THROUGHLINE_LONG") == "" { // every page once, in turns; all of them in the long run
			scheme, width = []string{"light", "dark"}[n%2], []int64{1280, 360}[n/2%2]
			b.checkAxe(string(script), path, scheme, width)
			continue
		}
		for _, scheme = range []string{"light", "dark"} {
			for _, width = range []int64{1280, 360} {
				b.checkAxe(string(script), path, scheme, width)
			}
		}
	}
}

func (b *browser) checkAxe(script, path, scheme string, width int64) {
	b.t.Helper()
	b.prefer(scheme)
	b.do(chromedp.EmulateViewport(width, 900))
	b.visit(path)
	for _, v := range b.axe(script) {
		b.t.Errorf("%s (%s, %d px): %s %s: %s: %s", path, scheme, width, v.Impact, v.ID, v.Help, v.Where)
	}
}

// TestAxeSeesFaults shows that the check above can fail.
func TestAxeSeesFaults(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(checkers(t), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>x</title><main><h1>a</h1><input><img src="/x"><button></button></main>`)
	}))
	defer s.Close()
	b := open(t, s.URL)
	b.visit("/")
	if got := b.axe(string(script)); len(got) < 3 {
		t.Errorf("axe sees only %v", got)
	}
}

// validate runs the validator over pages and gives what it says, page by page.
func validate(t *testing.T, folder string, pages map[string]string) []string {
	t.Helper()
	dir, names := t.TempDir(), []string{}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Join(dir, name))
	}
	rules := filepath.Join(dir, "rules.json")
	if err := os.WriteFile(rules, []byte(`{"root": true, "extends": ["html-validate:standard", "html-validate:document"], "rules": {"long-title": "off", "require-sri": "off", "no-inline-style": "error"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(folder, "node_modules", ".bin", "html-validate"), append([]string{"--config", rules, "--formatter", "json"}, names...)...)
	said, err := os.Create(filepath.Join(dir, "said.json")) // to a pipe it writes only the first 64 KB
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout = said
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	out, err := os.ReadFile(said.Name())
	if err != nil {
		t.Fatal(err)
	}
	var files []struct {
		FilePath string
		Messages []struct {
			RuleID, Message string
			Line            int
		}
	}
	if err := json.Unmarshal(out, &files); err != nil {
		t.Fatalf("the validator says %.300s: %v", out, err)
	}
	var faults []string
	for _, f := range files {
		for _, m := range f.Messages {
			faults = append(faults, fmt.Sprintf("%s:%d: %s (%s)", filepath.Base(f.FilePath), m.Line, m.Message, m.RuleID))
		}
	}
	return faults
}

func TestEveryPageIsValidHTML(t *testing.T) {
	folder := checkers(t)
	pages := map[string]string{}
	for kind, say := range map[string]func(string) string{"plain": plain, "hostile": func(s string) string { return s + `</p><b>"'&<` }} {
		h := newEstate(t, say).handler()
		for n, path := range addresses() {
			pages[fmt.Sprintf("%s-%02d.html", kind, n)] = get(t, h, path).Body.String()
		}
	}
	for _, f := range validate(t, folder, pages) {
		t.Error(f)
	}
	bad := validate(t, folder, map[string]string{"bad.html": `<!DOCTYPE html><html lang="en"><head><title>x</title></head><body><ul><p>x</ul><i id="a"></i><i id="a"></i></body></html>`})
	if all := strings.Join(bad, "\n"); !strings.Contains(all, "permitted") || !strings.Contains(all, "id") {
		t.Errorf("the validator does not see faults: %s", all)
	}
}
