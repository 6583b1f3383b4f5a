package broker

// slack is how much garbage the journal may hold beside what is alive.
const slack = 64 << 20

// clean begins to give space back when more than half of the journal is garbage. The lock is held.
func (b *Broker) clean() {
	if b.cleaning || b.usable() != nil {
		return
	}
	oldest, newest := b.journal.Segments()
	if oldest >= newest || b.journal.Pending(oldest) || b.journal.Size() < 2*b.live+b.slack() {
		return
	}
	b.cleaning = true
	t := &transaction{}
	for _, e := range b.entities {
		if err := e.rescue(t, oldest); err != nil {
			b.fail(err)
			return
		}
	}
	b.commit(t, func(err error) {
		b.cleaning = false
		if err != nil {
			return
		}
		if err := b.journal.Drop(); err != nil {
			b.fail(err)
		}
	})
}

func (b *Broker) slack() int64 {
	if b.o.Segment > 0 {
		return 2 * int64(b.o.Segment)
	}
	return slack
}

// rescue writes again what of an entity lies in a segment that is to be dropped.
func (e *Entity) rescue(t *transaction, segment uint32) error {
	if e.segment <= segment {
		if err := t.entity(e); err != nil {
			return err
		}
		e.segment = e.b.segment()
	}
	for _, q := range e.queues() {
		if err := q.rescue(t, segment); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) rescue(t *transaction, segment uint32) error {
	if q.next > 0 {
		t.op(opNext, uint64(q.id), uint64(q.next))
	}
	for _, s := range q.sessions {
		if s.state != nil && s.segment <= segment {
			t.state(q, s)
			s.segment = q.b.segment()
		}
	}
	for i := q.seen.head; i < len(q.seen.order); i++ {
		if s := &q.seen.order[i]; s.segment <= segment {
			t.seen(q, s.id, s.at)
			s.segment = q.b.segment()
		}
	}
	var err error
	q.all.from(0, func(m *message) bool {
		if m.place.Segment > segment {
			return true
		}
		var content []byte
		if content, err = q.b.content(m); err != nil {
			return false
		}
		t.again(q, m, content)
		return true
	})
	return err
}
