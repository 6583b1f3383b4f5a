package broker

import "throughline/infra/local/servicebus/amqp"

// Token names a lock, in RFC 4122 order.
type Token = amqp.UUID

// State of a message in its queue.
type State uint8

// The states, numbered as x-opt-message-state has them.
const (
	Active    State = 0
	Deferred  State = 1
	Scheduled State = 2
)

// Delivery is a message on its way to a receiver, or shown by a peek. It does not change.
type Delivery struct {
	Token       Token
	Locked      bool // Token is a lock until LockedUntil
	Settled     bool // nothing to settle: received and deleted, or only peeked
	Sequence    int64
	Count       uint32 // failed deliveries before this one
	Enqueued    int64  // milliseconds since the epoch, as all times here
	LockedUntil int64
	Expires     int64 // 0 = never
	State       State
	content     []byte
}

// Size is about what Append will append.
func (d *Delivery) Size() int { return len(d.content) + 256 }

// Append appends the message in its wire form.
func (d *Delivery) Append(b []byte) []byte {
	c := d.content
	h := amqp.Header{Durable: c[0]&flagDurable != 0, HasPriority: c[0]&flagPriority != 0, Priority: c[1], DeliveryCount: d.Count}
	if d.Expires > 0 {
		h.HasTTL, h.TTL = true, uint32(min(max(d.Expires-d.Enqueued, 0), 1<<32-1))
	}
	if d.Expires == 0 && c[0]&flagTTL != 0 { // in a dead-letter queue it no longer runs, but it stays to be seen
		h.HasTTL, h.TTL = true, uint32(contentTTL(c))
	}
	b = amqp.AppendHeader(b, h)
	message, delivery, sections := cut(c)
	if d.Locked {
		b = amqp.AppendDeliveryAnnotations(b, amqp.Map{{Key: amqp.Symbol("x-opt-lock-token"), Value: d.Token}}, delivery.raw, delivery.count)
	} else if delivery.count > 0 {
		b = amqp.AppendDeliveryAnnotations(b, nil, delivery.raw, delivery.count)
	}
	b = amqp.AppendAnnotations(b, d.annotations(), message.raw, message.count)
	return append(b, sections...)
}

func (d *Delivery) annotations() amqp.Map {
	m := make(amqp.Map, 2, 4)
	m[0] = amqp.Pair{Key: amqp.Symbol("x-opt-sequence-number"), Value: d.Sequence}
	m[1] = amqp.Pair{Key: amqp.Symbol("x-opt-enqueued-time"), Value: amqp.Timestamp(d.Enqueued)}
	if d.Locked {
		m = append(m, amqp.Pair{Key: amqp.Symbol("x-opt-locked-until"), Value: amqp.Timestamp(d.LockedUntil)})
	}
	if d.State != Active {
		m = append(m, amqp.Pair{Key: amqp.Symbol("x-opt-message-state"), Value: int32(d.State)})
	}
	return m
}
