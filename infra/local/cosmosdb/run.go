package cosmosdb

import (
	"context"
	"slices"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

func (f *search) run(ctx context.Context, s *store.Store) (*page, error) {
	switch {
	case f.plan.Count && f.scope.Index != nil && f.wanted.exact && f.container.ttl == 0:
		return f.runCount(ctx, s)
	case !f.plan.Simple:
		return f.runWhole(ctx, s)
	case len(f.plan.Order) > 0 && f.scope.Index == nil:
		return f.runSorted(ctx, s)
	}
	return f.runStream(ctx, s)
}

// walk shows the documents of the scope.
func (f *search) walk(ctx context.Context, s *store.Store, yield func(store.Document) bool) error {
	return s.Walk(ctx, f.scope, func(d store.Document) bool {
		f.seen++
		f.bytes += len(d.Body)
		return yield(d)
	})
}

// rows evaluates the query on one stored document. SELECT * gives the stored text itself, and without anything to test
// the text is not even read.
func (f *search) rows(d store.Document, yield func(keys []value.Value, text string)) {
	tested := f.plan.Filtered && (f.scope.Index == nil || !f.wanted.exact)
	if f.plan.Star && !tested && (len(f.plan.Order) == 0 || f.scope.Index != nil) {
		yield(nil, d.Body)
		return
	}
	f.reader.Rows(value.Lazy(d.Body), func(keys []value.Value, result value.Value) {
		if f.plan.Star {
			yield(keys, d.Body)
			return
		}
		yield(keys, result.JSON())
	})
}

// left is how many rows the query may still give; without TOP or LIMIT as many as it likes.
func (f *search) left() int {
	if f.plan.Limit < 0 {
		return int(^uint(0) >> 1)
	}
	return max(0, f.plan.Limit-f.from.Given)
}

// skip is how many rows OFFSET still leaves out: all of them before the first page.
func (f *search) skip() int {
	if f.from.Given > 0 || f.from.ID != "" {
		return 0
	}
	return f.plan.Offset
}

// runStream takes documents as they lie. A page that is exactly full has a continuation even when nothing is left, as in
// Azure; an ordered query ends without it, which takes a look at one row more.
func (f *search) runStream(ctx context.Context, s *store.Store) (*page, error) {
	f.resume()
	left, skip := f.left(), f.skip()
	p := &page{}
	if left == 0 {
		return p, nil
	}
	ordered := len(f.plan.Order) > 0
	var last store.Document
	err := f.walk(ctx, s, func(d store.Document) bool {
		if p.full(f.size) && ordered {
			matched := false
			f.rows(d, func([]value.Value, string) { matched = true })
			if matched {
				p.next = f.after(last, p)
			}
			return !matched
		}
		f.rows(d, func(_ []value.Value, text string) {
			if skip > 0 {
				skip--
				return
			}
			p.add(text)
		})
		last = d
		if len(p.documents) == left {
			return false
		}
		if p.full(f.size) && !ordered {
			p.next = f.after(d, p)
		}
		return p.next == nil
	})
	return p, err
}

func (p *page) full(size int) bool { return len(p.documents) >= size || p.bytes >= maxPageBytes }

// resume sets the walk behind the last document of the page before.
func (f *search) resume() {
	f.scope.AfterKey = store.Key{Partition: f.from.Partition, ID: f.from.ID}
	f.scope.After = f.from.RID
	if x := f.scope.Index; x != nil && f.from.ID != "" {
		x.After = slices.Clone(f.wanted.prefix)
		for _, k := range f.from.keys() {
			x.After = k.AppendKey(x.After)
		}
	}
}

// after is the continuation behind a document.
func (f *search) after(d store.Document, p *page) *token {
	t := &token{Partition: d.Partition, ID: d.ID, RID: d.RID}
	if f.plan.Limit >= 0 {
		t.Given = f.from.Given + len(p.documents)
	}
	doc := value.Lazy(d.Body)
	for _, o := range f.plan.Order {
		t.Keys = append(t.Keys, at(doc, o.Path).JSON())
	}
	return t
}

// sorted is one result with what it is sorted by; ties go by the id, in the direction of the last path.
type sorted struct {
	keys []value.Value
	id   string
	text string
}

func (f *search) compare(a, b sorted) int {
	down := false
	for i, o := range f.plan.Order {
		down = o.Descending
		if c := value.Compare(a.keys[i], b.keys[i]); c != 0 {
			return turn(c, down)
		}
	}
	switch {
	case a.id < b.id:
		return turn(-1, down)
	case a.id > b.id:
		return turn(1, down)
	}
	return 0
}

func turn(c int, down bool) int {
	if down {
		return -c
	}
	return c
}

// sortBytes is what a sort may gather before it drops what cannot be on the page.
const sortBytes = 32 << 20

// runSorted keeps the best results after the place where the last page ended; it never holds more than a few pages.
func (f *search) runSorted(ctx context.Context, s *store.Store) (*page, error) {
	after, resumed := sorted{keys: f.from.keys(), id: f.from.ID}, f.from.Keys != nil
	left, skip := f.left(), f.skip()
	keep := skip + min(left, f.size) + 1
	var best []sorted
	held, most := 0, sortBytes
	err := f.walk(ctx, s, func(d store.Document) bool {
		f.rows(d, func(keys []value.Value, text string) {
			r := sorted{keys, d.ID, text}
			if f.container.sortable(f.plan.Order, keys) && (!resumed || f.compare(r, after) > 0) {
				best = append(best, r)
				held += len(text)
			}
		})
		if len(best) > 4*keep+1000 || held > most {
			best = f.best(best, keep)
			held = 0
			for _, r := range best {
				held += len(r.text)
			}
			most = held + sortBytes
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	best = f.best(best, keep)
	best = best[min(skip, len(best)):]
	p := &page{}
	for i, r := range best[:min(left, len(best))] {
		if p.full(f.size) {
			last := best[i-1]
			p.next = &token{Keys: textsOf(last.keys), ID: last.id}
			if f.plan.Limit >= 0 {
				p.next.Given = f.from.Given + i
			}
			break
		}
		p.add(r.text)
	}
	return p, nil
}

func (f *search) best(list []sorted, keep int) []sorted {
	slices.SortFunc(list, f.compare)
	clear(list[min(len(list), keep):])
	return list[:min(len(list), keep)]
}

// runCount counts the entries of an index.
func (f *search) runCount(ctx context.Context, s *store.Store) (*page, error) {
	n, err := s.Count(ctx, f.scope.Partition, *f.scope.Index)
	if err != nil {
		return nil, err
	}
	p := &page{}
	p.add(value.OfNumber(float64(n)).JSON())
	return p, nil
}

// runWhole evaluates everything and then skips what earlier pages gave.
func (f *search) runWhole(ctx context.Context, s *store.Store) (*page, error) {
	run := f.query.Start()
	if !f.plan.FromNothing {
		err := f.walk(ctx, s, func(d store.Document) bool {
			run.Add(value.Lazy(d.Body))
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	results := run.Results()
	p := &page{}
	for i := min(f.from.Given, len(results)); i < len(results); i++ {
		if p.full(f.size) {
			p.next = &token{Given: i}
			break
		}
		p.add(results[i].JSON())
	}
	return p, nil
}
