package store

import (
	"slices"
	"testing"
)

// FuzzRecord reads records of any content: they are refused or read, and what is read is written the same.
func FuzzRecord(f *testing.F) {
	f.Add(make([]byte, clockBytes))
	f.Add(change{set, documentRow(Document{Key: Key{1, "p", "i"}, RID: 1, LSN: 2, Time: 3, Expires: 4, Body: "{}"})}.appendTo(make([]byte, clockBytes)))
	f.Add(change{wipe, &row{table: entries, space: 7}}.appendTo(make([]byte, clockBytes)))
	f.Fuzz(func(t *testing.T, rec []byte) {
		s := newState()
		if s.redo(rec) != nil {
			return
		}
		var again []byte
		err := changesOf(rec[clockBytes:], func(c change) error {
			again = c.appendTo(again)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var first, second []change
		for to, b := range map[*[]change][]byte{&first: rec[clockBytes:], &second: again} {
			if err := changesOf(b, func(c change) error { *to = append(*to, c); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.EqualFunc(first, second, func(a, b change) bool { return a.verb == b.verb && *a.row == *b.row }) {
			t.Errorf("%v became %v", first, second)
		}
	})
}
