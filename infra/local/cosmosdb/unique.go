package cosmosdb

import (
	"context"
	"slices"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

// uniqueKeys are the encoded values of the unique keys of a document in its partition.
func (k *container) uniqueKeys(partition string, doc value.Value) []store.Key {
	var keys []store.Key
	for i, paths := range k.uniques {
		values := []value.Value{value.OfNumber(float64(i))}
		for _, p := range paths {
			values = append(values, at(doc, p))
		}
		keys = append(keys, store.Key{Container: k.number, Partition: partition, ID: encodePartition(values)})
	}
	return keys
}

// claim takes the unique values of the new document, after those of the old one are free.
func (k *container) claim(t *store.Tx, old store.Document, found bool, key store.Key, doc value.Value) error {
	if len(k.uniques) == 0 {
		return nil
	}
	wanted := k.uniqueKeys(key.Partition, doc)
	for _, u := range wanted {
		if holder := t.Unique(u); holder != "" && holder != key.ID {
			f := conflict()
			f.message = "Unique index constraint violation."
			return f
		}
	}
	if found {
		for _, u := range k.uniqueKeys(key.Partition, value.Lazy(old.Body)) {
			if !slices.Contains(wanted, u) {
				t.SetUnique(u, "")
			}
		}
	}
	for _, u := range wanted {
		if t.Unique(u) != key.ID {
			t.SetUnique(u, key.ID)
		}
	}
	return nil
}

// forget gives up the unique values and the index entries of a document that goes.
func (k *container) forget(t *store.Tx, old store.Document) {
	if len(k.uniques) == 0 && len(k.indexes()) == 0 {
		return
	}
	doc := value.Lazy(old.Body)
	for _, u := range k.uniqueKeys(old.Partition, doc) {
		t.SetUnique(u, "")
	}
	for _, x := range k.indexes() {
		t.RemoveEntry(x.number, old.Partition, x.key(doc), old.ID)
	}
}

// sweep is how many expired documents one transaction removes.
const sweep = 500

// removeExpired deletes documents whose time to live has passed.
func (s *Server) removeExpired(ctx context.Context, now time.Time) error {
	for {
		n := 0
		err := s.store.Write(ctx, func(t *store.Tx) error {
			old := t.Expired(now.Unix(), sweep)
			n = len(old)
			for _, d := range old {
				if k := s.catalog.byNumber(d.Container); k != nil {
					k.forget(t, d)
				}
				t.Remove(d.Key)
			}
			return nil
		})
		if err != nil || n < sweep {
			return err
		}
	}
}

func (c *catalog) byNumber(number int64) *container {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.containers {
		if k.number == number {
			return k
		}
	}
	return nil
}
