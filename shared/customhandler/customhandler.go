// Package customhandler answers the Azure Functions host: the invocation protocol of custom handlers as http.Handlers.
//
// A stage stays a plain function from an event to events; Queue and Timer put the protocol around it. Whatever happens
// the host gets a JSON object with 200, or a 500: an empty 200 would hang the invocation until the host kills the whole
// handler. The package neither sends nor stores anything: publishing and parking come in as functions.
package customhandler

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"throughline/shared/event"
)

const (
	// deadline bounds every invocation, well below functionTimeout: past that the host kills everything in flight.
	deadline = 2 * time.Minute
	// parkPatience bounds parking, which must work even when the deadline of the invocation has passed.
	parkPatience = 30 * time.Second
	// largestInvocation is a message of the largest queue (1 MB) in base64, with its metadata.
	largestInvocation = 8 << 20

	headerInvocation = "X-Azure-Functions-InvocationId"
)

// success is the reply that completes an invocation.
const success = `{"Outputs":{},"Logs":[],"ReturnValue":null}`

// Publish sends what a stage returned.
type Publish = func(context.Context, []event.Event) error

// Probe answers the host's own GET / (readiness, health), which carries no invocation id, with an empty 200. Everything
// else goes to next.
func Probe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == "/" && r.Header.Get(headerInvocation) == "" {
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Recover turns a panic into a 500 and a log line with the stack. When an answer has already begun it cuts the
// connection, so that nobody takes half an answer for a whole one.
func Recover(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &watchedWriter{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler)
			}
			ctx := withInvocation(r.Context(), r.Header.Get(headerInvocation), "")
			log.ErrorContext(ctx, "panic", "path", r.URL.Path, "cause", cause, "stack", string(debug.Stack()))
			if watched.begun {
				panic(http.ErrAbortHandler)
			}
			fail(w, http.StatusInternalServerError)
		}()
		next.ServeHTTP(watched, r)
	})
}

// watchedWriter knows whether an answer has begun.
type watchedWriter struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader notes that the answer has begun, unless the status is informational.
func (w *watchedWriter) WriteHeader(status int) {
	w.begun = w.begun || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

// Write notes that the answer has begun.
func (w *watchedWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the real writer.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func succeed(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, success) // the host has gone; the message will come again
}

// fail answers with JSON too, although the host reads no body of a failure.
func fail(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "{}")
}

// begin checks that a request is an invocation and reads it.
func begin(w http.ResponseWriter, r *http.Request, log *slog.Logger) (invocation, bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		fail(w, http.StatusMethodNotAllowed)
		return invocation{}, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestInvocation))
	if err != nil {
		log.ErrorContext(r.Context(), "invocation not read", "reason", err)
		fail(w, http.StatusBadRequest)
		return invocation{}, false
	}
	in, err := decodeInvocation(body)
	if err != nil {
		log.ErrorContext(r.Context(), "invocation not understood", "reason", err)
		fail(w, http.StatusBadRequest)
		return invocation{}, false
	}
	return in, true
}
