package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Chained binds a decision to the one before it: Link is the hash of all that the decision says, After of the record of
// its predecessor. Whoever changes a stored decision or a record breaks the hash that names it.
func (d Decision) Chained(after string) (Decision, error) {
	d.After, d.Link = after, ""
	raw, err := json.Marshal(d)
	if err == nil {
		d.Link, err = chainHash(raw, "link")
	}
	if err != nil {
		return d, fmt.Errorf("link of a decision: %w", err)
	}
	return d, nil
}

// Link is the hash that the decision after this one keeps in its After.
func (r Record) Link() (string, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("link of record of %s: %w", r.Finding, err)
	}
	return chainHash(raw)
}

// chainHash hashes a JSON object without some of its members, whatever the order of its members, its white space and the
// way in which its numbers are written: a store may change those.
func chainHash(raw []byte, without ...string) (string, error) {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&members); err != nil {
		return "", err
	}
	for _, name := range without {
		delete(members, name)
	}
	plain, err := json.Marshal(members)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(plain)
	return hex.EncodeToString(sum[:]), nil
}
