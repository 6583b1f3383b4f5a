package broker

import (
	"container/heap"
	"encoding/json"
	"fmt"
	"sort"

	"throughline/infra/local/journal"
)

// loading is a queue while the journal is read: messages in no order yet.
type loading map[uint32]map[int64]*message

func (b *Broker) recover() error {
	l := loading{}
	j, err := journal.Open(journal.Options{Dir: b.o.Dir, Segment: b.o.Segment, NoSync: b.o.NoSync, Around: b.around},
		func(p journal.Pos, rec []byte) error { return b.replay(l, p, rec) })
	if err != nil {
		return err
	}
	b.journal = j
	for _, q := range b.queues {
		q.build(l[q.id])
	}
	return nil
}

func (b *Broker) around(run func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	run()
	b.clean()
}

func (b *Broker) replay(l loading, p journal.Pos, rec []byte) error {
	s := &scanner{rec: rec}
	for s.more() {
		if err := b.redo(l, s, p); err != nil {
			return err
		}
	}
	if s.err != nil {
		return fmt.Errorf("%w: segment %d, byte %d", s.err, p.Segment, p.Offset)
	}
	return nil
}

func (b *Broker) redo(l loading, s *scanner, p journal.Pos) error {
	code, id := s.take(1), uint32(s.number())
	if s.err != nil {
		return nil
	}
	switch code[0] {
	case opEntity:
		return b.redoEntity(id, s.bytes(), p)
	case opRemoved:
		for i := range uint32(queuesPerEntity) {
			delete(l, id+i)
		}
		if q := b.queues[id]; q != nil {
			b.removeEntity(q.ent)
		}
		return nil
	}
	q := b.queues[id]
	if q == nil { // of an entity removed since: read past it
		(&Queue{b: b, ent: &Entity{b: b}, gone: true}).redo(map[int64]*message{}, code[0], s, p)
		return nil
	}
	if l[id] == nil {
		l[id] = map[int64]*message{}
	}
	q.redo(l[id], code[0], s, p)
	return nil
}

func (b *Broker) redoEntity(id uint32, def []byte, p journal.Pos) error {
	var d definition
	if err := json.Unmarshal(def, &d); err != nil {
		return fmt.Errorf("%w: entity %d: %v", errRecord, id, err)
	}
	if err := compileAll(d.Rules); err != nil {
		return fmt.Errorf("%w: entity %d: %v", errRecord, id, err)
	}
	if q := b.queues[id]; q != nil {
		e := q.ent
		e.desc, e.rules, e.updated, e.accessed = d.Description, d.Rules, d.Updated, d.Accessed
		e.segment = p.Segment
		return nil
	}
	if d.Kind == KindSubscription && b.entities[pathKey(d.Topic)] == nil {
		return fmt.Errorf("%w: %s has no topic", errRecord, d.Path())
	}
	b.install(id, d).segment = p.Segment
	return nil
}

func (q *Queue) redo(messages map[int64]*message, code byte, s *scanner, p journal.Pos) {
	switch code {
	case opPut:
		q.redoPut(messages, s, p)
	case opState:
		q.redoState(s, p)
	case opSeen:
		at := int64(s.number())
		q.redoSeen(s.take(16), at, p)
	case opNext:
		q.next = max(q.next, int64(s.number()))
	default:
		q.redoChange(messages, code, s)
	}
}

func (q *Queue) redoPut(messages map[int64]*message, s *scanner, p journal.Pos) {
	m := &message{index: -1}
	m.seq, m.enqueued, m.at = int64(s.number()), int64(s.number()), int64(s.number())
	m.state, m.deliveries = State(s.number()), uint32(s.number())
	flags := s.number()
	if flags&putSession != 0 {
		if id := string(s.bytes()); q.sessionful() {
			m.session = q.session(id)
		}
	}
	if flags&putID != 0 {
		q.redoSeen(s.take(16), m.enqueued, p)
	}
	content := s.bytes()
	if s.err != nil {
		return
	}
	m.size = uint32(len(content))
	m.place = place{Segment: p.Segment, Offset: p.Offset + uint32(s.off-len(content))}
	q.next = max(q.next, m.seq)
	messages[m.seq] = m
}

func (q *Queue) redoSeen(h []byte, at int64, p journal.Pos) {
	if len(h) == 16 && q.ent.desc.RequiresDuplicateDetection && at > now()-q.window() {
		q.seen.add([16]byte(h), at, p.Segment)
	}
}

func (q *Queue) redoState(s *scanner, p journal.Pos) {
	updated, has := int64(s.number()), s.number()
	id, state := string(s.bytes()), s.bytes()
	if s.err != nil || !q.sessionful() {
		return
	}
	x := q.session(id)
	x.updated, x.segment, x.state = updated, p.Segment, nil
	if has == 1 {
		x.state = append([]byte(nil), state...)
	}
}

func (q *Queue) redoChange(messages map[int64]*message, code byte, s *scanner) {
	seq := int64(s.number())
	m := messages[seq]
	q.next = max(q.next, seq)
	switch code {
	case opDrop:
		delete(messages, seq)
	case opCount:
		if n := uint32(s.number()); m != nil {
			m.deliveries = n
		}
	case opDefer:
		if m != nil {
			m.state = Deferred
		}
	case opActivate:
		next, enqueued, at := int64(s.number()), int64(s.number()), int64(s.number())
		q.next = max(q.next, next)
		if m != nil {
			delete(messages, seq)
			m.seq, m.enqueued, m.at, m.state = next, enqueued, at, Active
			messages[next] = m
		}
	default:
		s.err = errRecord
	}
}

// build puts the messages that are left into their order.
func (q *Queue) build(messages map[int64]*message) {
	ordered := make([]*message, 0, len(messages))
	for _, m := range messages {
		ordered = append(ordered, m)
	}
	sort.Slice(ordered, func(i, j int) bool { return ordered[i].seq < ordered[j].seq })
	sort.SliceStable(q.seen.order, func(i, j int) bool { return q.seen.order[i].at < q.seen.order[j].at })
	for _, m := range ordered {
		q.b.live += int64(m.size)
		q.bytes += int64(m.size)
		q.all.add(m)
		q.tally(m, 1)
		if m.session != nil {
			m.session.messages++
		}
		if m.at > 0 {
			heap.Push(&q.times, m)
			q.b.alarm(m.at)
		}
		if m.state == Active {
			q.line(m).push(m)
		}
	}
	for _, s := range q.sessions {
		q.tidy(s)
	}
	for _, m := range ordered {
		if s := m.session; s != nil && s.line.n > 0 && !s.queued {
			s.queued = true
			q.available = append(q.available, s)
		}
	}
}
