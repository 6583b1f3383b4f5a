package cosmosdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

// Azure indexes every property of every document. Here an index is made when a query has shown that it would help: it
// looked at many documents of a partition and used few. Small partitions never pay for one; after it is built, a query costs
// what it returns, however many documents the partition holds.

const (
	wasteful   = 200 // documents looked at in vain that make an index worth its price
	maxIndexes = 8   // for each container
	backfill   = 200 // documents that one transaction adds to a new index
)

// propertyIndex sorts the documents of each partition by the values at its paths.
type propertyIndex struct {
	number int64
	paths  [][]string
	ready  bool // complete; until then only writers know it
}

// indexRecord is an index in the store.
type indexRecord struct {
	Container int64      `json:"container"`
	Paths     [][]string `json:"paths"`
	Ready     bool       `json:"ready"`
}

func (x *propertyIndex) name() string { return strconv.FormatInt(x.number, 10) }

// key is where a document stands in the index.
func (x *propertyIndex) key(doc value.Value) []byte {
	var b []byte
	for _, p := range x.paths {
		b = at(doc, p).AppendKey(b)
	}
	return b
}

func (x *propertyIndex) record(container int64) (store.Resource, error) {
	b, err := json.Marshal(indexRecord{container, x.paths, x.ready})
	return store.Resource{Kind: kindIndex, Name: x.name(), Body: string(b)}, err
}

func (k *container) indexes() []*propertyIndex {
	if list := k.state.indexes.Load(); list != nil {
		return *list
	}
	return nil
}

// setIndexes is for the writing goroutine, and for the time before the server serves.
func (k *container) setIndexes(list []*propertyIndex) { k.state.indexes.Store(&list) }

// reindex moves a document to its new place in every index. System properties can be indexed too, so it reads complete bodies.
func (k *container) reindex(t *store.Tx, old store.Document, found bool, d store.Document) {
	for _, x := range k.indexes() {
		now := x.key(value.Lazy(d.Body))
		if found {
			before := x.key(value.Lazy(old.Body))
			if string(before) == string(now) {
				continue
			}
			t.RemoveEntry(x.number, d.Partition, before, d.ID)
		}
		t.AddEntry(x.number, d.Partition, now, d.ID)
	}
}

// loadIndexes gives the containers their indexes back. One whose building was cut off is dropped: a query will ask again.
func (c *catalog) loadIndexes(ctx context.Context, s *store.Store, list []store.Resource) error {
	for _, r := range list {
		if r.Kind != kindIndex {
			continue
		}
		var rec indexRecord
		if err := json.Unmarshal([]byte(r.Body), &rec); err != nil {
			return fmt.Errorf("load index %s: %w", r.Name, err)
		}
		number, err := strconv.ParseInt(r.Name, 10, 64)
		if err != nil {
			return fmt.Errorf("load index %s: %w", r.Name, err)
		}
		k := c.byNumber(rec.Container)
		if k != nil && rec.Ready {
			k.setIndexes(append(k.indexes(), &propertyIndex{number, rec.Paths, true}))
			continue
		}
		err = s.Write(ctx, func(t *store.Tx) error {
			t.RemoveIndex(number)
			t.RemoveResource(kindIndex, r.Name)
			return nil
		})
		if err != nil {
			return fmt.Errorf("drop index %s: %w", r.Name, err)
		}
	}
	return nil
}

// wish is an index that a query would have liked.
type wish struct {
	container *container
	paths     [][]string
}

// wishFor asks for an index; when one is being built already the wish is lost and comes again with the next query.
func (s *Server) wishFor(k *container, paths [][]string) {
	if len(paths) == 0 || len(k.indexes()) >= maxIndexes || k.hasIndex(paths) {
		return
	}
	select {
	case s.wishes <- wish{k, paths}:
	default:
	}
}

func (k *container) hasIndex(paths [][]string) bool {
	return slices.ContainsFunc(k.indexes(), func(x *propertyIndex) bool { return slices.EqualFunc(x.paths, paths, slices.Equal) })
}

// build makes an index: first writers keep it up to date, then the older documents are added, then queries may use it.
func (s *Server) build(ctx context.Context, w wish) error {
	k := w.container
	x := &propertyIndex{paths: w.paths}
	err := s.store.Write(ctx, func(t *store.Tx) error {
		if k.state.gone.Load() || k.hasIndex(w.paths) {
			return errNoIndex
		}
		x.number = t.Next()
		r, err := x.record(k.number)
		if err != nil {
			return err
		}
		t.SetResource(r)
		k.setIndexes(append(slices.Clone(k.indexes()), x))
		return nil
	})
	if err == nil {
		err = s.backfill(ctx, k, x)
	}
	if err == nil {
		err = s.finish(ctx, k, x)
	}
	if err != nil {
		return errors.Join(err, s.abandon(ctx, k, x))
	}
	return nil
}

// abandon drops an index that could not be finished.
func (s *Server) abandon(ctx context.Context, k *container, x *propertyIndex) error {
	if x.number == 0 {
		return nil
	}
	return s.store.Write(ctx, func(t *store.Tx) error {
		k.setIndexes(slices.DeleteFunc(slices.Clone(k.indexes()), func(y *propertyIndex) bool { return y == x }))
		t.RemoveIndex(x.number)
		t.RemoveResource(kindIndex, x.name())
		return nil
	})
}

// errNoIndex ends a build that is not wanted any more.
var errNoIndex = errors.New("no index needed")

func (s *Server) backfill(ctx context.Context, k *container, x *propertyIndex) error {
	after, n := int64(0), backfill
	for n == backfill {
		err := s.store.Write(ctx, func(t *store.Tx) error {
			if k.state.gone.Load() {
				return errNoIndex
			}
			docs := t.Created(k.number, after, backfill)
			for _, d := range docs {
				t.AddEntry(x.number, d.Partition, x.key(value.Lazy(d.Body)), d.ID)
				after = d.RID
			}
			n = len(docs)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) finish(ctx context.Context, k *container, x *propertyIndex) error {
	done := &propertyIndex{x.number, x.paths, true}
	r, err := done.record(k.number)
	if err != nil {
		return err
	}
	return s.store.Write(ctx, func(t *store.Tx) error {
		if k.state.gone.Load() {
			return errNoIndex
		}
		t.SetResource(r)
		list := slices.Clone(k.indexes())
		list[slices.Index(list, x)] = done
		k.setIndexes(list)
		return nil
	})
}

// access is how a query could use an index.
type access struct {
	pins   []sql.Pin  // equalities with scalars, one for each path, sorted by it
	paths  [][]string // of the index that would suit best: the pins, then the order
	prefix []byte     // where the entries of the index in use begin: the values of its pins
	exact  bool       // the pins are the whole filter, and those of the index in use all of them
}

// access looks at the equalities and the order of the plan. Equalities with the partition key cost nothing and help nothing.
func (f *search) access() access {
	a := access{exact: f.plan.Exact}
	pins := slices.Clone(f.plan.Pins)
	slices.SortStableFunc(pins, func(x, y sql.Pin) int { return strings.Compare(strings.Join(x.Path, "/"), strings.Join(y.Path, "/")) })
	for i, p := range pins {
		switch {
		case p.Value.Kind() == value.Undefined || p.Value.Kind() >= value.Array || i > 0 && slices.Equal(p.Path, pins[i-1].Path):
			a.exact = false
		case slices.ContainsFunc(f.container.paths, func(path []string) bool { return slices.Equal(path, p.Path) }):
			a.exact = a.exact && encodePartition([]value.Value{p.Value}) == f.scope.Partition
		default:
			a.pins = append(a.pins, p)
			a.paths = append(a.paths, p.Path)
		}
	}
	for _, o := range f.plan.Order {
		a.paths = append(a.paths, o.Path)
	}
	return a
}

// indexable tells whether one walk over one index could answer the query: inside a partition, sorted in one direction.
func (f *search) indexable() bool {
	sorted := len(f.plan.Order) > 0
	mixed := slices.ContainsFunc(f.plan.Order, func(o sql.Order) bool { return o.Descending != f.plan.Order[0].Descending })
	return f.scope.Exact && len(f.wanted.paths) > 0 && !mixed && (f.plan.Simple || !sorted)
}

// useIndex turns the walk over a partition into one over an index, when there is one for the query.
func (f *search) useIndex() {
	f.wanted = f.access()
	if !f.indexable() {
		f.wanted.paths = nil
		return
	}
	x := f.bestIndex()
	if x == nil {
		return
	}
	f.scope.Index = &store.Index{Number: x.number}
	if len(f.plan.Order) > 0 {
		f.scope.Index.Descending = f.plan.Order[0].Descending
	}
	low := slices.Clone(f.wanted.prefix)
	if len(f.plan.Order) == 1 && !f.container.includes(f.plan.Order[0].Path) {
		low = value.OfNull().AppendKey(low) // what has no value is not in the order
	}
	if len(low) == 0 {
		low = []byte{0} // below every key; an empty blob could be taken for NULL
	}
	f.scope.Index.Low = low
	f.scope.Index.High = append(slices.Clone(f.wanted.prefix), 0xFF)
}

// bestIndex is the index that has the order of the query and most of its pins; the other pins are tested on each document.
func (f *search) bestIndex() *propertyIndex {
	var best *propertyIndex
	most := 0
	for _, x := range f.container.indexes() {
		n := len(x.paths) - len(f.plan.Order)
		if !x.ready || n < 0 || !f.ordered(x.paths[n:]) || best != nil && n <= most {
			continue
		}
		if prefix, ok := f.wanted.keyOf(x.paths[:n]); ok {
			best, most = x, n
			f.wanted.prefix = prefix
		}
	}
	f.wanted.exact = f.wanted.exact && best != nil && f.wanted.covered(best.paths[:most])
	return best
}

// covered tells whether every pin is among the paths; an index may name one of them twice.
func (a access) covered(paths [][]string) bool {
	return !slices.ContainsFunc(a.pins, func(p sql.Pin) bool {
		return !slices.ContainsFunc(paths, func(path []string) bool { return slices.Equal(path, p.Path) })
	})
}

// ordered tells whether paths are those of ORDER BY.
func (f *search) ordered(paths [][]string) bool {
	return slices.EqualFunc(paths, f.plan.Order, func(path []string, o sql.Order) bool { return slices.Equal(path, o.Path) })
}

// keyOf encodes the values of the pins at paths; every path must have one.
func (a access) keyOf(paths [][]string) ([]byte, bool) {
	var b []byte
	for _, path := range paths {
		i := slices.IndexFunc(a.pins, func(p sql.Pin) bool { return slices.Equal(p.Path, path) })
		if i < 0 {
			return nil, false
		}
		b = a.pins[i].Value.AppendKey(b)
	}
	return b, true
}
