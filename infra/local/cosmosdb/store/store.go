// Package store keeps the documents and the resources of the stand-in in one SQLite file, durably.
//
// All writes go through one goroutine that joins whatever waits into one transaction and one fsync (group commit); Write
// returns when its change would survive a power cut. Reads use connections of their own and see only what is committed;
// documents that were read or written lately are kept in memory beside the file, exactly as they were committed.
//
// With an empty folder the same tables and the same code run over one connection in memory.
//
// It knows neither HTTP nor JSON: bodies are text.
package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrClosed is what a store answers after Close.
var ErrClosed = errors.New("the store is closed")

// ErrInUse is what Open answers when another process, or another Store, has the folder open.
var ErrInUse = errors.New("the folder is in use by another process")

// The files inside the folder of Open: the database, and an empty one that is locked as long as the store is open.
const (
	fileName = "cosmosdb.sqlite"
	lockName = "cosmosdb.lock"
)

// readers is the number of connections that read at the same time.
const readers = 4

// Store is the open database. Its methods may be called by many goroutines.
type Store struct {
	readers chan *conn
	writer  chan *conn // holds the writing connection; the same channel as readers when in memory
	conns   []*conn
	cache   *cache
	tracked atomic.Bool

	jobs    chan *job
	stopped chan struct{}
	closing sync.RWMutex // held for reading while a job is handed over
	closed  bool

	// The writing goroutine's own: the last sequence number, the one on disk, room for a group.
	clock, kept int64
	jobsTaken   []*job

	last atomic.Int64 // the highest number that is committed
}

// Open opens or creates the store in dir; "" keeps it in memory. Close stops its goroutine.
func Open(dir string) (*Store, error) {
	s := &Store{cache: newCache(), jobs: make(chan *job, groupSize), stopped: make(chan struct{})}
	if err := s.connect(dir); err != nil {
		return nil, fmt.Errorf("open document store %q: %w", dir, errors.Join(err, s.closeConns()))
	}
	go s.write()
	return s, nil
}

func (s *Store) connect(dir string) error {
	if dir == "" {
		return s.connectMemory()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := s.dial(filepath.Join(dir, lockName), lockStatements); err != nil {
		var code *sqlite.Error
		if errors.As(err, &code) && code.Code()&0xff == sqlite3.SQLITE_BUSY {
			return ErrInUse
		}
		return err
	}
	file := filepath.Join(dir, fileName)
	w, err := s.dial(file, filePragmas+schema)
	if err != nil {
		return err
	}
	if err := errors.Join(w.prepare(w.readStatements()), w.prepare(w.writeStatements())); err != nil {
		return err
	}
	s.writer = make(chan *conn, 1)
	s.writer <- w
	s.readers = make(chan *conn, readers)
	for range readers {
		r, err := s.dial(file, readPragmas)
		if err != nil {
			return err
		}
		if err := r.prepare(r.readStatements()); err != nil {
			return err
		}
		s.readers <- r
	}
	return s.loadClock(w)
}

func (s *Store) connectMemory() error {
	c, err := s.dial(":memory:", memoryPragmas+schema)
	if err != nil {
		return err
	}
	if err := errors.Join(c.prepare(c.readStatements()), c.prepare(c.writeStatements())); err != nil {
		return err
	}
	s.readers = make(chan *conn, 1)
	s.writer = s.readers
	s.readers <- c
	return s.loadClock(c)
}

func (s *Store) dial(name, setup string) (*conn, error) {
	raw, err := (&sqlite.Driver{}).Open(name)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw}
	s.conns = append(s.conns, c)
	if _, err := raw.(driver.ExecerContext).ExecContext(context.Background(), setup, nil); err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Store) loadClock(c *conn) error {
	return c.query(c.getClock, nil, func(v []driver.Value) error {
		s.clock = v[0].(int64)
		s.kept = s.clock
		s.last.Store(s.clock)
		return nil
	})
}

// Last is the number of the latest committed write.
func (s *Store) Last() int64 { return s.last.Load() }

// Close ends the writer after the writes it has taken, and closes the file. Reads and writes that come later fail.
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
	for range cap(s.readers) {
		<-s.readers
	}
	return s.closeConns()
}

func (s *Store) closeConns() error {
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// read lends a reading connection to use.
func (s *Store) read(ctx context.Context, use func(*conn) error) error {
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return use(c)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrClosed
	}
}
