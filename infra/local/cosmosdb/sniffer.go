package cosmosdb

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// sniffer tells TLS from plain HTTP by the first byte, so that one port serves both.
type sniffer struct {
	net.Listener
	config  *tls.Config
	begin   sync.Once
	results chan accepted
	closed  chan struct{}

	mu      sync.Mutex
	ended   bool
	waiting map[net.Conn]bool // connected, first byte still to come
}

// accepted is what Accept gives next.
type accepted struct {
	conn net.Conn
	err  error
}

func newSniffer(l net.Listener, config *tls.Config) *sniffer {
	return &sniffer{Listener: l, config: config, results: make(chan accepted), closed: make(chan struct{}), waiting: map[net.Conn]bool{}}
}

// sniffTime is how long a peer may stay silent after it has connected.
const sniffTime = 10 * time.Second

// Accept gives connections whose first byte has come; a silent peer holds nobody up.
func (s *sniffer) Accept() (net.Conn, error) {
	s.begin.Do(func() { go s.acceptAll() })
	select {
	case a := <-s.results:
		return a.conn, a.err
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// acceptAll ends with the listener.
func (s *sniffer) acceptAll() {
	for {
		c, err := s.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			s.give(accepted{err: err})
			return
		}
		if err != nil {
			// The http server decides whether to go on.
			s.give(accepted{err: err})
			continue
		}
		if s.hold(c) {
			go s.sniff(c)
		}
	}
}

// give hands a connection to Accept, or closes it when nobody accepts any more.
func (s *sniffer) give(a accepted) {
	select {
	case s.results <- a:
	case <-s.closed:
		if a.conn != nil {
			a.conn.Close()
		}
	}
}

func (s *sniffer) hold(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		c.Close()
		return false
	}
	s.waiting[c] = true
	return true
}

func (s *sniffer) release(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, c)
}

func (s *sniffer) sniff(c net.Conn) {
	defer s.release(c)
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
	s.give(accepted{conn: conn})
}

// Close ends Accept and the connections that have said nothing yet.
func (s *sniffer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return net.ErrClosed
	}
	s.ended = true
	close(s.closed)
	for c := range s.waiting {
		c.Close()
	}
	return s.Listener.Close()
}

// sniffed is a connection whose first byte has been looked at.
type sniffed struct {
	net.Conn
	r *bufio.Reader
}

func (c *sniffed) Read(p []byte) (int, error) { return c.r.Read(p) }
