// Package functionapp runs a packaged function app on this machine as the Azure
// Functions host does in the cloud: host.json, a handler and function.json files
// in, HTTP, Service Bus and timer invocations over the custom-handler protocol out.
//
// As Azure does: the handler's environment, readiness, console levels and exit
// codes (0 never again, 200 again, three others within half an hour stop the
// host); routes with ASP.NET templates, constraints and precedence, 404 for a
// method that no route takes; proxied, forwarded and payload requests; Service
// Bus triggers with and without sessions through the azservicebus client, with
// lock renewal, complete and abandon; timers with status, past due and retry;
// functionTimeout, which kills the handler; the traps (an empty 200 hangs, a
// reply that is no JSON fails, body properties overwrite metadata, strings are
// encoded twice, null has no key); serviceBus outputs with their conversions.
//
// Not: keys and authLevel, CORS, prefetch, dynamic concurrency, more than one
// instance, bindings other than http, serviceBus and timer, an activity timeout
// inside a streamed answer (only for its headers), logging filters.
package functionapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// Options say what to run and where.
type Options struct {
	Root     string       // the folder of host.json
	Addr     string       // "127.0.0.1:7071"; port 0 is allowed
	Env      []string     // settings on top of os.Environ(), "KEY=value"; the handler gets them, connections and %Setting% use them
	Dir      string       // where timers keep their status; "" = memory
	Graceful bool         // stop the handler with SIGTERM, after what is in flight; else SIGKILL, as in Azure
	Restart  bool         // start again when crashes stopped the host, as the platform does
	Log      *slog.Logger // nil = slog.Default(); what the handler prints has the category Host.Function.Console
}

// Host is a running function app.
type Host struct {
	options   Options
	root      string
	log       *slog.Logger
	settings  settings
	config    config
	command   command
	functions []*function
	timers    map[string]*timerTrigger
	caller    *caller
	listener  net.Listener
	server    *http.Server
	begun     time.Time

	work    context.Context // ends with everything in flight
	abort   context.CancelFunc
	halting context.Context // ends when nothing new may start
	halt    context.CancelFunc
	ended   chan struct{}
	once    sync.Once

	mu      sync.Mutex
	state   string
	worker  *worker
	starts  int
	earlier int            // restarts of workers before the present one
	tracked sync.WaitGroup // started from outside a trigger
	serving sync.WaitGroup
	drained chan struct{} // closed when no request is in flight any more
	clients []*azservicebus.Client
}

// Start runs the app and returns when it listens and its handler has answered.
// ctx bounds the start only; the host runs until Close. Anything that keeps it
// from running (the port, host.json, a function.json, the handler) is one line.
func Start(ctx context.Context, o Options) (*Host, error) {
	h, err := newHost(o)
	if err != nil {
		return nil, fmt.Errorf("functionapp: %w", err)
	}
	if err := h.serve(); err != nil {
		h.abort()
		return nil, fmt.Errorf("functionapp: %w", err)
	}
	first := make(chan error, 1)
	go h.run(first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("functionapp: %w", err), h.Close())
	}
	return h, nil
}

func newHost(o Options) (*Host, error) {
	h := &Host{options: o, log: o.Log, state: stateStarting, begun: time.Now(), ended: make(chan struct{}), drained: make(chan struct{})}
	if h.log == nil {
		h.log = slog.Default()
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	h.root = root
	local, err := localValues(root)
	if err != nil {
		return nil, err
	}
	h.settings = newSettings(local, os.Environ(), o.Env)
	var ignored []string
	if h.config, ignored, err = readConfig(root, h.settings); err != nil {
		return nil, err
	}
	for _, name := range ignored {
		h.log.Warn("host.json: the host ignores this name", "name", name)
	}
	if h.functions, err = readFunctions(root, h.config.Functions, h.settings); err != nil {
		return nil, err
	}
	if h.command, err = newCommand(*h.config.CustomHandler.Description, root, h.settings); err != nil {
		return nil, err
	}
	h.command.env = append(append(local, os.Environ()...), o.Env...)
	h.work, h.abort = context.WithCancel(context.Background())
	h.halting, h.halt = context.WithCancel(h.work)
	return h, h.wire()
}

// wire builds the parts that live as long as the host.
func (h *Host) wire() error {
	h.caller = &caller{ready: h.ready, timeout: h.config.FunctionTimeout.duration(), now: time.Now, log: h.log,
		outputs: &outputs{open: h.openSender, senders: map[string]sender{}}}
	if err := h.wireTimers(); err != nil {
		return err
	}
	if err := h.checkConnections(); err != nil {
		return err
	}
	var routes []*route
	for _, f := range h.functions {
		if f.trigger.kind() != typeHTTPTrigger {
			continue
		}
		r, err := newRoute(f, h.config.Extensions.HTTP.RoutePrefix)
		if err != nil {
			return fmt.Errorf("%s/function.json: %w", f.name, err)
		}
		routes = append(routes, r)
	}
	front := newFront(routes, h.caller, h.log)
	front.admin = h.adminHandler()
	front.proxying = h.config.CustomHandler.EnableProxyingHTTPRequest
	front.forwarding = h.config.CustomHandler.EnableForwardingHTTPRequest
	front.homepage = !h.settings.isTrue("AzureWebJobsDisableHomepage")
	front.running = h.isRunning
	front.work = h.work
	h.server = &http.Server{Handler: front, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)}
	return nil
}

func (h *Host) wireTimers() error {
	h.timers = map[string]*timerTrigger{}
	store := statusStore{dir: h.options.Dir, mem: &sync.Map{}}
	for _, f := range h.functions {
		if f.trigger.kind() != typeTimerTrigger {
			continue
		}
		if f.retry == nil {
			f.retry = h.config.Retry
		}
		t, err := newTimer(f, store, h.caller, h.log)
		if err != nil {
			return fmt.Errorf("%s/function.json: %w", f.name, err)
		}
		h.timers[f.name] = t
	}
	return nil
}

func (h *Host) checkConnections() error {
	for _, f := range h.functions {
		for _, b := range f.bindings {
			if b.kind() != typeQueueTrigger && b.kind() != typeQueue {
				continue
			}
			if _, err := newConnection(h.settings, b.Connection); err != nil {
				return fmt.Errorf("%s/function.json: %w", f.name, err)
			}
		}
		if f.retry != nil && f.trigger.kind() != typeTimerTrigger {
			h.log.Warn("a retry policy has no effect on this trigger", "function", f.name)
		}
	}
	return nil
}

func (h *Host) serve() error {
	if !isLoopback(hostOnly(h.options.Addr)) {
		return fmt.Errorf("%s is not an address of this machine alone, use 127.0.0.1", h.options.Addr)
	}
	listener, err := net.Listen("tcp", h.options.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use; choose another port with -port-functions", h.options.Addr)
	}
	if err != nil {
		return err
	}
	h.listener = listener
	h.serving.Go(func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			h.log.Error("listener ended", "reason", err)
		}
	})
	return nil
}

// Addr is the address that callers use.
func (h *Host) Addr() string { return h.listener.Addr().String() }

// KillHandler ends the handler with SIGKILL, which counts as a crash.
func (h *Host) KillHandler() error {
	h.mu.Lock()
	w := h.worker
	h.mu.Unlock()
	if w == nil {
		return errors.New("no handler is running")
	}
	return w.kill()
}

// Close stops the app and its handler and frees the address. When graceful it
// first lets what is in flight finish, for at most ten seconds; else in-flight
// messages keep their locks until these expire.
func (h *Host) Close() error {
	h.once.Do(func() {
		h.set(stateStopping)
		if !h.options.Graceful {
			h.abort()
		}
		h.halt()
		patience := time.AfterFunc(stopPatience, h.abort)
		defer patience.Stop()
		h.drainServer()
		close(h.drained)
		<-h.ended
		h.abort()
		_ = h.server.Close() // idle connections; the listener is closed already
		h.serving.Wait()
		h.closeClients()
		h.set(stateStopped)
	})
	return nil
}

// drainServer closes the listener and lets requests in flight finish, or cuts them.
func (h *Host) drainServer() {
	if !h.options.Graceful {
		_ = h.server.Close() // cutting connections is the intent
		return
	}
	if err := h.server.Shutdown(h.work); err != nil {
		h.log.Warn("requests cut while stopping", "reason", err)
	}
}

func (h *Host) function(name string) *function {
	for _, f := range h.functions {
		if strings.EqualFold(f.name, name) {
			return f
		}
	}
	return nil
}
