package correlate

import (
	"context"
	"errors"
	"fmt"

	"throughline/shared/graph"
)

// debt is what follows from a noun that was written loose: digests to map, and the mark that it is done. A handling pays
// its debts together, so that an image that many of its nouns are about is mapped once.
type debt struct {
	digests []graph.Digest
	guess   []graph.RepositoryID // whom they probably concern
	pay     func(owners []graph.RepositoryID) error
}

func (t *tie) owe(d debt) { t.debts = append(t.debts, d) }

// settle pays what is owed. While the origin of an image is still being asked for it is not mapped: with the last answer
// everything is that was noted until then.
func (t *tie) settle(ctx context.Context) error {
	if err := t.writeNotes(ctx); err != nil {
		return err
	}
	for len(t.debts) > 0 {
		debts := t.debts
		t.debts = nil
		clear(t.mapped)
		for _, d := range debts {
			owners, err := t.mapAll(ctx, d)
			if err != nil {
				return err
			}
			if d.pay == nil {
				continue
			}
			if err := d.pay(owners); err != nil {
				return err
			}
		}
		if err := t.writeNotes(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mapAll maps the digests of a debt that this round has not mapped yet.
func (t *tie) mapAll(ctx context.Context, owed debt) ([]graph.RepositoryID, error) {
	var owners []graph.RepositoryID
	for _, d := range owed.digests {
		if err := t.mapOnce(ctx, d, owed.guess); err != nil {
			return nil, fmt.Errorf("map %s: %w", d.Short(), err)
		}
		owners = union(owners, t.mapped[d]...)
	}
	return owners, nil
}

func (t *tie) mapOnce(ctx context.Context, d graph.Digest, guess []graph.RepositoryID) error {
	if _, mapped := t.mapped[d]; mapped {
		return nil
	}
	asking, err := t.open(ctx, d)
	if err == nil && !asking {
		return t.exposeDigest(ctx, d, guess...)
	}
	t.mapped[d] = nil
	return err
}

// note keeps a write of the state container until the others of this handling are written.
func (t *tie) note(k graph.Key, kind graph.Kind, noun any) error {
	w, err := graph.NewWrite(k, kind, graph.Any, noun)
	t.notes = append(t.notes, w)
	return err
}

// writeNotes writes the notes, partition by partition.
func (t *tie) writeNotes(ctx context.Context) error {
	notes := t.notes
	t.notes = nil
	var order []string
	byPartition := map[string][]graph.Write{}
	for _, w := range notes {
		if byPartition[w.Key.Partition] == nil {
			order = append(order, w.Key.Partition)
		}
		byPartition[w.Key.Partition] = append(byPartition[w.Key.Partition], w)
	}
	for _, p := range order {
		if err := writeAll(ctx, t.Store, latest(byPartition[p])); err != nil {
			return fmt.Errorf("note in %s: %w", p, err)
		}
	}
	return nil
}

// latest keeps the last write of each document: a batch may name one only once.
func latest(ws []graph.Write) []graph.Write {
	at := map[graph.Key]int{}
	var out []graph.Write
	for _, w := range ws {
		if i, again := at[w.Key]; again {
			out[i] = w
			continue
		}
		at[w.Key] = len(out)
		out = append(out, w)
	}
	return out
}

// bytesAtOnce and writesAtOnce bound one transaction.
const (
	bytesAtOnce  = 1 << 20
	writesAtOnce = 100
)

// writeAll writes documents of one partition in as few transactions as their size allows.
func writeAll(ctx context.Context, s graph.Store, ws []graph.Write) error {
	for len(ws) > 0 {
		n, size := 0, 0
		for n < len(ws) && n < writesAtOnce && (n == 0 || size+len(ws[n].Data) <= bytesAtOnce) {
			size += len(ws[n].Data)
			n++
		}
		if err := s.Write(ctx, ws[:n]...); err != nil {
			return err
		}
		ws = ws[n:]
	}
	return nil
}

// stale tells whether somebody else wrote first.
func stale(err error) bool { return errors.Is(err, graph.ErrStale) }
