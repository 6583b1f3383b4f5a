package store

import (
	"context"
	"fmt"
	"maps"
	"runtime"
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

func (s *Store) commitGroup(jobs []*job) {
	c := <-s.writer
	defer func() { s.writer <- c }()
	g := &group{store: s, c: c, clock: s.clock, kept: s.kept, changed: map[Key]*Document{}}
	err := g.run(jobs)
	if err == nil {
		err = g.commit()
	}
	if err == nil {
		s.clock, s.kept = g.clock, g.kept
		s.last.Store(g.clock)
	} else {
		if undo := c.exec(c.rollback); undo != nil {
			err = fmt.Errorf("%w (rollback: %w)", err, undo)
		}
		for _, j := range jobs {
			j.err = fmt.Errorf("commit: %w", err)
		}
	}
	for _, j := range jobs {
		close(j.done)
	}
}

// group is one transaction for several jobs.
type group struct {
	store       *Store
	c           *conn
	clock, kept int64
	changed     map[Key]*Document
	cleared     bool
}

// run fails only when SQLite does; what a job itself refuses stays in the job.
func (g *group) run(jobs []*job) error {
	if err := g.c.exec(g.c.begin); err != nil {
		return err
	}
	for _, j := range jobs {
		tx := &Tx{c: g.c, cache: g.store.cache, group: g.changed, clock: g.clock, cleared: g.cleared}
		if j.err = j.do(tx); tx.broken != nil {
			return tx.broken
		}
		if j.err != nil {
			continue
		}
		if err := tx.apply(); err != nil {
			return err
		}
		g.clock, g.cleared = tx.clock, tx.cleared
		maps.Copy(g.changed, tx.pending)
	}
	return nil
}

func (g *group) commit() error {
	if g.clock > g.kept {
		g.kept = g.clock + clockStep
		if err := g.c.exec(g.c.setClock, g.kept); err != nil {
			return err
		}
	}
	g.store.cache.begin(g.changed, g.cleared)
	err := g.c.exec(g.c.commit)
	if err != nil {
		g.changed = nil
	}
	g.store.cache.end(g.changed)
	return err
}
