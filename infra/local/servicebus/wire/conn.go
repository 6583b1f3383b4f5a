package wire

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// Deliveries stop while more than high bytes wait to be written, and go on below low.
const (
	high = 1 << 20
	low  = 1 << 18
)

// conn is one connection. What stands before mu belongs to the reader alone.
type conn struct {
	s       *Server
	nc      net.Conn
	in      *bufio.Reader
	frames  amqp.FrameReader
	grants  []Grant
	cbs     [2]*link // the one sender and the one receiver on $cbs
	links   int
	lastSet time.Time

	mu        sync.Mutex
	out       []byte
	confirmed confirmation
	channels  map[uint16]*session // written by the reader, read under mu by others
	replies   map[string]*link    // receivers of answers by their address
	peerMax   int
	beat      time.Duration // between two signs of life
	last      bool          // nothing is written after what is in out
	wake      chan struct{}
	queued    atomic.Int64
	stalled   atomic.Bool
	ended     chan struct{} // the writer has stopped
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, in: bufio.NewReaderSize(nc, 32<<10), channels: map[uint16]*session{}, replies: map[string]*link{},
		peerMax: amqp.MinFrameSize, beat: heartbeat, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	c.frames = amqp.FrameReader{R: c.in, Max: maxFrameSize}
	return c
}

func (c *conn) serve() error {
	var writer sync.WaitGroup
	writer.Add(1)
	go func() {
		defer writer.Done()
		c.write()
	}()
	err := c.read()
	c.drop()
	if f := protocolFault(err); f != nil {
		c.shut(f)
	} else {
		c.finish()
	}
	writer.Wait()
	return errors.Join(err, ignoreClosed(c.nc.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// protocolFault is what a peer that broke the rules is told before it loses its connection.
func protocolFault(err error) *broker.Fault {
	var f *broker.Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, amqp.ErrMalformed):
		return &broker.Fault{Condition: "amqp:decode-error", Description: err.Error()}
	}
	return nil
}

func (c *conn) read() error {
	if err := c.deadline(); err != nil {
		return err
	}
	if err := c.handshake(); err != nil {
		return err
	}
	for {
		if err := c.deadline(); err != nil {
			return err
		}
		f, err := c.frames.Read()
		if err != nil {
			return err
		}
		if f.Type != amqp.FrameAMQP {
			return fmt.Errorf("%w: a frame of type %d", amqp.ErrMalformed, f.Type)
		}
		if len(f.Body) == 0 {
			continue
		}
		p, err := amqp.ParsePerformative(f.Body)
		if err != nil {
			return err
		}
		if _, ok := p.(*amqp.Close); ok {
			c.shut(nil)
			return io.EOF
		}
		if err := c.handle(f.Channel, p); err != nil {
			return err
		}
	}
}

// deadline gives the peer time to be heard of again; it is set anew now and then only, for it costs.
func (c *conn) deadline() error {
	now := time.Now()
	if now.Sub(c.lastSet) < time.Second {
		return nil
	}
	c.lastSet = now
	return c.nc.SetReadDeadline(now.Add(idleTimeout + heartbeat))
}

// handshake agrees on SASL and opens the connection.
func (c *conn) handshake() error {
	var head [8]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	if head == amqp.HeaderSASL {
		if err := c.sasl(); err != nil {
			return err
		}
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return err
		}
	}
	c.raw(amqp.HeaderAMQP[:])
	if head != amqp.HeaderAMQP {
		return fmt.Errorf("%w: protocol header % x", amqp.ErrMalformed, head)
	}
	f, err := c.frames.Read()
	if err != nil {
		return err
	}
	p, err := amqp.ParsePerformative(f.Body)
	if err != nil {
		return err
	}
	open, ok := p.(*amqp.Open)
	if !ok {
		return &broker.Fault{Condition: "amqp:not-allowed", Description: "The first frame must be an open."}
	}
	return c.open(open)
}

func (c *conn) open(o *amqp.Open) error {
	if o.MaxFrameSize < amqp.MinFrameSize {
		return &broker.Fault{Condition: "amqp:not-allowed", Description: "The max-frame-size is below 512."}
	}
	c.mu.Lock()
	c.peerMax = int(min(o.MaxFrameSize, maxFrameSize))
	if o.IdleTimeout > 0 {
		c.beat = max(min(heartbeat, time.Duration(o.IdleTimeout)*time.Millisecond/2), 100*time.Millisecond)
	}
	c.mu.Unlock()
	c.post(0, &amqp.Open{ContainerID: rand.Text(), MaxFrameSize: maxFrameSize, ChannelMax: min(channelMax, o.ChannelMax),
		IdleTimeout: uint32(idleTimeout.Milliseconds())})
	return c.trouble("connect", "")
}

// sasl lets everybody in by ANONYMOUS, for rights come by $cbs, and by PLAIN with the name and secret of a key.
func (c *conn) sasl() error {
	c.raw(amqp.HeaderSASL[:])
	c.frame(amqp.FrameSASL, 0, &amqp.SASLMechanisms{Mechanisms: []amqp.Symbol{"ANONYMOUS", "PLAIN", "MSSBCBS"}})
	f, err := c.frames.Read()
	if err != nil {
		return err
	}
	p, err := amqp.ParsePerformative(f.Body)
	if err != nil {
		return err
	}
	init, ok := p.(*amqp.SASLInit)
	if !ok {
		return fmt.Errorf("%w: no sasl-init", amqp.ErrMalformed)
	}
	in := init.Mechanism == "ANONYMOUS" || init.Mechanism == "MSSBCBS"
	if init.Mechanism == "PLAIN" {
		var g Grant
		if g, in = c.s.Keys.plain(init.Response); in {
			c.grants = append(c.grants, g)
		}
	}
	if !in {
		c.frame(amqp.FrameSASL, 0, &amqp.SASLOutcome{Code: 1})
		return errors.New("sasl refused")
	}
	c.frame(amqp.FrameSASL, 0, &amqp.SASLOutcome{})
	return nil
}

// trouble asks the fault switches; a delay holds up this connection's reader.
func (c *conn) trouble(operation, entity string) error {
	if c.s.Fault == nil {
		return nil
	}
	delay, err := c.s.Fault.Before(operation, entity)
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-c.ended:
		}
	}
	if errors.Is(err, ErrDrop) {
		return errors.Join(err, c.nc.Close())
	}
	return err
}

func (c *conn) handle(channel uint16, p amqp.Performative) error {
	if begin, ok := p.(*amqp.Begin); ok {
		return c.begin(channel, begin)
	}
	s := c.channels[channel]
	if s == nil {
		return &broker.Fault{Condition: "amqp:not-allowed", Description: fmt.Sprintf("There is no session on channel %d.", channel)}
	}
	switch p := p.(type) {
	case *amqp.Transfer:
		return s.transfer(p)
	case *amqp.Disposition:
		s.disposition(p)
	case *amqp.Flow:
		s.flow(p)
	case *amqp.Attach:
		return s.attach(p)
	case *amqp.Detach:
		s.detach(p)
	case *amqp.End:
		s.end()
		c.mu.Lock()
		delete(c.channels, channel)
		c.mu.Unlock()
		c.post(channel, &amqp.End{})
	default:
		return &broker.Fault{Condition: "amqp:not-allowed", Description: "The frame is out of place."}
	}
	return nil
}

func (c *conn) begin(channel uint16, b *amqp.Begin) error {
	if c.channels[channel] != nil || channel > channelMax {
		return &broker.Fault{Condition: "amqp:not-allowed", Description: fmt.Sprintf("Channel %d cannot be taken.", channel)}
	}
	s := &session{c: c, channel: channel, links: map[uint32]*link{}, nextIncoming: b.NextOutgoingID, window: b.IncomingWindow,
		unsettled: map[uint32]unsettled{}}
	c.mu.Lock()
	c.channels[channel] = s
	c.mu.Unlock()
	c.post(channel, &amqp.Begin{RemoteChannel: &channel, IncomingWindow: incomingWindow, OutgoingWindow: incomingWindow, HandleMax: maxLinks - 1})
	return nil
}

// drop takes everything away that this connection holds in the broker.
func (c *conn) drop() {
	for _, s := range c.channels {
		s.end()
	}
}
