package store

import (
	"context"
	"database/sql/driver"
	"errors"
)

// Key names one document: the number of its container, its encoded partition key, its id.
type Key struct {
	Container int64
	Partition string
	ID        string
}

// Document is one stored document. RID numbers its creation, LSN its last write, both from one clock for all
// containers. Time and Expires are Unix seconds; Expires 0 is never. Reads leave out what they do not promise.
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
	d, found, epoch := s.cache.get(k)
	if !found {
		err := s.read(ctx, func(c *conn) (err error) {
			d, found, err = c.document(c.get, k)
			return err
		})
		if err != nil || !found {
			return Document{}, false, err
		}
		s.cache.offer(d, epoch)
	}
	if d.Expires > 0 && d.Expires <= now {
		return Document{}, false, nil
	}
	return d, true, nil
}

// document reads a document with c.get, or all of it but the body with c.head.
func (c *conn) document(stmt driver.Stmt, k Key) (d Document, found bool, err error) {
	err = c.query(stmt, []any{k.Container, k.Partition, k.ID}, func(v []driver.Value) error {
		d, found = Document{Key: k, RID: v[0].(int64), LSN: v[1].(int64), Expires: v[2].(int64)}, true
		if len(v) > 3 {
			d.Body = v[3].(string)
		}
		return nil
	})
	return d, found, err
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

// The first read of a walk is small, as most need only a page; later ones are long. None takes much memory.
const (
	firstChunk = 32
	chunk      = 256
	chunkBytes = 2 << 20
)

// Walk shows the committed documents of the range until yield returns false. Key and Body are set, beside them RID
// (Created), or LSN and Time (Changed). A walk is made of short reads: a document that is written meanwhile is
// seen either way; none is seen twice unless the value that it is walked by changes.
func (s *Store) Walk(ctx context.Context, r Range, yield func(Document) bool) error {
	if r.Index != nil {
		index := *r.Index
		r.Index = &index
	}
	for size := firstChunk; ; size = chunk {
		var docs []Document
		more := false
		err := s.read(ctx, func(c *conn) (err error) {
			docs, more, err = c.walk(&r, size)
			return err
		})
		if err != nil {
			return err
		}
		for _, d := range docs {
			if !yield(d) {
				return nil
			}
		}
		if !more {
			return nil
		}
	}
}

// errEnough ends a read whose documents are large.
var errEnough = errors.New("enough for one read")

// walk reads one chunk, moves the beginning of the range behind it and tells whether there may be more.
func (c *conn) walk(r *Range, size int) (docs []Document, more bool, err error) {
	docs = make([]Document, 0, size)
	bytes := 0
	stmt, args := c.scan(r, int64(size))
	err = c.query(stmt, args, func(v []driver.Value) error {
		d := r.next(v)
		docs = append(docs, d)
		if bytes += len(d.Body); bytes > chunkBytes {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return docs, true, nil
	}
	return docs, len(docs) == size, err
}

// next makes a document of a row and moves the beginning of the range behind it.
func (r *Range) next(v []driver.Value) Document {
	d := Document{Key: Key{r.Container, r.Partition, v[0].(string)}, Body: v[1].(string)}
	switch {
	case r.Created:
		d.Partition, d.RID = v[2].(string), v[3].(int64)
		r.After = d.RID
	case r.Changed:
		d.Partition, d.LSN, d.Time = v[2].(string), v[3].(int64), v[4].(int64)
		r.After = d.LSN
	case r.Index != nil:
		r.Index.After = v[2].([]byte)
	case !r.Exact:
		d.Partition = v[2].(string)
	}
	r.AfterKey = d.Key
	return d
}

func (c *conn) scan(r *Range, limit int64) (driver.Stmt, []any) {
	now := r.Now + 1
	switch {
	case r.Created:
		return c.scanCreated, []any{r.Container, r.After, now, now, limit}
	case r.Changed:
		return c.scanMoved, []any{r.Container, r.After, now, now, limit}
	case r.Index != nil:
		return c.scanIndex(r, limit)
	case r.Exact:
		return c.scanPartition, []any{r.Container, r.Partition, r.AfterKey.ID, now, now, limit}
	}
	return c.scanPrefix, []any{r.Container, max(r.Partition, r.AfterKey.Partition), r.AfterKey.ID, r.Partition + "\U0010FFFF", now, now, limit}
}

func (c *conn) scanIndex(r *Range, limit int64) (driver.Stmt, []any) {
	x, now := r.Index, r.Now+1
	stmt, after := c.scanUp, x.Low
	if x.Descending {
		stmt, after = c.scanDown, x.High
	}
	if x.After != nil {
		after = x.After
	}
	return stmt, []any{r.Container, x.Number, r.Partition, x.Low, x.High, after, r.AfterKey.ID, now, now, limit}
}

// Count is the number of entries of an index in a partition, expired documents among them.
func (s *Store) Count(ctx context.Context, partition string, x Index) (n int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(c.countEntries, []any{x.Number, partition, x.Low, x.High}, func(v []driver.Value) error {
			n = v[0].(int64)
			return nil
		})
	})
	return n, err
}

// TrackChanges makes walks in the order of changes, and LastChange, quick from now on. The first call reads all documents.
func (s *Store) TrackChanges(ctx context.Context) error {
	if s.tracked.Load() {
		return nil
	}
	err := s.Write(ctx, func(t *Tx) error {
		t.later(t.c.indexChanges)
		return nil
	})
	if err == nil {
		s.tracked.Store(true)
	}
	return err
}

// LastChange is the highest LSN in the container, 0 when it is empty.
func (s *Store) LastChange(ctx context.Context, container int64) (lsn int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(c.lastChange, []any{container}, func(v []driver.Value) error {
			lsn = v[0].(int64)
			return nil
		})
	})
	return lsn, err
}

// Resource is a database, container, offer or index as JSON text.
type Resource struct{ Kind, Name, Body string }

// Resources reads all of them.
func (s *Store) Resources(ctx context.Context) (list []Resource, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(c.resources, nil, func(v []driver.Value) error {
			list = append(list, Resource{v[0].(string), v[1].(string), v[2].(string)})
			return nil
		})
	})
	return list, err
}
