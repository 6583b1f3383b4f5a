package customhandler

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// invocation is what the host posts in payload mode.
type invocation struct {
	Data     map[string]json.RawMessage
	Metadata map[string]json.RawMessage
}

func decodeInvocation(body []byte) (invocation, error) {
	var in invocation
	if err := json.Unmarshal(body, &in); err != nil {
		return in, fmt.Errorf("decode invocation: %w", err)
	}
	if len(in.Data) != 1 {
		return in, fmt.Errorf("decode invocation: %d bindings in Data, want the trigger alone", len(in.Data))
	}
	return in, nil
}

// trigger is the value of the only binding.
func (in invocation) trigger() json.RawMessage {
	for _, raw := range in.Data {
		return raw
	}
	return nil
}

// body is the message as it was sent. With dataType binary the host gives one base64 string with the exact bytes.
// Without it the host gives the text encoded twice, or an object; those are understood too.
func (in invocation) body() ([]byte, error) {
	raw := in.trigger()
	var text string
	if json.Unmarshal(raw, &text) != nil {
		if len(raw) > 0 && raw[0] == '{' {
			return raw, nil
		}
		return nil, errors.New("the trigger value is neither a string nor an object")
	}
	if plain, quoted := unquote(text); quoted {
		return []byte(plain), nil
	}
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		return decoded, nil
	}
	return []byte(text), nil
}

// unquote takes the second encoding off a string that is itself a JSON string.
func unquote(text string) (string, bool) {
	var plain string
	if !strings.HasPrefix(text, `"`) || json.Unmarshal([]byte(text), &plain) != nil {
		return text, false
	}
	return plain, true
}

// text is a metadata value without its encodings; an absent key is "".
func (in invocation) text(name string) string {
	raw, ok := in.Metadata[name]
	if !ok {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return strings.Trim(string(raw), " \t\r\n") // a bare number or boolean
	}
	plain, _ := unquote(text)
	return plain
}

func (in invocation) number(name string) int {
	n, err := strconv.Atoi(in.text(name))
	if err != nil {
		return 0
	}
	return n
}

func (in invocation) time(name string) time.Time { return parseTime(in.text(name)) }

// timeForms are .NET's spellings: with a zone, and without one, which means UTC.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "01/02/2006 15:04:05"}

// parseTime reads a time in any of .NET's spellings; what is none is the zero time.
func parseTime(text string) time.Time {
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
