package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// tagged writes an answer with the hash of its content; who has it already is told so without the content.
func tagged(w http.ResponseWriter, r *http.Request, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		problem(w, http.StatusInternalServerError, "the answer cannot be written as JSON")
		return
	}
	send(w, r, "application/json", append(body, '\n'))
}

// send writes content under its ETag.
func send(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodPost {
		h.Set("Cache-Control", "no-store")
	} else {
		sum := sha256.Sum256(body)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, no-cache")
		if known(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Type", contentType)
	_, _ = w.Write(body) // a client that has gone away needs no answer
}

// known compares weakly, as If-None-Match does.
func known(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// pages are where a form of the dashboard may come back to.
var pages = []string{"/runs", "/parked", "/actions", "/plan", "/campaigns", "/findings/"}

// formType is what a browser sends a form as.
const formType = "application/x-www-form-urlencoded"

// form sends a browser whose form was answered to the page that it came from, which shows the action that it names. The
// field key of the form makes a second press of its button do nothing.
func form(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") != formType {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestAction))
		if err != nil {
			problem(w, http.StatusRequestEntityTooLarge, "an action has at most 2 MB")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		fields, _ := url.ParseQuery(string(body)) // what cannot be read is missing
		if key := fields.Get("key"); key != "" {
			r.Header.Set(idempotencyKey, key)
		}
		to := fields.Get("return")
		if !returnable(to) {
			next.ServeHTTP(w, r)
			return
		}
		answer := &outcome{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		http.Redirect(w, r, to+"?action="+url.QueryEscape(answer.header.Get(actionHeader)), http.StatusSeeOther)
	})
}

// returnable accepts pages of our own only.
func returnable(to string) bool {
	if strings.ContainsAny(to, "?#\\\r\n") || strings.HasPrefix(to, "//") || strings.Contains(to, "..") {
		return false
	}
	for _, p := range pages {
		if to == p || strings.HasSuffix(p, "/") && strings.HasPrefix(to, p) {
			return true
		}
	}
	return false
}

// outcome keeps an answer.
type outcome struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (o *outcome) Header() http.Header { return o.header }

func (o *outcome) WriteHeader(status int) { o.status = status }

func (o *outcome) Write(b []byte) (int, error) { return o.body.Write(b) }
