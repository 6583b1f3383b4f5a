package store

// Tx is one write. It sees the committed state, earlier writes of its group, and its own; what it changes is kept
// back until the work has returned without an error.
type Tx struct {
	state   *state
	clock   int64
	changes []change
	pending map[Key]*row // documents of its own; nil: removed
	unique  map[Key]string
}

func (t *Tx) later(v verb, r *row) { t.changes = append(t.changes, change{v, r}) }

// Next is a fresh sequence number.
func (t *Tx) Next() int64 {
	t.clock++
	return t.clock
}

// Get reads a document, an expired one too.
func (t *Tx) Get(k Key) (Document, bool) {
	r, own := t.pending[k]
	if !own {
		r = t.state.get(keyRow(documents, k))
	}
	if r == nil {
		return Document{}, false
	}
	return r.document(), true
}

// Put creates or replaces a document. Its RID must be the old one when there is one, its LSN must be new.
func (t *Tx) Put(d Document) {
	r := documentRow(d)
	t.keep(d.Key, r)
	t.later(set, r)
}

// Remove deletes a document.
func (t *Tx) Remove(k Key) {
	t.keep(k, nil)
	t.later(drop, keyRow(documents, k))
}

func (t *Tx) keep(k Key, r *row) {
	if t.pending == nil {
		t.pending = map[Key]*row{}
	}
	t.pending[k] = r
}

// Unique tells which document holds the unique value (the ID of k) in its partition, "" for none.
func (t *Tx) Unique(k Key) string {
	if id, own := t.unique[k]; own {
		return id
	}
	if r := t.state.get(keyRow(uniques, k)); r != nil {
		return r.text
	}
	return ""
}

// SetUnique gives the unique value to the document id, or frees it with "".
func (t *Tx) SetUnique(k Key, id string) {
	if t.unique == nil {
		t.unique = map[Key]string{}
	}
	t.unique[k] = id
	r := keyRow(uniques, k)
	if id == "" {
		t.later(drop, r)
		return
	}
	r.text, r.at = id, t.Next()
	t.later(set, r)
}

func entry(index int64, partition string, value []byte, id string) *row {
	return &row{table: entries, space: index, partition: partition, text: string(value), id: id}
}

// AddEntry puts a document into an index.
func (t *Tx) AddEntry(index int64, partition string, value []byte, id string) {
	r := entry(index, partition, value, id)
	r.at = t.Next()
	t.later(set, r)
}

// RemoveEntry takes it out again.
func (t *Tx) RemoveEntry(index int64, partition string, value []byte, id string) {
	t.later(drop, entry(index, partition, value, id))
}

// RemoveIndex empties an index.
func (t *Tx) RemoveIndex(index int64) { t.later(wipe, &row{table: entries, space: index}) }

// RemoveContainer deletes every document of the container.
func (t *Tx) RemoveContainer(container int64) {
	t.later(wipe, &row{table: uniques, space: container})
	t.later(wipe, &row{table: documents, space: container})
}

// SetResource writes a resource.
func (t *Tx) SetResource(r Resource) {
	t.later(set, &row{table: resources, partition: r.Kind, id: r.Name, text: r.Body, at: t.Next()})
}

// RemoveResource deletes one.
func (t *Tx) RemoveResource(kind, name string) {
	t.later(drop, &row{table: resources, partition: kind, id: name})
}

// Created are the next documents of a container in the order of their creation, without those of this write.
func (t *Tx) Created(container, after int64, limit int) (list []Document) {
	t.state.created.Ascend(&row{space: container, rid: after + 1}, func(r *row) bool {
		if r.space != container || len(list) == limit {
			return false
		}
		list = append(list, r.document())
		return true
	})
	return list
}

// Expired are documents whose time has passed.
func (t *Tx) Expired(now int64, limit int) (list []Document) {
	t.state.expiring.Scan(func(r *row) bool {
		if r.alive(now) || len(list) == limit {
			return false
		}
		list = append(list, r.document())
		return true
	})
	return list
}
