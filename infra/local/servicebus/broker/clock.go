package broker

import (
	"container/heap"
	"time"
)

// longSleep is how long the clock sleeps when nothing is appointed.
const longSleep = time.Minute

// keepTime ends locks, sessions and messages, and delivers scheduled messages, when their time has come.
func (b *Broker) keepTime() {
	defer b.stopped.Done()
	timer := time.NewTimer(longSleep)
	defer timer.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-b.wake:
		case <-timer.C:
		}
		timer.Reset(time.Duration(b.tick()) * time.Millisecond)
	}
}

// alarm makes the clock look at the time given at the latest. The lock is held.
func (b *Broker) alarm(at int64) {
	if b.nextWake != 0 && b.nextWake <= at {
		return
	}
	b.nextWake = at
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// tick does what is due, and returns the milliseconds to the next appointment.
func (b *Broker) tick() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := now()
	next := t + longSleep.Milliseconds()
	if b.usable() == nil {
		next = min(next, b.deleteIdle(t))
		for _, q := range b.queues {
			q.sweep(t)
			if at := q.appointment(); at > 0 && at < next {
				next = at
			}
		}
	}
	b.nextWake = next
	return max(next-now(), 1)
}

func (q *Queue) sweep(t int64) {
	for k := q.locks.first; k != nil && k.until <= t; k = q.locks.first {
		if !q.lapse(k) {
			break
		}
	}
	for s := range q.held {
		if s.until <= t {
			holder := s.holder
			q.leave(s, true)
			holder.sink.Detach(ErrSessionLockLost)
		}
	}
	q.activate(t)
	for len(q.waiters) > 0 && q.overdue(t) {
		continue
	}
	if q.ent.desc.RequiresDuplicateDetection {
		q.seen.evict(t - q.window())
	}
}

// lapse ends a lock that ran out; locks of a session that is held end with the session.
func (q *Queue) lapse(k *lock) bool {
	m := k.m
	if s := m.session; s != nil && s.holder != nil && s.locked[m] {
		q.locks.renew(k, s.until)
		return s.until > now() // else the session ends in this sweep
	}
	q.unlock(m)
	tr := &transaction{}
	dead := q.failed(m, tr)
	if dead {
		q.deadLetter(tr, m, exceeded(m))
	}
	q.b.commit(tr, nil)
	if !dead {
		q.back(m)
	}
	return true
}

// activate moves due messages into the queue and ends those whose time to live is over.
func (q *Queue) activate(t int64) {
	for len(q.times) > 0 && q.times[0].ripe(t) {
		m := heap.Pop(&q.times).(*message)
		switch {
		case m.state == Scheduled:
			q.due(m)
		case m.lock != nil: // judged when the lock ends
		case m.state == Active:
			q.line(m).lost()
			q.expire(m)
		default:
			q.expire(m)
		}
	}
}

// ripe tells whether the time of m has come. A scheduled message waits its millisecond out: its sender meant a time
// within it.
func (m *message) ripe(t int64) bool {
	return m.at < t || m.at == t && m.state != Scheduled
}

// due makes a scheduled message active, with a sequence number of its new place in the order.
func (q *Queue) due(m *message) {
	if q.ent.desc.Kind == KindTopic || q.ent.desc.ForwardTo != "" {
		q.forwardOne(m)
		return
	}
	content, err := q.b.content(m)
	if err != nil {
		return
	}
	old := m.seq
	q.all.remove(m)
	q.tally(m, -1)
	m.seq, m.enqueued, m.state = q.nextSeq(), now(), Active
	m.at = q.expiry(contentTTL(content), m.enqueued)
	q.all.add(m)
	q.tally(m, 1)
	if m.at > 0 {
		heap.Push(&q.times, m)
	}
	t := &transaction{}
	t.op(opActivate, uint64(q.id), uint64(old), uint64(m.seq), uint64(m.enqueued), uint64(m.at))
	q.b.commit(t, nil)
	q.line(m).push(m)
	q.offer(m)
}

// overdue ends the first wait for a session that has lasted too long.
func (q *Queue) overdue(t int64) bool {
	for _, c := range q.waiters {
		if c.waitUntil <= t {
			q.waiters = without(q.waiters, c)
			c.closed = true
			c.ready(ErrTimeout)
			return true
		}
	}
	return false
}

// appointment is when the queue must be looked at next, 0 = it need not.
func (q *Queue) appointment() int64 {
	at := int64(0)
	sooner := func(t int64) {
		if t > 0 && (at == 0 || t < at) {
			at = t
		}
	}
	if q.locks.first != nil {
		sooner(q.locks.first.until)
	}
	if len(q.times) > 0 {
		sooner(q.times[0].at)
	}
	for _, c := range q.waiters {
		sooner(c.waitUntil)
	}
	for s := range q.held {
		sooner(s.until)
	}
	return at
}

// deleteIdle deletes the entities that nobody has used for their AutoDeleteOnIdle, and returns when the next may
// have to go.
func (b *Broker) deleteIdle(t int64) int64 {
	next := t + longSleep.Milliseconds()
	for _, e := range b.entities {
		span := e.desc.AutoDeleteOnIdle.millis()
		if span == 0 {
			continue
		}
		at := max(e.created, e.updated, e.accessed) + span
		if at > t || e.busy() {
			next = min(next, max(at, t+1000))
			continue
		}
		b.log.Info("entity deleted, it was idle", "entity", e.Path())
		tr := &transaction{}
		for _, s := range append([]*Entity(nil), e.subs...) {
			b.uninstall(tr, s)
		}
		b.uninstall(tr, e)
		b.commit(tr, nil)
	}
	return next
}

// alarmIdle makes the clock look when e may have to be deleted.
func (b *Broker) alarmIdle(e *Entity) {
	if span := e.desc.AutoDeleteOnIdle.millis(); span > 0 {
		b.alarm(now() + span)
	}
}

// busy tells whether somebody receives from e or, of a topic, from one of its subscriptions.
func (e *Entity) busy() bool {
	for _, q := range e.queues() {
		if len(q.consumers)+len(q.waiters)+len(q.held) > 0 {
			return true
		}
	}
	for _, s := range e.subs {
		if s.busy() {
			return true
		}
	}
	return false
}
