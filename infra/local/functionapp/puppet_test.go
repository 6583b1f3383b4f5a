package functionapp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary play the handler: a puppet that hands every
// request to the test's own server and answers what that says.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT") != "":
		os.Exit(runPuppet())
	case os.Getenv("HOST_ROOT") != "":
		os.Exit(runHost())
	}
	os.Exit(m.Run())
}

// runHost plays a host that somebody else will kill; it prints the handler's id.
func runHost() int {
	h, err := Start(context.Background(), Options{Root: os.Getenv("HOST_ROOT"), Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(h.Status().HandlerPID)
	time.Sleep(time.Minute)
	return 1
}

func runPuppet() int {
	if script := os.Getenv("PUPPET_START"); script != "" {
		return atStart(script)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		fmt.Println("puppet got SIGTERM")
		os.Exit(0)
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = http.Serve(listener, http.HandlerFunc(puppet))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// atStart does what "<exit code> <line>" says instead of serving.
func atStart(script string) int {
	code, line, _ := strings.Cut(script, " ")
	fmt.Fprintln(os.Stderr, line)
	if code == "hang" {
		time.Sleep(time.Hour)
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		return 99
	}
	return n
}

func puppet(w http.ResponseWriter, r *http.Request) {
	if os.Getenv("PUPPET_FAST") != "" && r.Method == http.MethodPost {
		_, _ = io.Copy(io.Discard, r.Body)
		ok(w)
		return
	}
	if r.Header.Get(headerInvocation) == "" && r.URL.Path == "/" {
		return
	}
	if r.URL.Path == "/env" {
		dir, _ := os.Getwd()
		_ = json.NewEncoder(w).Encode(append(os.Environ(), "CWD="+dir, "ARGS="+strings.Join(os.Args[1:], " ")))
		return
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, os.Getenv("PUPPET_URL")+r.URL.RequestURI(), r.Body)
	if err != nil {
		panic(err)
	}
	out.Header, out.ContentLength, out.Host = r.Header.Clone(), r.ContentLength, r.Host
	out.Header.Set("Puppet-Chunked", strconv.FormatBool(len(r.TransferEncoding) > 0))
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer func() { _ = res.Body.Close() }()
	if code := res.Header.Get("Puppet-Exit"); code != "" {
		n, _ := strconv.Atoi(code)
		os.Exit(n)
	}
	if line := res.Header.Get("Puppet-Print"); line != "" {
		fmt.Println(line)
	}
	if line := res.Header.Get("Puppet-Cry"); line != "" {
		fmt.Fprintln(os.Stderr, line)
	}
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	flush := http.NewResponseController(w)
	buf := make([]byte, 4096)
	for {
		n, err := res.Body.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil || err != nil {
			return
		}
		_ = flush.Flush()
	}
}

const succeed = `{"Outputs":{},"Logs":[],"ReturnValue":null}`

func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, succeed)
}

// app is a dist folder with a puppet for a handler.
type app struct {
	t    testing.TB
	root string
	url  string
	logs *logs
	told bool
}

const plainHost = `{"version":"2.0","functionTimeout":"00:00:30","customHandler":{"enableProxyingHttpRequest":true,
 "description":{"defaultExecutablePath":"handler"}},"extensions":{"http":{"routePrefix":""},"serviceBus":{"maxConcurrentCalls":16,"sessionIdleTimeout":"00:00:01"}}}`

// newApp lays out dist/: files maps a path to its content. serve plays the handler.
func newApp(t testing.TB, host string, functions map[string]string, serve http.HandlerFunc) *app {
	t.Helper()
	a := &app{t: t, root: t.TempDir(), logs: &logs{}}
	strings := httptest.NewServer(serve)
	t.Cleanup(strings.Close)
	a.url = strings.URL
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(a.root, "handler")); err != nil {
		t.Fatal(err)
	}
	a.write("host.json", host)
	for name, content := range functions {
		a.write(name+"/function.json", content)
	}
	return a
}

func (a *app) write(name, content string) {
	a.t.Helper()
	path := filepath.Join(a.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) options(env ...string) Options {
	return Options{Root: a.root, Addr: "127.0.0.1:0", Env: append([]string{"PUPPET_URL=" + a.url}, env...),
		Log: slog.New(slog.NewTextHandler(a.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

func (a *app) start(o Options) *Host {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	h, err := Start(ctx, o)
	if err != nil {
		a.t.Fatalf("start: %v\n%s", err, a.logs)
	}
	a.t.Cleanup(func() {
		if err := h.Close(); err != nil {
			a.t.Error(err)
		}
		if a.t.Failed() && !a.told {
			a.told = true
			a.t.Log(a.logs)
		}
	})
	return h
}

// logs collects log lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) has(text string) func() bool {
	return func() bool { return strings.Contains(l.String(), text) }
}

func eventually(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func do(t testing.TB, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(content)
}

func decode(t testing.TB, r io.Reader) map[string]map[string]any {
	t.Helper()
	var p map[string]map[string]any
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		t.Error(err)
	}
	return p
}

func (s Status) of(name string) FunctionStatus {
	for _, f := range s.Functions {
		if f.Name == name {
			return f
		}
	}
	return FunctionStatus{}
}

func httpFunction(route string, methods ...string) string {
	list, _ := json.Marshal(methods)
	return fmt.Sprintf(`{"bindings":[{"type":"httpTrigger","direction":"in","name":"req","authLevel":"anonymous","methods":%s,"route":%q},
 {"type":"http","direction":"out","name":"res"}]}`, list, route)
}
