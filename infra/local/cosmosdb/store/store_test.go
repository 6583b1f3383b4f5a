package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"throughline/infra/local/cosmosdb/store"
)

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, s *store.Store, d store.Document) store.Document {
	t.Helper()
	err := s.Write(context.Background(), func(x *store.Tx) error {
		old, found, err := x.Head(d.Key)
		if err != nil {
			return err
		}
		d.LSN = x.Next()
		d.RID = d.LSN
		if found {
			d.RID = old.RID
		}
		x.Put(d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func at(partition, id string) store.Key {
	return store.Key{Container: 1, Partition: partition, ID: id}
}

func walk(t *testing.T, s *store.Store, r store.Range) []string {
	t.Helper()
	list := []string{}
	err := s.Walk(context.Background(), r, func(d store.Document) bool {
		list = append(list, d.Partition+d.ID+"="+d.Body)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// forms runs a test on disk and in memory.
func forms(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Run("disk", func(t *testing.T) { test(t, open(t, t.TempDir())) })
	t.Run("memory", func(t *testing.T) { test(t, open(t, "")) })
}

func TestARefusedWriteLeavesNothing(t *testing.T) {
	forms(t, func(t *testing.T, s *store.Store) {
		ctx, refused := context.Background(), errors.New("refused")
		put(t, s, store.Document{Key: at("p", "1"), Body: "old"})
		err := s.Write(ctx, func(x *store.Tx) error {
			x.Put(store.Document{Key: at("p", "2"), RID: x.Next(), Body: "new"})
			x.Remove(at("p", "1"))
			x.SetUnique(at("p", "u"), "2")
			x.SetResource(store.Resource{Kind: "k", Name: "n", Body: "b"})
			if _, found, err := x.Get(at("p", "1")); found || err != nil {
				t.Errorf("the write does not see itself: %v %v", found, err)
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		if got := walk(t, s, store.Range{Container: 1, Partition: "p", Exact: true}); !slices.Equal(got, []string{"p1=old"}) {
			t.Errorf("the partition holds %v", got)
		}
		if list, err := s.Resources(ctx); err != nil || len(list) != 0 {
			t.Errorf("resources %v %v", list, err)
		}
		err = s.Write(ctx, func(x *store.Tx) error {
			if id, err := x.Unique(at("p", "u")); id != "" || err != nil {
				t.Errorf("unique value of %q %v", id, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestWalks(t *testing.T) {
	forms(t, func(t *testing.T, s *store.Store) {
		for i, k := range []store.Key{at("b", "2"), at("a", "1"), at("b", "1"), at("ab", "1"), at("a", "2")} {
			put(t, s, store.Document{Key: k, Body: fmt.Sprint(i)})
		}
		put(t, s, store.Document{Key: store.Key{Container: 2, Partition: "a", ID: "1"}, Body: "other container"})
		put(t, s, store.Document{Key: at("a", "3"), Body: "expired", Expires: 10})
		put(t, s, store.Document{Key: at("b", "2"), Body: "again"})
		if err := s.TrackChanges(context.Background()); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			r    store.Range
			want []string
		}{
			"a partition":       {store.Range{Container: 1, Now: 10, Partition: "a", Exact: true}, []string{"a1=1", "a2=4"}},
			"before it expires": {store.Range{Container: 1, Now: 9, Partition: "a", Exact: true}, []string{"a1=1", "a2=4", "a3=expired"}},
			"a prefix":          {store.Range{Container: 1, Now: 10, Partition: "a"}, []string{"a1=1", "a2=4", "ab1=3"}},
			"behind a key":      {store.Range{Container: 1, Now: 10, Partition: "a", AfterKey: at("a", "1")}, []string{"a2=4", "ab1=3"}},
			"by creation":       {store.Range{Container: 1, Now: 10, Created: true}, []string{"b2=again", "a1=1", "b1=2", "ab1=3", "a2=4"}},
			"by change":         {store.Range{Container: 1, Now: 10, Changed: true}, []string{"a1=1", "b1=2", "ab1=3", "a2=4", "b2=again"}},
		} {
			if got := walk(t, s, c.r); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	})
}

func TestWalksOverLargeDocuments(t *testing.T) {
	s := open(t, "")
	body := strings.Repeat("x", 1<<20)
	for i := range 12 {
		put(t, s, store.Document{Key: at("p", fmt.Sprintf("%02d", i)), Body: body})
	}
	if got := walk(t, s, store.Range{Container: 1, Partition: "p", Exact: true}); len(got) != 12 {
		t.Errorf("%d documents", len(got))
	}
}

func TestLongWalksMissNothing(t *testing.T) {
	s := open(t, "")
	err := s.Write(context.Background(), func(x *store.Tx) error {
		for i := range 1000 {
			x.Put(store.Document{Key: at("p", fmt.Sprintf("%04d", i)), RID: x.Next(), LSN: int64(i)})
			x.AddEntry(7, "p", []byte{byte(i % 3)}, fmt.Sprintf("%04d", i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]store.Range{
		"partition": {Container: 1, Partition: "p", Exact: true}, "prefix": {Container: 1}, "creation": {Container: 1, Created: true},
		"index up":   {Container: 1, Partition: "p", Exact: true, Index: &store.Index{Number: 7, Low: []byte{0}, High: []byte{9}}},
		"index down": {Container: 1, Partition: "p", Exact: true, Index: &store.Index{Number: 7, Low: []byte{0}, High: []byte{9}, Descending: true}},
	} {
		got := walk(t, s, r)
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != 1000 {
			t.Errorf("%s: %d documents", name, n)
		}
	}
}

// TestReadersNeverGoBack has writers count a document up while readers watch it, through the cache and through the file.
func TestReadersNeverGoBack(t *testing.T) {
	forms(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		put(t, s, store.Document{Key: at("p", "1")})
		var writers, watchers sync.WaitGroup
		done := make(chan struct{})
		for range 3 {
			writers.Go(func() {
				for range 50 {
					put(t, s, store.Document{Key: at("p", "1")})
				}
			})
		}
		for range 3 {
			watchers.Go(func() {
				last := int64(0)
				for {
					select {
					case <-done:
						return
					default:
					}
					d, found, err := s.Get(ctx, at("p", "1"), 0)
					if err != nil || !found || d.LSN < last {
						t.Errorf("read %d after %d: %v %v", d.LSN, last, found, err)
						return
					}
					last = d.LSN
				}
			})
		}
		writers.Wait()
		close(done)
		watchers.Wait()
	})
}

func TestNumbersNeverComeBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	last := put(t, s, store.Document{Key: at("p", "1")})
	err := s.Write(context.Background(), func(x *store.Tx) error {
		x.Remove(last.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if again := put(t, open(t, dir), store.Document{Key: at("p", "1")}); again.LSN <= last.LSN {
		t.Errorf("number %d after %d", again.LSN, last.LSN)
	}
}

// TestATornEndIsCutOff takes the files of a running store, as a power cut would leave them, and spoils the end of the log.
func TestATornEndIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 50 {
		put(t, s, store.Document{Key: at("p", fmt.Sprintf("%02d", i)), Body: fmt.Sprint(i)})
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"as it is":  func(b []byte) []byte { return b },
		"cut":       func(b []byte) []byte { return b[:len(b)-100] },
		"scribbled": func(b []byte) []byte { return append(b[:len(b)-50], make([]byte, 500)...) },
	} {
		t.Run(name, func(t *testing.T) {
			copied := t.TempDir()
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				if filepath.Ext(f) == ".sqlite-wal" {
					b = spoil(b)
				}
				if filepath.Ext(f) == ".sqlite-shm" {
					continue // memory, gone after a power cut
				}
				if err := os.WriteFile(filepath.Join(copied, filepath.Base(f)), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := walk(t, open(t, copied), store.Range{Container: 1, Partition: "p", Exact: true})
			least := map[string]int{"as it is": 50}[name]
			if least == 0 {
				least = 49
			}
			if len(got) < least || got[len(got)-1] != fmt.Sprintf("p%02d=%d", len(got)-1, len(got)-1) {
				t.Errorf("%d documents, the last %s", len(got), got[len(got)-1])
			}
		})
	}
}

func TestClosed(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for n := 0; ; n++ {
				err := s.Write(context.Background(), func(x *store.Tx) error {
					x.Put(store.Document{Key: at("p", fmt.Sprint(i)), RID: x.Next()})
					return nil
				})
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						t.Errorf("write: %v", err)
					}
					return
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	running.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, _, err := s.Get(context.Background(), at("q", "x"), 0); !errors.Is(err, store.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	dir := t.TempDir()
	open(t, dir)
	if _, err := store.Open(dir); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second store on the folder: %v", err)
	}
	if _, err := store.Open("/dev/null/below"); err == nil {
		t.Error("opened a store below a file")
	}
}
