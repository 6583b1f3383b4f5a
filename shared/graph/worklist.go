package graph

import (
	"cmp"
	"context"
	"slices"
)

// Filter chooses findings of the worklist. Empty fields do not choose.
type Filter struct {
	Tier       Tier
	Risk       Factor
	Kind       AlertKind
	Repository RepositoryID
	State      AlertState // empty: open; "all": every state
	Unmapped   string     // yes, no, empty
	Status     string
	Text       string // in the title, case ignored
	Limit      int    // 1..200, 0 means 50
	Sort       Sort   // empty: by urgency
	Cursor     string // the place in the order after which to go on
}

// Sort is an order of the worklist.
type Sort string

// The orders. Each has a field of its own, so that a page asks for no more than it shows.
const (
	SortUrgency Sort = "urgency"
	SortDue     Sort = "due"
	SortOldest  Sort = "oldest"
	SortNewest  Sort = "newest"
)

// Sorts are all orders.
var Sorts = [...]Sort{SortUrgency, SortDue, SortOldest, SortNewest}

// field is what is ordered by, and whether from the end.
func (s Sort) field() (name string, descending bool) {
	switch s {
	case SortDue:
		return "byDue", false
	case SortOldest:
		return "byAge", false
	case SortNewest:
		return "byAge", true
	}
	return "rank", false
}

// place is where a line stands in the order.
func (s Sort) place(line Summary) string {
	switch s {
	case SortDue:
		return line.ByDue
	case SortOldest, SortNewest:
		return line.ByAge
	}
	return line.Rank
}

func (s Sort) compare(a, b Summary) int {
	if _, descending := s.field(); descending {
		a, b = b, a
	}
	return cmp.Compare(s.place(a), s.place(b))
}

// AllStates chooses findings of every state.
const AllStates AlertState = "all"

// Worklist lists findings by urgency, over all organisations. The cursor stays good while findings come and go: it is a
// place in the order, not a position.
func Worklist(ctx context.Context, s Store, f Filter) (items []Summary, cursor string, err error) {
	orgs, err := Orgs(ctx, s)
	if err != nil {
		return nil, "", err
	}
	limit := cmp.Or(f.Limit, 50)
	limit = min(max(limit, 1), 200)
	partitions := []OrgID{UnmappedOrg}
	for _, o := range orgs {
		partitions = append(partitions, o.ID)
	}
	for _, p := range partitions {
		found, err := take(ctx, s, f.query(p), limit+1)
		if err != nil {
			return nil, "", err
		}
		items = append(items, found...)
	}
	slices.SortFunc(items, f.Sort.compare)
	if len(items) > limit {
		items = items[:limit]
		cursor = f.Sort.place(items[limit-1])
	}
	return items, cursor, nil
}

// take reads up to n items; a store may give short pages.
func take(ctx context.Context, s Store, q Query, n int) ([]Summary, error) {
	var all []Summary
	for {
		q.Limit = n - len(all)
		items, cursor, err := List[Summary](ctx, s, q)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if cursor == "" || len(all) >= n {
			return all, nil
		}
		q.Cursor = cursor
	}
}

func (f Filter) query(org OrgID) Query {
	q := Query{Container: WorklistContainer, Partition: string(org), Kind: KindSummary}
	q.OrderBy, q.Descending = f.Sort.field()
	where := func(field string, op Op, value any) { q.Where = append(q.Where, Where{field, op, value}) }
	if f.State != AllStates {
		where("state", Equal, string(cmp.Or(f.State, Open)))
	}
	if f.Tier != "" {
		where("tier", Equal, string(f.Tier))
	}
	if f.Risk != "" {
		where("risks", Contains, string(f.Risk))
	}
	if f.Kind != "" {
		where("kind", Equal, string(f.Kind))
	}
	if f.Repository != "" {
		where("repository", Equal, string(f.Repository))
	}
	if f.Unmapped != "" {
		where("unmapped", Equal, f.Unmapped == "yes")
	}
	if f.Status != "" {
		where("status", Equal, f.Status)
	}
	if f.Text != "" {
		where("title", Search, f.Text)
	}
	if f.Cursor != "" {
		after := Greater
		if q.Descending {
			after = Less
		}
		where(q.OrderBy, after, f.Cursor)
	}
	return q
}
