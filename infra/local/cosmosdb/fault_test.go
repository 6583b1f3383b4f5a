package cosmosdb_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/infra/local/cosmosdb"
)

// fault sets a fault switch over HTTP as an operator does.
func fault(t *testing.T, s *cosmosdb.Server, body string) {
	t.Helper()
	r, err := http.Post("http://"+s.Addr()+"/_faults", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(r.Body)
		t.Fatalf("%s: %d %s", body, r.StatusCode, text)
	}
}

func TestFaults(t *testing.T) {
	ctx := context.Background()
	s := start(t, "")
	k := container(t, connect(t, s), "graph", "/pk")
	create(t, k, "a", doc{"id": "1", "pk": "a"})
	read := func() error {
		_, err := k.ReadItem(ctx, key("a"), "1", nil)
		return err
	}
	t.Run("429 twice is waited out by the client", func(t *testing.T) {
		fault(t, s, `{"status":429,"count":2,"retryAfterMs":40}`)
		before, begin := s.Stats().Requests, time.Now()
		if err := read(); err != nil {
			t.Fatal(err)
		}
		if n := s.Stats().Requests - before; n != 3 || time.Since(begin) < 80*time.Millisecond {
			t.Fatalf("%d requests in %v", n, time.Since(begin))
		}
	})
	t.Run("others reach the caller", func(t *testing.T) {
		for _, code := range []int{408, 410, 412, 449, 503} {
			fault(t, s, `{"status":`+strconv.Itoa(code)+`,"match":"replace"}`)
			_, err := k.ReplaceItem(ctx, key("a"), "1", doc{"id": "1", "pk": "a"}.json(t), nil)
			wantStatus(t, err, code)
		}
		if err := read(); err != nil {
			t.Fatalf("a fault for another operation hit a read: %v", err)
		}
	})
	t.Run("a slow page", func(t *testing.T) {
		fault(t, s, `{"delayMs":120,"match":"query"}`)
		begin := time.Now()
		if got, _ := ids(t, k, key("a"), "SELECT * FROM c", nil); len(got) != 1 || time.Since(begin) < 120*time.Millisecond {
			t.Fatalf("%v after %v", got, time.Since(begin))
		}
	})
	t.Run("an answer lost after the write", func(t *testing.T) {
		fault(t, s, `{"status":503,"match":"create","after":true}`)
		_, err := k.CreateItem(ctx, key("a"), doc{"id": "2", "pk": "a"}.json(t), nil)
		wantStatus(t, err, http.StatusServiceUnavailable)
		if _, err := k.ReadItem(ctx, key("a"), "2", nil); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("clearing", func(t *testing.T) {
		fault(t, s, `{"status":503,"count":-1}`)
		wantStatus(t, read(), http.StatusServiceUnavailable)
		r, err := http.NewRequest(http.MethodDelete, "http://"+s.Addr()+"/_faults", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if err := read(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("nonsense is refused", func(t *testing.T) {
		for _, body := range []string{``, `{"status":200}`, `{"count":-2}`, `{"nosuch":1}`, `[]`} {
			r, err := http.Post("http://"+s.Addr()+"/_faults", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
			if r.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %d", body, r.StatusCode)
			}
		}
	})
}

func TestStatsCountWhatWasDone(t *testing.T) {
	ctx := context.Background()
	s := start(t, "")
	k := container(t, connect(t, s), "graph", "/pk")
	before := s.Stats()
	create(t, k, "a", doc{"id": "1", "pk": "a", "text": strings.Repeat("x", 800)})
	r, err := k.ReadItem(ctx, key("a"), "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := k.NewTransactionalBatch(key("a"))
	b.UpsertItem(doc{"id": "2", "pk": "a"}.json(t), nil)
	b.ReadItem("1", nil)
	b.DeleteItem("1", nil)
	if _, err := k.ExecuteTransactionalBatch(ctx, b, nil); err != nil {
		t.Fatal(err)
	}
	after := s.Stats()
	if n := after.Writes - before.Writes; n != 3 {
		t.Errorf("%d documents written, want 3", n)
	}
	c := after.Operations["create"]
	if c.Requests != 1 || c.RequestUnits < 5 || c.RequestUnits > 6 {
		t.Errorf("create: %+v", c)
	}
	if o := after.Operations["read"]; o.RequestUnits != float64(r.RequestCharge) || o.RequestUnits < 1 || o.RequestUnits > 1.1 {
		t.Errorf("read: %+v, the answer says %v", o, r.RequestCharge)
	}
	if after.RequestUnits != s.Charge() || after.RequestUnits <= before.RequestUnits {
		t.Errorf("charge %v before, %v after, %v now", before.RequestUnits, after.RequestUnits, s.Charge())
	}
	_, err = k.ReadItem(ctx, key("a"), "gone", &azcosmos.ItemOptions{})
	wantStatus(t, err, http.StatusNotFound)
	if o := s.Stats().Operations["read"]; o.Failures != 1 {
		t.Errorf("read: %+v", o)
	}
}
