package functionapp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const timerFunction = `{"bindings":[{"type":"timerTrigger","direction":"in","name":"timer","schedule":"0 0 0 1 1 *"}]}`

func exits(code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Puppet-Exit", code) }
}

func (a *app) trigger(h *Host, name string) {
	a.t.Helper()
	if res, body := do(a.t, "POST", "http://"+h.Addr()+"/admin/functions/"+name, `{"input":""}`); res.StatusCode != http.StatusAccepted {
		a.t.Fatalf("trigger %s: %d %s", name, res.StatusCode, body)
	}
}

func TestHandlerEnvironment(t *testing.T) {
	host := strings.Replace(plainHost, `"handler"`, `"handler","arguments":["-a","%GREETING%","%UNSET%x"],"workingDirectory":"sub"`, 1)
	a := newApp(t, host, map[string]string{"env": httpFunction("env", "get")}, nil)
	a.write("sub/file", "")
	a.write("local.settings.json", `{"IsEncrypted":false,"Values":{"FROM_FILE":"file","GREETING":"overridden"}}`)
	h := a.start(a.options("GREETING=hello"))
	_, body := do(t, "GET", "http://"+h.Addr()+"/env", "")
	var env []string
	if err := json.Unmarshal([]byte(body), &env); err != nil {
		t.Fatal(err)
	}
	values := newSettings(env)
	root, _ := filepath.EvalSymlinks(a.root)
	for name, want := range map[string]string{"GREETING": "hello", "FROM_FILE": "file", "CWD": filepath.Join(root, "sub"), "ARGS": "-a hello x",
		"FUNCTIONS_APP_ROOT_PATH": a.root, "FUNCTIONS_HTTPWORKER_PORT": values.get("FUNCTIONS_CUSTOMHANDLER_PORT"),
		"FUNCTIONS_HTTPWORKER_ID": values.get("FUNCTIONS_CUSTOMHANDLER_WORKER_ID"), "PATH": os.Getenv("PATH")} {
		if got := values.get(name); got != want || want == "" {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Run("0 is never started again", func(t *testing.T) {
		a := newApp(t, plainHost, map[string]string{"tick": timerFunction, "x": httpFunction("x", "get")}, exits("0"))
		h := a.start(a.options())
		a.trigger(h, "tick")
		eventually(t, "the handler is gone", a.logs.has("never started again"))
		if s := h.Status(); s.Restarts != 0 || s.HandlerPID != 0 || s.State != stateRunning {
			t.Errorf("status %+v", s)
		}
		if res, _ := do(t, "GET", "http://"+h.Addr()+"/x", ""); res.StatusCode != http.StatusBadGateway {
			t.Errorf("a request got %d", res.StatusCode)
		}
	})
	t.Run("200 starts again without counting", func(t *testing.T) {
		a := newApp(t, plainHost, map[string]string{"tick": timerFunction}, exits("200"))
		h := a.start(a.options())
		for n := 1; n <= 4; n++ {
			a.trigger(h, "tick")
			eventually(t, "a restart", func() bool { s := h.Status(); return s.Restarts == n && s.HandlerPID != 0 })
		}
	})
	t.Run("the third crash stops the host", func(t *testing.T) {
		a := newApp(t, plainHost, map[string]string{"tick": timerFunction, "x": httpFunction("x", "get")}, exits("3"))
		h := a.start(a.options())
		for range 3 {
			eventually(t, "a handler", func() bool { return h.Status().HandlerPID != 0 })
			pid := h.Status().HandlerPID
			a.trigger(h, "tick")
			eventually(t, "its end", func() bool { return h.Status().HandlerPID != pid })
		}
		eventually(t, "the host has stopped", func() bool { return h.Status().State == stateError })
		if s := h.Status(); s.Restarts != 2 || s.HostStarts != 1 || s.of("tick").Failed != 3 {
			t.Errorf("status %+v", s)
		}
		if res, _ := do(t, "GET", "http://"+h.Addr()+"/x", ""); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a request got %d", res.StatusCode)
		}
	})
}

func TestRestartedByThePlatform(t *testing.T) {
	a := newApp(t, plainHost, map[string]string{"x": httpFunction("x", "get")}, func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	o := a.options()
	o.Restart = true
	h := a.start(o)
	for range 3 {
		eventually(t, "a handler", func() bool { s := h.Status(); return s.HandlerPID != 0 && s.State == stateRunning })
		pid := h.Status().HandlerPID
		if err := h.KillHandler(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its end", func() bool { return h.Status().HandlerPID != pid })
	}
	eventually(t, "the second start", func() bool { s := h.Status(); return s.HostStarts == 2 && s.State == stateRunning })
	if res, body := do(t, "GET", "http://"+h.Addr()+"/x", ""); res.StatusCode != 200 || body != succeed {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	if s := h.Status(); s.Restarts != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	functions := map[string]string{"x": httpFunction("x", "get")}
	taken := newApp(t, plainHost, functions, nil)
	running := taken.start(taken.options())
	tests := map[string]struct {
		host      string
		functions map[string]string
		env       []string
		change    func(*app, *Options)
		want      string
	}{
		"a port in use":        {change: func(_ *app, o *Options) { o.Addr = running.Addr() }, want: running.Addr() + " is in use; choose another port with -port-functions"},
		"an open address":      {change: func(_ *app, o *Options) { o.Addr = ":0" }, want: "use 127.0.0.1"},
		"no host.json":         {change: func(a *app, _ *Options) { _ = os.Remove(filepath.Join(a.root, "host.json")) }, want: "no host.json"},
		"bad host.json":        {host: "{\n\"version\": \"2.0\",\n oops}", want: "host.json: line 3"},
		"a wrong version":      {host: `{"version":"1"}`, want: "needs \"2.0\""},
		"no description":       {host: `{"version":"2.0"}`, want: "customHandler.description is missing"},
		"a bad time span":      {host: strings.Replace(plainHost, "00:00:30", "30s", 1), want: `"30s" is not a time span`},
		"no handler":           {host: strings.Replace(plainHost, `"handler"`, `"nowhere"`, 1), want: "no handler: nowhere"},
		"no functions":         {functions: map[string]string{}, want: "no function.json"},
		"a bad name":           {functions: map[string]string{"7up": timerFunction}, want: "not a valid function name"},
		"no bindings":          {functions: map[string]string{"f": `{}`}, want: "f/function.json: no bindings"},
		"an unknown type":      {functions: map[string]string{"f": `{"bindings":[{"type":"kafkaTrigger","name":"x"}]}`}, want: `"kafkaTrigger" is unknown`},
		"two triggers":         {functions: map[string]string{"f": `{"bindings":[{"type":"httpTrigger","name":"x"},{"type":"httpTrigger","name":"y"}]}`}, want: "2 triggers"},
		"a bad schedule":       {functions: map[string]string{"f": strings.Replace(timerFunction, "0 0 0 1 1 *", "61 * * * * *", 1)}, want: "61 * * * * *"},
		"a missing setting":    {functions: map[string]string{"f": strings.Replace(timerFunction, "0 0 0 1 1 *", "%WHEN%", 1)}, want: "the setting WHEN is missing"},
		"no connection":        {functions: map[string]string{"f": `{"bindings":[{"type":"serviceBusTrigger","name":"m","queueName":"q","connection":"Bus"}]}`}, want: "the connection Bus is not set"},
		"a bad route":          {functions: map[string]string{"f": httpFunction("a/{b:nope}")}, want: `"nope" is unknown`},
		"a handler that fails": {env: []string{"PUPPET_START=1 setting MARKER_KEY is missing"}, want: "setting MARKER_KEY is missing"},
		"a handler that ends":  {env: []string{"PUPPET_START=0 bye"}, want: "exit code 0"},
		"a handler that hangs": {host: strings.Replace(plainHost, `"enableP`, `"initializationTimeout":"00:00:00.2","enableP`, 1),
			env: []string{"PUPPET_START=hang zzz"}, want: "within initializationTimeout (200ms)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			host, list := test.host, test.functions
			if host == "" {
				host = plainHost
			}
			if list == nil {
				list = functions
			}
			a := newApp(t, host, list, nil)
			o := a.options(test.env...)
			if test.change != nil {
				test.change(a, &o)
			}
			h, err := Start(context.Background(), o)
			if err == nil {
				_ = h.Close()
				t.Fatal("it started")
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") {
				t.Errorf("got %q, want one line with %q", text, test.want)
			}
		})
	}
}

func TestConsole(t *testing.T) {
	a := newApp(t, plainHost, map[string]string{"x": httpFunction("x", "get")}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Puppet-Print", "printed "+strings.Repeat("p", 100_000))
		w.Header().Set("Puppet-Cry", r.URL.Query().Get("cry"))
	})
	h := a.start(a.options())
	do(t, "GET", "http://"+h.Addr()+"/x?cry=plain+cry", "")
	do(t, "GET", "http://"+h.Addr()+"/x?cry=a+WARNing", "")
	for _, want := range []string{`level=ERROR msg="plain cry" category=Host.Function.Console`, `level=WARN msg="a WARNing"`, `level=INFO msg="printed ppp`} {
		eventually(t, want, a.logs.has(want))
	}
}

func TestCloseEndsTheHandler(t *testing.T) {
	for _, graceful := range []bool{false, true} {
		a := newApp(t, plainHost, map[string]string{"x": httpFunction("x", "get")}, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(300 * time.Millisecond)
			ok(w)
		})
		o := a.options()
		o.Graceful = graceful
		h := a.start(o)
		pid := h.Status().HandlerPID
		answered := make(chan bool)
		go func() {
			res, err := http.Get("http://" + h.Addr() + "/x")
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			answered <- err == nil && res.StatusCode == 200
		}()
		eventually(t, "a request in flight", func() bool { return h.Status().of("x").Running == 1 })
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if got := <-answered; got != graceful {
			t.Errorf("graceful %t: answered %t", graceful, got)
		}
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("graceful %t: the handler lives on", graceful)
		}
		if sawTerm := strings.Contains(a.logs.String(), "puppet got SIGTERM"); sawTerm != graceful {
			t.Errorf("graceful %t: SIGTERM %t", graceful, sawTerm)
		}
		if _, err := http.Get("http://" + h.Addr() + "/x"); err == nil {
			t.Error("it still listens")
		}
	}
}

func TestHandlerDiesWithTheHost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a child's life to its parent's")
	}
	a := newApp(t, plainHost, map[string]string{"x": httpFunction("x", "get")}, nil)
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), "HOST_ROOT="+a.root, "PUPPET_URL="+a.url)
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("no handler %d: %v", pid, err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait() // it was killed
	eventually(t, "the handler is gone", func() bool {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(state), ") Z ")
	})
}

// TestTraps holds the host to what the real one does with replies that handlers
// should not give.
func TestTraps(t *testing.T) {
	t.Parallel()
	var serve atomic.Pointer[http.HandlerFunc]
	host := strings.Replace(plainHost, `"00:00:30"`, `"00:00:01.5"`, 1)
	a := newApp(t, host, map[string]string{"tick": timerFunction}, func(w http.ResponseWriter, r *http.Request) { (*serve.Load())(w, r) })
	h := a.start(a.options())
	answer := func(status int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if media != "" {
				w.Header().Set("Content-Type", media)
			} else {
				w.Header()["Content-Type"] = nil
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		name  string
		serve http.HandlerFunc
		want  string // "" = success
		kills bool
	}{
		{"a JSON object succeeds", answer(200, "application/json", succeed), "", false},
		{"any 2xx succeeds", answer(201, "text/json; charset=utf-8", "{}"), "", false},
		{"a 500 fails", answer(500, "application/json", succeed), "does not indicate success: 500", false},
		{"a redirect fails", answer(302, "application/json", succeed), "does not indicate success: 302", false},
		{"text fails", answer(200, "text/plain", succeed), "invalid HttpResponseMessage", false},
		{"no content type fails", answer(200, "", succeed), "invalid HttpResponseMessage", false},
		{"bad JSON fails", answer(200, "application/json", "{"), "invalid HttpResponseMessage", false},
		{"an array fails", answer(200, "application/json", "[]"), "invalid HttpResponseMessage", false},
		{"an empty 200 hangs until the handler is killed", answer(200, "application/json", ""), "functionTimeout passed", true},
		{"null hangs until the handler is killed", answer(200, "application/json", "null"), "functionTimeout passed", true},
		{"a slow reply is killed", func(http.ResponseWriter, *http.Request) { time.Sleep(4 * time.Second) }, "functionTimeout passed", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			eventually(t, "a handler", func() bool { return h.Status().HandlerPID != 0 })
			serve.Store(&test.serve)
			before, mark := h.Status(), len(a.logs.String())
			a.trigger(h, "tick")
			eventually(t, "the end", func() bool { return h.Status().of("tick").Executed > before.of("tick").Executed })
			failed := h.Status().of("tick").Failed > before.of("tick").Failed
			if failed != (test.want != "") {
				t.Errorf("failed %t", failed)
			}
			eventually(t, test.want, func() bool { return strings.Contains(a.logs.String()[mark:], test.want) })
			if test.kills {
				eventually(t, "another handler", func() bool { s := h.Status(); return s.HandlerPID != 0 && s.HandlerPID != before.HandlerPID })
			} else if pid := h.Status().HandlerPID; pid != before.HandlerPID {
				t.Errorf("the handler was killed")
			}
		})
	}
	if s := h.Status(); s.State != stateRunning || s.HostStarts != 1 {
		t.Errorf("timeouts were counted as crashes: %+v", s)
	}
}

func TestSettingsOverrideHostJSON(t *testing.T) {
	a := newApp(t, plainHost, map[string]string{"x": httpFunction("x", "get")}, func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	h := a.start(a.options("AzureFunctionsJobHost__extensions__http__routePrefix=v1", "AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls=3",
		"AzureFunctionsJobHost__functionTimeout=-1", "AzureWebJobs.x.Disabled=0"))
	if res, _ := do(t, "GET", "http://"+h.Addr()+"/v1/x", ""); res.StatusCode != 200 {
		t.Errorf("got %d", res.StatusCode)
	}
	if c := h.config; c.Extensions.ServiceBus.MaxConcurrentCalls != 3 || c.FunctionTimeout >= 0 || c.Extensions.ServiceBus.MaxConcurrentSessions != 8 {
		t.Errorf("config %+v", c)
	}
}

func TestIgnoredNamesAreWarnedOf(t *testing.T) {
	host := strings.Replace(plainHost, `"maxConcurrentCalls"`, `"maxConcurentCalls"`, 1)
	host = strings.Replace(host, `"version"`, `"extras":{},"version"`, 1)
	a := newApp(t, host, map[string]string{"x": httpFunction("x", "get")}, nil)
	a.start(a.options())
	for _, want := range []string{"name=extras", "name=extensions.serviceBus.maxConcurentCalls"} {
		if !strings.Contains(a.logs.String(), want) {
			t.Errorf("no warning with %s in %s", want, a.logs)
		}
	}
}

func TestAdmin(t *testing.T) {
	bodies := make(chan map[string]map[string]any, 1)
	a := newApp(t, plainHost, map[string]string{"tick": timerFunction, "x": httpFunction("x", "get")}, func(w http.ResponseWriter, r *http.Request) {
		bodies <- decode(t, r.Body)
		ok(w)
	})
	h := a.start(a.options())
	url := "http://" + h.Addr() + "/admin/"
	for _, test := range []struct {
		path, body string
		header     []string
		want       int
	}{
		{"functions/tick", `{"input":"x"}`, nil, 202},
		{"functions/TICK", `{}`, nil, 202},
		{"functions/tick", ``, nil, 400},
		{"functions/none", `{}`, nil, 404},
		{"functions/x", `{}`, nil, 400},
		{"functions/tick", `{}`, []string{"Origin", "https://evil.example"}, 401},
	} {
		if res, body := do(t, "POST", url+test.path, test.body, test.header...); res.StatusCode != test.want {
			t.Errorf("%+v: got %d %s", test, res.StatusCode, body)
		} else if test.want == 202 {
			if p := <-bodies; p["Data"]["timer"].(map[string]any)["IsPastDue"] != false {
				t.Errorf("payload %v", p)
			}
		}
	}
	_, body := do(t, "GET", url+"host/status", "")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.State != stateRunning || s.HandlerPID == 0 ||
		!slices.ContainsFunc(s.Functions, func(f FunctionStatus) bool { return f.Name == "tick" }) {
		t.Errorf("status %s: %v", body, err)
	}
	req, _ := http.NewRequest("GET", url+"host/status", nil)
	req.Host = "evil.example"
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != 401 {
		t.Errorf("a foreign host name got %v, %v", res, err)
	}
}
