package store

import (
	"encoding/binary"
	"math"
	"sort"

	"github.com/tidwall/btree"
)

type tree = btree.BTreeG[*row]

// state is everything at one moment. A fork may be changed; what it was taken from stays as it is.
type state struct {
	tables   [tableCount]*tree
	created  *tree // documents by container and the number of their creation
	changed  *tree // documents by container and the number of their last write
	expiring *tree // documents that expire, the first to go first
	clock    int64
	live     int64 // bytes that the journal needs for all of it
}

func newTree(less func(a, b *row) bool) *tree {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func newState() *state {
	s := &state{created: newTree(byCreation), changed: newTree(byChange), expiring: newTree(byExpiry)}
	for t := range s.tables {
		s.tables[t] = newTree(byKey)
	}
	return s
}

func (s *state) fork() *state {
	f := &state{created: s.created.Copy(), changed: s.changed.Copy(), expiring: s.expiring.Copy(), clock: s.clock, live: s.live}
	for t := range s.tables {
		f.tables[t] = s.tables[t].Copy()
	}
	return f
}

func (s *state) get(key *row) *row {
	r, _ := s.tables[key.table].Get(key)
	return r
}

func (s *state) apply(c change) {
	switch c.verb {
	case set:
		s.set(c.row)
	case drop:
		if old, found := s.tables[c.table].Delete(c.row); found {
			s.forget(old)
		}
	case wipe:
		for _, r := range s.space(c.table, c.space) {
			s.apply(change{drop, r})
		}
	}
}

func (s *state) set(r *row) {
	old, found := s.tables[r.table].Set(r)
	if found {
		s.forget(old)
	}
	s.live += r.size()
	if r.table != documents {
		return
	}
	s.created.Set(r)
	s.changed.Set(r)
	if r.expires > 0 {
		s.expiring.Set(r)
	}
}

// forget takes a row out of the orders beside its table.
func (s *state) forget(r *row) {
	s.live -= r.size()
	if r.table != documents {
		return
	}
	s.created.Delete(r)
	s.changed.Delete(r)
	if r.expires > 0 {
		s.expiring.Delete(r)
	}
}

// space is every row of a container or an index.
func (s *state) space(t table, space int64) (list []*row) {
	s.tables[t].Ascend(&row{table: t, space: space}, func(r *row) bool {
		if r.space == space {
			list = append(list, r)
		}
		return r.space == space
	})
	return list
}

// redo applies a record of the journal.
func (s *state) redo(rec []byte) error {
	if len(rec) < clockBytes {
		return errRecord
	}
	s.clock = max(s.clock, int64(binary.BigEndian.Uint64(rec)))
	return changesOf(rec[clockBytes:], func(c change) error {
		s.apply(c)
		return nil
	})
}

// lastChange is the highest number of a write among the documents of a container that are there, 0 when it is empty.
func (s *state) lastChange(container int64) (lsn int64) {
	s.changed.Descend(&row{space: container, at: math.MaxInt64}, func(r *row) bool {
		if r.space == container {
			lsn = r.at
		}
		return false
	})
	return lsn
}

// count is how many entries of an index lie between two values in a partition.
func (s *state) count(index int64, partition, low, high string) int64 {
	before := func(value string) int {
		end := &row{table: entries, space: index, partition: partition, text: value}
		return sort.Search(s.tables[entries].Len(), func(i int) bool {
			r, _ := s.tables[entries].GetAt(i)
			return !byKey(r, end)
		})
	}
	return int64(before(high) - before(low))
}
