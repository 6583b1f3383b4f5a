package wire

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// peer is a client that says exactly what a test wants it to say.
type peer struct {
	t  testing.TB
	nc net.Conn
	in *bufio.Reader
	fr amqp.FrameReader
}

// serve starts a server in memory with a queue "q" and a queue "s" with sessions.
func serve(t testing.TB) *Server {
	t.Helper()
	b, err := broker.Open(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []broker.Description{{Name: "q"}, {Name: "s", RequiresSession: true}} {
		if err := b.Create(d); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{Broker: b, Log: slog.New(slog.DiscardHandler), Keys: Keys{"all": {Secrets: []string{"secret"}, Rights: All}, "send": {Secrets: []string{"secret"}, Rights: Send}}}
	t.Cleanup(func() {
		s.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dial connects a peer over a real socket.
func dial(t testing.TB, s *Server) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if nc, err := l.Accept(); err == nil {
			go s.Serve(nc)
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	t.Cleanup(func() { nc.Close() })
	p := &peer{t: t, nc: nc, in: bufio.NewReader(nc)}
	p.fr = amqp.FrameReader{R: p.in, Max: 1 << 20}
	return p
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) say(channel uint16, list ...amqp.Performative) {
	p.t.Helper()
	var b []byte
	for _, x := range list {
		b = amqp.AppendFrame(b, amqp.FrameAMQP, channel, x)
	}
	p.raw(b)
}

func (p *peer) header(want [8]byte) {
	p.t.Helper()
	var got [8]byte
	p.patience()
	if _, err := io.ReadFull(p.in, got[:]); err != nil || got != want {
		p.t.Fatalf("header % x, %v, want % x", got, err, want)
	}
}

func (p *peer) patience() {
	if err := p.nc.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
}

// hear is the next performative, heartbeats left out; it is nil when the connection has ended.
func (p *peer) hear() amqp.Performative {
	p.t.Helper()
	for {
		p.patience()
		f, err := p.fr.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			p.t.Fatal(err)
		}
		if len(f.Body) == 0 {
			continue
		}
		x, err := amqp.ParsePerformative(append([]byte(nil), f.Body...))
		if err != nil {
			p.t.Fatal(err)
		}
		return x
	}
}

// expect hears a performative of a type.
func expect[T amqp.Performative](p *peer) T {
	p.t.Helper()
	x := p.hear()
	got, ok := x.(T)
	if !ok {
		p.t.Fatalf("heard %#v, want %T", x, got)
	}
	return got
}

// enter does the handshake with a key, or anonymously when key is "".
func (p *peer) enter(key string, open amqp.Open) *peer {
	p.t.Helper()
	p.raw(amqp.HeaderSASL[:])
	p.header(amqp.HeaderSASL)
	expect[*amqp.SASLMechanisms](p)
	in := &amqp.SASLInit{Mechanism: "ANONYMOUS"}
	if key != "" {
		in = &amqp.SASLInit{Mechanism: "PLAIN", Response: []byte("\x00" + key + "\x00secret")}
	}
	p.raw(amqp.AppendFrame(nil, amqp.FrameSASL, 0, in))
	if o := expect[*amqp.SASLOutcome](p); o.Code != 0 {
		p.t.Fatalf("sasl outcome %d", o.Code)
	}
	p.raw(amqp.HeaderAMQP[:])
	p.header(amqp.HeaderAMQP)
	if open.MaxFrameSize == 0 {
		open.MaxFrameSize = 65536
	}
	open.ContainerID, open.ChannelMax = "peer", 100
	p.say(0, &open)
	expect[*amqp.Open](p)
	return p
}

// begin opens a session whose window lets n frames in.
func (p *peer) begin(channel uint16, n uint32) *peer {
	p.t.Helper()
	p.say(channel, &amqp.Begin{IncomingWindow: n, OutgoingWindow: 1000, HandleMax: 100})
	expect[*amqp.Begin](p)
	return p
}

// sender attaches a sending link and takes its credit.
func (p *peer) sender(handle uint32, address string) *peer {
	p.t.Helper()
	p.say(0, &amqp.Attach{Name: "sender " + address, Handle: handle, Source: &amqp.Terminus{}, Target: &amqp.Terminus{Address: address}})
	if a := expect[*amqp.Attach](p); a.Target == nil || a.MaxMessageSize == 0 {
		p.t.Fatalf("attach %+v, %v", a, p.hear())
	}
	if f := expect[*amqp.Flow](p); f.LinkCredit == 0 || f.NextIncomingID == nil {
		p.t.Fatalf("flow %+v", f)
	}
	return p
}

// receiver attaches a receiving link without credit.
func (p *peer) receiver(handle uint32, address string) *peer {
	p.t.Helper()
	p.say(0, &amqp.Attach{Name: "receiver " + address, Handle: handle, Receiver: true, RcvSettleMode: amqp.ReceiverSecond, Source: &amqp.Terminus{Address: address}, Target: &amqp.Terminus{}})
	if a := expect[*amqp.Attach](p); a.Source == nil || a.RcvSettleMode != amqp.ReceiverSecond {
		p.t.Fatalf("attach %+v", a)
	}
	return p
}

func (p *peer) credit(handle, count, n uint32, drain bool) {
	p.t.Helper()
	zero := uint32(0)
	p.say(0, &amqp.Flow{NextIncomingID: &zero, IncomingWindow: 1000, OutgoingWindow: 1000, Handle: &handle, DeliveryCount: count, LinkCredit: n, Drain: drain})
}

// message is a message with a body of n bytes.
func message(n int) []byte {
	p := amqp.Properties{MessageID: "m"}
	return amqp.AppendBinary(append(p.Append(nil), 0x00, 0x53, 0x75), make([]byte, n))
}
