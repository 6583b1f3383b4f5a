package store

import (
	"context"
	"database/sql/driver"
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
	ETag    string
	Time    int64
	Expires int64
	Body    string
}

func documentOf(v []driver.Value) Document {
	return Document{
		Key:     Key{v[0].(int64), v[1].(string), v[2].(string)},
		RID:     v[3].(int64),
		LSN:     v[4].(int64),
		ETag:    v[5].(string),
		Time:    v[6].(int64),
		Expires: v[7].(int64),
		Body:    v[8].(string),
	}
}

func (c *conn) document(k Key) (d Document, found bool, err error) {
	err = c.query(c.get, []any{k.Container, k.Partition, k.ID}, func(v []driver.Value) error {
		d, found = documentOf(v), true
		return nil
	})
	return d, found, err
}

// Get reads one committed document.
func (s *Store) Get(ctx context.Context, k Key) (d Document, found bool, err error) {
	err = s.read(ctx, func(c *conn) error {
		d, found, err = c.document(k)
		return err
	})
	return d, found, err
}

// Range says which documents of a container to walk, and in which order.
type Range struct {
	Container int64
	Partition string // with Exact: this partition, in the order of ids; else every partition with this prefix, in the order of partition and id
	Exact     bool
	Created   bool  // the whole container in the order of creation; Partition is not used
	Changed   bool  // the whole container in the order of the last write
	AfterKey  Key   // begin after this partition and id
	After     int64 // begin after this RID (Created) or LSN (Changed)
}

// chunk is how many documents one read of the file takes, so that a long walk does not hold a connection.
const chunk = 256

// Walk shows the committed documents of the range until yield returns false. The walk is made of short reads: a
// document that is written meanwhile is seen either way, none is seen twice unless its order is that of changes.
func (s *Store) Walk(ctx context.Context, r Range, yield func(Document) bool) error {
	size := 32
	for {
		docs := make([]Document, 0, size)
		err := s.read(ctx, func(c *conn) error {
			stmt, args := c.walk(r, size)
			return c.query(stmt, args, func(v []driver.Value) error {
				docs = append(docs, documentOf(v))
				return nil
			})
		})
		if err != nil {
			return err
		}
		for _, d := range docs {
			if !yield(d) {
				return nil
			}
		}
		if len(docs) < size {
			return nil
		}
		last := docs[len(docs)-1]
		r.AfterKey = last.Key
		r.After = last.RID
		if r.Changed {
			r.After = last.LSN
		}
		size = chunk
	}
}

func (c *conn) walk(r Range, size int) (driver.Stmt, []any) {
	switch limit := int64(size); {
	case r.Created:
		return c.scanCreated, []any{r.Container, r.After, limit}
	case r.Changed:
		return c.scanMoved, []any{r.Container, r.After, limit}
	case r.Exact:
		return c.scanPartition, []any{r.Container, r.Partition, r.AfterKey.ID, limit}
	default:
		from := max(r.Partition, r.AfterKey.Partition)
		return c.scanPrefix, []any{r.Container, from, r.AfterKey.ID, r.Partition + "\U0010FFFF", limit}
	}
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

// Resource is a database, container or offer as JSON text.
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
