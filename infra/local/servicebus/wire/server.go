// Package wire speaks AMQP 1.0 with the clients of a broker: SASL, sessions, links and credit, claims by $cbs,
// and the operations of $management.
//
// Each connection has one goroutine that reads and one that writes. The reader calls the broker; the broker's
// callbacks only add frames to what the writer sends, so a commit never holds up a heartbeat. The order of locks
// is broker, then connection.
//
// A peer that breaks the protocol loses its connection and nothing else.
package wire

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"throughline/infra/local/servicebus/broker"
)

// Limits of a connection.
const (
	maxFrameSize  = 65536
	channelMax    = 4095
	idleTimeout   = 120 * time.Second
	heartbeat     = 20 * time.Second
	writeDeadline = 60 * time.Second
	// MaxLinks bounds the links of one connection.
	maxLinks = 5000
)

// Server serves connections. Its fields are set before the first call of Serve.
type Server struct {
	Broker *broker.Broker
	Keys   Keys
	Log    *slog.Logger
	// Fault, when set, is asked before each operation of a client and may delay or refuse it.
	Fault Faults

	table sync.Once
	ops   map[string]operation

	mu     sync.Mutex
	conns  map[*conn]bool
	closed bool
	done   sync.WaitGroup
}

// Faults lets a test or a demonstration disturb what a client does.
type Faults interface {
	// Before is asked before an operation, send, receive, settle, attach, manage or connect, on an entity path. An
	// error refuses the operation; ErrDrop cuts the connection.
	Before(operation, entity string) (delay time.Duration, err error)
}

// ErrDrop is returned by Faults to cut a connection without a word.
var ErrDrop = errors.New("dropped by a fault switch")

// Serve speaks with the client at nc until the connection ends.
func (s *Server) Serve(nc net.Conn) {
	c := newConn(s, nc)
	if !s.add(c) {
		nc.Close()
		return
	}
	defer s.remove(c)
	err := c.serve()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.Log.Info("connection ended", "peer", nc.RemoteAddr().String(), "reason", err.Error())
	}
}

func (s *Server) operations() map[string]operation {
	s.table.Do(func() { s.ops = operations() })
	return s.ops
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = map[*conn]bool{}
	}
	s.conns[c] = true
	s.done.Add(1)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.done.Done()
}

// Connections is how many clients are connected.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drop cuts all connections without a word, and returns how many there were.
func (s *Server) Drop() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.nc.Close()
	}
	return len(s.conns)
}

// DetachSenders ends the links on which clients send to an entity, because it was updated or deleted.
func (s *Server) DetachSenders(q *broker.Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		for _, l := range c.senders(q) {
			l.retire(broker.ErrDetached)
		}
	}
}

func (c *conn) senders(q *broker.Queue) []*link {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*link
	for _, x := range c.channels {
		for _, l := range x.links {
			if l.node == toEntity && !l.receiver && l.queue == q {
				out = append(out, l)
			}
		}
	}
	return out
}

// farewell is how long a connection may take to read that it ends.
const farewell = 2 * time.Second

// Close tells every client that the connection ends, and waits for the connections to end.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.shut(broker.ErrClosed)
	}
	s.mu.Unlock()
	cut := time.AfterFunc(farewell, func() { s.Drop() })
	defer cut.Stop()
	s.done.Wait()
}
