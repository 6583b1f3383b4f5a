package graph

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Memory is a Store that keeps everything in memory and forgets it with the process. It is safe for concurrent use.
type Memory struct {
	mu         sync.RWMutex
	partitions map[partition]map[string]Document
	clock      uint64
}

type partition struct {
	container Container
	name      string
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{partitions: map[partition]map[string]Document{}} }

// defaultPage is the page size of a query without a limit.
const defaultPage = 100

// Read answers ErrNotFound for a missing document.
func (m *Memory) Read(ctx context.Context, k Key) (Document, error) {
	if err := ctx.Err(); err != nil {
		return Document{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.partitions[partition{k.Container, k.Partition}][k.ID]
	if !ok {
		return Document{}, ErrNotFound
	}
	d.Data = bytes.Clone(d.Data)
	return d, nil
}

// Write applies all changes or none.
func (m *Memory) Write(ctx context.Context, changes ...Write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := CheckWrites(changes); err != nil || len(changes) == 0 {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := partition{changes[0].Key.Container, changes[0].Key.Partition}
	next := map[string]*Document{} // nil: deleted
	for _, c := range changes {
		d, ok := m.partitions[p][c.Key.ID], m.has(p, c.Key.ID)
		if n, changed := next[c.Key.ID]; changed {
			ok = n != nil
			if ok {
				d = *n
			}
		}
		if err := allowed(c, d, ok); err != nil {
			return err
		}
		next[c.Key.ID] = m.changed(c)
	}
	m.apply(p, next)
	return nil
}

func (m *Memory) has(p partition, id string) bool {
	_, ok := m.partitions[p][id]
	return ok
}

// allowed applies the condition of a change.
func allowed(c Write, stored Document, exists bool) error {
	switch {
	case c.ETag == Any && c.Data != nil:
		return nil
	case !exists && (c.Data == nil || c.ETag != ""):
		if c.Data == nil && c.ETag == Any {
			return ErrNotFound
		}
		return ErrStale
	case c.ETag == "" && exists, c.ETag != "" && c.ETag != Any && c.ETag != stored.ETag:
		return ErrStale
	}
	return nil
}

func (m *Memory) changed(c Write) *Document {
	if c.Data == nil {
		return nil
	}
	m.clock++
	return &Document{Key: c.Key, Kind: c.Kind, ETag: `"` + strconv.FormatUint(m.clock, 16) + `"`, Data: bytes.Clone(c.Data)}
}

func (m *Memory) apply(p partition, next map[string]*Document) {
	if m.partitions[p] == nil {
		m.partitions[p] = map[string]Document{}
	}
	for id, d := range next {
		if d == nil {
			delete(m.partitions[p], id)
			continue
		}
		m.partitions[p][id] = *d
	}
}

// Query reads one page. The cursor is the place of the last document in the order.
func (m *Memory) Query(ctx context.Context, q Query) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	found, err := m.matching(q)
	if err != nil {
		return Page{}, err
	}
	slices.SortFunc(found, func(a, b match) int { return a.place.compare(b.place, q.Descending) })
	if q.Cursor != "" {
		var from place
		if err := json.Unmarshal([]byte(q.Cursor), &from); err != nil {
			return Page{}, fmt.Errorf("cursor %q is not one of ours: %w", q.Cursor, err)
		}
		found = slices.DeleteFunc(found, func(d match) bool { return d.place.compare(from, q.Descending) <= 0 })
	}
	return pageOf(found, cmp.Or(q.Limit, defaultPage))
}

func pageOf(found []match, limit int) (Page, error) {
	var p Page
	for i, d := range found {
		if i == limit {
			raw, err := json.Marshal(found[i-1].place)
			if err != nil {
				return Page{}, err
			}
			p.Cursor = string(raw)
			break
		}
		p.Documents = append(p.Documents, d.document)
	}
	return p, nil
}

// match is a document that a query found, with its place in the order.
type match struct {
	document Document
	place    place
}

// place is the value that a query orders by, then the id.
type place struct {
	Value any    `json:"v"`
	ID    string `json:"id"`
}

func (p place) compare(o place, descending bool) int {
	c := cmp.Or(compareValues(p.Value, o.Value), cmp.Compare(p.ID, o.ID))
	if descending {
		return -c
	}
	return c
}

func (m *Memory) matching(q Query) ([]match, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []match
	for _, d := range m.partitions[partition{q.Container, q.Partition}] {
		if q.Kind != "" && d.Kind != q.Kind {
			continue
		}
		var noun any
		if err := json.Unmarshal(d.Data, &noun); err != nil {
			return nil, fmt.Errorf("document %s does not decode: %w", d.Key, err)
		}
		order, ordered := field(noun, q.OrderBy)
		if q.OrderBy != "" && !ordered || !holds(noun, q.Where) {
			continue
		}
		d.Data = bytes.Clone(d.Data)
		found = append(found, match{d, place{order, d.Key.ID}})
	}
	return found, nil
}

func holds(noun any, where []Where) bool {
	for _, w := range where {
		v, ok := field(noun, w.Field)
		if !ok || !compares(v, w.Op, plainValue(w.Value)) {
			return false
		}
	}
	return true
}

// field follows a dotted path; ok is false when it leads nowhere.
func field(noun any, path string) (v any, ok bool) {
	if path == "" {
		return nil, false
	}
	v = noun
	for _, step := range strings.Split(path, ".") {
		object, isObject := v.(map[string]any)
		if !isObject {
			return nil, false
		}
		if v, ok = object[step]; !ok {
			return nil, false
		}
	}
	return v, true
}

// plainValue is a value as JSON would give it back.
func plainValue(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return v
	}
	return plain
}

func compares(v any, op Op, with any) bool {
	same := kindOf(v) == kindOf(with)
	switch op {
	case Equal:
		return same && compareValues(v, with) == 0
	case NotEqual:
		return !same || compareValues(v, with) != 0
	case Less:
		return same && compareValues(v, with) < 0
	case AtLeast:
		return same && compareValues(v, with) >= 0
	case Greater:
		return same && compareValues(v, with) > 0
	case In:
		return includes(with, v)
	case Contains:
		return includes(v, with)
	}
	text, isText := v.(string)
	part, isPart := with.(string)
	switch {
	case !isText || !isPart:
		return false
	case op == Prefix:
		return strings.HasPrefix(text, part)
	case op == Search:
		return strings.Contains(strings.ToLower(text), strings.ToLower(part))
	}
	return false
}

func includes(list, v any) bool {
	items, ok := list.([]any)
	return ok && slices.ContainsFunc(items, func(i any) bool { return kindOf(i) == kindOf(v) && compareValues(i, v) == 0 })
}

// kindOf orders the types as Cosmos DB does: null, booleans, numbers, strings, then all else.
func kindOf(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case bool:
		return 1
	case float64:
		return 2
	case string:
		return 3
	}
	return 4
}

func compareValues(a, b any) int {
	if c := cmp.Compare(kindOf(a), kindOf(b)); c != 0 {
		return c
	}
	switch x := a.(type) {
	case bool:
		return cmp.Compare(truth(x), truth(b.(bool)))
	case float64:
		return cmp.Compare(x, b.(float64))
	case string:
		return cmp.Compare(x, b.(string))
	}
	return 0
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
