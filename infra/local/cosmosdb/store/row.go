package store

import (
	"encoding/binary"
	"errors"
	"strings"
)

// table is one kind of thing that is kept.
type table byte

const (
	documents table = iota // space: the container; text: the body
	uniques                // space: the container; id: the unique value; text: the id of its document
	entries                // space: the index; text: the value; id: the document
	resources              // partition: the kind; id: the name; text: the body
	tableCount
)

// row is anything that is kept. Its number at is never given to another row, so that the journal can tell whether what it
// holds is still so. The row of a document that is stored is never changed.
type row struct {
	table         table
	space         int64
	partition     string
	id            string
	text          string
	rid, at       int64
	time, expires int64
}

// rowBytes is about what a row takes in the journal beside its texts.
const rowBytes = 40

func (r *row) size() int64 { return int64(rowBytes + len(r.partition) + len(r.id) + len(r.text)) }

func documentRow(d Document) *row {
	return &row{table: documents, space: d.Container, partition: d.Partition, id: d.ID, text: d.Body, rid: d.RID, at: d.LSN, time: d.Time, expires: d.Expires}
}

func (r *row) document() Document {
	return Document{Key: Key{r.space, r.partition, r.id}, RID: r.rid, LSN: r.at, Time: r.time, Expires: r.expires, Body: r.text}
}

func (r *row) alive(now int64) bool { return r.expires == 0 || r.expires > now }

// keyRow is a row with a key alone, to look others up by.
func keyRow(t table, k Key) *row {
	return &row{table: t, space: k.Container, partition: k.Partition, id: k.ID}
}

// byKey orders the rows of a table, entries by their value before the id.
func byKey(a, b *row) bool {
	if a.space != b.space {
		return a.space < b.space
	}
	if c := strings.Compare(a.partition, b.partition); c != 0 {
		return c < 0
	}
	if a.table == entries {
		if c := strings.Compare(a.text, b.text); c != 0 {
			return c < 0
		}
	}
	return a.id < b.id
}

func byCreation(a, b *row) bool {
	if a.space != b.space {
		return a.space < b.space
	}
	return a.rid < b.rid
}

func byChange(a, b *row) bool {
	if a.space != b.space {
		return a.space < b.space
	}
	return a.at < b.at
}

func byExpiry(a, b *row) bool {
	if a.expires != b.expires {
		return a.expires < b.expires
	}
	return byKey(a, b)
}

// verb is what a change does.
type verb byte

const (
	set  verb = iota // the row, in the place of one with the same key
	drop             // the row with this key
	wipe             // every row of the table and space
)

// change is one step of a write, in the journal and in memory.
type change struct {
	verb verb
	*row
}

// A record of the journal is the clock, then changes that take effect together.
const clockBytes = 8

var errRecord = errors.New("a record of the journal cannot be read")

func (c change) appendTo(b []byte) []byte {
	b = append(b, byte(c.verb), byte(c.table))
	for _, n := range [...]int64{c.space, c.rid, c.at, c.time, c.expires} {
		b = binary.AppendVarint(b, n)
	}
	for _, s := range [...]string{c.partition, c.id, c.text} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

// changesOf shows the changes of a record until yield returns an error.
func changesOf(rec []byte, yield func(change) error) error {
	for len(rec) > 0 {
		c, rest, ok := readChange(rec)
		if !ok {
			return errRecord
		}
		if err := yield(c); err != nil {
			return err
		}
		rec = rest
	}
	return nil
}

func readChange(rec []byte) (c change, rest []byte, ok bool) {
	if len(rec) < 2 || rec[0] > byte(wipe) || rec[1] >= byte(tableCount) {
		return c, nil, false
	}
	c = change{verb(rec[0]), &row{table: table(rec[1])}}
	rec = rec[2:]
	for _, to := range [...]*int64{&c.space, &c.rid, &c.at, &c.time, &c.expires} {
		n, w := binary.Varint(rec)
		if w <= 0 {
			return c, nil, false
		}
		*to, rec = n, rec[w:]
	}
	for _, to := range [...]*string{&c.partition, &c.id, &c.text} {
		n, w := binary.Uvarint(rec)
		if w <= 0 || n > uint64(len(rec)-w) {
			return c, nil, false
		}
		*to, rec = string(rec[w:w+int(n)]), rec[w+int(n):]
	}
	return c, rec, true
}
