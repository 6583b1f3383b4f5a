package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNotFound is what a Store answers for a document that is not there.
var ErrNotFound = errors.New("not found")

// ErrStale is what a Store answers when a document is not at the expected ETag, or is there although it must not be.
var ErrStale = errors.New("changed by somebody else")

// Container names one of the three containers.
type Container string

// The containers and what partitions them.
const (
	GraphContainer    Container = "graph"    // adjacency lists: repo:<id>, artifact:<digest>, workload:<id>
	WorklistContainer Container = "worklist" // one summary per finding, by organisation
	StateContainer    Container = "state"    // cursors, completeness marks, budgets, parked messages, reports
)

// Kind is what a document holds.
type Kind string

// Key names one document.
type Key struct {
	Container Container
	Partition string
	ID        string
}

// String gives the key as a path for messages.
func (k Key) String() string { return fmt.Sprintf("%s/%s/%s", k.Container, k.Partition, k.ID) }

// Document is one stored noun as JSON.
type Document struct {
	Key  Key
	Kind Kind
	ETag string
	Data json.RawMessage
}

// Write is one change of one document. ETag decides when it may happen: empty, the document must not exist; Any,
// always (it is created or replaced); otherwise the document must still be at that ETag. Data nil deletes; with Any it is
// no fault when there is nothing to delete.
type Write struct {
	Key  Key
	Kind Kind
	ETag string
	Data json.RawMessage
}

// Any is the ETag of a write that does not care what is stored.
const Any = "*"

// NewWrite makes a write of a noun.
func NewWrite(k Key, kind Kind, etag string, noun any) (Write, error) {
	data, err := json.Marshal(noun)
	if err != nil {
		return Write{}, fmt.Errorf("encode %s: %w", k, err)
	}
	return Write{Key: k, Kind: kind, ETag: etag, Data: data}, nil
}

// Op compares a field with a value.
type Op string

// The comparisons of a query. A document without the field, or with a value of another type, never matches, not even
// NotEqual. Texts compare by their bytes.
const (
	Equal    Op = "="
	NotEqual Op = "!="
	Less     Op = "<"
	AtLeast  Op = ">="
	Greater  Op = ">"
	In       Op = "in"       // the field is one of the values of a []any
	Contains Op = "contains" // the field is an array that holds the value
	Prefix   Op = "prefix"   // the field is a string that starts with the value
	Search   Op = "search"   // the field is a string that holds the value, case ignored
)

// Where is one condition; Field is a dotted path inside the noun, Value a string, bool or number (a []any for In).
type Where struct {
	Field string
	Op    Op
	Value any
}

// Query reads documents of one partition. All conditions must hold. OrderBy is a dotted path to a scalar that every
// matching document has; without it the order is the store's own. Limit 0 means the store's page size; a page may be
// shorter than Limit although more follow. Cursor is what the page before returned.
type Query struct {
	Container  Container
	Partition  string
	Kind       Kind // empty: every kind
	Where      []Where
	OrderBy    string
	Descending bool
	Limit      int
	Cursor     string
}

// Page is one page of a query; an empty Cursor ends it.
type Page struct {
	Documents []Document
	Cursor    string
}

// Store keeps documents. Every implementation passes the suite in graphtest.
type Store interface {
	// Read answers ErrNotFound for a missing document.
	Read(ctx context.Context, k Key) (Document, error)
	// Write applies all changes in their order, or none; they must pass CheckWrites: one partition of one container, at
	// most MaxWrites. ErrStale tells that an ETag did not match. Any other error leaves open whether they were applied.
	Write(ctx context.Context, changes ...Write) error
	// Query reads one page.
	Query(ctx context.Context, q Query) (Page, error)
}
