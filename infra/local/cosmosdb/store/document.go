package store

import (
	"context"
	"strings"
)

// Key names one document: the number of its container, its encoded partition key, its id.
type Key struct {
	Container int64
	Partition string
	ID        string
}

// Document is one stored document. RID numbers its creation, LSN its last write, both from one clock for all
// containers. Time and Expires are Unix seconds; Expires 0 is never.
type Document struct {
	Key
	RID     int64
	LSN     int64
	Time    int64
	Expires int64
	Body    string
}

// Get reads a committed document that has not expired at now.
func (s *Store) Get(ctx context.Context, k Key, now int64) (Document, bool, error) {
	v, err := s.view(ctx)
	if err != nil {
		return Document{}, false, err
	}
	r := v.get(keyRow(documents, k))
	if r == nil || !r.alive(now) {
		return Document{}, false, nil
	}
	return r.document(), true, nil
}

// Range says which documents of a container to walk, and in which order.
type Range struct {
	Container int64
	Now       int64  // Unix time: documents that have expired by then are left out
	Partition string // with Exact: this partition, in the order of ids; else every partition with this prefix, in the order of partition and id
	Exact     bool
	Created   bool   // the whole container in the order of creation; Partition is not used
	Changed   bool   // the whole container in the order of the last write
	AfterKey  Key    // begin after this partition and id
	After     int64  // begin after this RID (Created) or LSN (Changed)
	Index     *Index // the entries of an index in the partition instead, in the order of value and id
}

// Index narrows a walk to the entries of an index from Low up to, without it, High.
type Index struct {
	Number     int64
	Low, High  []byte
	Descending bool
	After      []byte // with AfterKey.ID: begin beyond this value and id; nil begins at the end
}

// patience is how many documents a walk passes before it looks whether anybody still waits for them.
const patience = 256

// Walk shows the documents of the range, as they were committed when the walk began, until yield returns false.
func (s *Store) Walk(ctx context.Context, r Range, yield func(Document) bool) error {
	v, err := s.view(ctx)
	if err != nil {
		return err
	}
	n := 0
	v.walk(r, func(d *row) bool {
		if n++; n%patience == 0 {
			if err = ctx.Err(); err != nil {
				return false
			}
		}
		return !d.alive(r.Now) || yield(d.document())
	})
	return err
}

func (s *state) walk(r Range, yield func(*row) bool) {
	inside := func(d *row) bool { return d.space == r.Container }
	from := &row{table: documents, space: r.Container}
	order := s.tables[documents]
	switch {
	case r.Index != nil:
		s.walkIndex(r, yield)
		return
	case r.Created:
		from.rid, order = r.After+1, s.created
	case r.Changed:
		from.at, order = r.After+1, s.changed
	case r.Exact:
		from.partition, from.id = r.Partition, r.AfterKey.ID+"\x00"
		inside = func(d *row) bool { return d.space == r.Container && d.partition == r.Partition }
	default:
		from.partition, from.id = max(r.Partition, r.AfterKey.Partition), r.AfterKey.ID+"\x00"
		inside = func(d *row) bool { return d.space == r.Container && strings.HasPrefix(d.partition, r.Partition) }
	}
	order.Ascend(from, func(d *row) bool { return inside(d) && yield(d) })
}

// walkIndex fetches the documents of the entries on the way.
func (s *state) walkIndex(r Range, yield func(*row) bool) {
	x, low, high := r.Index, string(r.Index.Low), string(r.Index.High)
	visit := func(e *row) bool {
		if e.space != x.Number || e.partition != r.Partition || e.text < low || e.text >= high {
			return false
		}
		d := s.get(&row{table: documents, space: r.Container, partition: e.partition, id: e.id})
		return d == nil || yield(d)
	}
	from := entry(x.Number, r.Partition, x.Low, "")
	if x.Descending {
		from.text = high
	}
	if x.After != nil {
		from.text, from.id = string(x.After), r.AfterKey.ID
	}
	if !x.Descending {
		if x.After != nil {
			from.id += "\x00"
		}
		s.tables[entries].Ascend(from, visit)
		return
	}
	s.tables[entries].Descend(from, func(e *row) bool { return !byKey(e, from) || visit(e) })
}

// Count is the number of entries of an index in a partition, expired documents among them.
func (s *Store) Count(ctx context.Context, partition string, x Index) (int64, error) {
	v, err := s.view(ctx)
	if err != nil {
		return 0, err
	}
	return v.count(x.Number, partition, string(x.Low), string(x.High)), nil
}

// LastChange is the highest LSN in the container, 0 when it is empty.
func (s *Store) LastChange(ctx context.Context, container int64) (int64, error) {
	v, err := s.view(ctx)
	if err != nil {
		return 0, err
	}
	return v.lastChange(container), nil
}

// Resource is a database, container, offer or index as JSON text.
type Resource struct{ Kind, Name, Body string }

// Resources reads all of them.
func (s *Store) Resources(ctx context.Context) (list []Resource, err error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	v.tables[resources].Scan(func(r *row) bool {
		list = append(list, Resource{r.partition, r.id, r.text})
		return true
	})
	return list, nil
}
