package journal

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func open(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // a second close says that it is closed
	return j
}

func all(t testing.TB, j *Journal, prefix string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := j.Each(prefix, func(key string, raw json.RawMessage) error {
		out[key] = string(raw)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReopenedJournalIsTheSame plays any batches, closes or not, and reads them again.
func TestReopenedJournalIsTheSame(t *testing.T) {
	dirs := 0
	root := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dirs++
		dir := filepath.Join(root, fmt.Sprint(dirs))
		j := open(t, dir)
		want := map[string]string{}
		for range rapid.IntRange(0, 20).Draw(rt, "batches") {
			var batch []Entry
			for range rapid.IntRange(1, 4).Draw(rt, "size") {
				key := rapid.SampledFrom([]string{"a/1", "a/2", "b/1", "c"}).Draw(rt, "key")
				if rapid.Bool().Draw(rt, "delete") {
					batch = append(batch, Entry{Key: key})
					delete(want, key)
					continue
				}
				value := rapid.String().Draw(rt, "value")
				raw, err := json.Marshal(value)
				if err != nil {
					rt.Fatal(err)
				}
				batch, want[key] = append(batch, Entry{key, value}), string(raw)
			}
			if err := j.Put(batch...); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 4).Draw(rt, "reopen") == 0 {
				j = open(t, dir) // without closing, as after a kill
			}
		}
		if got := all(t, open(t, dir), ""); !reflect.DeepEqual(got, want) {
			rt.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestTornLastBatchIsDroppedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.Put(Entry{"a", 1}); err != nil {
		t.Fatal(err)
	}
	if err := j.Put(Entry{"a", 2}, Entry{"b", 2}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "journal.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole) - 1; whole[cut-1] != '\n'; cut-- {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, dir)
		if got := all(t, again, ""); len(got) != 1 || got["a"] != "1" {
			t.Fatalf("cut at %d: %v", cut, got)
		}
		if err := again.Put(Entry{"c", 3}); err != nil {
			t.Fatal(err)
		}
		if got := all(t, open(t, dir), ""); len(got) != 2 {
			t.Fatalf("what was written behind a torn line is gone: %v", got)
		}
	}
}

func TestDamageIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal.jsonl"), []byte("[{\"k\":\"a\",\"v\":1}]\nnonsense\n[]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a damaged journal was read in silence")
	}
}

func TestGarbageIsCompacted(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for i := range 1200 {
		if err := j.Put(Entry{"a", i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if got := all(t, again, ""); got["a"] != "1199" {
		t.Errorf("%v", got)
	}
	info, err := os.Stat(filepath.Join(dir, "journal.jsonl"))
	if err != nil || info.Size() > 100 {
		t.Errorf("%d bytes are left: %v", info.Size(), err)
	}
	if err := again.Put(Entry{"b", 1}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, open(t, dir), "b"); got["b"] != "1" {
		t.Errorf("nothing can be written behind a compaction: %v", got)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("[{\"k\":\"a\",\"v\":{\"x\":1}}]\n[{\"k\":\"a\",\"v\":null}]\n[{\"k\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "journal.jsonl"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir)
		if err != nil {
			return
		}
		defer j.Close()
		if err := j.Put(Entry{"after", true}); err != nil {
			t.Fatal(err)
		}
	})
}
