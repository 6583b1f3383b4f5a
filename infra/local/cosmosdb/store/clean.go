package store

import (
	"context"
	"errors"
	"fmt"
)

// slack is how much the journal may hold beside twice what is alive.
const slack = 8 * segmentBytes

// rescueBytes is how much one write copies, so that others do not wait long.
const rescueBytes = 256 << 10

// wasteful tells whether the journal should give space back.
func (s *Store) wasteful() bool {
	if s.journal == nil {
		return false
	}
	oldest, newest := s.journal.Segments()
	v := s.state.Load()
	return v != nil && oldest < newest && s.journal.Size() > 2*v.live+slack
}

// tidy begins to clean when it is time and nobody does. The writing goroutine calls it.
func (s *Store) tidy() {
	if !s.wasteful() || !s.cleaning.CompareAndSwap(false, true) {
		return
	}
	s.cleaners.Go(func() {
		defer s.cleaning.Store(false)
		s.cleanErr = s.clean()
	})
}

// clean drops old segments after what is alive in them was written again. A failure is met again by the next cleaner.
func (s *Store) clean() error {
	for s.wasteful() {
		err := s.rescue()
		if errors.Is(err, ErrClosed) {
			return nil
		}
		if err == nil {
			err = s.journal.Drop()
		}
		if err != nil {
			return fmt.Errorf("clean journal: %w", err)
		}
	}
	return nil
}

// rescue writes what is alive of the oldest segment again, in small writes between those of others.
func (s *Store) rescue() error {
	var rows []*row
	size := int64(0)
	again := func() error {
		found := rows
		rows, size = nil, 0
		return s.Write(context.Background(), func(t *Tx) error {
			for _, r := range found {
				t.again(r)
			}
			return nil
		})
	}
	err := s.journal.Oldest(func(rec []byte) error {
		return changesOf(rec[min(clockBytes, len(rec)):], func(c change) error {
			if v := s.state.Load(); c.verb != set || !v.holds(c.row) {
				return nil
			}
			rows = append(rows, c.row)
			if size += c.size(); size < rescueBytes {
				return nil
			}
			return again()
		})
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	return again()
}

// holds tells whether the very row is still there.
func (s *state) holds(r *row) bool {
	now := s.get(r)
	return now != nil && now.at == r.at
}

// again writes a row another time when it is still there.
func (t *Tx) again(r *row) {
	if t.state.holds(r) {
		t.later(set, t.state.get(r))
	}
}
