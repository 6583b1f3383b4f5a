package broker

import (
	"container/heap"
	"time"

	"throughline/infra/local/servicebus/amqp"
)

// Roles of the queues of an entity; an entity numbered n has its queues at n, n+1, n+2.
const (
	roleMain = iota
	roleDeadLetter
	roleTransfer
	queuesPerEntity
)

// Queue is one queue of messages: that of an entity, its dead-letter queue, or its transfer dead-letter queue.
type Queue struct {
	b    *Broker
	id   uint32
	role int
	ent  *Entity

	next  int64 // sequence number
	all   roll
	ready line // of a queue without sessions
	locks locks
	times timeline
	bytes int64
	count Counts
	seen  history

	sessions  map[string]*session // nil in a queue without sessions
	held      map[*session]bool   // those with a holder
	available []*session
	waiters   []*Consumer
	consumers []*Consumer
	turn      int
	gone      bool
}

// Counts is how many messages of a queue are in which state. Locked ones are among the active.
type Counts struct {
	Active     int64
	Scheduled  int64
	DeadLetter int64
	Deferred   int64
	Locked     int64
	Transfer   int64 // dead letters of forwarding
	Bytes      int64
}

func (q *Queue) sessionful() bool { return q.sessions != nil }

func (q *Queue) nextSeq() int64 {
	q.next++
	return q.next
}

// admit makes a message that is safe visible.
func (q *Queue) admit(m *message) {
	if q.gone {
		return
	}
	q.b.keep(m)
	q.bytes += int64(m.size)
	q.all.add(m)
	q.tally(m, 1)
	if m.at > 0 {
		heap.Push(&q.times, m)
		q.b.alarm(m.at)
	}
	if m.state == Active {
		q.line(m).push(m)
		q.offer(m)
	}
}

// line is where an active message of q waits.
func (q *Queue) line(m *message) *line {
	if q.sessionful() && m.session != nil {
		return &m.session.line
	}
	return &q.ready
}

// offer wakes who can take m, which has just come to its line.
func (q *Queue) offer(m *message) {
	if q.sessionful() && m.session != nil {
		q.offerSession(m.session)
		return
	}
	q.pump()
}

func (q *Queue) tally(m *message, n int64) {
	switch m.state {
	case Active:
		q.count.Active += n
	case Deferred:
		q.count.Deferred += n
	case Scheduled:
		q.count.Scheduled += n
	}
}

// remove takes a message out for good; it must not be in its line any more, or be reported to it as lost.
func (q *Queue) remove(m *message) {
	m.gone = true
	q.all.remove(m)
	q.times.drop(m)
	q.tally(m, -1)
	q.bytes -= int64(m.size)
	q.b.forget(m)
	if m.lock != nil {
		q.unlock(m)
	}
	if s := m.session; s != nil {
		s.messages--
		q.tidy(s)
	}
}

func (q *Queue) unlock(m *message) {
	q.locks.remove(m.lock)
	if m.session != nil {
		delete(m.session.locked, m)
	}
	m.lock = nil
	q.count.Locked--
}

// pump hands messages to consumers that have credit, in turn.
func (q *Queue) pump() {
	for q.ready.n > 0 {
		c := q.nextConsumer()
		if c == nil {
			return
		}
		m := q.ready.pop()
		if m == nil {
			return
		}
		q.hand(m, c)
	}
}

func (q *Queue) nextConsumer() *Consumer {
	for range q.consumers {
		q.turn++
		if c := q.consumers[q.turn%len(q.consumers)]; c.wants() {
			return c
		}
	}
	return nil
}

// hand gives m, which has left its line, to c.
func (q *Queue) hand(m *message, c *Consumer) {
	t := now()
	if m.at > 0 && m.at <= t {
		q.expire(m)
		return
	}
	content, err := q.b.content(m)
	if err != nil {
		return
	}
	d := q.show(m, content)
	q.b.bill(len(content))
	q.ent.touch(t)
	c.delivered++
	if c.deletes {
		q.giveAway(m, c, d)
		return
	}
	q.lockFor(m, c, t)
	d.Locked, d.Token, d.LockedUntil = true, m.lock.token, m.lock.until
	c.sink.Deliver(d)
}

// giveAway deletes m and delivers it once that is safe: at most once.
func (q *Queue) giveAway(m *message, c *Consumer, d *Delivery) {
	t := &transaction{}
	t.drop(m, q)
	q.remove(m)
	d.Settled, d.Token = true, q.b.tokens.next()
	c.giving++
	q.b.commit(t, func(err error) {
		if c.giving--; err == nil {
			c.sink.Deliver(d)
		}
		if c.giving == 0 && c.farewell != nil {
			c.sink.Detach(c.farewell)
		}
	})
}

func (q *Queue) lockFor(m *message, c *Consumer, t int64) {
	until := t + q.ent.lockMillis()
	if s := m.session; q.sessionful() && s != nil && s.holder == c {
		until = s.until
		s.locked[m] = true
	}
	m.lock = &lock{token: q.b.tokens.next(), m: m, until: until}
	q.locks.add(m.lock)
	q.count.Locked++
	q.b.alarm(until)
}

func (q *Queue) show(m *message, content []byte) *Delivery {
	d := &Delivery{Sequence: m.seq, Count: m.deliveries, Enqueued: m.enqueued, State: m.state, content: content}
	if m.state != Scheduled {
		d.Expires = m.at
	}
	if m.lock != nil {
		d.LockedUntil = m.lock.until
	}
	return d
}

// back returns a message, whose lock is gone, to its line or to where its time to live sends it.
func (q *Queue) back(m *message) {
	if q.putBack(m) {
		q.offer(m)
	}
}

// putBack is back without offering the message; it is false when the message is not in its line.
func (q *Queue) putBack(m *message) bool {
	switch {
	case m.at > 0 && m.at <= now():
		q.expire(m)
		return false
	case m.state != Active:
		return false
	case q.role == roleMain && q.ent.desc.ForwardTo != "":
		q.forwardOne(m)
		return false
	}
	q.line(m).giveBack(m)
	return true
}

// failed counts a delivery that failed, and dead-letters the message at the limit.
func (q *Queue) failed(m *message, t *transaction) (dead bool) {
	if q.role != roleMain {
		return false
	}
	if m.deliveries++; int32(m.deliveries) < q.ent.desc.MaxDeliveryCount || m.state == Deferred {
		t.count(m, q)
		return false
	}
	return true
}

const (
	reasonDeliveries = "MaxDeliveryCountExceeded"
	reasonExpired    = "TTLExpiredException"
)

// expire ends a message whose time is over; it must not be in its line any more.
func (q *Queue) expire(m *message) {
	t := &transaction{}
	if q.ent.desc.DeadLetteringOnExpiration && q.role == roleMain {
		q.deadLetter(t, m, amqp.Map{text("DeadLetterReason", reasonExpired),
			text("DeadLetterErrorDescription", "The message expired and was dead lettered.")})
	} else {
		t.drop(m, q)
		q.remove(m)
	}
	q.b.commit(t, nil)
}

// deadLetter moves m to the dead-letter queue, or where its entity forwards dead letters to.
func (q *Queue) deadLetter(t *transaction, m *message, props amqp.Map) {
	content, err := q.b.content(m)
	if err != nil {
		return
	}
	to := q.ent.dead
	if f := q.b.forwardTarget(q.ent.desc.ForwardDeadLettersTo); f != nil && q.role == roleMain {
		notes := amqp.Map{
			{Key: amqp.Symbol("x-opt-deadletter-source"), Value: q.ent.Path()},
			{Key: amqp.Symbol("x-opt-enqueue-sequence-number"), Value: m.seq},
		}
		q.b.route(t, f, fromContent(q.changed(content, props, notes)))
		t.drop(m, q)
		q.remove(m)
		return
	}
	content = q.changed(content, props, nil)
	t.drop(m, q)
	copied := &message{seq: to.nextSeq(), enqueued: m.enqueued, deliveries: m.deliveries, size: uint32(len(content)), content: content, index: -1}
	t.put(to, copied, content, nil)
	q.remove(m)
}

// changed is content with properties and annotations set; content that cannot be read is left alone.
func (q *Queue) changed(content []byte, props, notes amqp.Map) []byte {
	c, err := rewrite(content, props, notes)
	if err != nil {
		q.b.log.Error("content of a message cannot be rewritten", "queue", q.ent.Path(), "error", err)
		return content
	}
	return c
}

// history is the duplicate history of a queue.
type history struct {
	at    map[[16]byte]int64
	order []sighting
	head  int
}

type sighting struct {
	id      [16]byte
	at      int64
	segment uint32
}

func (h *history) add(id [16]byte, at int64, segment uint32) {
	if h.at == nil {
		h.at = map[[16]byte]int64{}
	}
	h.at[id] = at
	h.order = append(h.order, sighting{id: id, at: at, segment: segment})
}

func (h *history) has(id [16]byte, since int64) bool {
	at, ok := h.at[id]
	return ok && at > since
}

// evict forgets what was seen at or before the time given.
func (h *history) evict(until int64) {
	for h.head < len(h.order) && h.order[h.head].at <= until {
		if s := h.order[h.head]; h.at[s.id] == s.at {
			delete(h.at, s.id)
		}
		h.head++
	}
	if h.head > 1024 && h.head > len(h.order)/2 {
		h.order = append(make([]sighting, 0, len(h.order)-h.head+64), h.order[h.head:]...)
		h.head = 0
	}
}

func (q *Queue) window() int64 {
	if d := q.ent.desc.DuplicateDetectionWindow.millis(); d > 0 {
		return d
	}
	return (10 * time.Minute).Milliseconds()
}
