// Package servicebus is Azure Service Bus on one machine, for the unmodified azservicebus client and any other
// client that speaks AMQP 1.0.
//
// As Azure does:
//   - queues, topics, subscriptions with rules in SQL, correlation filters and actions, forwarding
//   - AMQP with SASL and claims on $cbs, batches, credit, peek-lock and receive-and-delete, over TCP, TLS and WebSocket
//   - locks that expire and can be renewed, delivery counts, dead-letter queues, deferring, time to live
//   - sessions, named or the next available, with locks, order and state
//   - scheduled messages and their cancelling, duplicate detection, peeking, limits of size
//   - shared access signatures with the rights Send, Listen and Manage; the administration over Atom
//   - what was confirmed survives a crash of the process and of the machine
//
// Not as Azure does:
//   - locks do not survive a restart: every message is free again, without a failed delivery more
//   - a token of Entra ID is taken unread, and gives all rights
//   - no transactions, no geo-replication, no metrics, no quota of requests; partitions are a property without effect
//   - authorization rules of an entity are kept and shown, but give no rights
//   - a filter of an unknown type is kept and matches nothing
package servicebus

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"throughline/infra/local/servicebus/atom"
	"throughline/infra/local/servicebus/broker"
	"throughline/infra/local/servicebus/fault"
	"throughline/infra/local/servicebus/wire"
)

// Secret is the secret of all shared access keys, the word that Microsoft's emulator uses.
const Secret = "SAS_KEY_VALUE"

// Options of a server.
type Options struct {
	Addr      string       // of AMQP, "127.0.0.1:5672"; port 0 is any free port
	AdminAddr string       // of the administration over plain HTTP, "127.0.0.1:5300"; "" = none
	Dir       string       // where messages are stored; "" keeps everything in memory
	Queues    []byte       // infra/queues.json: entities that exist at the start; nil = none
	Log       *slog.Logger // nil = nothing is logged
	// Certificate is for clients that speak TLS; nil makes one, which CertificatePEM gives.
	Certificate *tls.Certificate
}

// Server is a running Service Bus.
type Server struct {
	broker *broker.Broker
	wire   *wire.Server
	faults *fault.Panel
	front  *front
	pem    []byte
	admin  *http.Server
	side   net.Listener // of admin
	done   sync.WaitGroup
	closed atomic.Bool
	stop   func() bool // lets go of the context
	timers sync.WaitGroup
	ending chan struct{}
}

// Counts is how many messages of an entity are in which state. Locked ones are among the active.
type Counts struct {
	Active     int64
	Scheduled  int64
	DeadLetter int64
	Deferred   int64
	Locked     int64
}

// Start starts a server that listens when Start returns, and stops when ctx ends or at Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{faults: &fault.Panel{}, ending: make(chan struct{})}
	if err := s.open(o); err != nil {
		return nil, errors.Join(err, s.shut())
	}
	s.front.start()
	if s.side != nil {
		s.done.Add(1)
		go func() {
			defer s.done.Done()
			_ = s.admin.Serve(s.side) // ends when the server closes
		}()
	}
	s.stop = context.AfterFunc(ctx, func() { s.Close() })
	return s, nil
}

// open takes the ports and the store.
func (s *Server) open(o Options) error {
	l, err := listen(o.Addr, "-port-servicebus")
	if err != nil {
		return err
	}
	s.front = newFront(s, l, slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn))
	if o.AdminAddr != "" {
		if s.side, err = listen(o.AdminAddr, "-port-servicebus-admin"); err != nil {
			return err
		}
	}
	if s.front.tls, err = s.certify(o, l); err != nil {
		return err
	}
	if s.broker, err = broker.Open(broker.Options{Dir: o.Dir, Log: o.Log}); err != nil {
		return err
	}
	if err := define(s.broker, o.Queues); err != nil {
		return err
	}
	s.wire = &wire.Server{Broker: s.broker, Keys: keys(), Log: o.Log, Fault: s.faults}
	admin := &atom.Handler{Broker: s.broker, Keys: s.wire.Keys, Updated: s.updated, Deleted: s.wire.DetachSenders}
	s.front.web.Handler = s.web(admin)
	desk := &fault.Desk{Panel: s.faults, Broker: s.broker, Wire: s.wire}
	s.admin = &http.Server{ReadHeaderTimeout: helloTime, ErrorLog: s.front.web.ErrorLog, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if desk.Serves(r.URL.Path) {
			desk.ServeHTTP(w, r)
			return
		}
		admin.ServeHTTP(w, r)
	})}
	return nil
}

func (s *Server) certify(o Options, l net.Listener) (*tls.Config, error) {
	if o.Certificate != nil {
		return &tls.Config{Certificates: []tls.Certificate{*o.Certificate}}, nil
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("service bus: %w", err)
	}
	c, pem, err := certificate(port)
	s.pem = pem
	return &tls.Config{Certificates: []tls.Certificate{c}}, err
}

// detachDelay is how long links live on after their entity was updated.
const detachDelay = 50 * time.Millisecond

// updated detaches the links of an entity some time after the answer, as the service does.
func (s *Server) updated(q *broker.Queue) {
	s.timers.Add(1)
	go func() {
		defer s.timers.Done()
		select {
		case <-time.After(detachDelay):
			s.broker.DetachLinks(q)
			s.wire.DetachSenders(q)
		case <-s.ending:
		}
	}()
}

// listen names the flag that helps when the port is taken.
func listen(addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("service bus: %s is in use; choose another port with %s", addr, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("service bus: %w", err)
	}
	return l, nil
}

func keys() wire.Keys {
	secrets := []string{Secret}
	return wire.Keys{
		"RootManageSharedAccessKey": {Secrets: secrets, Rights: wire.All},
		"NoManage":                  {Secrets: secrets, Rights: wire.Send | wire.Listen},
		"SendOnly":                  {Secrets: secrets, Rights: wire.Send},
		"ListenOnly":                {Secrets: secrets, Rights: wire.Listen},
	}
}

// define creates the entities of queues.json, and updates those whose properties are others.
func define(b *broker.Broker, queues []byte) error {
	if len(queues) == 0 {
		return nil
	}
	var file struct {
		Queues []broker.Description `json:"queues"`
	}
	d := json.NewDecoder(bytes.NewReader(queues))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return fmt.Errorf("service bus: queues: %w", err)
	}
	for _, d := range file.Queues {
		d.Kind = broker.KindQueue
		err := b.Create(d)
		if errors.Is(err, broker.ErrExists) {
			err = b.Update(d)
		}
		if err != nil {
			return fmt.Errorf("service bus: queue %s: %w", d.Name, err)
		}
	}
	return nil
}

// Addr is where AMQP is spoken.
func (s *Server) Addr() string { return s.front.listener.Addr().String() }

// AdminAddr is where the administration listens over plain HTTP, "" when it does not.
func (s *Server) AdminAddr() string {
	if s.side == nil {
		return ""
	}
	return s.side.Addr().String()
}

// CertificatePEM is the certificate that clients of TLS must trust, nil when it came from the options.
func (s *Server) CertificatePEM() []byte { return s.pem }

// Faults are the switches that disturb clients; the administration's port has them too.
func (s *Server) Faults() *fault.Panel { return s.faults }

// ConnectionString gives azservicebus and other clients all rights.
func (s *Server) ConnectionString() string {
	return "Endpoint=sb://" + s.Addr() + ";SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=" + Secret + ";UseDevelopmentEmulator=true"
}

// Counts tells how many messages each entity holds, by its path.
func (s *Server) Counts() map[string]Counts {
	out := map[string]Counts{}
	for path, c := range s.broker.Counts() {
		out[path] = Counts{Active: c.Active, Scheduled: c.Scheduled, DeadLetter: c.DeadLetter, Deferred: c.Deferred, Locked: c.Locked}
	}
	return out
}

// Operations is the number of sends, receives and settlements as Service Bus bills them.
func (s *Server) Operations() int64 { return s.broker.Operations() }

// Close ends all connections and commits what is under way. Closing twice is no error.
func (s *Server) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.stop != nil {
		s.stop()
	}
	return s.shut()
}

func (s *Server) shut() error {
	close(s.ending)
	var err error
	if s.front != nil {
		err = s.front.close()
	}
	if s.admin != nil {
		err = errors.Join(err, s.admin.Close())
	}
	if s.side != nil {
		err = errors.Join(err, unlessClosed(s.side.Close()))
	}
	if s.wire != nil {
		s.wire.Close()
		s.front.wait()
	}
	s.done.Wait()
	s.timers.Wait()
	if s.broker != nil {
		err = errors.Join(err, s.broker.Close())
	}
	return err
}

func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
