// Package journal keeps an append-only log of records on disk, with group commit.
//
// What was confirmed survives a crash of the process and of the machine: a record's callback runs after the
// record and everything before it were synced. Records that wait at the same time share one sync. A write
// torn by a crash at the end of the log is cut off when it is opened again.
//
// The log is a queue of segments. Its user gives space back by appending again what is still alive of the
// oldest segment and then dropping it; the journal does not know what is alive. Room for a segment is reserved when it
// begins: where there is none, what was to be written fails, and later records are taken again once there is room.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

// ErrClosed is given to records that come after Close.
var ErrClosed = errors.New("journal is closed")

// ErrInUse is what Open answers when another process has the folder open.
var ErrInUse = errors.New("the folder is in use by another process")

const (
	headBytes     = 8 // length and checksum before each record
	fileHeadBytes = 16
	// DefaultSegment is the size at which a segment is closed and the next begun.
	DefaultSegment = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Pos is where the content of a record begins.
type Pos struct {
	Segment uint32
	Offset  uint32
}

// Options of a journal.
type Options struct {
	Dir     string
	Segment int // bytes; 0 = DefaultSegment
	// Around, when set, is called with a function that runs the callbacks of one batch, to take a lock once for all.
	Around func(run func())
	// NoSync leaves out the sync, for measurements: what was confirmed then survives a crash of the process only.
	NoSync bool
}

// Journal is safe for use by several goroutines.
type Journal struct {
	o    Options
	lock *os.File

	mu       sync.Mutex
	wake     *sync.Cond
	segments map[uint32]*segment
	oldest   uint32
	newest   uint32
	batch    batch
	failed   error // sticky: after a failed write or sync nobody knows what is on disk
	closed   bool
	done     chan struct{}
}

// batch is what the next sync confirms.
type batch struct {
	chunks []chunk
	done   []func(error)
}

type chunk struct {
	seg  *segment
	off  int64
	data []byte
}

type segment struct {
	number uint32
	size   int64 // bytes appended, written or not
	file   *os.File
}

// Open opens or creates the journal in o.Dir, takes its lock, and calls replay with every record that is
// whole, in order; rec is valid during the call only.
func Open(o Options, replay func(p Pos, rec []byte) error) (*Journal, error) {
	if o.Segment == 0 {
		o.Segment = DefaultSegment
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{o: o, lock: lock, segments: map[uint32]*segment{}, done: make(chan struct{})}
	j.wake = sync.NewCond(&j.mu)
	if err := j.recover(replay); err != nil {
		j.closeFiles()
		return nil, err
	}
	go j.commitLoop()
	return j, nil
}

// Append adds a record and returns where its content will be. done runs on the goroutine that commits, in the
// order of the calls, after the record is safe, or with the error that makes sure that it is not. An empty record
// adds nothing: its done runs when everything before it is safe.
func (j *Journal) Append(rec []byte, done func(error)) Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		go done(ErrClosed)
		return Pos{}
	}
	var p Pos
	if len(rec) > 0 && j.failed == nil { // a length of zero is the end of a segment
		p = j.place(rec)
	}
	j.batch.done = append(j.batch.done, done)
	j.wake.Signal()
	return p
}

func (j *Journal) place(rec []byte) Pos {
	s := j.segments[j.newest]
	need := int64(headBytes + len(rec))
	if s == nil || s.size+need > int64(j.o.Segment) && s.size > fileHeadBytes {
		j.newest++
		s = &segment{number: j.newest, size: fileHeadBytes}
		j.segments[j.newest] = s
	}
	c := j.batch.last(s)
	c.data = binary.BigEndian.AppendUint32(c.data, uint32(len(rec)))
	c.data = binary.BigEndian.AppendUint32(c.data, checksum(s.number, rec))
	c.data = append(c.data, rec...)
	p := Pos{Segment: s.number, Offset: uint32(s.size) + headBytes}
	s.size += need
	return p
}

// last is the chunk at the end of the batch when it belongs to s, else a new one.
func (b *batch) last(s *segment) *chunk {
	if n := len(b.chunks); n > 0 && b.chunks[n-1].seg == s {
		return &b.chunks[n-1]
	}
	b.chunks = append(b.chunks, chunk{seg: s, off: s.size})
	return &b.chunks[len(b.chunks)-1]
}

// checksum covers the number of the segment too, so that bytes of another file never pass.
func checksum(number uint32, rec []byte) uint32 {
	return crc32.Update(number, castagnoli, rec)
}

// ReadAt fills buf from p on, which must lie in a record that was confirmed and not dropped.
func (j *Journal) ReadAt(buf []byte, p Pos) error {
	j.mu.Lock()
	var f *os.File
	if s := j.segments[p.Segment]; s != nil {
		f = s.file
	}
	j.mu.Unlock()
	if f == nil {
		return fmt.Errorf("read journal: segment %d is gone", p.Segment)
	}
	if _, err := f.ReadAt(buf, int64(p.Offset)); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	return nil
}

// Size is the number of bytes in all segments.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for _, s := range j.segments {
		n += s.size
	}
	return n
}

// Segments is the oldest and the newest segment; only the newest is appended to.
func (j *Journal) Segments() (oldest, newest uint32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.oldest, j.newest
}

// Pending tells whether records in a segment wait for their commit.
func (j *Journal) Pending(segment uint32) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.batch.chunks {
		if c.seg.number == segment {
			return true
		}
	}
	return false
}

// Drop deletes the oldest segment, which must not be the newest. What was alive in it must have been appended
// again and confirmed. No ReadAt of it may be running.
func (j *Journal) Drop() error {
	j.mu.Lock()
	s := j.segments[j.oldest]
	if s == nil || j.oldest == j.newest {
		j.mu.Unlock()
		return nil
	}
	delete(j.segments, j.oldest)
	j.oldest++
	j.mu.Unlock()
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("drop segment %d: %w", s.number, err)
	}
	if err := os.Remove(j.path(s.number)); err != nil {
		return fmt.Errorf("drop segment %d: %w", s.number, err)
	}
	return nil
}

// Close commits what was appended, and gives the lock back.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	j.wake.Signal()
	j.mu.Unlock()
	<-j.done
	return j.closeFiles()
}

func (j *Journal) closeFiles() error {
	var err error
	for _, s := range j.segments {
		if s.file != nil {
			err = errors.Join(err, s.file.Close())
		}
	}
	return errors.Join(err, j.lock.Close())
}
