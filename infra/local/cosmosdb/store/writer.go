package store

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// groupSize bounds how many writes share one commit.
const groupSize = 256

type job struct {
	do   func(*Tx) error
	err  error
	done chan struct{}
}

// Write runs do inside the next transaction and returns after its commit. When do returns an error nothing of it is
// written and Write returns that error. do runs on the store's only writing goroutine: it must be quick and must not call
// the Store. Once Write has given the work away it waits for the outcome whatever ctx says, so that
// the caller never takes a committed write for a failed one.
func (s *Store) Write(ctx context.Context, do func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{do: do, done: make(chan struct{})}
	select {
	case <-s.stop:
		return ErrClosed
	default:
	}
	select {
	case s.jobs <- j:
	case <-s.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-j.done:
		return j.err
	case <-s.stopped:
	}
	select {
	case <-j.done:
		return j.err
	default:
		return ErrClosed
	}
}

// write is the writing goroutine.
func (s *Store) write() {
	defer close(s.stopped)
	for {
		select {
		case j := <-s.jobs:
			s.commitGroup(s.gather(j))
		case <-s.stop:
			for {
				select {
				case j := <-s.jobs:
					s.commitGroup(s.gather(j))
				default:
					return
				}
			}
		}
	}
}

// gather takes what waits already; it does not wait for more.
func (s *Store) gather(first *job) []*job {
	group := []*job{first}
	for len(group) < groupSize {
		select {
		case j := <-s.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

func (s *Store) commitGroup(group []*job) {
	c := <-s.writer
	defer func() { s.writer <- c }()
	clock := s.clock
	if err := s.runGroup(c, group); err != nil {
		s.clock = clock
		if _, undo := c.exec(c.rollback); undo != nil {
			err = fmt.Errorf("%w (rollback: %w)", err, undo)
		}
		for _, j := range group {
			j.err = fmt.Errorf("commit: %w", err)
		}
	}
	for _, j := range group {
		close(j.done)
	}
}

// runGroup fails only when SQLite does; what a job itself refuses stays in the job.
func (s *Store) runGroup(c *conn, group []*job) error {
	if _, err := c.exec(c.begin); err != nil {
		return err
	}
	before := s.clock
	for _, j := range group {
		tx := &Tx{c: c, clock: s.clock}
		if j.err = j.do(tx); j.err != nil {
			if tx.broken != nil {
				return tx.broken
			}
			continue
		}
		if err := tx.apply(); err != nil {
			return err
		}
		s.clock = tx.clock
	}
	if s.clock != before {
		if _, err := c.exec(c.setClock, s.clock); err != nil {
			return err
		}
	}
	_, err := c.exec(c.commit)
	return err
}

// Tx is one write. It sees the committed state, earlier writes of its group, and its own; what it changes is kept back until do has
// returned without an error.
type Tx struct {
	c       *conn
	clock   int64
	changes []func(*conn) error
	pending map[Key]*Document // nil: removed
	unique  map[Key]string    // ID of the Key is the unique value; "" is free
	broken  error
}

// Next is a fresh sequence number.
func (t *Tx) Next() int64 {
	t.clock++
	return t.clock
}

func (t *Tx) apply() error {
	for _, change := range t.changes {
		if err := change(t.c); err != nil {
			return err
		}
	}
	return nil
}

// Get reads a document.
func (t *Tx) Get(k Key) (Document, bool, error) {
	if d, ok := t.pending[k]; ok {
		if d == nil {
			return Document{}, false, nil
		}
		return *d, true, nil
	}
	d, found, err := t.c.document(k)
	t.broken = err
	return d, found, err
}

// Put creates or replaces a document. Its RID must be the old one when there is one.
func (t *Tx) Put(d Document) {
	t.keep(d.Key, &d)
	t.changes = append(t.changes, func(c *conn) error {
		_, err := c.exec(c.put, d.Container, d.Partition, d.ID, d.RID, d.LSN, d.ETag, d.Time, d.Expires, d.Body)
		return err
	})
}

// Remove deletes a document.
func (t *Tx) Remove(k Key) {
	t.keep(k, nil)
	t.changes = append(t.changes, func(c *conn) error {
		_, err := c.exec(c.remove, k.Container, k.Partition, k.ID)
		return err
	})
}

func (t *Tx) keep(k Key, d *Document) {
	if t.pending == nil {
		t.pending = map[Key]*Document{}
	}
	t.pending[k] = d
}

// Unique tells which document holds the unique value (the ID of k) in its partition, "" for none.
func (t *Tx) Unique(k Key) (id string, err error) {
	if id, ok := t.unique[k]; ok {
		return id, nil
	}
	err = t.c.query(t.c.getUnique, []any{k.Container, k.Partition, k.ID}, func(v []driver.Value) error {
		id = v[0].(string)
		return nil
	})
	t.broken = err
	return id, err
}

// SetUnique gives the unique value to the document id, or frees it with "".
func (t *Tx) SetUnique(k Key, id string) {
	if t.unique == nil {
		t.unique = map[Key]string{}
	}
	t.unique[k] = id
	t.changes = append(t.changes, func(c *conn) (err error) {
		if id == "" {
			_, err = c.exec(c.removeUnique, k.Container, k.Partition, k.ID)
		} else {
			_, err = c.exec(c.putUnique, k.Container, k.Partition, k.ID, id)
		}
		return err
	})
}

// RemoveContainer deletes every document of the container.
func (t *Tx) RemoveContainer(container int64) {
	t.changes = append(t.changes, func(c *conn) error {
		if _, err := c.exec(c.removeUniques, container); err != nil {
			return err
		}
		_, err := c.exec(c.removeContainer, container)
		return err
	})
}

// SetResource writes a resource.
func (t *Tx) SetResource(r Resource) {
	t.changes = append(t.changes, func(c *conn) error {
		_, err := c.exec(c.setResource, r.Kind, r.Name, r.Body)
		return err
	})
}

// RemoveResource deletes one.
func (t *Tx) RemoveResource(kind, name string) {
	t.changes = append(t.changes, func(c *conn) error {
		_, err := c.exec(c.removeResource, kind, name)
		return err
	})
}

// Expired are documents whose time has passed, at most limit.
func (t *Tx) Expired(now int64, limit int) (keys []Document, err error) {
	err = t.c.query(t.c.scanExpired, []any{now, int64(limit)}, func(v []driver.Value) error {
		keys = append(keys, documentOf(v))
		return nil
	})
	t.broken = err
	return keys, err
}
