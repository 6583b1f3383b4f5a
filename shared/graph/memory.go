package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Memory is a Store in this process, for tests and for a run that keeps nothing. It gives and takes copies, and is safe
// for concurrent use.
type Memory struct {
	mu         sync.RWMutex
	partitions map[place]map[string]*stored
	version    int64 // of the last write; an ETag never comes again
	writes     int64
}

type place struct {
	container Container
	partition string
}

// stored is one document as it was written; a write replaces it as a whole.
type stored struct {
	Document
	once sync.Once
	noun any
}

// decoded is the noun as plain values. Most documents are never asked for a field.
func (d *stored) decoded() any {
	d.once.Do(func() {
		if err := json.Unmarshal(d.Data, &d.noun); err != nil {
			d.noun = nil // Write took valid JSON only; a noun with a number out of range has no fields to compare
		}
	})
	return d.noun
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{partitions: map[place]map[string]*stored{}} }

// Writes counts the documents written or deleted so far.
func (m *Memory) Writes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.writes
}

// Read gives a copy of a document, or ErrNotFound.
func (m *Memory) Read(ctx context.Context, k Key) (Document, error) {
	if err := cmp.Or(ctx.Err(), k.Check()); err != nil {
		return Document{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.partitions[place{k.Container, k.Partition}][k.ID]
	if !ok {
		return Document{}, ErrNotFound
	}
	return d.copied(), nil
}

func (d *stored) copied() Document {
	c := d.Document
	c.Data = bytes.Clone(c.Data)
	return c
}

// Write applies all changes in their order, or none.
func (m *Memory) Write(ctx context.Context, changes ...Write) error {
	if err := cmp.Or(ctx.Err(), CheckWrites(changes)); err != nil || len(changes) == 0 {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := place{changes[0].Key.Container, changes[0].Key.Partition}
	next := map[string]*stored{} // nil: deleted
	for _, w := range changes {
		old, touched := next[w.Key.ID]
		if !touched {
			old = m.partitions[at][w.Key.ID]
		}
		if !w.applies(old) {
			return ErrStale
		}
		next[w.Key.ID] = m.made(w)
	}
	m.commit(at, next)
	m.writes += int64(len(changes))
	return nil
}

func (w Write) applies(old *stored) bool {
	switch w.ETag {
	case Any:
		return true
	case "":
		return old == nil
	}
	return old != nil && old.ETag == w.ETag
}

func (m *Memory) made(w Write) *stored {
	if w.Data == nil {
		return nil
	}
	m.version++
	return &stored{Document: Document{Key: w.Key, Kind: w.Kind, ETag: strconv.Quote(strconv.FormatInt(m.version, 36)), Data: bytes.Clone(w.Data)}}
}

func (m *Memory) commit(at place, next map[string]*stored) {
	documents := m.partitions[at]
	if documents == nil {
		documents = map[string]*stored{}
		m.partitions[at] = documents
	}
	for id, d := range next {
		if d == nil {
			delete(documents, id)
		} else {
			documents[id] = d
		}
	}
	if len(documents) == 0 {
		delete(m.partitions, at)
	}
}

// Query reads one page. Documents without the OrderBy field are not listed; equal ones are listed by id.
func (m *Memory) Query(ctx context.Context, q Query) (Page, error) {
	if err := cmp.Or(ctx.Err(), q.Check()); err != nil {
		return Page{}, err
	}
	from, err := parseMark(q.Cursor)
	if err != nil {
		return Page{}, err
	}
	found := m.find(q, from)
	slices.SortFunc(found, func(a, b hit) int { return a.mark.compare(b.mark, q.Descending) })
	size := q.PageSize()
	var p Page
	if len(found) > size {
		found = found[:size]
		p.Cursor = found[size-1].mark.String()
	}
	for _, h := range found {
		p.Documents = append(p.Documents, h.copied())
	}
	return p, nil
}

// hit is a document that a query found, with its place in the order.
type hit struct {
	*stored
	mark mark
}

// find gives the matching documents that come after a mark, in no order.
func (m *Memory) find(q Query, from *mark) []hit {
	match := q.matcher()
	m.mu.RLock()
	documents := slices.Collect(maps.Values(m.partitions[place{q.Container, q.Partition}]))
	m.mu.RUnlock()
	var found []hit
	for _, d := range documents {
		if q.Kind != "" && d.Kind != q.Kind || !match(d) {
			continue
		}
		at := mark{ID: d.Key.ID}
		if q.OrderBy != "" {
			if at.Value = field(d.decoded(), q.OrderBy); typeOf(at.Value) == 0 {
				continue
			}
		}
		if from == nil || at.compare(*from, q.Descending) > 0 {
			found = append(found, hit{d, at})
		}
	}
	return found
}

// mark is a place in the order of a query.
type mark struct {
	Value any    `json:"v,omitempty"` // of the OrderBy field
	ID    string `json:"id"`
}

func parseMark(cursor string) (*mark, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, fmt.Errorf("cursor %.40q: %w", cursor, err)
	}
	var m mark
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("cursor %.40q: %w", cursor, err)
	}
	return &m, nil
}

// String is the mark as a cursor.
func (m mark) String() string {
	raw, err := json.Marshal(m)
	if err != nil {
		return "" // a scalar and a string always encode
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (m mark) compare(o mark, descending bool) int {
	byValue := compareScalars(m.Value, o.Value)
	if descending {
		byValue = -byValue
	}
	return cmp.Or(byValue, strings.Compare(m.ID, o.ID))
}

// matcher is the condition of a checked query.
func (q Query) matcher() func(*stored) bool {
	wanted := make([][]any, len(q.Where))
	for i, w := range q.Where {
		wanted[i], _ = w.Scalars() // Check has seen it
	}
	return func(d *stored) bool {
		for i, w := range q.Where {
			if !holds(field(d.decoded(), w.Field), w.Op, wanted[i]) {
				return false
			}
		}
		return true
	}
}

// field follows a dotted path; nil when it leads nowhere.
func field(noun any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		object, ok := noun.(map[string]any)
		if !ok {
			return nil
		}
		noun = object[step]
	}
	return noun
}

// holds compares a stored value. Values of different types never match, not even with NotEqual.
func holds(have any, op Op, want []any) bool {
	switch op {
	case In:
		return slices.ContainsFunc(want, func(w any) bool { return equal(have, w) })
	case Contains:
		list, ok := have.([]any)
		return ok && slices.ContainsFunc(list, func(h any) bool { return equal(h, want[0]) })
	case Prefix, Search:
		text, ok := have.(string)
		part, _ := want[0].(string) // Check has seen it
		return ok && holdsText(text, op, part)
	}
	if typeOf(have) != typeOf(want[0]) {
		return false
	}
	switch order := compareScalars(have, want[0]); op {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Less:
		return order < 0
	case AtLeast:
		return order >= 0
	case Greater:
		return order > 0
	}
	return false
}

func holdsText(text string, op Op, part string) bool {
	if op == Prefix {
		return strings.HasPrefix(text, part)
	}
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

func equal(a, b any) bool { return typeOf(a) != 0 && compareScalars(a, b) == 0 }

// typeOf orders the types of scalars as Cosmos DB does; 0 is what is no scalar.
func typeOf(v any) int {
	switch v.(type) {
	case bool:
		return 1
	case float64:
		return 2
	case string:
		return 3
	}
	return 0
}

func compareScalars(a, b any) int {
	if byType := cmp.Compare(typeOf(a), typeOf(b)); byType != 0 {
		return byType
	}
	switch a := a.(type) {
	case bool:
		switch {
		case a == b.(bool):
			return 0
		case a:
			return 1
		}
		return -1
	case float64:
		return cmp.Compare(a, b.(float64))
	case string:
		return strings.Compare(a, b.(string))
	}
	return 0
}
