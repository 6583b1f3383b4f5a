package cosmosdb_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
)

// writer is one client that counts upwards, alternately in one document and in a pair of documents.
type writer struct {
	name            string
	single, pair    int // confirmed
	trying, trying2 int // sent, perhaps without an answer
}

// run writes until the server goes away.
func (w *writer) run(ctx context.Context, t *testing.T, k *azcosmos.ContainerClient) {
	for ctx.Err() == nil {
		w.trying = w.single + 1
		if _, err := k.UpsertItem(ctx, key(w.name), doc{"id": "single", "pk": w.name, "n": w.trying}.json(t), nil); err != nil {
			return
		}
		w.single = w.trying
		w.trying2 = w.pair + 1
		b := k.NewTransactionalBatch(key(w.name))
		b.UpsertItem(doc{"id": "left", "pk": w.name, "n": w.trying2}.json(t), nil)
		b.UpsertItem(doc{"id": "right", "pk": w.name, "n": w.trying2}.json(t), nil)
		if r, err := k.ExecuteTransactionalBatch(ctx, b, nil); err != nil || !r.Success {
			return
		}
		w.pair = w.trying2
	}
}

// verify reads what the server has after its restart: at least what was confirmed, at most what was sent, pairs never apart.
func (w *writer) verify(t *testing.T, k *azcosmos.ContainerClient) {
	t.Helper()
	w.single = w.value(t, k, "single", w.single, w.trying)
	left := w.value(t, k, "left", w.pair, w.trying2)
	if right := w.value(t, k, "right", w.pair, w.trying2); left != right {
		t.Fatalf("%s: half of a batch survived: %d and %d", w.name, left, right)
	}
	w.pair = left
}

func (w *writer) value(t *testing.T, k *azcosmos.ContainerClient, id string, confirmed, sent int) int {
	t.Helper()
	got := 0
	r, err := k.ReadItem(context.Background(), key(w.name), id, nil)
	switch {
	case status(err) == 404:
	case err != nil:
		t.Fatal(err)
	default:
		got = int(decode(t, r.Value)["n"].(float64))
	}
	if got < confirmed || got > sent {
		t.Fatalf("%s/%s is %d after the kill; %d was confirmed, %d was sent", w.name, id, got, confirmed, sent)
	}
	return got
}

func TestKillKeepsWhatWasConfirmed(t *testing.T) {
	kills := 3
	if long() {
		kills = 50
	}
	dir := t.TempDir()
	writers := make([]*writer, 8)
	for i := range writers {
		writers[i] = &writer{name: fmt.Sprintf("w%d", i)}
	}
	confirmed := 0
	for range kills {
		c := spawn(t, dir, 0)
		k := container(t, dial(t, c.connection), "graph", "/pk")
		for _, w := range writers {
			w.verify(t, k)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for _, w := range writers {
			running.Go(func() { w.run(ctx, t, k) })
		}
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		c.kill()
		cancel()
		running.Wait()
	}
	c := spawn(t, dir, 0)
	defer c.kill()
	k := container(t, dial(t, c.connection), "graph", "/pk")
	for _, w := range writers {
		w.verify(t, k)
		confirmed += w.single
	}
	if confirmed == 0 {
		t.Fatal("nothing was ever confirmed: the test proves nothing")
	}
}
