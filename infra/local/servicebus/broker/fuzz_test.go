package broker

import (
	"testing"

	sdk "github.com/Azure/go-amqp"

	"throughline/infra/local/journal"
	"throughline/infra/local/servicebus/amqp"
)

// FuzzRead takes messages off the wire: what is taken can be shown, changed and opened, and a client of the SDK
// that could read it before can read it after.
func FuzzRead(f *testing.F) {
	for _, m := range []*sdk.Message{
		sdk.NewMessage([]byte("x")),
		{Header: &sdk.MessageHeader{Priority: 3}, Properties: &sdk.MessageProperties{MessageID: uint64(7), GroupID: new(string)}, Value: "v"},
		{Annotations: sdk.Annotations{"x-opt-scheduled-enqueue-time": "no time", "x-opt-partition-key": 5, "x-opt-sequence-number": "mine", "own": int64(1)},
			DeliveryAnnotations: sdk.Annotations{"x-opt-lock-token": "mine"}, ApplicationProperties: map[string]any{"a": 1.5}, Sequence: [][]any{{1}}},
	} {
		b, err := m.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := Read(raw, func() string { return "id" })
		if err != nil {
			return
		}
		changed, err := rewrite(in.content, amqp.Map{text("reason", "why")}, amqp.Map{{Key: amqp.Symbol("note"), Value: int64(1)}})
		if err != nil {
			t.Fatalf("cannot be changed: %v", err)
		}
		l, err := open(in)
		if err != nil {
			t.Fatalf("cannot be opened: %v", err)
		}
		if _, err := l.close(in); err != nil {
			t.Fatal(err)
		}
		before := new(sdk.Message)
		if before.UnmarshalBinary(raw) != nil {
			return
		}
		for _, c := range [][]byte{in.content, changed} {
			d := Delivery{Sequence: 1, Enqueued: 1, Locked: true, LockedUntil: 2, State: Deferred, content: c}
			if err := new(sdk.Message).UnmarshalBinary(d.Append(nil)); err != nil {
				t.Fatalf("the SDK reads it before, not after: %v", err)
			}
		}
	})
}

// FuzzReplay reads records of any content as a journal after a checksum that fits by chance.
func FuzzReplay(f *testing.F) {
	t := &transaction{}
	b := &Broker{o: Options{}, entities: map[string]*Entity{}, queues: map[uint32]*Queue{}, nextID: 1, wake: make(chan struct{}, 1)}
	e := b.install(1, definition{Description: Description{Name: "q", RequiresSession: true, RequiresDuplicateDetection: true}.Defaults()})
	if err := t.entity(e); err != nil {
		f.Fatal(err)
	}
	m := e.main.message(Incoming{SessionID: "s", InSession: true, content: make([]byte, 40)}, 1)
	t.put(e.main, m, m.content, &[16]byte{1})
	t.count(m, e.main)
	t.deferred(m, e.main)
	t.state(e.main, m.session)
	t.seen(e.main, [16]byte{2}, now())
	t.op(opNext, 1, 9)
	t.op(opActivate, 1, 1, 10, 5, 0)
	t.drop(m, e.main)
	t.op(opRemoved, 1)
	f.Add(t.rec)
	f.Add(t.rec[:len(t.rec)/2])
	f.Fuzz(func(t *testing.T, rec []byte) {
		b := &Broker{o: Options{}, entities: map[string]*Entity{}, queues: map[uint32]*Queue{}, nextID: 1, wake: make(chan struct{}, 1)}
		l := loading{}
		if err := b.replay(l, journal.Pos{Segment: 1}, rec); err != nil {
			return
		}
		for _, q := range b.queues {
			q.build(l[q.id])
			q.all.from(0, func(m *message) bool { return m.seq >= 0 })
		}
	})
}
