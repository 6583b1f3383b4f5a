// Package journal keeps the small documents that the demo must not forget: issues, comments, assignments, deliveries.
//
// A journal is a map from keys to JSON documents with a log beside it. Put appends one line for the whole batch and
// returns when it is on disk, so that after kill -9 a batch is there as a whole or not at all. It is compacted when it
// is opened and mostly garbage. It does not index or query: its users keep typed maps of their own and write through.
package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

// Entry is one document of a batch. A nil Value deletes.
type Entry struct {
	Key   string `json:"k"`
	Value any    `json:"v"`
}

type line []struct {
	Key   string          `json:"k"`
	Value json.RawMessage `json:"v"`
}

// Journal is safe for use by many goroutines.
type Journal struct {
	mu   sync.Mutex
	file *os.File // nil when everything stays in memory
	docs map[string]json.RawMessage
}

// Open reads the journal of a directory, which is made when missing; "" keeps everything in memory. A last line that a
// crash cut short is dropped; damage anywhere else is an error.
func Open(dir string) (*Journal, error) {
	j := &Journal{docs: map[string]json.RawMessage{}}
	if dir == "" {
		return j, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "journal.jsonl")
	lines, good, err := j.load(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if lines > 1000 && lines > 4*len(j.docs) {
		if err := j.compact(path); err != nil {
			return nil, fmt.Errorf("compact %s: %w", path, err)
		}
		good = -1
	}
	return j, j.attach(path, good)
}

// attach opens the log for appending behind the last good byte; -1 leaves its length alone.
func (j *Journal) attach(path string, good int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if good >= 0 {
		err = f.Truncate(good)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file = f
	return nil
}

func (j *Journal) load(path string) (lines int, good int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		raw, err := r.ReadBytes('\n')
		if err == io.EOF {
			return lines, good, nil // what stands behind the last newline was never confirmed
		}
		if err != nil {
			return lines, good, err
		}
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			return lines, good, fmt.Errorf("line %d: %w", lines+1, err)
		}
		j.apply(l)
		lines, good = lines+1, good+int64(len(raw))
	}
}

func (j *Journal) apply(l line) {
	for _, e := range l {
		if len(e.Value) == 0 || string(e.Value) == "null" {
			delete(j.docs, e.Key)
			continue
		}
		j.docs[e.Key] = e.Value
	}
}

func (j *Journal) compact(path string) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for _, k := range j.keys("") {
		raw, merr := json.Marshal([]Entry{{k, j.docs[k]}})
		_, werr := w.Write(append(raw, '\n'))
		err = errors.Join(err, merr, werr)
	}
	err = errors.Join(err, w.Flush(), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// Put stores a batch as one: all of it or nothing survives a crash. It returns when the batch is durable.
func (j *Journal) Put(batch ...Entry) error {
	raw, err := json.Marshal(batch)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		if _, err := j.file.Write(append(raw, '\n')); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if err := j.file.Sync(); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	j.apply(l)
	return nil
}

// Get decodes one document into v and tells whether it is there.
func (j *Journal) Get(key string, v any) (bool, error) {
	j.mu.Lock()
	raw, ok := j.docs[key]
	j.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, v)
}

// Each hands over every document whose key starts with prefix, in the order of keys.
func (j *Journal) Each(prefix string, f func(key string, raw json.RawMessage) error) error {
	j.mu.Lock()
	keys := j.keys(prefix)
	j.mu.Unlock()
	for _, k := range keys {
		j.mu.Lock()
		raw, ok := j.docs[k]
		j.mu.Unlock()
		if !ok {
			continue
		}
		if err := f(k, raw); err != nil {
			return fmt.Errorf("journal %s: %w", k, err)
		}
	}
	return nil
}

func (j *Journal) keys(prefix string) []string {
	var out []string
	for k := range j.docs {
		if strings.HasPrefix(k, prefix) {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

// Close releases the log. Everything that Put confirmed is on disk already.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
