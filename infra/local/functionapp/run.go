package functionapp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// The states of a host, as /admin/host/status shows them.
const (
	stateStarting = "Starting"
	stateRunning  = "Running"
	stateError    = "Error" // crashes stopped it; it may start again
	stateStopping = "Stopping"
	stateStopped  = "Stopped"
)

const (
	restartStart = 500 * time.Millisecond
	restartMost  = 10 * time.Second
	healthyAfter = 5 * time.Second
)

// Status is a host at one moment.
type Status struct {
	State      string           `json:"state"`
	Version    string           `json:"version"`
	Uptime     int64            `json:"processUptime"` // milliseconds
	HandlerPID int              `json:"handlerPid"`    // 0 while none runs
	Restarts   int              `json:"restarts"`      // of the handler, since Start
	HostStarts int              `json:"hostStarts"`    // 1, and one more for each time crashes stopped the host
	Functions  []FunctionStatus `json:"functions"`
}

// FunctionStatus counts the invocations of one function since Start.
type FunctionStatus struct {
	Name     string `json:"name"`
	Trigger  string `json:"trigger"`
	Running  int64  `json:"running"`
	Executed int64  `json:"executed"` // ended, well or not
	Failed   int64  `json:"failed"`
}

// Status tells the state, the handler and the counts.
func (h *Host) Status() Status {
	h.mu.Lock()
	s := Status{State: h.state, Version: hostVersion, Uptime: time.Since(h.begun).Milliseconds(), HostStarts: h.starts, Restarts: h.earlier}
	w := h.worker
	h.mu.Unlock()
	if w != nil {
		pid, restarts := w.status()
		s.HandlerPID = pid
		s.Restarts += restarts
	}
	for _, f := range h.functions {
		s.Functions = append(s.Functions, FunctionStatus{Name: f.name, Trigger: f.trigger.Type,
			Running: f.running.Load(), Executed: f.executed.Load(), Failed: f.failed.Load()})
	}
	return s
}

func (h *Host) isRunning() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == stateRunning
}

func (h *Host) set(state string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != stateStopping && h.state != stateStopped || state == stateStopped {
		h.state = state
	}
}

// ready gives callers the handler that answers now.
func (h *Host) ready(ctx context.Context) (*endpoint, error) {
	h.mu.Lock()
	w := h.worker
	h.mu.Unlock()
	if w == nil {
		return nil, errors.New("the host is not running")
	}
	return w.ready(ctx)
}

// run is the platform: it runs the host, and starts it again where that is
// wanted. first gets the outcome of the first start.
func (h *Host) run(first chan<- error) {
	defer close(h.ended)
	pause := restartStart
	for {
		begun := time.Now()
		err := h.runOnce(first)
		if h.halting.Err() != nil {
			return
		}
		if first != nil && h.startsDone() == 0 {
			first <- err
			return
		}
		first = nil
		h.set(stateError)
		h.log.Error("host stopped", "reason", err)
		if !h.options.Restart {
			return
		}
		if time.Since(begun) > healthyAfter {
			pause = restartStart
		}
		if sleep(h.halting, pause) != nil {
			return
		}
		pause = min(2*pause, restartMost)
	}
}

func (h *Host) startsDone() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts
}

// runOnce starts a handler and the triggers and returns when the host has to
// stop, with everything stopped.
func (h *Host) runOnce(first chan<- error) error {
	w, err := h.startWorker()
	if err != nil {
		return err
	}
	living, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan error, 1)
	go func() { over <- w.supervise(living) }()
	if _, err = w.answers(h.halting); err != nil {
		stop()
		<-over
		return err
	}
	h.started()
	if first != nil {
		first <- nil
	}
	listening, hush := context.WithCancel(h.halting)
	defer hush()
	triggers := h.listenAll(listening)
	select {
	case err = <-over:
		hush()
		triggers.Wait()
	case <-h.halting.Done():
		triggers.Wait()
		h.tracked.Wait()
		<-h.drained
		stop()
		err = <-over
	}
	return err
}

func (h *Host) startWorker() (*worker, error) {
	port := h.config.CustomHandler.Port
	if port == 0 {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		port = free
	}
	w := newWorker(h.command, h.root, port, h.config.CustomHandler.InitializationTimeout.duration(), h.options.Graceful, h.log)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.worker != nil {
		_, restarts := h.worker.status()
		h.earlier += restarts + 1
	}
	h.worker = w
	return w, nil
}

func (h *Host) started() {
	h.mu.Lock()
	h.starts++
	h.mu.Unlock()
	h.set(stateRunning)
	h.log.Info("host started", "address", h.Addr(), "functions", len(h.functions))
}

// listenAll starts every trigger that listens by itself.
func (h *Host) listenAll(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, f := range h.functions {
		switch f.trigger.kind() {
		case typeTimerTrigger:
			all.Go(func() { h.timers[f.name].listen(ctx, h.work) })
		case typeQueueTrigger:
			all.Go(func() { h.listenQueue(ctx, f) })
		}
	}
	return &all
}

// listenQueue opens a client of its own for each function, so that one queue's
// trouble with its connection is not another's.
func (h *Host) listenQueue(ctx context.Context, f *function) {
	c, err := newConnection(h.settings, f.trigger.Connection)
	var client *azservicebus.Client
	if err == nil {
		client, err = c.client(h.config.Extensions.ServiceBus)
	}
	if err != nil {
		h.log.Error("trigger cannot listen", "function", f.name, "reason", err)
		return
	}
	t := &queueTrigger{function: f, from: entity{client, f.trigger}, host: c.host(), bus: h.config.Extensions.ServiceBus,
		caller: h.caller, log: h.log}
	t.listen(ctx, h.work)
}

func (h *Host) openSender(b binding) (sender, error) {
	c, err := newConnection(h.settings, b.Connection)
	if err != nil {
		return nil, err
	}
	client, err := c.client(h.config.Extensions.ServiceBus)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.clients = append(h.clients, client)
	h.mu.Unlock()
	if b.QueueName != "" {
		return client.NewSender(b.QueueName, nil)
	}
	return client.NewSender(b.TopicName, nil)
}

func (h *Host) closeClients() {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	for _, c := range h.clients {
		if err := c.Close(ctx); err != nil {
			h.log.Debug("closing a sender", "reason", err)
		}
	}
}

// track runs something beside the triggers, which Close waits for.
func (h *Host) track(run func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != stateRunning {
		return errors.New("the host is not running")
	}
	h.tracked.Go(run)
	return nil
}
