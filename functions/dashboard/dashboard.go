// Package dashboard is the web page over the same questions as the API: what matters, why, where it runs, who has it.
//
// Pages are rendered on the server and work without scripts; every value of unknown origin is escaped by html/template.
// The package changes nothing: actions are the API's.
package dashboard

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"throughline/shared/graph"
)

//go:embed page.html style.css
var files embed.FS

// Dashboard serves the pages.
type Dashboard struct {
	Store graph.Store
	// Guard lets only those pass who may read.
	Guard func(http.Handler) http.Handler
	// Filter reads the filters of a list; the same as the API's.
	Filter func(url.Values) (graph.Filter, error)
	Now    func() time.Time
	Log    *slog.Logger
}

// Handler routes the pages.
func (d *Dashboard) Handler() (http.Handler, error) {
	t, err := template.New("").Funcs(template.FuncMap{"day": day, "join": strings.Join, "short": short, "overdue": d.overdue, "words": words}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("dashboard templates: %w", err)
	}
	p := &pages{Dashboard: d, templates: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", p.style)
	mux.Handle("GET /{$}", d.Guard(p.page("list", p.list)))
	mux.Handle("GET /findings/{id}", d.Guard(p.page("finding", p.finding)))
	mux.Handle("GET /repositories/{owner}/{name}", d.Guard(p.page("repository", p.repository)))
	mux.Handle("GET /artifacts/{digest}", d.Guard(p.page("artifact", p.artifact)))
	mux.Handle("GET /workloads/{id}", d.Guard(p.page("workload", p.workload)))
	mux.HandleFunc("/", p.missing)
	return mux, nil
}

type pages struct {
	*Dashboard
	templates *template.Template
}

// policy allows our own style sheet and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (p *pages) page(name string, load func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := load(r)
		switch {
		case errors.Is(err, graph.ErrNotFound):
			p.render(w, r, http.StatusNotFound, "message", message{"Not found", "Nothing in the graph has this name. It may have been renamed or removed."})
		case errors.As(err, new(badRequest)):
			p.render(w, r, http.StatusBadRequest, "message", message{"That filter does not exist", err.Error()})
		case err != nil:
			p.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "reason", err)
			p.render(w, r, http.StatusInternalServerError, "message", message{"The graph does not answer", "Try again in a moment; the health page of the API names the part that is down."})
		default:
			p.render(w, r, http.StatusOK, name, data)
		}
	})
}

type message struct{ Title, Text string }

type badRequest struct{ error }

func (p *pages) missing(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusNotFound, "message", message{"No such page", "There is no page at " + r.URL.Path + "."})
}

func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b strings.Builder
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		p.Log.ErrorContext(r.Context(), "page does not render", "page", name, "reason", err)
		http.Error(w, "this page does not render; the log has the reason", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // a browser that has gone away needs no answer
}

func (p *pages) style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, files, "style.css")
}

// listing is the first page.
type listing struct {
	Filter  graph.Filter
	Query   url.Values
	Groups  []group
	Next    string
	Tiers   []graph.Tier
	Factors []graph.Factor
	Kinds   []graph.AlertKind
	States  []graph.AlertState
	Name    string // of the repository filtered by
}

type group struct {
	Tier  graph.Tier
	Items []graph.Summary
}

func (p *pages) list(r *http.Request) (any, error) {
	q := r.URL.Query()
	f, err := p.Filter(q)
	if err != nil {
		return nil, badRequest{err}
	}
	name := q.Get("repository")
	if name != "" {
		if f.Repository, err = p.graph().RepositoryNamed(r.Context(), name); err != nil {
			return nil, err
		}
	}
	f.Limit = 100
	items, cursor, err := graph.Worklist(r.Context(), p.Store, f)
	if err != nil {
		return nil, err
	}
	l := listing{Filter: f, Query: q, Groups: grouped(items), Tiers: graph.Tiers[:], Factors: graph.Factors[:], Kinds: append(graph.AlertKinds[:], graph.RuntimeKind),
		States: []graph.AlertState{graph.Fixed, graph.Dismissed, graph.AllStates}, Name: name}
	if cursor != "" {
		q.Set("cursor", cursor)
		l.Next = "/?" + q.Encode()
	}
	return l, nil
}

func grouped(items []graph.Summary) []group {
	var gs []group
	for _, s := range items {
		if len(gs) == 0 || gs[len(gs)-1].Tier != s.Tier {
			gs = append(gs, group{Tier: s.Tier})
		}
		gs[len(gs)-1].Items = append(gs[len(gs)-1].Items, s)
	}
	return gs
}

func (p *pages) graph() graph.Graph { return graph.Graph{Store: p.Store} }

func (p *pages) finding(r *http.Request) (any, error) {
	return p.graph().Finding(r.Context(), graph.FindingID(r.PathValue("id")))
}

func (p *pages) repository(r *http.Request) (any, error) {
	id, err := p.graph().RepositoryNamed(r.Context(), r.PathValue("owner")+"/"+r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return p.graph().Repository(r.Context(), id)
}

func (p *pages) artifact(r *http.Request) (any, error) {
	d, err := graph.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return nil, badRequest{err}
	}
	return p.graph().Artifact(r.Context(), d)
}

func (p *pages) workload(r *http.Request) (any, error) {
	return p.graph().Workload(r.Context(), graph.WorkloadID(r.PathValue("id")))
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006")
}

func short(d graph.Digest) string { return d.Short() }

func words(s any) string { return strings.NewReplacer("_", " ", "-", " ").Replace(fmt.Sprint(s)) }

func (d *Dashboard) overdue(t time.Time) bool { return !t.IsZero() && t.Before(d.Now()) }
