package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits that every Store keeps: those of Azure Cosmos DB.
const (
	MaxWrites    = 100     // changes of one Write
	MaxDocument  = 2 << 20 // bytes of one document with its envelope, and of all documents of one Write together
	MaxID        = 255     // characters of a document id
	MaxPartition = 1 << 10 // bytes of a partition; half of what Cosmos DB takes
	MaxPage      = 1000    // documents of one page, whatever Limit says
	DefaultPage  = 100     // documents of one page when Limit is 0
	envelope     = 1 << 10 // bytes that a store may add to a document
)

// CheckWrites tells what every Store refuses before it changes anything: more than one partition, more than MaxWrites
// changes, a document that is too large or no JSON, a delete of what must not exist.
func CheckWrites(changes []Write) error {
	if len(changes) > MaxWrites {
		return fmt.Errorf("%d changes in one write: at most %d", len(changes), MaxWrites)
	}
	size := 0
	for _, w := range changes {
		if err := w.check(); err != nil {
			return err
		}
		if first := changes[0].Key; w.Key.Container != first.Container || w.Key.Partition != first.Partition {
			return fmt.Errorf("changes of %s and %s in one write: only one partition at a time", first, w.Key)
		}
		size += len(w.Data) + envelope
	}
	if size > MaxDocument {
		return fmt.Errorf("write of %d documents from %s: about %d bytes, more than %d", len(changes), changes[0].Key, size, MaxDocument)
	}
	return nil
}

func (w Write) check() error {
	if err := w.Key.Check(); err != nil {
		return err
	}
	if w.Data == nil && w.ETag == "" {
		return fmt.Errorf("delete %s: needs an ETag, or Any", w.Key)
	}
	if w.Data != nil && !json.Valid(w.Data) {
		return fmt.Errorf("write %s: the data is no JSON", w.Key)
	}
	return nil
}

// Check tells why a key names no document: an unknown container, an empty or overlong partition or id, text that is
// not UTF-8. Every other character is allowed.
func (k Key) Check() error {
	if err := checkPlace(k.Container, k.Partition); err != nil {
		return err
	}
	switch {
	case k.ID == "":
		return fmt.Errorf("key %s: the id is empty", k)
	case !k.possible():
		return fmt.Errorf("key %.80q...: the id is not 1 to %d characters of UTF-8", k, MaxID)
	}
	return nil
}

// possible tells whether any document can have the id.
func (k Key) possible() bool {
	return k.ID != "" && utf8.ValidString(k.ID) && utf8.RuneCountInString(k.ID) <= MaxID
}

func checkPlace(c Container, partition string) error {
	if !slices.Contains([]Container{GraphContainer, WorklistContainer, StateContainer}, c) {
		return fmt.Errorf("container %q does not exist", c)
	}
	if partition == "" || len(partition) > MaxPartition || !utf8.ValidString(partition) {
		return fmt.Errorf("partition %.80q of %s: want 1 to %d bytes of UTF-8", partition, c, MaxPartition)
	}
	return nil
}

// Check tells what is wrong with a query: place, operator, field, or a value that does not fit the operator.
func (q Query) Check() error {
	if err := checkPlace(q.Container, q.Partition); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	if q.Limit < 0 {
		return fmt.Errorf("query in %s/%s: limit %d", q.Container, q.Partition, q.Limit)
	}
	if q.OrderBy != "" && !validField(q.OrderBy) {
		return fmt.Errorf("query in %s/%s: order by %q is no dotted path", q.Container, q.Partition, q.OrderBy)
	}
	for _, w := range q.Where {
		if err := w.check(); err != nil {
			return fmt.Errorf("query in %s/%s: %w", q.Container, q.Partition, err)
		}
	}
	return nil
}

func (w Where) check() error {
	if !validField(w.Field) {
		return fmt.Errorf("condition on %q: no dotted path", w.Field)
	}
	value, err := w.Scalars()
	if err != nil {
		return fmt.Errorf("condition on %s: %w", w.Field, err)
	}
	switch w.Op {
	case Equal, NotEqual, Less, AtLeast, Greater, Contains, In:
		return nil
	case Prefix, Search:
		if _, ok := value[0].(string); !ok {
			return fmt.Errorf("condition on %s: %q wants a string, not %T", w.Field, w.Op, w.Value)
		}
		return nil
	}
	return fmt.Errorf("condition on %s: %q is no operator", w.Field, w.Op)
}

func validField(path string) bool {
	return !slices.Contains(strings.Split(path, "."), "")
}

// PageSize is how many documents a page of the query holds at most.
func (q Query) PageSize() int {
	if q.Limit == 0 {
		return DefaultPage
	}
	return min(q.Limit, MaxPage)
}

var errScalar = errors.New("the value must be a string, a bool or a finite number")

// Scalars gives the value as plain strings, bools and float64: one for every operator but In, which has any number.
func (w Where) Scalars() ([]any, error) {
	if w.Op != In {
		v, err := scalar(w.Value)
		return []any{v}, err
	}
	list := reflect.ValueOf(w.Value)
	if list.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%q wants a slice, not %T", In, w.Value)
	}
	values := make([]any, list.Len())
	for i := range values {
		v, err := scalar(list.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// scalar sheds the named type of a value, so that a graph.Tier compares as the string it is stored as.
func scalar(value any) (any, error) {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, nil
		}
	}
	return nil, errScalar
}
