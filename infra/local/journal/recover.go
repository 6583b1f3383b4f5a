package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// errTorn ends the reading of a segment: what follows was never confirmed, or is damaged.
var errTorn = errors.New("torn record")

func (j *Journal) recover(replay func(Pos, []byte) error) error {
	numbers, err := j.list()
	if err != nil {
		return err
	}
	for i, n := range numbers {
		if i > 0 && n != numbers[i-1]+1 {
			return fmt.Errorf("open journal: segment %d is missing in %s", numbers[i-1]+1, j.o.Dir)
		}
		if err := j.load(n, i == len(numbers)-1, replay); err != nil {
			return err
		}
	}
	if len(numbers) > 0 {
		j.oldest, j.newest = numbers[0], numbers[len(numbers)-1]
		return nil
	}
	j.oldest, j.newest = 1, 0
	return nil
}

func (j *Journal) list() ([]uint32, error) {
	names, err := filepath.Glob(filepath.Join(j.o.Dir, "*.log"))
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	var numbers []uint32
	for _, name := range names {
		if n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), ".log"), 10, 32); err == nil {
			numbers = append(numbers, uint32(n))
		}
	}
	sort.Slice(numbers, func(a, b int) bool { return numbers[a] < numbers[b] })
	return numbers, nil
}

// load replays one segment. Only the last one may end in a torn record, which is then cut off.
func (j *Journal) load(number uint32, last bool, replay func(Pos, []byte) error) error {
	f, err := os.OpenFile(j.path(number), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	s := &segment{number: number, file: f}
	j.segments[number] = s
	s.size, err = s.scan(replay)
	if err == nil {
		return nil
	}
	if !errors.Is(err, errTorn) {
		return err
	}
	if !last {
		return fmt.Errorf("open journal: %s is damaged at byte %d", j.path(number), s.size)
	}
	return j.cut(s)
}

// Oldest reads the records of the oldest segment, all of which must be confirmed; rec is valid during the call only.
func (j *Journal) Oldest(read func(rec []byte) error) error {
	j.mu.Lock()
	s := j.segments[j.oldest]
	j.mu.Unlock()
	if s == nil {
		return nil
	}
	_, err := s.scan(func(_ Pos, rec []byte) error { return read(rec) })
	return err
}

// scan reads records until the zeros behind the last one, and tells where it stopped.
func (s *segment) scan(replay func(Pos, []byte) error) (end int64, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return 0, fmt.Errorf("open journal: %w", err)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, info.Size()), 1<<20)
	head := make([]byte, fileHeadBytes)
	end = fileHeadBytes
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, fileHead(s.number)) {
		return end, errTorn
	}
	var rec []byte
	for {
		if _, err := io.ReadFull(r, head[:headBytes]); err == io.EOF {
			return end, nil
		} else if err != nil {
			return end, errTorn
		}
		n := binary.BigEndian.Uint32(head)
		if n == 0 {
			return end, s.zeros(r, head[4:headBytes])
		}
		if end+headBytes+int64(n) > info.Size() {
			return end, errTorn
		}
		if uint32(cap(rec)) < n {
			rec = make([]byte, n)
		}
		if _, err := io.ReadFull(r, rec[:n]); err != nil || checksum(s.number, rec[:n]) != binary.BigEndian.Uint32(head[4:]) {
			return end, errTorn
		}
		if err := replay(Pos{Segment: s.number, Offset: uint32(end) + headBytes}, rec[:n]); err != nil {
			return end, err
		}
		end += headBytes + int64(n)
	}
}

// zeros checks that nothing follows the end: a length that a crash left zero before bytes that were written is torn.
func (s *segment) zeros(r io.Reader, sum []byte) error {
	buf := make([]byte, 64<<10)
	if !bytes.Equal(sum, buf[:4]) {
		return errTorn
	}
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return errTorn
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("open journal: %w", err)
		}
	}
}

// cut removes everything behind the last whole record.
func (j *Journal) cut(s *segment) error {
	if err := s.file.Truncate(s.size); err != nil {
		return fmt.Errorf("cut torn record: %w", err)
	}
	if err := prepare(s.file, s.number, int64(j.o.Segment)); err != nil {
		return fmt.Errorf("cut torn record: %w", err)
	}
	return nil
}
