// Package servicebus is Azure Service Bus on one machine, for the unmodified azservicebus client and any other
// client that speaks AMQP 1.0.
//
// As Azure does:
//   - queues over AMQP 1.0 with SASL and claims on $cbs, batches, credit, peek-lock and receive-and-delete
//   - locks that expire and can be renewed, delivery counts, dead-letter queues, deferring, time to live
//   - sessions, named or the next available, with locks, order and state
//   - scheduled messages and their cancelling, duplicate detection, peeking, limits of size
//   - what was confirmed survives a crash of the process and of the machine
//
// Not as Azure does:
//   - locks do not survive a restart: every message is free again, without a failed delivery more
//   - no transactions, no partitions, no geo-replication, no metrics; a token of Entra ID is taken unread
package servicebus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"

	"throughline/infra/local/servicebus/broker"
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
}

// Server is a running Service Bus.
type Server struct {
	broker   *broker.Broker
	wire     *wire.Server
	listener net.Listener
	done     sync.WaitGroup
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
	l, err := listen(o.Addr, "-port-servicebus")
	if err != nil {
		return nil, err
	}
	b, err := broker.Open(broker.Options{Dir: o.Dir, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := define(b, o.Queues); err != nil {
		return nil, errors.Join(err, b.Close(), l.Close())
	}
	s := &Server{broker: b, listener: l, wire: &wire.Server{Broker: b, Keys: keys(), Log: o.Log}}
	s.done.Add(1)
	go s.accept()
	context.AfterFunc(ctx, func() { s.Close() })
	return s, nil
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
	if err := json.Unmarshal(queues, &file); err != nil {
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

func (s *Server) accept() {
	defer s.done.Done()
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.done.Add(1)
		go func() {
			defer s.done.Done()
			s.wire.Serve(nc)
		}()
	}
}

// Addr is where AMQP is spoken.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// AdminAddr is where the administration listens over plain HTTP, "" when it does not.
func (s *Server) AdminAddr() string { return "" }

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
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "closed") {
		err = nil
	}
	s.wire.Close()
	s.done.Wait()
	return errors.Join(err, s.broker.Close())
}
