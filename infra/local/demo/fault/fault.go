// Package fault makes the stand-ins fail as the real services do, when told to.
//
// A rule says which requests it hits, how often, and what happens to them: an answer with a status before or after the
// effect, a body cut short, a connection dropped, a delay, a hang. Rules are set over HTTP (POST, GET, DELETE /_faults)
// while the stand-in runs. Dice are seeded, so that a run with one client can be repeated.
package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rule is one switch. Kinds: status, truncate (valid transfer, half the body), abort (connection lost in the middle),
// delay, timeout (no answer until the client leaves).
type Rule struct {
	Match      string  `json:"match"` // "METHOD /path" with * for one segment and a trailing ** for the rest; "" hits everything
	Kind       string  `json:"kind"`
	When       string  `json:"when,omitempty"` // status: "before" the effect (default) or "after" it
	Status     int     `json:"status,omitempty"`
	Primary    bool    `json:"primary,omitempty"`    // status 403/429: the hourly limit is used up
	RetryAfter *int    `json:"retryAfter,omitempty"` // seconds; absent sends no header
	Message    string  `json:"message,omitempty"`
	Percent    float64 `json:"percent,omitempty"` // of the matching requests; 0 is all
	Skip       int     `json:"skip,omitempty"`    // let so many pass first
	Times      int     `json:"times,omitempty"`   // 0 is without end
	DelayMS    int     `json:"delayMs,omitempty"`
	Seen       int     `json:"seen"`
	Hits       int     `json:"hits"`
}

// Switch holds the rules of one server.
type Switch struct {
	mu    sync.Mutex
	rules []*Rule
	dice  *rand.Rand
}

// NewSwitch has no rules.
func NewSwitch(seed int64) *Switch {
	return &Switch{dice: rand.New(rand.NewPCG(uint64(seed), 0xfa17))}
}

// Handler serves the rules: POST adds a rule or a list of them, GET shows them with their hits, DELETE removes all.
func (s *Switch) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.Method {
		case http.MethodPost:
			err = s.add(r)
		case http.MethodDelete:
			s.Clear()
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(append([]*Rule{}, s.rules...))
	})
}

func (s *Switch) add(r *http.Request) error {
	var raw json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&raw); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		raw = append(append(json.RawMessage("["), raw...), ']')
	}
	var rules []Rule
	if err := json.Unmarshal(raw, &rules); err != nil {
		return err
	}
	return s.Add(rules...)
}

// Add puts rules in force behind those that are there. A kind that is not known is an error.
func (s *Switch) Add(rules ...Rule) error {
	for _, r := range rules {
		if !strings.Contains(" status truncate abort delay timeout ", " "+r.Kind+" ") || r.Kind == "" {
			return fmt.Errorf("fault kind %q: want status, truncate, abort, delay or timeout", r.Kind)
		}
		if r.Kind == "status" && (r.Status < 400 || r.Status > 599) {
			return fmt.Errorf("fault status %d: want 400 to 599", r.Status)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rules {
		s.rules = append(s.rules, &r)
	}
	return nil
}

// Clear removes every rule.
func (s *Switch) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// choose finds the first rule that hits a request and counts it.
func (s *Switch) choose(r *http.Request) *Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rule := range s.rules {
		if !rule.matches(r) || (rule.Times > 0 && rule.Hits >= rule.Times) {
			continue
		}
		rule.Seen++
		if rule.Seen <= rule.Skip || (rule.Percent > 0 && s.dice.Float64()*100 >= rule.Percent) {
			continue
		}
		rule.Hits++
		copied := *rule
		return &copied
	}
	return nil
}

func (rule *Rule) matches(r *http.Request) bool {
	method, pattern, found := strings.Cut(rule.Match, " ")
	if !found {
		method, pattern = "", rule.Match
	}
	if method != "" && method != "*" && method != r.Method {
		return false
	}
	if head, ok := strings.CutSuffix(pattern, "**"); ok {
		return strings.HasPrefix(r.URL.Path, head)
	}
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, r.URL.Path)
	return err == nil && ok
}

// Answer writes the body of an error in the way of the service that is stood in for.
type Answer func(w http.ResponseWriter, r *http.Request, rule *Rule)

// Wrap puts the rules before a handler. Paths that begin with /_ are never hit.
func (s *Switch) Wrap(next http.Handler, answer Answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_") {
			next.ServeHTTP(w, r)
			return
		}
		rule := s.choose(r)
		if rule == nil {
			next.ServeHTTP(w, r)
			return
		}
		rule.play(w, r, next, answer)
	})
}

func (rule *Rule) play(w http.ResponseWriter, r *http.Request, next http.Handler, answer Answer) {
	if rule.DelayMS > 0 && !pause(r, time.Duration(rule.DelayMS)*time.Millisecond) {
		return
	}
	switch rule.Kind {
	case "delay":
		next.ServeHTTP(w, r)
	case "timeout":
		<-r.Context().Done()
	case "status":
		if rule.When == "after" {
			next.ServeHTTP(newBuffer(), r)
		}
		if rule.RetryAfter != nil {
			w.Header().Set("Retry-After", strconv.Itoa(*rule.RetryAfter))
		}
		answer(w, r, rule)
	default:
		b := newBuffer()
		next.ServeHTTP(b, r)
		b.cut(w, rule.Kind == "abort")
	}
}

func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// buffer holds an answer back so that it can be replaced or cut.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newBuffer() *buffer { return &buffer{header: http.Header{}, status: http.StatusOK} }

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) WriteHeader(status int)      { b.status = status }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }

// cut sends the first half of the body: as a whole answer, or over a connection that then breaks off.
func (b *buffer) cut(w http.ResponseWriter, abort bool) {
	half := b.body.Bytes()[:b.body.Len()/2]
	if abort {
		b.breakOff(w, half)
		return
	}
	for k, v := range b.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(half)))
	w.WriteHeader(b.status)
	_, _ = w.Write(half) // a client that left is no business of ours
}

// breakOff promises the whole body, sends half of it and closes the connection.
func (b *buffer) breakOff(w http.ResponseWriter, half []byte) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	b.header.Set("Content-Length", strconv.Itoa(b.body.Len()))
	fmt.Fprintf(rw, "HTTP/1.1 %d %s\r\n", b.status, http.StatusText(b.status))
	if err := errors.Join(b.header.Write(rw), endOfHead(rw, half), rw.Flush()); err != nil {
		return // the client left before we broke off, which is the same to it
	}
}

func endOfHead(w io.Writer, half []byte) error {
	_, err := w.Write(append([]byte("\r\n"), half...))
	return err
}
