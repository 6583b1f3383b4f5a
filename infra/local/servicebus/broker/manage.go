package broker

// The operations of <entity>/$management.

import (
	"sort"
	"time"
)

// Peek shows up to count messages from a sequence number on, in any state, without locking them; session, when
// not nil, leaves only the messages of one session. It stops early when the messages get large.
func (b *Broker) Peek(q *Queue, from int64, count int, session *string) ([]*Delivery, error) {
	const enough = 1 << 20
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.gone {
		return nil, ErrNotFound
	}
	var out []*Delivery
	var err error
	size := 0
	q.all.from(from, func(m *message) bool {
		if session != nil && (m.session == nil || m.session.id != *session) {
			return true
		}
		var content []byte
		if content, err = b.content(m); err != nil {
			return false
		}
		d := q.show(m, content)
		d.Settled = true
		out = append(out, d)
		size += len(content)
		return len(out) < count && size < enough
	})
	b.operations.Add(1)
	return out, err
}

// RenewLock lengthens the locks of messages by the lock duration, all or none, and tells when they end.
func (b *Broker) RenewLock(q *Queue, tokens []Token) ([]int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := now()
	for _, k := range tokens {
		if l := q.locks.byToken[k]; l == nil || l.until <= t || q.gone {
			return nil, ErrLockLost
		}
	}
	until := make([]int64, len(tokens))
	for i, k := range tokens {
		l := q.locks.byToken[k]
		until[i] = t + q.ent.lockMillis()
		if s := l.m.session; s != nil && s.holder != nil {
			until[i] = s.until
		}
		q.locks.renew(l, until[i])
	}
	b.operations.Add(1)
	return until, nil
}

// RenewSession lengthens the lock of a session that is held.
func (b *Broker) RenewSession(q *Queue, id string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := q.heldSession(id)
	if err != nil {
		return 0, err
	}
	s.until = now() + q.ent.lockMillis()
	for m := range s.locked {
		q.locks.renew(m.lock, s.until)
	}
	b.operations.Add(1)
	return s.until, nil
}

func (q *Queue) heldSession(id string) (*session, error) {
	s := q.sessions[id]
	if s == nil || s.holder == nil || s.until <= now() {
		return nil, ErrSessionLockLost
	}
	return s, nil
}

// SessionState is the state of a session, nil when it has none.
func (b *Broker) SessionState(q *Queue, id string) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := q.heldSession(id)
	if err != nil {
		return nil, err
	}
	return s.state, nil
}

// SetSessionState sets the state of a session that is held; empty clears it.
func (b *Broker) SetSessionState(q *Queue, id string, state []byte, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := q.heldSession(id)
	if err != nil {
		done(err)
		return
	}
	s.state = nil
	if len(state) > 0 {
		s.state = append([]byte(nil), state...)
	}
	s.updated, s.segment = now(), b.segment()
	t := &transaction{}
	t.state(q, s)
	b.commit(t, done)
}

// Sessions lists, in the order of their ids, the sessions whose state was set after since, or, with a zero since,
// those with messages or state.
func (b *Broker) Sessions(q *Queue, since time.Time, skip, top int) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !q.sessionful() {
		return nil, ErrNoSessions
	}
	var ids []string
	for id, s := range q.sessions {
		if since.IsZero() && (s.messages > 0 || s.state != nil) || !since.IsZero() && s.state != nil && s.updated > since.UnixMilli() {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	ids = ids[min(max(skip, 0), len(ids)):]
	return ids[:min(max(top, 0), len(ids))], nil
}

// Cancel takes scheduled messages out, all or none.
func (b *Broker) Cancel(q *Queue, numbers []int64, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &transaction{}
	for _, n := range numbers {
		if m := q.all.get(n); m == nil || m.state != Scheduled {
			done(ErrMessageNotFound)
			return
		}
	}
	for _, n := range numbers {
		if m := q.all.get(n); m != nil {
			t.drop(m, q)
			q.remove(m)
		}
	}
	b.commit(t, done)
}

// ReceiveDeferred takes deferred messages by their numbers, all or none, under a lock or, with deletes, for good.
func (b *Broker) ReceiveDeferred(q *Queue, numbers []int64, deletes bool, done func([]*Delivery, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []*message
	for _, n := range numbers {
		m := q.all.get(n)
		if m == nil || m.state != Deferred || m.lock != nil {
			done(nil, ErrMessageNotFound)
			return
		}
		found = append(found, m)
	}
	t := &transaction{}
	var out []*Delivery
	for _, m := range found {
		d, err := q.takeDeferred(t, m, deletes)
		if err != nil {
			done(nil, err)
			return
		}
		out = append(out, d)
	}
	b.commit(t, func(err error) { done(out, err) })
}

func (q *Queue) takeDeferred(t *transaction, m *message, deletes bool) (*Delivery, error) {
	content, err := q.b.content(m)
	if err != nil {
		return nil, err
	}
	d := q.show(m, content)
	q.b.bill(len(content))
	if deletes {
		d.Settled = true
		if !m.gone {
			t.drop(m, q)
			q.remove(m)
		}
		return d, nil
	}
	if m.lock == nil {
		var holder *Consumer
		if m.session != nil {
			holder = m.session.holder
		}
		q.lockFor(m, holder, now())
	}
	d.Locked, d.Token, d.LockedUntil = true, m.lock.token, m.lock.until
	return d, nil
}

// Counts is how many messages each entity holds, by path.
func (b *Broker) Counts() map[string]Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]Counts, len(b.entities))
	for _, e := range b.entities {
		out[e.Path()] = e.counts()
	}
	return out
}

// ExpireLocks ends locks now as if their time were over: that of one message, of one session, or all of q when
// sequence is 0 and session nil. It returns how many ended.
func (b *Broker) ExpireLocks(q *Queue, sequence int64, session *string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, t := 0, now()
	for s := range q.held {
		if sequence == 0 && (session == nil || *session == s.id) {
			s.until = t
			for m := range s.locked {
				q.locks.renew(m.lock, t)
			}
			n++
		}
	}
	for _, k := range q.locks.byToken {
		if session == nil && k.until > t && (sequence == 0 || k.m.seq == sequence) && (k.m.session == nil || k.m.session.holder == nil) {
			q.locks.renew(k, t)
			n++
		}
	}
	q.sweep(t)
	return n
}
