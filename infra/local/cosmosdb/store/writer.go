package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
)

// groupSize bounds how many writes share one commit, groupBytes how much of them.
const (
	groupSize  = 256
	groupBytes = 1 << 20
)

type job struct {
	do   func(*Tx) error
	err  error
	done chan struct{}
}

// Write runs do inside the next group and returns after its commit. When do returns an error nothing of it is
// written and Write returns that error. do runs on the store's only writing goroutine: it must be quick and must not call
// the Store. Once Write has given the work away it waits for the outcome whatever ctx says, so that
// the caller never takes a committed write for a failed one.
func (s *Store) Write(ctx context.Context, do func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{do: do, done: make(chan struct{})}
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return ErrClosed
	}
	s.jobs <- j
	s.closing.RUnlock()
	<-j.done
	return j.err
}

// write is the writing goroutine. It ends when Close closes jobs and all of them are done.
func (s *Store) write() {
	defer close(s.stopped)
	for j := range s.jobs {
		for group := s.gather(j); len(group) > 0; {
			group = group[s.commitSome(group):]
		}
		s.tidy()
	}
}

// gather takes what waits already, and what those bring who are ready to run: it steps aside until nothing more comes. It
// never sleeps, so a writer alone waits for nobody.
func (s *Store) gather(first *job) []*job {
	group := append(s.jobsTaken[:0], first)
	for before := 0; before < len(group) && len(group) < groupSize; {
		before = len(group)
		runtime.Gosched()
		group = s.take(group)
	}
	s.jobsTaken = group
	return group
}

func (s *Store) take(group []*job) []*job {
	for len(group) < groupSize {
		select {
		case j, ok := <-s.jobs:
			if !ok {
				return group
			}
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commitSome runs the first jobs, as many as make a good record, commits them and tells how many they were.
func (s *Store) commitSome(jobs []*job) int {
	now := s.state.Load()
	next := now.fork()
	rec := append(s.record[:0], make([]byte, clockBytes)...)
	n := 0
	for ; n < len(jobs) && len(rec) < groupBytes; n++ {
		rec = next.run(jobs[n], rec)
	}
	if len(rec) > clockBytes || next.clock > now.clock {
		binary.BigEndian.PutUint64(rec, uint64(next.clock))
		s.commit(next, rec, jobs[:n])
	}
	s.record = nil
	if cap(rec) <= 2*groupBytes {
		s.record = rec
	}
	for _, j := range jobs[:n] {
		close(j.done)
	}
	return n
}

// run carries a job out and adds its changes to the record. What it refuses leaves nothing.
func (s *state) run(j *job, rec []byte) []byte {
	tx := &Tx{state: s, clock: s.clock}
	if j.err = j.do(tx); j.err != nil {
		return rec
	}
	s.clock = tx.clock
	for _, c := range tx.changes {
		s.apply(c)
		rec = c.appendTo(rec)
	}
	return rec
}

// commit makes the next state the committed one when the record is safe. After a failure the old one stays.
func (s *Store) commit(next *state, rec []byte, jobs []*job) {
	if err := s.safe(rec); err != nil {
		for _, j := range jobs {
			if j.err == nil {
				j.err = fmt.Errorf("commit: %w", err)
			}
		}
		return
	}
	s.state.Store(next)
}

func (s *Store) safe(rec []byte) error {
	if s.journal == nil {
		return nil
	}
	done := make(chan error, 1)
	s.journal.Append(rec, func(err error) { done <- err })
	return <-done
}
