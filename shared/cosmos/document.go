package cosmos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"throughline/shared/graph"
)

// version of the stored form.
const version = 1

// document is how a document lies in a container.
type document struct {
	ID      string          `json:"id"`
	PK      string          `json:"pk,omitempty"`
	Org     string          `json:"org,omitempty"`
	Kind    graph.Kind      `json:"kind"`
	Version int             `json:"v"`
	Data    json.RawMessage `json:"data"`
	ETag    azcore.ETag     `json:"_etag,omitempty"` // the server's; never written
}

func encode(w graph.Write) ([]byte, error) {
	d := document{ID: escape(w.Key.ID), Kind: w.Kind, Version: version, Data: w.Data}
	if partitionField(w.Key.Container) == "org" {
		d.Org = w.Key.Partition
	} else {
		d.PK = w.Key.Partition
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("encode %s: %w", w.Key, err)
	}
	return b.Bytes(), nil
}

// decode reads a stored document of the container and partition of k.
func decode(k graph.Key, raw []byte) (graph.Document, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return graph.Document{}, fmt.Errorf("decode %s: %w", k, err)
	}
	if d.Version > version {
		return graph.Document{}, fmt.Errorf("decode %s/%s: form %d was written by a newer version", k, d.ID, d.Version)
	}
	k.ID = unescape(d.ID)
	return graph.Document{Key: k, Kind: d.Kind, ETag: string(d.ETag), Data: d.Data}, nil
}

// escape writes an id with the characters that Cosmos DB, its gateway and the client can address: ~ and two hex digits
// stand for each of the others. Identities of the product pass unchanged.
func escape(id string) string {
	if id == "." || id == ".." {
		return "~2e" + id[1:] // no path segment keeps these
	}
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		trailing := c == ' ' && strings.Trim(id[i:], " ") == ""
		if c < ' ' || c == 0x7f || trailing || strings.IndexByte(`/\#?%"~`, c) >= 0 {
			fmt.Fprintf(&b, "~%02x", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func unescape(id string) string {
	before, rest, found := strings.Cut(id, "~")
	if !found {
		return id
	}
	var b strings.Builder
	b.WriteString(before)
	for part := range strings.SplitSeq(rest, "~") {
		c, err := strconv.ParseUint(part[:min(2, len(part))], 16, 8)
		if err != nil || len(part) < 2 {
			return id // not written by escape
		}
		b.WriteByte(byte(c))
		b.WriteString(part[2:])
	}
	return b.String()
}
