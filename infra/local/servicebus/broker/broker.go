// Package broker keeps queues, topics and subscriptions as Service Bus does: peek-locks, sessions, scheduled
// messages, duplicate detection, dead-letter queues, forwarding, rules.
//
// One lock decides every race between a settlement, an expiry and a delivery. What a caller is told to be done
// is in the journal; locks are not, after a restart every message that was locked is free again, with the
// delivery count of its last settlement or expiry.
//
// It knows no connections: a receiver is a Sink that takes deliveries. Callbacks and sinks are called with the
// broker's lock held, so they must not call the broker, and must not block.
package broker

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"throughline/infra/local/journal"
	"throughline/infra/local/servicebus/amqp"
)

// DefaultResident is how many bytes of content are kept in memory beside the journal.
const DefaultResident = 64 << 20

// Options of a broker.
type Options struct {
	Dir      string // "" keeps everything in memory
	Segment  int    // size of the journal's segments; 0 = the journal's default
	Resident int64  // bytes of content kept in memory when there is a journal; 0 = DefaultResident
	NoSync   bool   // see journal.Options
	Log      *slog.Logger
}

// Broker is safe for use by several goroutines.
type Broker struct {
	o   Options
	log *slog.Logger

	mu       sync.Mutex
	journal  *journal.Journal // nil in memory
	entities map[string]*Entity
	queues   map[uint32]*Queue
	nextID   uint32
	resident int64
	live     int64 // bytes of content in all queues
	broken   error // sticky, when the journal failed
	closed   bool
	cleaning bool
	nextWake int64

	tokens     tokens
	operations atomic.Int64
	wake       chan struct{}
	stop       chan struct{}
	stopped    sync.WaitGroup
}

// place is where the content of a message lies in the journal.
type place = journal.Pos

// Open starts a broker with what o.Dir holds.
func Open(o Options) (*Broker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resident == 0 {
		o.Resident = DefaultResident
	}
	b := &Broker{o: o, log: o.Log, entities: map[string]*Entity{}, queues: map[uint32]*Queue{}, nextID: 1,
		wake: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := b.tokens.seed(); err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	if o.Dir != "" {
		if err := b.recover(); err != nil {
			return nil, fmt.Errorf("open broker: %w", err)
		}
	}
	b.stopped.Add(1)
	go b.keepTime()
	return b, nil
}

// Close commits what is under way. Everything that comes after it fails with ErrClosed.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	b.mu.Unlock()
	close(b.stop)
	b.stopped.Wait()
	if b.journal == nil {
		return nil
	}
	return b.journal.Close()
}

// Operations is the number of sends, receives and settlements as Service Bus bills them, in steps of 64 KB.
func (b *Broker) Operations() int64 { return b.operations.Load() }

func (b *Broker) bill(bytes int) { b.operations.Add(int64(1 + max(bytes-1, 0)/(64<<10))) }

func now() int64 { return time.Now().UnixMilli() }

// tokens makes lock tokens and message ids that no other process has made.
type tokens struct {
	prefix [8]byte
	n      atomic.Uint64
}

func (t *tokens) seed() error {
	_, err := rand.Read(t.prefix[:])
	return err
}

func (t *tokens) next() Token {
	var k Token
	copy(k[:8], t.prefix[:])
	binary.BigEndian.PutUint64(k[8:], t.n.Add(1))
	k[6], k[8] = k[6]&0x0f|0x40, 0x80 // the marks of a random UUID
	return k
}

// NewID makes an id for a message that has none.
func (b *Broker) NewID() string {
	k := b.tokens.next()
	return hex.EncodeToString(k[:])
}

// transaction gathers changes that are written as one record.
type transaction struct {
	rec   []byte
	puts  []staged // new messages
	moved []staged // messages written again
}

type staged struct {
	q      *Queue
	m      *message
	offset int
}

// usable tells why nothing can be done, nil when it can. The lock is held.
func (b *Broker) usable() error {
	if b.closed {
		return ErrClosed
	}
	return b.broken
}

// commit writes t, and calls done when it is safe. Messages in t appear in their queues then, not before.
func (b *Broker) commit(t *transaction, done func(error)) {
	var pos place
	finish := func(err error) {
		if err != nil {
			b.fail(err)
			err = fmt.Errorf("journal: %w", err)
		} else {
			b.settled(t, pos)
		}
		if done != nil {
			done(err)
		}
	}
	if b.journal == nil {
		finish(nil)
		return
	}
	pos = b.journal.Append(t.rec, finish)
}

// settled makes what t added visible, and lets go of contents that can be read from disk from now on.
func (b *Broker) settled(t *transaction, pos place) {
	for _, p := range t.moved {
		p.m.place = place{Segment: pos.Segment, Offset: pos.Offset + uint32(p.offset)}
		if b.journal != nil && !p.m.gone && p.m.content != nil && b.resident > b.o.Resident {
			b.resident -= int64(p.m.size)
			p.m.content = nil
		}
	}
	for _, p := range t.puts {
		p.m.place = place{Segment: pos.Segment, Offset: pos.Offset + uint32(p.offset)}
		p.q.admit(p.m)
	}
}

func (b *Broker) fail(err error) {
	if b.broken == nil {
		b.broken = fmt.Errorf("journal: %w", err)
		b.log.Error("journal failed, nothing is confirmed any more", "error", err)
	}
}

// content returns the content of m, from memory or from disk.
func (b *Broker) content(m *message) ([]byte, error) {
	if m.content != nil {
		return m.content, nil
	}
	buf := make([]byte, m.size)
	if err := b.journal.ReadAt(buf, m.place); err != nil {
		b.fail(err)
		return nil, err
	}
	return buf, nil
}

// hold counts the content of m as kept in memory.
func (b *Broker) hold(m *message) {
	b.live += int64(m.size)
	b.resident += int64(m.size)
}

// keep decides whether the content of a message that is safe stays in memory.
func (b *Broker) keep(m *message) {
	if b.hold(m); b.journal != nil && b.resident > b.o.Resident {
		b.resident -= int64(m.size)
		m.content = nil
	}
}

func (b *Broker) forget(m *message) {
	b.live -= int64(m.size)
	if m.content != nil {
		b.resident -= int64(m.size)
		m.content = nil
	}
}

// idPair is a property that a move adds.
func text(key, value string) amqp.Pair { return amqp.Pair{Key: key, Value: value} }
