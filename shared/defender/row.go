package defender

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// tally counts the facts of one page that made no sense, by reason.
type tally struct {
	counts map[string]int
	forms  map[reflect.Type]form // what the shapes of the page's rows look like
}

func newTally() *tally { return &tally{map[string]int{}, map[reflect.Type]form{}} }

// maxReasons bounds the reasons: their text comes from outside.
const maxReasons = 100

func (s *tally) note(reason string) {
	if len(reason) > 200 {
		reason = reason[:200]
	}
	if _, known := s.counts[reason]; !known && len(s.counts) >= maxReasons {
		reason = "more reasons"
	}
	s.counts[reason]++
}

// row is what every row of Resource Graph carries.
type row struct {
	ID             text            `json:"id"`
	Name           text            `json:"name"`
	Type           text            `json:"type"`
	Kind           text            `json:"kind"`
	Location       text            `json:"location"`
	ResourceGroup  text            `json:"resourceGroup"`
	SubscriptionID text            `json:"subscriptionId"`
	Tags           map[string]text `json:"tags"`
	Properties     json.RawMessage `json:"properties"`
	// Known and not needed.
	TenantID         json.RawMessage `json:"tenantId"`
	ManagedBy        json.RawMessage `json:"managedBy"`
	Sku              json.RawMessage `json:"sku"`
	Plan             json.RawMessage `json:"plan"`
	Identity         json.RawMessage `json:"identity"`
	Zones            json.RawMessage `json:"zones"`
	ExtendedLocation json.RawMessage `json:"extendedLocation"`
	SystemData       json.RawMessage `json:"systemData"`
}

// decode reads JSON into a shape as far as it fits; keys are matched in any case. What does not fit, and every key that
// the shape does not name, is counted with its path.
func decode[T any](raw json.RawMessage, path string, s *tally) T {
	var v T
	var misfit *json.UnmarshalTypeError
	if err := json.Unmarshal(raw, &v); err != nil && !errors.As(err, &misfit) && !bare(raw) {
		s.note("unexpected shape: " + path)
		return v
	}
	s.unknown(reflect.TypeFor[T](), raw, path)
	return v
}

func join(path, key string) string {
	if path == "" || key == "" {
		return path + key
	}
	return path + "." + key
}

// shaped is a value that stands for another shape.
type shaped interface{ shape() reflect.Type }

// form is what the check of keys needs of a type.
type form struct {
	kind     reflect.Kind // Struct, Slice or Map; Invalid for a leaf, which holds no keys
	embedded bool
	elem     reflect.Type
	fields   map[string]reflect.Type // by lower-case key
}

func (s *tally) formOf(t reflect.Type) form {
	if f, known := s.forms[t]; known {
		return f
	}
	f := newForm(t)
	s.forms[t] = f
	return f
}

func newForm(t reflect.Type) form {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if e, ok := reflect.Zero(t).Interface().(shaped); ok {
		f := newForm(e.shape())
		f.embedded = true
		return f
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) || t == reflect.TypeFor[json.RawMessage]() {
		return form{}
	}
	switch t.Kind() {
	case reflect.Struct:
		f := form{kind: reflect.Struct, fields: map[string]reflect.Type{}}
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			f.fields[strings.ToLower(name)] = field.Type
		}
		return f
	case reflect.Slice, reflect.Map:
		return form{kind: t.Kind(), elem: t.Elem()}
	}
	return form{}
}

// unknown counts the keys of raw that the type does not name, and values of another shape than the type's.
func (s *tally) unknown(t reflect.Type, raw json.RawMessage, path string) {
	f := s.formOf(t)
	if f.embedded {
		raw = unwrapped(raw)
	}
	if f.kind == reflect.Invalid || bare(raw) {
		return
	}
	if f.kind == reflect.Struct {
		s.unknownKeys(f, raw, path)
		return
	}
	values, ok := elements(f.kind, raw)
	if !ok {
		s.note("unexpected shape: " + path)
	}
	for _, value := range values {
		s.unknown(f.elem, value, path+"[]")
	}
}

func (s *tally) unknownKeys(f form, raw json.RawMessage, path string) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil {
		s.note("unexpected shape: " + path)
		return
	}
	for key, value := range object {
		if t, ok := f.fields[strings.ToLower(key)]; ok {
			s.unknown(t, value, join(path, key))
		} else {
			s.note("unknown key: " + join(path, key))
		}
	}
}

// bare tells whether a value says nothing: Azure writes null and the empty text for what is missing.
func bare(raw json.RawMessage) bool {
	s := string(bytes.TrimSpace(raw))
	return s == "" || s == "null" || s == `""`
}

// elements lists the values of an array, or of an object where a map is wanted. An object where a list is wanted is its
// only element.
func elements(want reflect.Kind, raw json.RawMessage) ([]json.RawMessage, bool) {
	var list []json.RawMessage
	var object map[string]json.RawMessage
	switch {
	case want == reflect.Slice && json.Unmarshal(raw, &list) == nil:
		return list, true
	case json.Unmarshal(raw, &object) != nil:
		return nil, false
	case want == reflect.Slice:
		return []json.RawMessage{raw}, true
	}
	for _, value := range object {
		list = append(list, value)
	}
	return list, true
}

// embedded is a value that a row holds as JSON, as JSON inside a string, or for a list as its only element.
type embedded[T any] struct{ V T }

func (embedded[T]) shape() reflect.Type { return reflect.TypeFor[T]() }

// UnmarshalJSON reads as far as it fits and never fails.
func (e *embedded[T]) UnmarshalJSON(raw []byte) error {
	raw = unwrapped(raw)
	if reflect.TypeFor[T]().Kind() == reflect.Slice && len(raw) > 0 && raw[0] == '{' {
		raw = append(append([]byte{'['}, raw...), ']')
	}
	var v T
	if err := json.Unmarshal(raw, &v); err == nil || errors.As(err, new(*json.UnmarshalTypeError)) {
		e.V = v
	}
	return nil
}

// unwrapped takes JSON out of a string; other values stay.
func unwrapped(raw json.RawMessage) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return raw
	}
	inner := strings.TrimSpace(s)
	if strings.HasPrefix(inner, "{") || strings.HasPrefix(inner, "[") {
		return json.RawMessage(inner)
	}
	return raw
}

// text is a string; numbers and booleans are taken as they are written, everything else is empty.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	switch {
	case json.Unmarshal(raw, &s) == nil:
		*t = text(s)
	case len(raw) > 0 && raw[0] != '{' && raw[0] != '[' && !bytes.Equal(raw, []byte("null")):
		*t = text(raw)
	}
	return nil
}

func (t text) String() string { return string(t) }

// time reads a timestamp; what is none is zero.
func (t text) time() time.Time {
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(t)))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// texts is a list of strings; a lone string is a list of one.
type texts []string

// UnmarshalJSON never fails; what is no text is left out.
func (t *texts) UnmarshalJSON(raw []byte) error {
	raw = unwrapped(raw)
	var list []text
	if json.Unmarshal(raw, &list) != nil {
		list = make([]text, 1)
		if err := list[0].UnmarshalJSON(raw); err != nil {
			return err
		}
	}
	*t = nil
	for _, s := range list {
		if s != "" {
			*t = append(*t, string(s))
		}
	}
	return nil
}

// flag is a boolean that may be missing; it is written as JSON or as text.
type flag struct{ known, yes bool }

// UnmarshalJSON never fails.
func (f *flag) UnmarshalJSON(raw []byte) error {
	yes, err := strconv.ParseBool(strings.ToLower(strings.Trim(string(raw), `" `)))
	*f = flag{err == nil, err == nil && yes}
	return nil
}

func (f flag) pointer() *bool {
	if !f.known {
		return nil
	}
	yes := f.yes
	return &yes
}

// number is a float that may be missing; it is written as JSON or as text.
type number struct {
	known bool
	value float64
}

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(raw []byte) error {
	value, err := strconv.ParseFloat(strings.Trim(string(raw), `" `), 64)
	*n = number{err == nil, value}
	return nil
}
