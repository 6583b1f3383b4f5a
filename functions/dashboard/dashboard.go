// Package dashboard is the web page over the same questions as the API: what matters, why, where it runs, who has it.
//
// Pages are rendered on the server and work without scripts; every value of unknown origin is escaped by html/template.
// The package changes nothing: actions are the API's, reached by forms.
package dashboard

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"throughline/shared/decision"
	"throughline/shared/graph"
)

//go:embed pages style.css icon.svg live.js
var files embed.FS

// Dashboard serves the pages.
type Dashboard struct {
	Store graph.Store
	// Guard lets only those pass who may read.
	Guard func(http.Handler) http.Handler
	// Filter reads the filters of a list; the same as the API's.
	Filter func(url.Values) (graph.Filter, error)
	// Policy in force puts missing evidence into words; without it the shipped policy does.
	Policy func() *decision.Policy
	// Health is the report of /api/health; without it the page of readiness shows what the graph knows.
	Health func(context.Context) (report any, ok bool)
	// Caller names who looks and tells whether he may act; without it nobody may.
	Caller func(*http.Request) (name string, operator bool)
	// Readiness lists every permission and source; without it the page shows what the graph knows.
	Readiness func(context.Context) ([]graph.Readiness, error)
	// Dead counts the messages that Service Bus gave up, by queue; without it they are not shown.
	Dead func(context.Context) (map[string]int, error)
	// Copilot tells that fixes can be given to GitHub's coding agent.
	Copilot bool
	// Limits bound what may be written through one installation.
	Limits graph.Limits
	Now    func() time.Time
	Log    *slog.Logger
}

// Handler routes the pages.
func (d *Dashboard) Handler() (http.Handler, error) {
	t, err := template.New("").Funcs(d.words()).ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("dashboard templates: %w", err)
	}
	p := &pages{Dashboard: d, templates: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", p.file("style.css"))
	mux.HandleFunc("GET /icon.svg", p.file("icon.svg"))
	mux.HandleFunc("GET /live.js", p.file("live.js"))
	for _, one := range []struct {
		route, name, section string
		load                 func(*http.Request) (content, error)
	}{
		{"/{$}", "overview", "overview", p.overview},
		{"/findings", "list", "findings", p.list},
		{"/findings/{id}", "finding", "findings", p.finding},
		{"/repositories/{owner}/{name}", "repository", "coverage", p.repository},
		{"/artifacts/{digest}", "artifact", "coverage", p.artifact},
		{"/workloads/{id}", "workload", "coverage", p.workload},
		{"/fixes", "fixes", "fixes", p.fixes},
		{"/campaigns", "campaigns", "campaigns", p.campaigns},
		{"/coverage", "coverage", "coverage", p.coverage},
		{"/runs", "runs", "runs", p.runs},
		{"/parked", "parked", "parked", p.parked},
		{"/plan", "plan", "plan", p.plan},
		{"/actions", "actions", "actions", p.actions},
		{"/readiness", "readiness", "readiness", p.readiness},
	} {
		mux.Handle("GET "+one.route, d.Guard(p.page(one.name, one.section, one.load)))
	}
	mux.Handle("GET /charts/{name}", d.Guard(http.HandlerFunc(p.chart)))
	mux.HandleFunc("/", p.missing)
	return mux, nil
}

type pages struct {
	*Dashboard
	templates *template.Template
	counts    fresh[graph.Overview]
	budgets   fresh[[]graph.Allowance]
	mapped    fresh[graph.Coverage]
}

// content is what one page shows.
type content struct {
	Title string
	Data  any
}

// view is a page with what surrounds it.
type view struct {
	content
	Section string
	Nav     []link
	Done    *graph.Action // what was done by the form that came back here
	Who     string
	May     bool // act
	Now     time.Time
}

// Live tells whether the page renews itself while somebody looks: those that show how things stand.
func (v view) Live() bool {
	return slices.Contains([]string{"overview", "findings", "fixes", "campaigns", "runs", "parked", "readiness"}, v.Section)
}

// Key is new for every form, so that a second press of its button does nothing.
func (view) Key() string { return rand.Text() }

type link struct{ Name, Path, Section string }

var nav = []link{
	{"Overview", "/", "overview"}, {"Findings", "/findings", "findings"}, {"Fixes", "/fixes", "fixes"}, {"Campaigns", "/campaigns", "campaigns"}, {"Coverage", "/coverage", "coverage"},
	{"Runs", "/runs", "runs"}, {"Parked", "/parked", "parked"}, {"Plan", "/plan", "plan"}, {"Actions", "/actions", "actions"}, {"Readiness", "/readiness", "readiness"},
}

// policy allows our own style sheet, pictures and script, and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (p *pages) page(name, section string, load func(*http.Request) (content, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := load(r)
		switch {
		case errors.Is(err, graph.ErrNotFound):
			p.say(w, r, http.StatusNotFound, "Not found", "Nothing in the graph has this name. It may have been renamed or removed.")
		case errors.As(err, new(badRequest)):
			p.say(w, r, http.StatusBadRequest, "That address asks for something that does not exist", err.Error())
		case err != nil:
			p.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "reason", err)
			p.say(w, r, http.StatusInternalServerError, "The graph does not answer", "Try again in a moment. The page Readiness names the part that is down; the log has the reason.")
		default:
			p.render(w, r, http.StatusOK, name, view{content: c, Section: section})
		}
	})
}

type badRequest struct{ error }

// say shows a page that holds one message.
func (p *pages) say(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	p.render(w, r, status, "message", view{content: content{title, text}})
}

func (p *pages) missing(w http.ResponseWriter, r *http.Request) {
	p.say(w, r, http.StatusNotFound, "No such page", "There is no page at "+r.URL.Path+".")
}

// done reads the action that the address names.
func (p *pages) done(r *http.Request) *graph.Action {
	id := r.URL.Query().Get("action")
	if id == "" {
		return nil
	}
	a, err := graph.Get[graph.Action](r.Context(), p.Store, graph.ActionKey(id))
	if err != nil || !a.Exists() {
		return &graph.Action{Status: http.StatusNotFound, What: "action", Said: "Nothing is written down about it."}
	}
	return &a.Value
}

func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Nav, v.Now, v.Done = nav, p.Now(), p.done(r)
	if p.Caller != nil {
		v.Who, v.May = p.Caller(r)
	}
	var b strings.Builder
	if err := p.templates.ExecuteTemplate(&b, name, v); err != nil {
		p.Log.ErrorContext(r.Context(), "page does not render", "page", name, "reason", err)
		http.Error(w, "this page does not render; the log has the reason", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a browser that has gone away needs no answer
}

func (p *pages) file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, files, name)
	}
}

func (p *pages) graph() graph.Graph { return graph.Graph{Store: p.Store} }

func (p *pages) rule() *decision.Policy {
	if p.Policy != nil {
		return p.Policy()
	}
	return decision.DefaultPolicy()
}
