package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// A record of the journal is a sequence of these changes, which take effect together.
const (
	opEntity   = 1 + iota // id, definition
	opRemoved             // id of an entity
	opPut                 // a message with its content
	opDrop                // a message is gone
	opCount               // a new delivery count
	opDefer               // a message is deferred
	opActivate            // a scheduled message is due: new sequence number
	opState               // the state of a session
	opSeen                // an entry of the duplicate history
	opNext                // the next sequence number of a queue
)

const (
	putSession = 1
	putID      = 2
)

// definition is what the journal keeps of an entity.
type definition struct {
	Description
	Rules    []Rule `json:"rules,omitempty"`
	Created  int64  `json:"created"`
	Updated  int64  `json:"updated"`
	Accessed int64  `json:"accessed,omitempty"`
}

func (t *transaction) op(code byte, numbers ...uint64) {
	t.rec = append(t.rec, code)
	for _, n := range numbers {
		t.rec = binary.AppendUvarint(t.rec, n)
	}
}

func (t *transaction) bytes(b []byte) {
	t.rec = binary.AppendUvarint(t.rec, uint64(len(b)))
	t.rec = append(t.rec, b...)
}

func (t *transaction) entity(e *Entity) error {
	def, err := json.Marshal(e.definition())
	if err != nil {
		return fmt.Errorf("entity %s: %w", e.Path(), err)
	}
	t.op(opEntity, uint64(e.main.id))
	t.bytes(def)
	return nil
}

// put records m in q; id is the key of the duplicate history, nil when the queue keeps none.
func (t *transaction) put(q *Queue, m *message, content []byte, id *[16]byte) {
	var flags uint64
	if m.session != nil {
		flags |= putSession
	}
	if id != nil {
		flags |= putID
	}
	t.op(opPut, uint64(q.id), uint64(m.seq), uint64(m.enqueued), uint64(m.at), uint64(m.state), uint64(m.deliveries), flags)
	if m.session != nil {
		t.bytes([]byte(m.session.id))
	}
	if id != nil {
		t.rec = append(t.rec, id[:]...)
	}
	t.bytes(content)
	t.puts = append(t.puts, staged{q: q, m: m, offset: len(t.rec) - len(content)})
}

// again records a message that stands in q already, with other content or in another place of the journal.
func (t *transaction) again(q *Queue, m *message, content []byte) {
	t.put(q, m, content, nil)
	last := len(t.puts) - 1
	t.moved = append(t.moved, t.puts[last])
	t.puts = t.puts[:last]
}

func (t *transaction) drop(m *message, q *Queue) { t.op(opDrop, uint64(q.id), uint64(m.seq)) }
func (t *transaction) count(m *message, q *Queue) {
	t.op(opCount, uint64(q.id), uint64(m.seq), uint64(m.deliveries))
}
func (t *transaction) deferred(m *message, q *Queue) {
	t.op(opDefer, uint64(q.id), uint64(m.seq))
}

func (t *transaction) state(q *Queue, s *session) {
	has := uint64(0)
	if s.state != nil {
		has = 1
	}
	t.op(opState, uint64(q.id), uint64(s.updated), has)
	t.bytes([]byte(s.id))
	t.bytes(s.state)
}

func (t *transaction) seen(q *Queue, h [16]byte, at int64) {
	t.op(opSeen, uint64(q.id), uint64(at))
	t.rec = append(t.rec, h[:]...)
}

// scanner reads the changes of a record.
type scanner struct {
	rec []byte
	off int
	err error
}

var errRecord = errors.New("a record of the journal cannot be read")

func (s *scanner) number() uint64 {
	if s.err != nil {
		return 0
	}
	n, w := binary.Uvarint(s.rec[s.off:])
	if w <= 0 {
		s.err = errRecord
		return 0
	}
	s.off += w
	return n
}

func (s *scanner) take(n uint64) []byte {
	if s.err != nil || n > uint64(len(s.rec)-s.off) {
		s.err = errRecord
		return nil
	}
	b := s.rec[s.off : s.off+int(n)]
	s.off += int(n)
	return b
}

func (s *scanner) bytes() []byte { return s.take(s.number()) }

func (s *scanner) more() bool { return s.err == nil && s.off < len(s.rec) }
