package cosmosdb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

// failure is an error that a client sees: a status, perhaps a sub-status, a code and a message.
type failure struct {
	status    int
	substatus int
	code      string
	message   string
}

func (f *failure) Error() string { return fmt.Sprintf("%d %s: %s", f.status, f.code, f.message) }

func (f *failure) body() string {
	return value.OfObject([]string{"code", "message"}, []value.Value{value.OfString(f.code), value.OfString(f.message)}).JSON()
}

func badRequest(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, code: "BadRequest", message: fmt.Sprintf(format, args...)}
}

func unauthorized(message string) *failure {
	return &failure{status: http.StatusUnauthorized, code: "Unauthorized", message: message}
}

func notFound() *failure {
	return &failure{status: http.StatusNotFound, code: "NotFound", message: "Entity with the specified id does not exist in the system."}
}

// ownerNotFound is the 404 of an operation whose database or container does not exist.
func ownerNotFound() *failure {
	f := notFound()
	f.substatus, f.message = 1003, "Owner resource does not exist"
	return f
}

func conflict() *failure {
	return &failure{status: http.StatusConflict, code: "Conflict", message: "Entity with the specified id already exists in the system."}
}

func preconditionFailed() *failure {
	return &failure{status: http.StatusPreconditionFailed, code: "PreconditionFailed", message: "Operation cannot be performed because one of the specified precondition is not met."}
}

func tooLarge() *failure {
	return &failure{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge", message: "Request size is too large"}
}

// asFailure shows every other error as a 500 without its details.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, store.ErrClosed) {
		return &failure{status: http.StatusServiceUnavailable, code: "ServiceUnavailable", message: "The server is stopping."}
	}
	return &failure{status: http.StatusInternalServerError, code: "InternalServerError", message: "The request could not be carried out."}
}

// reply is what an operation answers.
type reply struct {
	status  int
	body    string
	charge  float64
	etag    string
	lsn     int64 // of document operations: goes into the session token
	written int   // documents written
	header  map[string]string
}

func (a *reply) set(name, text string) *reply {
	if a.header == nil {
		a.header = map[string]string{}
	}
	a.header[name] = text
	return a
}

func (a *reply) write(w http.ResponseWriter) {
	h := w.Header()
	h["X-Ms-Request-Charge"] = []string{strconv.FormatFloat(a.charge, 'f', 2, 64)}
	if a.etag != "" {
		h["Etag"] = []string{a.etag}
	}
	if a.lsn > 0 {
		h["X-Ms-Session-Token"] = []string{"0:-1#" + strconv.FormatInt(a.lsn, 10)}
	}
	for name, text := range a.header {
		h.Set(name, text)
	}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		delete(h, "Content-Length")
	}
	w.WriteHeader(a.status)
	if a.body != "" {
		// A client that has gone away is no fault of the server.
		_, _ = io.WriteString(w, a.body)
	}
}
