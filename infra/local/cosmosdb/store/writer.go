package store

import (
	"context"
	"fmt"
)

// groupSize bounds how many writes share one commit.
const groupSize = 256

// clockStep is how far ahead the clock on disk runs, so that most commits need not move it. After a crash at most
// as many numbers are skipped.
const clockStep = 4096

type job struct {
	do   func(*Tx) error
	err  error
	done chan struct{}
}

// Write runs do inside the next transaction and returns after its commit. When do returns an error nothing of it is
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
		s.commitGroup(s.gather(j))
	}
}

// gather takes what waits already; it does not wait for more.
func (s *Store) gather(first *job) []*job {
	group := append(s.group[:0], first)
	defer func() { s.group = group }()
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

func (s *Store) commitGroup(group []*job) {
	c := <-s.writer
	defer func() { s.writer <- c }()
	clock, kept := s.clock, s.kept
	if err := s.runGroup(c, group); err != nil {
		s.clock, s.kept = clock, kept
		if undo := c.exec(c.rollback); undo != nil {
			err = fmt.Errorf("%w (rollback: %w)", err, undo)
		}
		for _, j := range group {
			j.err = fmt.Errorf("commit: %w", err)
		}
	}
	for _, j := range group {
		close(j.done)
	}
}

// runGroup fails only when SQLite does; what a job itself refuses stays in the job.
func (s *Store) runGroup(c *conn, group []*job) error {
	if err := c.exec(c.begin); err != nil {
		return err
	}
	for _, j := range group {
		tx := &Tx{c: c, clock: s.clock}
		if j.err = j.do(tx); tx.broken != nil {
			return tx.broken
		}
		if j.err != nil {
			continue
		}
		if err := tx.apply(); err != nil {
			return err
		}
		s.clock = tx.clock
	}
	if s.clock > s.kept {
		s.kept = s.clock + clockStep
		if err := c.exec(c.setClock, s.kept); err != nil {
			return err
		}
	}
	return c.exec(c.commit)
}
