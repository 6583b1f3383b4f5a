package functionapp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// payload is what a function in payload mode gets by POST.
type payload struct {
	Data     map[string]any
	Metadata map[string]any
}

// dateTime is a .NET DateTime: no zone, whole seconds.
type dateTime time.Time

// dateTimeOffset is a .NET DateTimeOffset: with its zone, whole seconds.
type dateTimeOffset time.Time

const dateTimeForm = "2006-01-02T15:04:05"

// encode gives a value the form it has on the wire: strings are encoded twice,
// numbers and times are strings, arrays are strings that hold JSON, bytes are
// base64, objects stay objects. It returns false for null, which has no key at all.
func encode(value any) (any, bool) {
	switch v := value.(type) {
	case nil:
		return nil, false
	case []byte:
		return base64.StdEncoding.EncodeToString(v), true
	case dateTime:
		return time.Time(v).UTC().Format(dateTimeForm), true
	case dateTimeOffset:
		return time.Time(v).Format(dateTimeForm + "-07:00"), true
	case map[string]any, json.RawMessage:
		return v, true
	}
	return plainJSON(value), true
}

// plainJSON is v as JSON text, without the escapes that are meant for HTML.
func plainJSON(v any) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// marshal encodes the payload; keys of Metadata that end in "trigger" stay behind.
func (p payload) marshal() ([]byte, error) {
	wire := payload{Data: map[string]any{}, Metadata: map[string]any{}}
	for name, value := range p.Data {
		if v, ok := encode(value); ok {
			wire.Data[name] = v
		}
	}
	for name, value := range p.Metadata {
		if v, ok := encode(value); ok && !strings.HasSuffix(strings.ToLower(name), "trigger") {
			wire.Metadata[name] = v
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wire); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// system is the metadata that every invocation carries.
func system(function string, now time.Time) map[string]any {
	return map[string]any{
		"MethodName": function,
		"UtcNow":     now.UTC().Format("2006-01-02T15:04:05.9999999Z"),
		"RandGuid":   uuid.NewString(),
	}
}

// mergeBody copies the top-level properties of a JSON object into the metadata,
// over what is there and without regard to case: the host does so for every
// trigger value that is a string. The sender of a message can so overwrite its
// MessageId or DeliveryCount; dataType binary is the cure.
func mergeBody(body string, metadata map[string]any) {
	text := strings.TrimSpace(body)
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return
	}
	for name, raw := range object {
		if value := mergedValue(raw); value != nil {
			metadata[foldedKey(metadata, name)] = value
		}
	}
}

func foldedKey(m map[string]any, name string) string {
	for key := range m {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}

// mergedValue is a property as the host's dictionary holds it: an object, or the
// text of a scalar in .NET's spelling. Arrays and null are left out.
func mergedValue(raw json.RawMessage) any {
	switch raw[0] {
	case '[', 'n':
		return nil
	case '{':
		return raw
	case 't':
		return "True"
	case 'f':
		return "False"
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return nil
		}
		// The host's JSON reader takes what looks like a date for one.
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return at.UTC().Format("01/02/2006 15:04:05")
		}
		return text
	}
	return string(raw)
}
