package cosmosdb

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// sniffer tells TLS from plain HTTP by the first byte, so that one port serves both.
type sniffer struct {
	net.Listener
	config *tls.Config
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
	begin  sync.Once
	err    error
}

func newSniffer(l net.Listener, config *tls.Config) *sniffer {
	return &sniffer{Listener: l, config: config, ready: make(chan net.Conn), closed: make(chan struct{})}
}

// sniffTime is how long a peer may stay silent after it has connected.
const sniffTime = 10 * time.Second

// Accept gives connections whose first byte has come; a silent peer holds nobody up.
func (s *sniffer) Accept() (net.Conn, error) {
	s.begin.Do(func() { go s.acceptAll() })
	select {
	case c := <-s.ready:
		return c, nil
	case <-s.closed:
		if s.err != nil {
			return nil, s.err
		}
		return nil, net.ErrClosed
	}
}

func (s *sniffer) acceptAll() {
	for {
		c, err := s.Listener.Accept()
		if err != nil {
			s.err = err
			s.stop()
			return
		}
		go s.sniff(c)
	}
}

func (s *sniffer) stop() { s.once.Do(func() { close(s.closed) }) }

func (s *sniffer) sniff(c net.Conn) {
	if err := c.SetReadDeadline(time.Now().Add(sniffTime)); err != nil {
		c.Close()
		return
	}
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return
	}
	var conn net.Conn = &sniffed{c, r}
	if first[0] == 0x16 {
		conn = tls.Server(conn, s.config)
	}
	select {
	case s.ready <- conn:
	case <-s.closed:
		c.Close()
	}
}

// Close ends Accept and the sniffing of connections under way.
func (s *sniffer) Close() error {
	s.stop()
	return s.Listener.Close()
}

// sniffed is a connection whose first byte has been looked at.
type sniffed struct {
	net.Conn
	r *bufio.Reader
}

func (c *sniffed) Read(p []byte) (int, error) { return c.r.Read(p) }
