package broker

// session is one session of a queue. It exists while it has messages, state, or a holder.
type session struct {
	id       string
	line     line
	messages int // in any state
	locked   map[*message]bool
	holder   *Consumer
	until    int64
	queued   bool // among the available sessions of its queue
	state    []byte
	updated  int64 // when the state was set
	segment  uint32
}

func (q *Queue) session(id string) *session {
	s := q.sessions[id]
	if s == nil {
		s = &session{id: id, locked: map[*message]bool{}}
		q.sessions[id] = s
	}
	return s
}

func (q *Queue) tidy(s *session) {
	if s.messages == 0 && s.state == nil && s.holder == nil && !s.queued {
		delete(q.sessions, s.id)
	}
}

// offerSession delivers to the holder of s, or lets a consumer that waits for any session take it.
func (q *Queue) offerSession(s *session) {
	if s.holder != nil {
		q.pumpSession(s)
		return
	}
	if s.line.n > 0 && !s.queued {
		s.queued = true
		q.available = append(q.available, s)
	}
	q.match()
}

func (q *Queue) pumpSession(s *session) {
	for c := s.holder; c != nil && s.holder == c && c.wants(); {
		m := s.line.pop()
		if m == nil {
			return
		}
		q.hand(m, c)
	}
}

// match gives available sessions to the consumers that wait, first come first served on both sides.
func (q *Queue) match() {
	for len(q.waiters) > 0 {
		s := q.nextAvailable()
		if s == nil {
			return
		}
		c := q.waiters[0]
		q.waiters = q.waiters[1:]
		q.take(s, c)
	}
}

func (q *Queue) nextAvailable() *session {
	for len(q.available) > 0 {
		s := q.available[0]
		q.available = q.available[1:]
		s.queued = false
		if s.holder == nil && s.line.front() != nil {
			return s
		}
		q.tidy(s)
	}
	return nil
}

// take locks s for c, answers its attach, and delivers as far as c has credit already.
func (q *Queue) take(s *session, c *Consumer) {
	s.holder, c.session = c, s
	q.held[s] = true
	s.until = now() + q.ent.lockMillis()
	q.b.alarm(s.until)
	c.ready(nil)
	q.pumpSession(s)
}

// leave frees the session of c. Its messages return; failed tells whether that counts as a failed delivery.
func (q *Queue) leave(s *session, failed bool) {
	s.holder = nil
	delete(q.held, s)
	t := &transaction{}
	var returned []*message
	for m := range s.locked {
		q.unlock(m)
		if failed && q.failed(m, t) {
			q.deadLetter(t, m, exceeded(m))
			continue
		}
		returned = append(returned, m)
	}
	if len(t.rec) > 0 {
		q.b.commit(t, nil)
	}
	for _, m := range returned { // all of them, before anybody takes the first
		q.putBack(m)
	}
	q.offerSession(s)
	q.tidy(s)
}
