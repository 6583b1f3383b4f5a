package customhandler

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	handler := Probe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	tests := []struct {
		method, path, invocation string
		want                     int
	}{
		{"GET", "/", "", 200},
		{"GET", "/", "inv-1", http.StatusTeapot},
		{"HEAD", "/", "", http.StatusTeapot},
		{"POST", "/", "", http.StatusTeapot},
		{"GET", "/x", "", http.StatusTeapot},
	}
	for _, test := range tests {
		req := httptest.NewRequest(test.method, test.path, nil)
		if test.invocation != "" {
			req.Header.Set(headerInvocation, test.invocation)
		}
		res := httptest.NewRecorder()
		handler.ServeHTTP(res, req)
		if res.Code != test.want || test.want == 200 && res.Body.Len() != 0 {
			t.Errorf("%+v: got %d %q", test, res.Code, res.Body)
		}
	}
}

func TestRecover(t *testing.T) {
	var log bytes.Buffer
	server := httptest.NewServer(Recover(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/early":
			panic("before the answer")
		case "/late":
			_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			panic(errors.New("in the answer"))
		case "/flush":
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("flush: %v", err)
			}
		}
	}), slog.New(slog.NewTextHandler(&log, nil))))
	defer server.Close()

	res, err := http.Get(server.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 500 || !strings.Contains(log.String(), "before the answer") || !strings.Contains(log.String(), "customhandler_test.go") {
		t.Errorf("status %d, log %s", res.StatusCode, log.String())
	}
	res, err = http.Get(server.URL + "/late")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks like a whole one")
	}
	if res, err = http.Get(server.URL + "/flush"); err != nil || res.StatusCode != 200 {
		t.Errorf("flush: %v", err)
	} else {
		_ = res.Body.Close()
	}
}

func TestLogContext(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(LogContext(slog.NewTextHandler(&out, nil))).With("a", 1).WithGroup("g")
	log.InfoContext(context.Background(), "plain", "k", "v")
	if strings.Contains(out.String(), "invocation") || !strings.Contains(out.String(), "a=1") {
		t.Errorf("got %s", out.String())
	}
	out.Reset()
	log.InfoContext(withEvent(withInvocation(context.Background(), "i", "f"), "e"), "in an invocation")
	for _, want := range []string{"invocation=i", "function=f", "event=e"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}
