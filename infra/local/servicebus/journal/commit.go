package journal

import (
	"encoding/binary"
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
		j.report(b.done, j.commit(b))
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

func (j *Journal) commit(b batch) error {
	j.mu.Lock()
	err := j.failed
	j.mu.Unlock()
	if err != nil || len(b.chunks) == 0 {
		return err
	}
	if err = j.write(b.chunks); err != nil {
		j.mu.Lock()
		j.failed = err
		j.mu.Unlock()
	}
	return err
}

func (j *Journal) write(chunks []chunk) error {
	for i, c := range chunks {
		if err := j.ensure(c.seg); err != nil {
			return err
		}
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

// ensure creates the file of a segment that has none yet.
func (j *Journal) ensure(s *segment) error {
	if s.file != nil {
		return nil
	}
	f, err := os.OpenFile(j.path(s.number), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	if err := prepare(f, s.number, j.o.Segment); err != nil {
		f.Close()
		return fmt.Errorf("begin segment: %w", err)
	}
	if err := syncDir(j.o.Dir); err != nil {
		f.Close()
		return fmt.Errorf("begin segment: %w", err)
	}
	j.mu.Lock()
	s.file = f
	j.mu.Unlock()
	return nil
}

// prepare gives a file its size and head, so that appending changes no length any more.
func prepare(f *os.File, number uint32, size int) error {
	if err := allocate(f, int64(size)); err != nil {
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
