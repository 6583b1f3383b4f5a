package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// putAside is an app with two pages of parked letters, one of which cannot be read, and a dead one.
func putAside(t *testing.T, asked *[]string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/parked", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer let me" {
			http.Error(w, `{"detail":"sign in"}`, http.StatusUnauthorized)
			return
		}
		if r.URL.Query().Get("cursor") == "" {
			fmt.Fprint(w, `{"items":[{"id":"p1","queue":"correlate","reason":"garbage"}],"next":"more"}`)
			return
		}
		fmt.Fprint(w, `{"items":[{"id":"p2","queue":"assign","reason":"contract"}]}`)
	})
	mux.HandleFunc("GET /api/deadletters", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"id":"9","queue":"collect","reason":"tired"}]}`)
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path)
		if r.URL.Path == "/api/parked/p1/replay" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"detail":"it is no event"}`)
			return
		}
		fmt.Fprint(w, `{"replayed":"1"}`)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestReplayCommand(t *testing.T) {
	var asked []string
	base := putAside(t, &asked)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("let me\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := replay([]string{"-url", base, "-token", token, "-dry"}, &out); err != nil || len(asked) > 0 || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("-dry: %v, asked %v, printed %s", err, asked, out.String())
	}
	err := replay([]string{"-url", base, "-token", token}, &out)
	if err == nil || !strings.Contains(err.Error(), "1 letters stay") || !strings.Contains(out.String(), "p1 stays: it is no event") {
		t.Errorf("got %v, printed %s", err, out.String())
	}
	want := []string{"/api/parked/p1/replay", "/api/parked/p2/replay", "/api/deadletters/correlate/replay", "/api/deadletters/prioritize/replay",
		"/api/deadletters/assign/replay", "/api/deadletters/collect/replay"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if err := replay([]string{"-url", base}, &out); err == nil || err.Error() != "sign in" {
		t.Errorf("without a token: %v", err)
	}
}
