package functionapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	pollInterval   = 25 * time.Millisecond
	crashLimit     = 3
	crashWindow    = 30 * time.Minute
	exitNoRestart  = 0
	exitRestart    = 200
	stopPatience   = 10 * time.Second
	connectRetries = 10
)

// errGone is what invocations get after the handler ended with exit code 0: the
// host never starts such a handler again.
var errGone = errors.New("the handler ended with exit code 0 and is not started again")

// worker keeps one handler process running, by the rules of the real host.
type worker struct {
	command  command
	root     string
	port     int
	patience time.Duration // initializationTimeout
	graceful bool
	log      *slog.Logger
	console  *console

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with every change below
	endpoint *endpoint     // nil while the handler does not answer
	proc     *process
	restarts int
	final    error // set once the worker has ended for good
	wanted   *process
}

// endpoint is one answering run of the handler.
type endpoint struct {
	url    string
	proc   *process
	calls  *http.Transport // payload mode
	proxy  *http.Transport // requests of callers
	worker *worker
}

func newWorker(c command, root string, port int, patience time.Duration, graceful bool, log *slog.Logger) *worker {
	return &worker{command: c, root: root, port: port, patience: patience, graceful: graceful, log: log,
		console: &console{log: log}, changed: make(chan struct{})}
}

// supervise runs the handler until ctx ends (nil) or the host must stop (an
// error): after the third crash within half an hour.
func (w *worker) supervise(ctx context.Context) error {
	var crashes []time.Time
	for {
		crashed, err := w.runOnce(ctx)
		if ctx.Err() != nil {
			return w.end(nil)
		}
		if errors.Is(err, errGone) {
			w.log.Error("handler ended with exit code 0, which means it is never started again")
			w.set(func() { w.endpoint, w.proc, w.final = nil, nil, errGone })
			<-ctx.Done()
			return nil
		}
		if crashed {
			now := time.Now()
			crashes = append(recent(crashes, now.Add(-crashWindow)), now)
			w.log.Error("handler failed", "reason", err, "crashes", len(crashes), "limit", crashLimit)
		}
		if len(crashes) >= crashLimit {
			return w.end(fmt.Errorf("the handler failed %d times within %s, the last time: %w", crashLimit, crashWindow, err))
		}
		w.set(func() { w.restarts++ })
	}
}

func recent(times []time.Time, since time.Time) []time.Time {
	var out []time.Time
	for _, t := range times {
		if t.After(since) {
			out = append(out, t)
		}
	}
	return out
}

// runOnce starts the handler and returns when it has ended: whether that counts
// as a crash, and why it ended.
func (w *worker) runOnce(ctx context.Context) (crashed bool, err error) {
	p, err := w.command.start(w.port, uuid.NewString(), w.root, w.console)
	if err != nil {
		return true, err
	}
	w.set(func() { w.proc = p })
	w.log.Info("handler started", "pid", p.pid(), "port", w.port)
	defer w.set(func() { w.endpoint, w.proc = nil, nil })
	if err := w.await(ctx, p); err != nil {
		p.stop(w.graceful && ctx.Err() != nil, stopPatience)
		return true, err
	}
	e := w.answering(p)
	defer e.close()
	select {
	case <-ctx.Done():
		p.stop(w.graceful, stopPatience)
		return false, nil
	case <-p.exited:
		w.set(func() { w.endpoint = nil })
	}
	return w.judge(p)
}

// judge applies the rules for exit codes: 0 never again, 200 again, any other counts.
func (w *worker) judge(p *process) (crashed bool, err error) {
	w.mu.Lock()
	wanted := w.wanted == p
	w.mu.Unlock()
	switch {
	case wanted:
		return false, nil
	case p.code == exitNoRestart:
		return false, errGone
	case p.code == exitRestart:
		w.log.Info("handler asked to be started again", "exitCode", p.code)
		return false, nil
	}
	return true, w.exitError(p)
}

func (w *worker) exitError(p *process) error {
	reason := fmt.Sprintf("exit code %d", p.code)
	if p.code < 0 {
		reason = p.cmd.ProcessState.String()
	}
	if last := w.console.lastLine(); last != "" {
		return fmt.Errorf("handler ended with %s; its last line: %s", reason, last)
	}
	return fmt.Errorf("handler ended with %s", reason)
}

// await polls GET / until the handler answers, whatever the status.
func (w *worker) await(ctx context.Context, p *process) error {
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: w.patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer transport.CloseIdleConnections()
	deadline := time.After(w.patience)
	for {
		if probe(ctx, &client, w.url()+"/") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			if p.code == exitNoRestart {
				return errGone
			}
			return w.exitError(p)
		case <-deadline:
			return fmt.Errorf("handler did not answer on its port within initializationTimeout (%s)", w.patience)
		case <-time.After(pollInterval):
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close() // any answer will do
	return true
}

func (w *worker) url() string { return fmt.Sprintf("http://127.0.0.1:%d", w.port) }

func (w *worker) answering(p *process) *endpoint {
	e := &endpoint{url: w.url(), proc: p, worker: w, calls: w.transport(), proxy: w.transport()}
	e.proxy.ResponseHeaderTimeout = 240 * time.Second
	w.set(func() { w.endpoint = e })
	return e
}

// transport keeps many connections to one address and tries again to connect,
// for the handler may be just between two runs.
func (w *worker) transport() *http.Transport {
	address := fmt.Sprintf("127.0.0.1:%d", w.port)
	var dialer net.Dialer
	return &http.Transport{
		MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true,
		ReadBufferSize: 16 << 10, WriteBufferSize: 16 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			for try := 1; ; try++ {
				conn, err := dialer.DialContext(ctx, network, address)
				if err == nil || try > connectRetries || w.isFinal() {
					return conn, err
				}
				if err := sleep(ctx, min(time.Duration(try)*50*time.Millisecond, 250*time.Millisecond)); err != nil {
					return nil, err
				}
			}
		},
	}
}

func (e *endpoint) close() {
	e.calls.CloseIdleConnections()
	e.proxy.CloseIdleConnections()
}

// restart kills this run of the handler; its successor starts without counting a crash.
func (e *endpoint) restart() {
	w := e.worker
	w.mu.Lock()
	w.wanted = e.proc
	w.mu.Unlock()
	_ = e.proc.kill() // the only error is that it has already exited
}

// ready waits until the handler answers, at most (3+1) x initializationTimeout as
// the host does.
func (w *worker) ready(ctx context.Context) (*endpoint, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, (crashLimit+1)*w.patience, errors.New("the handler did not become ready"))
	defer cancel()
	return w.answers(ctx)
}

// answers waits until the handler answers or has ended for good.
func (w *worker) answers(ctx context.Context) (*endpoint, error) {
	for {
		w.mu.Lock()
		e, final, changed := w.endpoint, w.final, w.changed
		w.mu.Unlock()
		if e != nil {
			return e, nil
		}
		if final != nil {
			return nil, final
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (w *worker) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *worker) end(err error) error {
	final := err
	if final == nil {
		final = errors.New("the host is stopping")
	}
	w.set(func() { w.endpoint, w.proc, w.final = nil, nil, final })
	return err
}

func (w *worker) isFinal() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.final != nil
}

// kill sends SIGKILL to the running handler.
func (w *worker) kill() error {
	w.mu.Lock()
	p := w.proc
	w.mu.Unlock()
	if p == nil {
		return errors.New("no handler is running")
	}
	return p.kill()
}

// freePort picks a random free port below the range that the system gives to
// outgoing connections: one of those could take it before the handler listens.
func freePort() (int, error) {
	for range 200 {
		port := 20_000 + rand.IntN(12_000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("no free port between 20000 and 32000 for the handler")
}

// sleep waits for d or until ctx ends, and then returns its error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *worker) status() (pid, restarts int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proc != nil {
		pid = w.proc.pid()
	}
	return pid, w.restarts
}
