package broker

import "time"

// Sink is the far end of a consumer. Its methods are called with the broker's lock held.
type Sink interface {
	// Deliver takes a delivery; there is credit for it.
	Deliver(d *Delivery)
	// Full tells to hold deliveries back until Resume is called.
	Full() bool
	// Detach ends the link with a fault, because its session or its entity is gone.
	Detach(f *Fault)
}

// Mode of a consumer.
type Mode struct {
	Deletes bool    // receive-and-delete in place of peek-lock
	Session *string // a named session
	Next    bool    // the next available session
	Timeout time.Duration
}

// Consumer is a receiver attached to a queue.
type Consumer struct {
	q       *Queue
	sink    Sink
	deletes bool

	limit     uint32 // deliveries allowed in all, a serial number
	delivered uint32
	session   *session
	waitUntil int64
	ready     func(error)
	closed    bool
	giving    int    // messages deleted that are not delivered yet
	farewell  *Fault // detach with it when they are
}

// Prepare makes a consumer that is not attached yet.
func (b *Broker) Prepare(q *Queue, sink Sink) *Consumer { return &Consumer{q: q, sink: sink} }

// Attach attaches a consumer. ready is called once, with the broker's lock held: now, or when a session is there
// to be taken. The consumer gets nothing before it is given credit. Detach takes it away, at any time.
func (b *Broker) Attach(c *Consumer, mode Mode, ready func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.deletes, c.ready = mode.Deletes, ready
	if err := c.q.attach(c, mode); err != nil {
		c.closed = true
		ready(err)
	}
}

func (q *Queue) attach(c *Consumer, mode Mode) error {
	wantsSession := mode.Session != nil || mode.Next
	switch err := q.b.usable(); {
	case err != nil:
		return err
	case q.gone:
		return ErrNotFound
	case q.ent.desc.Kind == KindTopic:
		return ErrNotReceivable
	case !q.ent.desc.gives() && q.role == roleMain:
		return ErrDisabled
	case q.role == roleMain && q.ent.desc.ForwardTo != "":
		return ErrForwards
	case q.sessionful() && !wantsSession:
		return ErrNeedsSession
	case !q.sessionful() && wantsSession:
		return ErrNoSessions
	case mode.Session != nil:
		return q.attachNamed(c, *mode.Session)
	case mode.Next:
		q.attachNext(c, mode.Timeout)
		return nil
	}
	q.consumers = append(q.consumers, c)
	c.ready(nil)
	return nil
}

func (q *Queue) attachNamed(c *Consumer, id string) error {
	s := q.session(id)
	if s.holder != nil {
		return ErrSessionLocked
	}
	q.take(s, c)
	return nil
}

func (q *Queue) attachNext(c *Consumer, timeout time.Duration) {
	if timeout <= 0 {
		timeout = time.Minute
	}
	c.waitUntil = now() + timeout.Milliseconds()
	q.waiters = append(q.waiters, c)
	q.b.alarm(c.waitUntil)
	q.match()
}

// SessionID is the session that the consumer holds and when its lock ends; ok is false when it holds none.
// It may be called from ready, and only from there or from the sink.
func (c *Consumer) SessionID() (id string, until int64, ok bool) {
	if c.session == nil {
		return "", 0, false
	}
	return c.session.id, c.session.until, true
}

// Holds is the session that a consumer holds, nil when it holds none.
func (b *Broker) Holds(c *Consumer) *string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.session == nil || c.session.holder != c {
		return nil
	}
	id := c.session.id
	return &id
}

func (c *Consumer) wants() bool {
	return !c.closed && int32(c.limit-c.delivered) > 0 && !c.sink.Full()
}

// Credit allows deliveries until their number, counted from the attach, reaches limit.
func (b *Broker) Credit(c *Consumer, limit uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.limit = limit
	c.pump()
}

// Resume delivers again after the sink was full.
func (b *Broker) Resume(c *Consumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.pump()
}

// Drain delivers what is there and takes the rest of the credit; the number of deliveries counted since the
// attach is then limit.
func (b *Broker) Drain(c *Consumer, limit uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.limit = limit
	c.pump()
	c.delivered = limit
}

func (c *Consumer) pump() {
	switch {
	case c.closed || c.q.gone || c.q.b.usable() != nil:
	case c.session != nil:
		if c.session.holder == c {
			c.q.pumpSession(c.session)
		}
	default:
		c.q.pump()
	}
}

// Detach takes the consumer away. A session is free at once; locks of other messages run on until they expire.
func (b *Broker) Detach(c *Consumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.detach()
}

func (c *Consumer) detach() {
	if c.closed {
		return
	}
	c.closed = true
	q := c.q
	q.consumers = without(q.consumers, c)
	q.waiters = without(q.waiters, c)
	if s := c.session; s != nil && s.holder == c {
		q.leave(s, false)
	}
	q.pump()
}

// dismiss ends the link of a consumer, after what was deleted for it was delivered.
func (c *Consumer) dismiss(f *Fault) {
	if c.giving > 0 {
		c.farewell = f
	} else {
		c.sink.Detach(f)
	}
	c.detach()
}

func without(list []*Consumer, c *Consumer) []*Consumer {
	for i := range list {
		if list[i] == c {
			return append(append([]*Consumer(nil), list[:i]...), list[i+1:]...)
		}
	}
	return list
}
