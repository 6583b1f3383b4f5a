package servicebus

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// helloTime is how long a client may take to send its first byte.
const helloTime = 30 * time.Second

// front tells by the first byte what a client speaks: AMQP, TLS with AMQP or HTTP inside, or HTTP.
type front struct {
	s        *Server
	listener net.Listener
	tls      *tls.Config
	web      *http.Server
	conns    chan net.Conn // for web
	closed   chan struct{}
	done     sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // not handed to web
}

func newFront(s *Server, l net.Listener, faults *log.Logger) *front {
	f := &front{s: s, listener: l, conns: make(chan net.Conn), closed: make(chan struct{}), open: map[net.Conn]bool{}}
	f.web = &http.Server{ErrorLog: faults, ReadHeaderTimeout: helloTime, IdleTimeout: 2 * time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			k, _ := c.(*peeked)
			return context.WithValue(ctx, secureKey{}, k != nil && k.secure)
		}}
	return f
}

type secureKey struct{}

// peeked is a connection whose first bytes were looked at.
type peeked struct {
	net.Conn
	r      *bufio.Reader
	secure bool
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

func (f *front) start() {
	f.done.Add(2)
	go func() {
		defer f.done.Done()
		_ = f.web.Serve(webListener{f}) // ends when the front closes
	}()
	go func() {
		defer f.done.Done()
		f.accept()
	}()
}

func (f *front) accept() {
	for {
		nc, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, perhaps: others may go
			select {
			case <-f.closed:
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		f.done.Add(1)
		go func() {
			defer f.done.Done()
			f.track(nc, true)
			defer f.track(nc, false)
			f.sort(nc, false)
		}()
	}
}

func (f *front) track(nc net.Conn, open bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if open {
		f.open[nc] = true
	} else {
		delete(f.open, nc)
	}
}

// wait cuts the connections that have not said what they speak, and waits for all to end.
func (f *front) wait() {
	f.mu.Lock()
	for nc := range f.open {
		nc.Close()
	}
	f.mu.Unlock()
	f.done.Wait()
}

// sort looks at the first byte and hands the connection to who can speak with it.
func (f *front) sort(nc net.Conn, secure bool) {
	k := &peeked{Conn: nc, r: bufio.NewReaderSize(nc, 4096), secure: secure}
	first, err := k.first()
	switch {
	case err != nil:
		nc.Close()
	case first == 'A':
		f.s.wire.Serve(k)
	case first == 0x16 && !secure && f.tls != nil:
		f.sort(tls.Server(k, f.tls), true)
	default:
		select {
		case f.conns <- k:
		case <-f.closed:
			nc.Close()
		}
	}
}

func (p *peeked) first() (byte, error) {
	if err := p.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return 0, err
	}
	b, err := p.r.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], p.SetReadDeadline(time.Time{})
}

func (f *front) close() error {
	err := f.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	close(f.closed)
	err = errors.Join(err, f.web.Close())
	return err
}

// webListener gives the web server the connections that speak HTTP.
type webListener struct{ f *front }

func (w webListener) Accept() (net.Conn, error) {
	select {
	case c := <-w.f.conns:
		return c, nil
	case <-w.f.closed:
		return nil, net.ErrClosed
	}
}

func (w webListener) Close() error { return nil }

func (w webListener) Addr() net.Addr { return w.f.listener.Addr() }

const webSocketPath = "/$servicebus/websocket"

// web serves the administration and AMQP over WebSocket.
func (s *Server) web(admin http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if secure, _ := r.Context().Value(secureKey{}).(bool); secure && r.TLS == nil {
			r.TLS = &tls.ConnectionState{}
		}
		if strings.EqualFold(strings.TrimSuffix(r.URL.Path, "/"), webSocketPath) {
			s.webSocket(w, r)
			return
		}
		admin.ServeHTTP(w, r)
	})
}

func (s *Server) webSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"amqp"}, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // Accept has answered
	}
	c.SetReadLimit(1 << 20)
	s.wire.Serve(websocket.NetConn(context.Background(), c, websocket.MessageBinary))
}
