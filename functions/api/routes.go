package api

import (
	"net/http"
	"strings"
)

// endpoint is one line of the table: who may ask what, and what answers. What a reader may ask changes nothing.
type endpoint struct {
	method, path string
	// role is who may; empty: everybody, also a probe that is not signed in.
	role string
	// answer gives what is written as JSON.
	answer func(*http.Request) (any, error)
	// file answers in another form, instead.
	file http.HandlerFunc
	// subject names what an action is done to, for the list of actions.
	subject func(*http.Request) string
}

// routes is the table of the API. A line added here is served, guarded, and asked for in openapi.json by the tests;
// what a POST does is written to the list of actions.
func (a *API) routes() []endpoint {
	id := func(r *http.Request) string { return r.PathValue("id") }
	queue := func(r *http.Request) string { return r.PathValue("queue") }
	all := func(*http.Request) string { return "everything" }
	return []endpoint{
		{method: "GET", path: "/api/findings", role: Reader, answer: a.findings},
		{method: "GET", path: "/api/findings.csv", role: Reader, file: a.file},
		{method: "GET", path: "/api/findings/{id}", role: Reader, answer: a.finding},
		{method: "GET", path: "/api/repositories", role: Reader, answer: a.repositories},
		{method: "GET", path: "/api/repositories/{owner}/{name}", role: Reader, answer: a.repository},
		{method: "GET", path: "/api/artifacts", role: Reader, answer: a.artifacts},
		{method: "GET", path: "/api/artifacts/{digest}", role: Reader, answer: a.artifact},
		{method: "GET", path: "/api/artifacts/{digest}/findings", role: Reader, answer: a.findingsIn},
		{method: "GET", path: "/api/blast", role: Reader, answer: a.blast},
		{method: "GET", path: "/api/workloads", role: Reader, answer: a.workloads},
		{method: "GET", path: "/api/workloads/{id}", role: Reader, answer: a.workload},
		{method: "GET", path: "/api/graph", role: Reader, file: a.drawing},
		{method: "GET", path: "/api/summary", role: Reader, answer: a.summary},
		{method: "GET", path: "/api/coverage", role: Reader, answer: a.coverage},
		{method: "GET", path: "/api/log/{owner}/{name}", role: Reader, answer: a.decisionLog},
		{method: "GET", path: "/api/evidence/{remediation}", role: Reader, answer: a.evidence},
		{method: "GET", path: "/api/runs", role: Reader, answer: a.runs},
		{method: "GET", path: "/api/withheld", role: Reader, answer: a.withheld},
		{method: "GET", path: "/api/readiness", role: Reader, answer: a.readiness},
		{method: "GET", path: "/api/healing", role: Reader, answer: a.healing},
		{method: "GET", path: "/api/parked", role: Reader, answer: a.parked},
		{method: "GET", path: "/api/deadletters", role: Reader, answer: a.deadLetters},
		{method: "GET", path: "/api/actions", role: Reader, answer: a.actions},
		{method: "GET", path: "/api/guards", role: Reader, answer: a.guards},
		{method: "GET", path: "/api/campaigns", role: Reader, answer: a.campaigns},
		{method: "GET", path: "/api/budget", role: Reader, answer: a.budget},
		{method: "GET", path: "/api/due", role: Reader, answer: a.due},
		{method: "GET", path: "/api/trend", role: Reader, answer: a.trend},
		{method: "GET", path: "/api/openapi.json", role: Reader, file: describe},
		{method: "GET", path: "/api/health", file: a.health},
		{method: "POST", path: "/api/parked/{id}/replay", role: Operator, answer: a.replay, subject: id},
		{method: "POST", path: "/api/deadletters/{queue}/replay", role: Operator, answer: a.replayDead, subject: queue},
		{method: "POST", path: "/api/resync", role: Operator, answer: a.resync, subject: all},
		{method: "POST", path: "/api/withheld/approve", role: Operator, answer: a.letRetire, subject: all},
		{method: "POST", path: "/api/plan", role: Operator, answer: a.plan, subject: all},
		{method: "POST", path: "/api/guards/{id}/approve", role: Operator, answer: a.approveGuard, subject: id},
		{method: "POST", path: "/api/findings/{id}/issue", role: Operator, answer: a.issue, subject: id},
		{method: "POST", path: "/api/campaigns", role: Operator, answer: a.beginCampaign, subject: all},
		{method: "POST", path: "/api/campaigns/{id}/close", role: Operator, answer: a.closeCampaign, subject: id},
		{method: "POST", path: "/api/findings/{id}/copilot", role: Operator, answer: a.copilot, subject: id},
		{method: "POST", path: "/api/findings/{id}/accept", role: Operator, answer: a.accept, subject: id},
		{method: "POST", path: "/api/findings/{id}/reassess", role: Operator, answer: a.reassess, subject: id},
	}
}

// Handler routes /api/.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+r.path, a.guard(r))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "there is no "+r.Method+" "+r.URL.Path)
	})
	return mux
}

// guard lets only those pass who may, and writes down what is done.
func (a *API) guard(e endpoint) http.Handler {
	var h http.Handler = e.file
	if e.answer != nil {
		h = a.serve(e.answer)
	}
	switch {
	case e.method == http.MethodPost:
		what := e.path[strings.LastIndexByte(e.path, '/')+1:]
		return a.Access.act(e.role, form(a.noted(what, e.subject, h)))
	case e.role == "":
		return h
	}
	return a.Access.Need(e.role, h)
}
