package store

import "database/sql/driver"

// Tx is one write. It sees the committed state, earlier writes of its group, and its own; what it changes is kept
// back until the work has returned without an error.
type Tx struct {
	c       *conn
	cache   *cache
	group   map[Key]*Document // what earlier writes of the group have changed; nil: removed
	clock   int64
	cleared bool // a whole container was removed
	changes []change
	pending map[Key]*Document // nil: removed
	unique  map[Key]string    // the ID of the Key is the unique value; "" is free
	broken  error
}

// change is one statement that waits.
type change struct {
	stmt driver.Stmt
	args []any
}

func (t *Tx) later(stmt driver.Stmt, args ...any) {
	t.changes = append(t.changes, change{stmt, args})
}

func (t *Tx) apply() error {
	for _, c := range t.changes {
		if err := t.c.exec(c.stmt, c.args...); err != nil {
			return err
		}
	}
	return nil
}

// query notes a failure of SQLite, which ends the whole group.
func (t *Tx) query(stmt driver.Stmt, args []any, use func([]driver.Value) error) error {
	err := t.c.query(stmt, args, use)
	if err != nil {
		t.broken = err
	}
	return err
}

// Next is a fresh sequence number.
func (t *Tx) Next() int64 {
	t.clock++
	return t.clock
}

// Head reads a document whose body is not needed; an expired one too.
func (t *Tx) Head(k Key) (Document, bool, error) { return t.document(k, t.c.head) }

// Get reads a document, an expired one too.
func (t *Tx) Get(k Key) (Document, bool, error) { return t.document(k, t.c.get) }

func (t *Tx) document(k Key, stmt driver.Stmt) (Document, bool, error) {
	for _, layer := range []map[Key]*Document{t.pending, t.group} {
		if d, ok := layer[k]; ok {
			if d == nil {
				return Document{}, false, nil
			}
			return *d, true, nil
		}
	}
	if d, found, _ := t.cache.get(k); found && !t.cleared {
		return d, true, nil
	}
	d, found, err := t.c.document(stmt, k)
	if err != nil {
		t.broken = err
	}
	return d, found, err
}

// Put creates or replaces a document. Its RID must be the old one when there is one.
func (t *Tx) Put(d Document) {
	t.keep(d.Key, &d)
	t.later(t.c.put, d.Container, d.Partition, d.ID, d.RID, d.LSN, d.Time, d.Expires, d.Body)
}

// Remove deletes a document.
func (t *Tx) Remove(k Key) {
	t.keep(k, nil)
	t.later(t.c.remove, k.Container, k.Partition, k.ID)
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
	err = t.query(t.c.getUnique, []any{k.Container, k.Partition, k.ID}, func(v []driver.Value) error {
		id = v[0].(string)
		return nil
	})
	return id, err
}

// SetUnique gives the unique value to the document id, or frees it with "".
func (t *Tx) SetUnique(k Key, id string) {
	if t.unique == nil {
		t.unique = map[Key]string{}
	}
	t.unique[k] = id
	if id == "" {
		t.later(t.c.removeUnique, k.Container, k.Partition, k.ID)
		return
	}
	t.later(t.c.putUnique, k.Container, k.Partition, k.ID, id)
}

// AddEntry puts a document into an index.
func (t *Tx) AddEntry(index int64, partition string, value []byte, id string) {
	t.later(t.c.putEntry, index, partition, value, id)
}

// RemoveEntry takes it out again.
func (t *Tx) RemoveEntry(index int64, partition string, value []byte, id string) {
	t.later(t.c.removeEntry, index, partition, value, id)
}

// RemoveIndex empties an index.
func (t *Tx) RemoveIndex(index int64) { t.later(t.c.removeIndex, index) }

// RemoveContainer deletes every document of the container.
func (t *Tx) RemoveContainer(container int64) {
	t.cleared = true
	t.later(t.c.removeUniques, container)
	t.later(t.c.removeContainer, container)
}

// SetResource writes a resource.
func (t *Tx) SetResource(r Resource) { t.later(t.c.setResource, r.Kind, r.Name, r.Body) }

// RemoveResource deletes one.
func (t *Tx) RemoveResource(kind, name string) { t.later(t.c.removeResource, kind, name) }

// Created are the next committed documents of a container in the order of their creation, with key, body and RID.
func (t *Tx) Created(container, after int64, limit int) (list []Document, err error) {
	const never = 0 // no document has expired at the beginning of time
	err = t.query(t.c.scanCreated, []any{container, after, int64(never), int64(never), int64(limit)}, func(v []driver.Value) error {
		list = append(list, Document{Key: Key{container, v[2].(string), v[0].(string)}, Body: v[1].(string), RID: v[3].(int64)})
		return nil
	})
	return list, err
}

// Expired are documents whose time has passed, with key and body.
func (t *Tx) Expired(now int64, limit int) (list []Document, err error) {
	err = t.query(t.c.scanExpired, []any{now, int64(limit)}, func(v []driver.Value) error {
		list = append(list, Document{Key: Key{v[0].(int64), v[1].(string), v[2].(string)}, Body: v[3].(string)})
		return nil
	})
	return list, err
}
