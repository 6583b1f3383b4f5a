package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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
		old, found := x.Get(d.Key)
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
			if _, found := x.Get(at("p", "1")); found {
				t.Error("the write does not see itself")
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
			if id := x.Unique(at("p", "u")); id != "" {
				t.Errorf("unique value of %q", id)
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
					runtime.Gosched()
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
		"cut":       func(b []byte) []byte { return b[:len(b)-10] },
		"scribbled": func(b []byte) []byte { return append(b[:len(b)-10], "scribbled over"...) },
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
				if filepath.Ext(f) == ".log" {
					b = spoil(bytes.TrimRight(b, "\x00"))
				}
				if err := os.WriteFile(filepath.Join(copied, filepath.Base(f)), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := walk(t, open(t, copied), store.Range{Container: 1, Partition: "p", Exact: true})
			want := 49
			if name == "as it is" {
				want = 50
			}
			if len(got) != want || got[len(got)-1] != fmt.Sprintf("p%02d=%d", len(got)-1, len(got)-1) {
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

// TestSpaceIsGivenBack writes much of which little stays.
func TestSpaceIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	body := strings.Repeat("x", 64<<10)
	want := map[string]string{}
	for i := range 500 { // 32 MB, of which 1.6 MB are alive in the end
		id := fmt.Sprintf("%02d", i%20)
		if i < 5 {
			id = fmt.Sprintf("cold%d", i)
		}
		want["p"+id] = fmt.Sprint(i)
		put(t, s, store.Document{Key: at("p", id), Body: fmt.Sprint(i, " ", body)})
	}
	err := s.Write(context.Background(), func(x *store.Tx) error {
		x.SetUnique(at("p", "u"), "00")
		x.SetResource(store.Resource{Kind: "k", Name: "n", Body: "b"})
		x.AddEntry(7, "p", []byte("v"), "00")
		x.Remove(at("p", "19"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(want, "p19")
	for i := range 500 {
		put(t, s, store.Document{Key: at("q", "1"), Body: fmt.Sprint(i, body)})
	}
	want["q1"] = "499"
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if size := folderSize(t, dir); size > 30<<20 {
		t.Errorf("the folder holds %d MB", size>>20)
	}
	s = open(t, dir)
	got := map[string]string{}
	err = s.Walk(context.Background(), store.Range{Container: 1}, func(d store.Document) bool {
		got[d.Partition+d.ID], _, _ = strings.Cut(strings.Replace(d.Body, body, " ", 1), " ")
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if list, err := s.Resources(context.Background()); err != nil || len(list) != 1 || list[0].Body != "b" {
		t.Errorf("resources %v %v", list, err)
	}
	if n, err := s.Count(context.Background(), "p", store.Index{Number: 7, Low: []byte{0}, High: []byte{255}}); err != nil || n != 1 {
		t.Errorf("%d entries %v", n, err)
	}
	err = s.Write(context.Background(), func(x *store.Tx) error {
		if id := x.Unique(at("p", "u")); id != "00" {
			t.Errorf("unique value of %q", id)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func folderSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

func TestFilesOfAnEarlierVersionAreNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cosmosdb.sqlite"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(dir); err == nil || !strings.Contains(err.Error(), "move the data folder away") {
		t.Errorf("opened: %v", err)
	}
}

// TestAnyHistory writes at random beside maps, on disk, and opens the folder again now and then.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		docs, created, changed := map[string]string{}, map[string]int64{}, map[string]int64{}
		write := func(t *rapid.T, do func(x *store.Tx)) {
			if err := s.Write(context.Background(), func(x *store.Tx) error { do(x); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		id := rapid.StringMatching(`[a-c]{1,2}`)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k := id.Draw(t, "id")
				write(t, func(x *store.Tx) {
					d := store.Document{Key: at("p", k), LSN: x.Next(), Body: rapid.String().Draw(t, "body")}
					d.RID = d.LSN
					if old, found := x.Get(d.Key); found {
						d.RID = old.RID
					}
					x.Put(d)
					docs[k], created[k], changed[k] = d.Body, d.RID, d.LSN
				})
			},
			"remove": func(t *rapid.T) {
				k := id.Draw(t, "id")
				write(t, func(x *store.Tx) { x.Remove(at("p", k)) })
				delete(docs, k)
			},
			"clear": func(t *rapid.T) {
				write(t, func(x *store.Tx) { x.RemoveContainer(1) })
				clear(docs)
			},
			"reopen": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "now") > 0 {
					t.Skip()
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = store.Open(dir); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				for name, order := range map[string]map[string]int64{"created": created, "changed": changed} {
					var want, got []string
					for k := range docs {
						want = append(want, k+"="+docs[k])
					}
					slices.SortFunc(want, func(a, b string) int {
						a, _, _ = strings.Cut(a, "=")
						b, _, _ = strings.Cut(b, "=")
						return int(order[a] - order[b])
					})
					r := store.Range{Container: 1, Created: name == "created", Changed: name == "changed"}
					if err := s.Walk(context.Background(), r, func(d store.Document) bool { got = append(got, d.ID+"="+d.Body); return true }); err != nil {
						t.Fatal(err)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%s: %q, want %q", name, got, want)
					}
				}
			},
		})
	})
}

// BenchmarkStart opens 200 MB of documents, half as much garbage beside them.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	s, err := store.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	body := strings.Repeat("x", 1000)
	for i := range 300 {
		err := s.Write(context.Background(), func(x *store.Tx) error {
			for j := range 1000 {
				n := x.Next()
				x.Put(store.Document{Key: at(fmt.Sprint("p", j%50), fmt.Sprint(i%200, "-", j)), RID: n, LSN: n, Body: body})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if s, err = store.Open(dir); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
