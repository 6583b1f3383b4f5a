package broker

import (
	"container/heap"
	"fmt"

	"throughline/infra/local/servicebus/amqp"
)

// Verdict says what becomes of a locked message.
type Verdict int

// The verdicts.
const (
	Complete Verdict = iota
	Abandon
	Defer
	DeadLetter
	Release // give back without counting a failure
)

// Outcome settles a message.
type Outcome struct {
	Verdict     Verdict
	Reason      string // of dead-lettering
	Description string
	Properties  amqp.Map // application-properties to set
}

// Settle ends the lock of a message. done is told when that is safe, or ErrLockLost.
func (b *Broker) Settle(q *Queue, token Token, o Outcome, done func(error)) {
	b.SettleAll(q, []Token{token}, o, done)
}

// SettleAll ends the locks of messages, all or none.
func (b *Broker) SettleAll(q *Queue, tokens []Token, o Outcome, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		done(err)
		return
	}
	for _, k := range tokens {
		if !q.locked(k) {
			done(ErrLockLost)
			return
		}
	}
	t, back := &transaction{}, []*message(nil)
	for _, k := range tokens {
		if m := q.settle(t, k, o); m != nil {
			back = append(back, m)
		}
		b.bill(1)
	}
	b.commit(t, done)
	for _, m := range back {
		q.back(m)
	}
}

func (q *Queue) locked(token Token) bool {
	k := q.locks.byToken[token]
	return k != nil && !q.gone && k.until > now()
}

// settle adds the outcome to t, and returns the message when it goes back to its line.
func (q *Queue) settle(t *transaction, token Token, o Outcome) *message {
	k := q.locks.byToken[token]
	if k == nil { // named twice
		return nil
	}
	m := k.m
	q.unlock(m)
	switch o.Verdict {
	case Complete:
		t.drop(m, q)
		q.remove(m)
		return nil
	case DeadLetter:
		q.reject(t, m, o)
		return nil
	case Defer:
		q.retouch(t, m, o.Properties)
		q.postpone(t, m)
		return nil
	case Abandon:
		q.retouch(t, m, o.Properties)
		if q.failed(m, t) {
			q.deadLetter(t, m, exceeded(m))
			return nil
		}
	}
	return m
}

func (q *Queue) reject(t *transaction, m *message, o Outcome) {
	props := append(amqp.Map(nil), o.Properties...)
	props = merge(props, amqp.Map{text("DeadLetterReason", o.Reason), text("DeadLetterErrorDescription", o.Description)})
	q.deadLetter(t, m, props)
}

func (q *Queue) postpone(t *transaction, m *message) {
	if m.state == Active {
		q.tally(m, -1)
		m.state = Deferred
		q.tally(m, 1)
		t.deferred(m, q)
	}
	if m.at > 0 && m.index < 0 { // its time came while it was locked
		heap.Push(&q.times, m)
		q.b.alarm(m.at)
	}
}

// retouch writes m again with changed properties.
func (q *Queue) retouch(t *transaction, m *message, props amqp.Map) {
	if len(props) == 0 {
		return
	}
	content, err := q.b.content(m)
	if err != nil {
		return
	}
	content = q.changed(content, props, nil)
	q.b.forget(m)
	q.bytes += int64(len(content)) - int64(m.size)
	m.content, m.size = content, uint32(len(content))
	q.b.hold(m)
	t.again(q, m, content)
}

func exceeded(m *message) amqp.Map {
	return amqp.Map{text("DeadLetterReason", reasonDeliveries),
		text("DeadLetterErrorDescription", fmt.Sprintf("Message could not be consumed after %d delivery attempts.", m.deliveries))}
}
