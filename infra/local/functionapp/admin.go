package functionapp

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/uuid"
)

func isAdmin(path string) bool {
	return strings.EqualFold(path, "/admin") || len(path) > 7 && strings.EqualFold(path[:7], "/admin/")
}

// adminHandler serves the host's own addresses, to this machine only.
func (h *Host) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/host/status", h.serveStatus)
	mux.HandleFunc("GET /admin/host/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("POST /admin/host/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /admin/functions", h.serveFunctions)
	mux.HandleFunc("POST /admin/functions/{name}", h.serveInvoke)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fromHere(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// fromHere tells whether the caller is on this machine, and no web page of
// another site that a browser on this machine shows.
func fromHere(r *http.Request) bool {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !isLoopback(client) || !isLoopback(hostOnly(r.Host)) {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	page, err := url.Parse(origin)
	return err == nil && isLoopback(page.Hostname())
}

func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func isLoopback(name string) bool {
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

func (h *Host) serveStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.Status())
}

func (h *Host) serveFunctions(w http.ResponseWriter, _ *http.Request) {
	out := []map[string]any{}
	for _, f := range h.functions {
		out = append(out, map[string]any{"name": f.name, "config": map[string]any{"bindings": f.bindings}, "language": "Custom"})
	}
	writeJSON(w, http.StatusOK, out)
}

// serveInvoke starts a function with {"input":"…"} and answers before it ends.
func (h *Host) serveInvoke(w http.ResponseWriter, r *http.Request) {
	f := h.function(r.PathValue("name"))
	if f == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestRequest))
	var call struct {
		Input *string `json:"input"`
	}
	if err != nil || json.Unmarshal(body, &call) != nil {
		http.Error(w, `the body must be {"input":"..."}`, http.StatusBadRequest)
		return
	}
	if err := h.startFunction(f, call.Input); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// startFunction runs f beside its trigger. A queue function gets a message with
// default metadata that belongs to no queue and is not settled.
func (h *Host) startFunction(f *function, input *string) error {
	var run func()
	switch f.trigger.kind() {
	case typeTimerTrigger:
		timer := h.timers[f.name]
		run = func() { timer.trigger(h.work) }
	case typeQueueTrigger:
		if f.trigger.isMany() {
			return fmt.Errorf("%s takes batches, which cannot be started from here", f.name)
		}
		run = func() { h.invokeMessage(f, input) }
	default:
		return fmt.Errorf("%s is an HTTP function: call its route", f.name)
	}
	return h.track(run)
}

func (h *Host) invokeMessage(f *function, input *string) {
	m := &azservicebus.ReceivedMessage{MessageID: uuid.NewString(), DeliveryCount: 1, LockToken: uuid.New()}
	if input != nil {
		m.Body = []byte(*input)
	}
	p := single(f, m, busObjects("", 0, "", forever), h.caller.now())
	result, err := h.caller.call(h.work, f, p)
	if err == nil {
		err = h.caller.deliver(h.work, f, result)
	}
	if err != nil {
		h.log.Error("invocation failed", "function", f.name, "reason", err)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller has gone; nothing is left to tell
}
