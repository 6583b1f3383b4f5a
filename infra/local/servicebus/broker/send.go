package broker

import "throughline/infra/local/servicebus/amqp"

// fromContent makes of a stored message one that can be sent on.
func fromContent(content []byte) Incoming {
	in := Incoming{TTL: contentTTL(content), content: content}
	_, _, sections := cut(content)
	if m, err := amqp.ParseMessage(sections); err == nil {
		if p, err := amqp.ParseProperties(m.Properties); err == nil {
			in.SessionID, in.InSession = p.GroupID.(string)
		}
	}
	return in
}

// Send stores messages in the entity of q, all or none. done is told when they are safe; a duplicate is done too.
func (b *Broker) Send(q *Queue, in []Incoming, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := transactionFor(in)
	if _, err := b.accept(t, q, in); err != nil {
		done(err)
		return
	}
	b.commit(t, done)
}

// Schedule stores messages for later, and tells their sequence numbers.
func (b *Broker) Schedule(q *Queue, in []Incoming, done func([]int64, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := transactionFor(in)
	numbers, err := b.accept(t, q, in)
	if err != nil {
		done(nil, err)
		return
	}
	b.commit(t, func(err error) { done(numbers, err) })
}

// transactionFor has room for the messages.
func transactionFor(in []Incoming) *transaction {
	n := 0
	for i := range in {
		n += len(in[i].content) + 128
	}
	return &transaction{rec: make([]byte, 0, n)}
}

// accept adds messages to t, and returns the sequence numbers they get in the entity itself.
func (b *Broker) accept(t *transaction, q *Queue, in []Incoming) ([]int64, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	if err := q.sendable(in); err != nil {
		return nil, err
	}
	at := now()
	q.ent.touch(at)
	numbers := make([]int64, 0, len(in))
	for _, m := range in {
		b.bill(len(m.content))
		id, duplicate := q.remember(m.MessageID, at)
		if duplicate {
			numbers = append(numbers, q.next)
			continue
		}
		numbers = append(numbers, q.store(t, m, id, at))
	}
	return numbers, nil
}

func (q *Queue) sendable(in []Incoming) error {
	switch {
	case q.gone:
		return ErrNotFound
	case q.role != roleMain || q.ent.desc.Kind == KindSubscription:
		return ErrNotSendable
	case !q.ent.desc.accepts():
		return ErrDisabled
	}
	size := int64(0)
	for i := range in {
		if q.sessionful() && !in[i].InSession {
			return ErrNoSessionID
		}
		if int64(len(in[i].content)) > q.ent.desc.MaxMessageSizeInKilobytes<<10+contentExtra {
			return ErrTooLarge
		}
		size += int64(len(in[i].content))
	}
	if q.bytes+size > int64(q.ent.desc.MaxSizeInMegabytes)<<20 {
		return ErrFull
	}
	return nil
}

// remember notes a message id in the duplicate history, if q has one.
func (q *Queue) remember(id string, at int64) (key *[16]byte, duplicate bool) {
	if !q.ent.desc.RequiresDuplicateDetection || id == "" {
		return nil, false
	}
	h := hashID(id)
	if q.seen.has(h, at-q.window()) {
		return nil, true
	}
	q.seen.add(h, at, q.b.segment())
	return &h, false
}

// store puts a message into q for later, or sends it on its way now.
func (q *Queue) store(t *transaction, in Incoming, id *[16]byte, at int64) int64 {
	if in.Due > at {
		m := q.message(in, at)
		m.state, m.at = Scheduled, in.Due
		t.put(q, m, in.content, id)
		return m.seq
	}
	if q.ent.desc.Kind == KindQueue && q.ent.desc.ForwardTo == "" {
		m := q.message(in, at)
		m.at = q.expiry(in.TTL, at)
		t.put(q, m, in.content, id)
		return m.seq
	}
	if id != nil { // the message goes elsewhere, its id stays
		t.seen(q, *id, at)
	}
	q.b.route(t, q.ent, in)
	return q.nextSeq()
}

func (q *Queue) message(in Incoming, at int64) *message {
	m := &message{seq: q.nextSeq(), enqueued: at, size: uint32(len(in.content)), content: in.content, index: -1}
	if q.sessionful() {
		m.session = q.session(in.SessionID)
		m.session.messages++
	}
	return m
}

// expiry is when a message enqueued at the time given expires, 0 = never.
func (q *Queue) expiry(ttl, at int64) int64 {
	if limit := q.ent.desc.DefaultMessageTimeToLive.millis(); ttl == 0 || limit > 0 && limit < ttl {
		ttl = limit
	}
	if ttl == 0 {
		return 0
	}
	return at + ttl
}
