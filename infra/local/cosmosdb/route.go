package cosmosdb

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"throughline/infra/local/cosmosdb/store"
)

// request is one call after its path has been read.
type request struct {
	*http.Request
	compute   bool
	kind      string // "", dbs, colls, docs, pkranges, offers: the last word of the path that names a kind
	feed      bool   // the path ends in the kind itself, not in an id
	db, coll  string
	id        string
	link      string // the address that the client signs
	operation string
	container *container
}

// maxBody is what the server reads of a request: a batch of 2 MB with room for its envelope.
const maxBody = 4 << 20

func (s *Server) handle(w http.ResponseWriter, r *http.Request, compute bool) {
	a, operation, container := s.answer(r, compute)
	a.charge = math.Round(a.charge*100) / 100
	if activity := r.Header.Get("X-Ms-Activity-Id"); activity != "" {
		w.Header()["X-Ms-Activity-Id"] = []string{activity}
	} else {
		w.Header()["X-Ms-Activity-Id"] = []string{uuid.NewString()}
	}
	w.Header()["X-Ms-Gatewayversion"] = []string{"2.0.0"}
	s.stats.count(operation, container, a.status, a.written, a.charge)
	a.write(w)
}

func (s *Server) answer(r *http.Request, compute bool) (a *reply, operation, container string) {
	if r.URL.Path == "/_faults" {
		return s.settle(s.faults.serve(r)), "faults", ""
	}
	q, err := parseRequest(r, compute)
	if err != nil {
		return s.settle(nil, err), "unknown", ""
	}
	fault, hit := s.faults.take(q.operation, r.Method, r.URL.Path)
	if hit {
		fault.wait(r)
		if a := fault.answer(); a != nil && !fault.After {
			return a, q.operation, q.coll
		}
	}
	a = s.settle(s.dispatch(q))
	if hit && fault.After {
		if lost := fault.answer(); lost != nil {
			lost.written, lost.charge = a.written, a.charge
			return lost, q.operation, q.coll
		}
	}
	return a, q.operation, q.coll
}

// settle turns an error into a reply; errors that are no failure of the caller are logged.
func (s *Server) settle(a *reply, err error) *reply {
	if err == nil {
		return a
	}
	var known *failure
	if !errors.As(err, &known) && !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrClosed) {
		s.log.Error("request not carried out", "error", err)
	}
	f := asFailure(err)
	a = &reply{status: f.status, body: f.body(), charge: notFoundCharge}
	if f.substatus != 0 {
		a.set("x-ms-substatus", strconv.Itoa(f.substatus))
	}
	return a
}

// parseRequest reads the path: pairs of kind and id, perhaps a last kind alone.
func parseRequest(r *http.Request, compute bool) (*request, error) {
	q := &request{Request: r, compute: compute, operation: "account"}
	path := strings.Trim(r.URL.EscapedPath(), "/")
	if path == "" {
		return q, nil
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return nil, badRequest("The path is not valid.")
		}
	}
	q.feed = len(parts)%2 == 1
	q.kind = parts[(len(parts)-1)/2*2]
	if !q.feed {
		q.id = parts[len(parts)-1]
	}
	switch {
	case parts[0] == "offers" && len(parts) <= 2, parts[0] == "dbs" && len(parts) <= 2:
	case len(parts) >= 3 && parts[0] == "dbs" && parts[2] == "colls" && len(parts) <= 4,
		len(parts) >= 5 && len(parts) <= 6 && parts[0] == "dbs" && parts[2] == "colls" && (parts[4] == "docs" || parts[4] == "pkranges"):
		q.db = parts[1]
		if len(parts) > 3 {
			q.coll = parts[3]
		}
	default:
		return nil, notFound()
	}
	q.link = strings.Join(parts[:len(parts)/2*2], "/")
	if q.kind == "offers" {
		q.link = strings.ToLower(q.id)
	}
	q.operation = q.name()
	return q, nil
}

// name is the operation as statistics and fault switches call it.
func (q *request) name() string {
	verbs := map[string]string{"GET": "read", "POST": "create", "PUT": "replace", "DELETE": "delete", "PATCH": "patch"}
	verb := verbs[q.Method]
	switch {
	case q.Method == http.MethodPost && q.isQuery():
		verb = "query"
	case q.kind == "docs" && q.Header.Get("X-Ms-Cosmos-Is-Batch-Request") != "":
		verb = "batch"
	case q.kind == "docs" && isTrue(q.Header.Get("X-Ms-Documentdb-Is-Upsert")):
		verb = "upsert"
	case q.kind == "docs" && q.feed && q.Method == http.MethodGet && q.Header.Get("A-Im") != "":
		verb = "changefeed"
	case q.feed && q.Method == http.MethodGet:
		verb = "list"
	}
	if q.kind == "docs" {
		return verb
	}
	return verb + " " + q.kind
}

func (q *request) isQuery() bool {
	return isTrue(q.Header.Get("X-Ms-Documentdb-Query")) || isTrue(q.Header.Get("X-Ms-Documentdb-Isquery")) ||
		strings.HasPrefix(q.Header.Get("Content-Type"), "application/query+json")
}

func isTrue(s string) bool { return strings.EqualFold(s, "true") }

// text reads the body.
func (q *request) text() (string, error) {
	if q.ContentLength > maxBody {
		return "", tooLarge()
	}
	if q.ContentLength < 0 {
		b, err := io.ReadAll(io.LimitReader(q.Body, maxBody+1))
		switch {
		case err != nil:
			return "", badRequest("The body cannot be read.")
		case len(b) > maxBody:
			return "", tooLarge()
		}
		return string(b), nil
	}
	b := make([]byte, q.ContentLength)
	if _, err := io.ReadFull(q.Body, b); err != nil {
		return "", badRequest("The body cannot be read.")
	}
	return string(b), nil
}

func (s *Server) dispatch(q *request) (*reply, error) {
	if q.kind == "docs" && !q.feed && !q.compute {
		if fail := checkAddress(q.id); fail != nil {
			return nil, fail
		}
	}
	if fail := s.authorize(q.Request, q.kind, q.link); fail != nil {
		return nil, fail
	}
	switch q.kind {
	case "":
		return s.account(q)
	case "dbs":
		return s.serveDatabases(q)
	case "colls":
		return s.serveContainers(q)
	case "offers":
		return s.serveOffers(q)
	}
	if q.container = s.catalog.container(q.db, q.coll); q.container == nil {
		return nil, ownerNotFound()
	}
	if q.kind == "pkranges" {
		return s.ranges(q)
	}
	return s.serveDocuments(q)
}

// checkAddress refuses the ids that Azure's routing gateway cannot address, though it lets them be created.
func checkAddress(id string) *failure {
	switch {
	case strings.ContainsAny(id, "\r\n\t"):
		return badRequest("The request is not valid: the id in the path holds a control character.")
	case strings.HasSuffix(id, " "), strings.ContainsAny(id, `/\#%`):
		return unauthorized("The input authorization token can't serve the request: the id in the path is not usable.")
	}
	return nil
}

func methodNotAllowed() *failure {
	return &failure{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed", message: "The requested verb is not supported."}
}
