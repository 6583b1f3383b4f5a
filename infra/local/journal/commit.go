package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// commitLoop writes and syncs one batch after the other until Close.
func (j *Journal) commitLoop() {
	defer close(j.done)
	for {
		b, ok := j.next()
		if !ok {
			return
		}
		err := j.commit(&b)
		j.report(b.done, err)
	}
}

func (j *Journal) report(callbacks []func(error), err error) {
	run := func() {
		for _, done := range callbacks {
			done(err)
		}
	}
	if j.o.Around != nil {
		j.o.Around(run)
		return
	}
	run()
}

func (j *Journal) next() (batch, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.batch.done) == 0 && !j.closed {
		j.wake.Wait()
	}
	b := j.batch
	j.batch = batch{}
	return b, len(b.done) > 0
}

func (j *Journal) commit(b *batch) error {
	j.mu.Lock()
	err := j.failed
	j.mu.Unlock()
	if err != nil || len(b.chunks) == 0 {
		return err
	}
	for _, c := range b.chunks {
		if err := j.ensure(c.seg); err != nil {
			j.refuse(b)
			return err
		}
	}
	if err = j.write(b.chunks); err != nil {
		j.mu.Lock()
		j.failed = err
		j.mu.Unlock()
	}
	return err
}

// refuse takes back the places of a batch of which nothing was written, and of all that came after it, so that the next
// record begins where the batch did.
func (j *Journal) refuse(b *batch) {
	j.mu.Lock()
	later := j.batch
	j.batch = batch{}
	for _, c := range append(later.chunks, b.chunks...) {
		c.seg.size = min(c.seg.size, c.off)
	}
	for s := j.segments[j.newest]; s != nil && s.file == nil; s = j.segments[j.newest] {
		delete(j.segments, j.newest)
		j.newest--
	}
	j.mu.Unlock()
	b.done = append(b.done, later.done...)
}

func (j *Journal) write(chunks []chunk) error {
	for i, c := range chunks {
		if _, err := c.seg.file.WriteAt(c.data, c.off); err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
		if i+1 < len(chunks) && chunks[i+1].seg == c.seg || j.o.NoSync {
			continue
		}
		if err := syncData(c.seg.file); err != nil {
			return fmt.Errorf("sync journal: %w", err)
		}
	}
	return nil
}

// ensure creates the file of a segment that has none yet, or leaves nothing.
func (j *Journal) ensure(s *segment) error {
	if s.file != nil {
		return nil
	}
	j.mu.Lock()
	size := max(s.size, int64(j.o.Segment)) // a record may be larger than a segment
	j.mu.Unlock()
	f, err := j.create(s.number, size)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	j.mu.Lock()
	s.file = f
	j.mu.Unlock()
	return nil
}

func (j *Journal) create(number uint32, size int64) (*os.File, error) {
	f, err := os.OpenFile(j.path(number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	err = prepare(f, number, size)
	if err == nil {
		err = syncDir(j.o.Dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(j.path(number)))
	}
	return f, nil
}

// prepare gives a file its size and head, so that appending changes no length any more.
func prepare(f *os.File, number uint32, size int64) error {
	if err := allocate(f, size); err != nil {
		return err
	}
	if _, err := f.WriteAt(fileHead(number), 0); err != nil {
		return err
	}
	return f.Sync()
}

func fileHead(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte("sb-journal-1"), number)
}

func (j *Journal) path(number uint32) string {
	return filepath.Join(j.o.Dir, fmt.Sprintf("%010d.log", number))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
