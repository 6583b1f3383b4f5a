package wire

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"testing"
	"time"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// conversation is what a well-behaved client says, as a seed.
func conversation() []byte {
	b := append([]byte(nil), amqp.HeaderSASL[:]...)
	b = amqp.AppendFrame(b, amqp.FrameSASL, 0, &amqp.SASLInit{Mechanism: "PLAIN", Response: []byte("\x00all\x00secret")})
	b = append(b, amqp.HeaderAMQP[:]...)
	say := func(p amqp.Performative) { b = amqp.AppendFrame(b, amqp.FrameAMQP, 0, p) }
	say(&amqp.Open{ContainerID: "c", MaxFrameSize: 512})
	say(&amqp.Begin{IncomingWindow: 5, OutgoingWindow: 5})
	say(&amqp.Attach{Name: "cbs", Handle: 0, Target: &amqp.Terminus{Address: "$cbs"}})
	say(&amqp.Attach{Name: "m", Handle: 1, Target: &amqp.Terminus{Address: "q/$management"}})
	say(&amqp.Attach{Name: "r", Handle: 2, Receiver: true, Source: &amqp.Terminus{Address: "q/$management"}, Target: &amqp.Terminus{Address: "reply"}})
	say(&amqp.Attach{Name: "s", Handle: 3, Target: &amqp.Terminus{Address: "q"}})
	say(&amqp.Attach{Name: "n", Handle: 4, Receiver: true, Source: &amqp.Terminus{Address: "s", Filter: amqp.Map{{Key: amqp.Symbol(sessionFilter), Value: amqp.Described{Descriptor: uint64(0x137000000C)}}}}, Properties: amqp.Map{{Key: amqp.Symbol("com.microsoft:timeout"), Value: uint32(1)}}})
	say(&amqp.Attach{Name: "l", Handle: 5, Receiver: true, RcvSettleMode: 1, Source: &amqp.Terminus{Address: "q"}, Target: &amqp.Terminus{}})
	for _, h := range []uint32{2, 5} {
		say(&amqp.Flow{IncomingWindow: 10, Handle: &h, LinkCredit: 10, Echo: true})
	}
	say(&amqp.Transfer{Handle: 3, HasDeliveryID: true, DeliveryTag: []byte{1}, Payload: message(600)})
	props := amqp.Properties{MessageID: "1", ReplyTo: "reply"}
	for i, op := range []string{"renew-lock", "peek-message", "schedule-message", "update-disposition", "receive-by-sequence-number", "get-message-sessions", "set-session-state"} {
		m := amqp.AppendAppProps(props.Append(nil), amqp.Map{{Key: "operation", Value: "com.microsoft:" + op}})
		m = amqp.AppendBodyValue(m, amqp.Map{{Key: "lock-tokens", Value: amqp.Array{Code: amqp.ArrayOfUUID, Items: []any{amqp.UUID{1}}}}, {Key: "session-id", Value: "a"},
			{Key: "messages", Value: amqp.List{amqp.Map{{Key: "message", Value: message(1)}}}}, {Key: "sequence-numbers", Value: amqp.Array{Code: amqp.ArrayOfLong, Items: []any{int64(1)}}},
			{Key: "disposition-status", Value: "completed"}, {Key: "message-count", Value: int32(5)}})
		say(&amqp.Transfer{Handle: 1, DeliveryID: uint32(i + 1), HasDeliveryID: true, DeliveryTag: []byte{2}, Settled: true, Payload: m})
	}
	say(&amqp.Disposition{Receiver: true, First: 0, Last: 1 << 30, State: amqp.Modified{UndeliverableHere: true, Annotations: amqp.Map{{Key: amqp.Symbol("k"), Value: "v"}}}})
	say(&amqp.Detach{Handle: 5, Closed: true})
	say(&amqp.End{})
	say(&amqp.Close{})
	return b
}

// FuzzConversation lets a client say anything. The server must survive it, end the connection when the client
// leaves, and serve the next one.
func FuzzConversation(f *testing.F) {
	whole := conversation()
	f.Add(whole)
	for i := 16; i < len(whole); i += 97 {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0xff
		f.Add(damaged)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		b, err := broker.Open(broker.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for _, d := range []broker.Description{{Name: "q"}, {Name: "s", RequiresSession: true}} {
			if err := b.Create(d); err != nil {
				t.Fatal(err)
			}
		}
		s := &Server{Broker: b, Log: slog.New(slog.DiscardHandler), Keys: Keys{"all": {Secrets: []string{"secret"}, Rights: All}}}
		here, there := net.Pipe()
		ended := make(chan struct{})
		go func() { s.Serve(there); close(ended) }()
		go drain(here)
		if err := here.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = here.Write(lengths(said)) // the server may have enough of it before the end
		here.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection does not end")
		}
		q, err := b.Find("q")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Peek(q, 0, 1000, nil); err != nil {
			t.Fatal(err)
		}
	})
}

func drain(c net.Conn) {
	b := make([]byte, 4096)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// lengths mends the length of the last frame, so that damage inside frames is reached more often.
func lengths(b []byte) []byte {
	b = bytes.Clone(b)
	for at := 0; at+8 <= len(b); {
		if string(b[at:at+4]) == "AMQP" {
			at += 8
			continue
		}
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n < 8 || at+n > len(b) {
			binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
			return b
		}
		at += n
	}
	return b
}
