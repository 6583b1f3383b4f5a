package functionapp

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestHTTP(t *testing.T) {
	type seen struct {
		header http.Header
		host   string
		uri    string
		body   string
	}
	requests := make(chan seen, 10)
	a := newApp(t, plainHost, map[string]string{
		"webhook": httpFunction("ingest/github", "post"),
		"api":     httpFunction("api/{*path}", "get", "post"),
		"finding": httpFunction("api/findings/{id:int}", "get"),
		"root":    httpFunction("{*path}", "get"),
	}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Header, r.Host, r.RequestURI, string(body)}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "handler says "+string(body))
	})
	h := a.start(a.options())
	url := "http://" + h.Addr()

	t.Run("a request passes raw with overwritten host headers", func(t *testing.T) {
		res, body := do(t, "POST", url+"/ingest/github?a=1&a=2", "\x00raw\xff", headerInvocation, "spoofed", "X-Hub-Signature-256", "sha256=1")
		got := <-requests
		if res.StatusCode != http.StatusTeapot || body != "handler says \x00raw\xff" || res.Header.Get("X-Answer") != "yes" {
			t.Errorf("got %d %q %v", res.StatusCode, body, res.Header)
		}
		id := got.header.Values(headerInvocation)
		if len(id) != 1 || id[0] == "spoofed" || len(id[0]) != 36 {
			t.Errorf("invocation ids %q", id)
		}
		if got.uri != "/ingest/github?a=1&a=2" || got.body != "\x00raw\xff" || got.header.Get("X-Hub-Signature-256") != "sha256=1" {
			t.Errorf("the handler saw %+v", got)
		}
		if got.header.Get(headerHostVersion) != hostVersion || got.header.Get(headerCorrelation) == "" || got.host != h.Addr() {
			t.Errorf("headers %v, host %s", got.header, got.host)
		}
		if got.header.Get("X-Forwarded-Proto") != "http" || got.header.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("forwarded headers %v", got.header)
		}
	})
	t.Run("a method that no route takes is not found", func(t *testing.T) {
		for _, method := range []string{"DELETE", "HEAD", "PUT"} {
			if res, _ := do(t, method, url+"/ingest/github", ""); res.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d", method, res.StatusCode)
			}
		}
	})
	t.Run("the next route takes what an earlier one does not match", func(t *testing.T) {
		for path, want := range map[string]string{"/api/findings/7": "finding", "/api/findings/x": "api", "/API/findings/8/": "finding",
			"/": "root", "/findings/a": "root", "/ingest/github": "root"} {
			before := h.Status().of(want).Executed
			do(t, "GET", url+path, "")
			<-requests
			eventually(t, path+" reaches "+want, func() bool { return h.Status().of(want).Executed == before+1 })
		}
	})
	t.Run("a 5xx of the handler is a success of the invocation", func(t *testing.T) {
		if failed := h.Status().of("webhook").Failed; failed != 0 {
			t.Errorf("%d failed", failed)
		}
	})
}

func TestHTTPStreams(t *testing.T) {
	release := make(chan struct{})
	a := newApp(t, plainHost, map[string]string{"s": httpFunction("s", "get")}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "second\n")
	})
	h := a.start(a.options())
	res, err := http.Get("http://" + h.Addr() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "first\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	close(release)
	if line, _ := lines.ReadString('\n'); line != "second\n" {
		t.Errorf("got %q", line)
	}
}

func TestHTTPPayload(t *testing.T) {
	payloads := make(chan map[string]map[string]any, 1)
	a := newApp(t, strings.Replace(plainHost, "true", "false", 1), map[string]string{"f": httpFunction("f/{id}", "post")},
		func(w http.ResponseWriter, r *http.Request) {
			payloads <- decode(t, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"Outputs":{"res":{"statusCode":"202","body":"done","headers":{"X-A":"b"}}},"Logs":["from the handler"]}`)
		})
	h := a.start(a.options())
	res, body := do(t, "POST", "http://"+h.Addr()+"/f/7?q=1&q=2", `{"id":"overwritten","n":5}`, "Content-Type", "application/json")
	if res.StatusCode != 202 || body != "done" || res.Header.Get("X-A") != "b" {
		t.Errorf("got %d %q %v", res.StatusCode, body, res.Header)
	}
	p := <-payloads
	req, _ := p["Data"]["req"].(map[string]any)
	if req["Method"] != "POST" || req["Body"] != `{"id":"overwritten","n":5}` || req["Query"].(map[string]any)["q"] != "1,2" || req["Params"].(map[string]any)["id"] != "7" {
		t.Errorf("req = %v", req)
	}
	if p["Metadata"]["id"] != `"overwritten"` || p["Metadata"]["n"] != `"5"` {
		t.Errorf("metadata = %v", p["Metadata"])
	}
	eventually(t, "the handler's log line", a.logs.has("from the handler"))
}
