// Package store keeps the documents and the resources of the stand-in in memory, in order, and what makes them durable in a
// journal beside it.
//
// All writes go through one goroutine that joins whatever waits into one record of the journal and one sync (group
// commit); Write returns when its change would survive a power cut. Readers look at the last committed state, which never
// changes under them: the writer works on a copy that shares with it whatever stays the same.
//
// With an empty folder there is no journal. Memory must hold all that is alive; the journal at most about twice as
// much and a few segments. It knows neither HTTP nor JSON: bodies are text.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"throughline/infra/local/journal"
)

// ErrClosed is what a store answers after Close.
var ErrClosed = errors.New("the store is closed")

// ErrInUse is what Open answers when another process, or another Store, has the folder open.
var ErrInUse = journal.ErrInUse

// formerFile is where versions before this one kept everything.
const formerFile = "cosmosdb.sqlite"

// segmentBytes is the size of a file of the journal. Space is given back, and reserved, in such pieces.
const segmentBytes = 2 << 20

// Store is the open store. Its methods may be called by many goroutines.
type Store struct {
	state   atomic.Pointer[state] // as committed; nil when closed
	journal *journal.Journal      // nil in memory

	jobs     chan *job
	stopped  chan struct{}
	closing  sync.RWMutex // held for reading while a job is handed over
	closed   bool
	cleaning atomic.Bool
	cleaners sync.WaitGroup
	cleanErr error // of the last cleaner

	// The writing goroutine's own: room for a group.
	jobsTaken []*job
	record    []byte
}

// Open opens or creates the store in dir; "" keeps it in memory only. Close stops its goroutine.
func Open(dir string) (*Store, error) {
	s := &Store{jobs: make(chan *job, groupSize), stopped: make(chan struct{})}
	first := newState()
	if dir != "" {
		if err := s.load(dir, first); err != nil {
			return nil, fmt.Errorf("open document store %q: %w", dir, err)
		}
	}
	s.state.Store(first)
	go s.write()
	return s, nil
}

func (s *Store) load(dir string, into *state) (err error) {
	if _, err := os.Stat(filepath.Join(dir, formerFile)); err == nil {
		return fmt.Errorf("%s was written by an earlier version, which kept another format: move the data folder away to begin anew, or run that version", formerFile)
	}
	s.journal, err = journal.Open(journal.Options{Dir: dir, Segment: segmentBytes}, func(_ journal.Pos, rec []byte) error { return into.redo(rec) })
	return err
}

// view is the committed state.
func (s *Store) view(ctx context.Context) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if v := s.state.Load(); v != nil {
		return v, nil
	}
	return nil, ErrClosed
}

// Last is the number of the latest committed write.
func (s *Store) Last() int64 {
	if v := s.state.Load(); v != nil {
		return v.clock
	}
	return 0
}

// Close ends the writer after the writes it has taken, and closes the journal. Reads and writes that come later fail.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	close(s.jobs)
	s.closing.Unlock()
	<-s.stopped
	s.cleaners.Wait()
	s.state.Store(nil)
	if s.journal == nil {
		return nil
	}
	return errors.Join(s.cleanErr, s.journal.Close())
}
