package cosmosdb

import (
	"encoding/base64"
	"encoding/json"

	"throughline/infra/local/cosmosdb/value"
)

// token is a continuation: where the next page begins. Which fields count depends on how the query runs.
type token struct {
	Container string   `json:"c"`
	Partition string   `json:"p,omitempty"` // the last document of a walk
	ID        string   `json:"i,omitempty"`
	RID       int64    `json:"r,omitempty"`
	Keys      []string `json:"k,omitempty"` // the sort values of the last result, as JSON, "" for undefined
	Given     int      `json:"g,omitempty"` // results that earlier pages gave, where that counts
}

// String is safe in a header.
func (t *token) String() string {
	// Strings and numbers always marshal.
	b, _ := json.Marshal(t)
	return base64.RawURLEncoding.EncodeToString(b)
}

// readToken refuses what it has not written for this container.
func readToken(text, rid string) (token, *failure) {
	var t token
	if text == "" {
		return t, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(b, &t) != nil || t.Container != rid || t.Given < 0 {
		return token{}, badRequest("Invalid Continuation Token")
	}
	for _, k := range t.Keys {
		if _, err := value.Parse(k); k != "" && err != nil {
			return token{}, badRequest("Invalid Continuation Token")
		}
	}
	return t, nil
}

func (t token) keys() []value.Value {
	keys := make([]value.Value, len(t.Keys))
	for i, k := range t.Keys {
		// readToken has parsed it before.
		keys[i], _ = value.Parse(k)
	}
	return keys
}

func textsOf(keys []value.Value) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.JSON()
	}
	return list
}
