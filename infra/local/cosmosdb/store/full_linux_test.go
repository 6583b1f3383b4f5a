package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"throughline/infra/local/cosmosdb/store"
)

// TestNoRoom fills a small disk: writes fail and say so, what was confirmed stays, and with room they go on.
func TestNoRoom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("store", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("no disk of its own: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "data"))
	n := 0
	one := func() error {
		return s.Write(context.Background(), func(x *store.Tx) error {
			x.Put(store.Document{Key: at("p", fmt.Sprintf("%04d", n)), LSN: x.Next(), Body: strings.Repeat("x", 100<<10)})
			return nil
		})
	}
	var err error
	for ; err == nil && n < 1000; n++ {
		err = one()
	}
	n--
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d writes: %v", n, err)
	}
	if err := one(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the next write: %v", err)
	}
	if got := walk(t, s, store.Range{Container: 1, Partition: "p", Exact: true}); len(got) != n {
		t.Errorf("%d documents, want %d", len(got), n)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := one(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := walk(t, open(t, filepath.Join(dir, "data")), store.Range{Container: 1, Partition: "p", Exact: true}); len(got) != n+1 {
		t.Errorf("%d documents after a restart, want %d", len(got), n+1)
	}
}
