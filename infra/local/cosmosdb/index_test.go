package cosmosdb_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/google/go-cmp/cmp"

	"throughline/infra/local/cosmosdb"
)

// fillPartition creates n documents in one partition by batches.
func fillPartition(t *testing.T, k *azcosmos.ContainerClient, n int) {
	t.Helper()
	for i := 0; i < n; i += 100 {
		b := k.NewTransactionalBatch(key("p"))
		for j := i; j < i+100; j++ {
			b.CreateItem(doc{"id": fmt.Sprintf("%04d", j), "pk": "p", "kind": fmt.Sprintf("k%d", j%4), "rank": n - j}.json(t), nil)
		}
		if r, err := k.ExecuteTransactionalBatch(context.Background(), b, nil); err != nil || !r.Success {
			t.Fatal(err, r.Success)
		}
	}
}

const ranked = "SELECT * FROM c WHERE c.kind = 'k1' ORDER BY c.rank ASC"

// price is what the first page of ten costs.
func price(t *testing.T, k *azcosmos.ContainerClient) float32 {
	t.Helper()
	r, err := k.NewQueryItemsPager(ranked, key("p"), &azcosmos.QueryOptions{PageSizeHint: 10}).NextPage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r.RequestCharge
}

func TestLargePartitionGetsAnIndex(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	k := container(t, connect(t, s), "graph", "/pk")
	fillPartition(t, k, 1200)
	want, _ := ids(t, k, key("p"), ranked, &azcosmos.QueryOptions{PageSizeHint: 100})
	if len(want) != 300 || want[0] != "1197" || want[299] != "0001" {
		t.Fatalf("%d results from %s to %s", len(want), want[0], want[len(want)-1])
	}
	eventually(t, "the query gets cheap", func() bool { return price(t, k) < 10 })
	check := func(k *azcosmos.ContainerClient) {
		t.Helper()
		for _, size := range []int32{0, 7, 150} {
			got, _ := ids(t, k, key("p"), ranked, &azcosmos.QueryOptions{PageSizeHint: size})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("pages of %d: %s", size, diff)
			}
		}
	}
	check(k)

	t.Run("writes keep it right", func(t *testing.T) {
		if _, err := k.DeleteItem(context.Background(), key("p"), want[0], nil); err != nil {
			t.Fatal(err)
		}
		if _, err := k.UpsertItem(context.Background(), key("p"), doc{"id": want[1], "pk": "p", "kind": "k1", "rank": 5000}.json(t), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := k.UpsertItem(context.Background(), key("p"), doc{"id": want[2], "pk": "p", "kind": "elsewhere", "rank": 1}.json(t), nil); err != nil {
			t.Fatal(err)
		}
		want = append(append([]string{}, want[3:]...), want[1])
		check(k)
	})
	t.Run("it survives a restart", func(t *testing.T) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		k := container(t, connect(t, start(t, dir)), "graph", "/pk")
		if got := price(t, k); got >= 10 {
			t.Fatalf("the query costs %v again", got)
		}
		check(k)
	})
}

func TestAnIndexServesNarrowerQueriesToo(t *testing.T) {
	s := startWith(t, cosmosdb.Options{IndexAfter: 1150})
	k := container(t, connect(t, s), "graph", "/pk")
	fillPartition(t, k, 1200)
	const all, some = "SELECT * FROM c ORDER BY c.rank", "SELECT * FROM c WHERE c.kind = 'k2' AND c.pk = 'p' ORDER BY c.rank"
	cost := func(query string) float32 {
		r, err := k.NewQueryItemsPager(query, key("p"), &azcosmos.QueryOptions{PageSizeHint: 10}).NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return r.RequestCharge
	}
	eventually(t, "the order gets cheap", func() bool { return cost(all) < 10 })
	if got := cost(some); got > 20 {
		t.Errorf("ten of every fourth document cost %v", got)
	}
	if got, _ := ids(t, k, key("p"), some, &azcosmos.QueryOptions{PageSizeHint: 100}); len(got) != 300 || got[0] != "1198" {
		t.Errorf("%d documents from %s", len(got), got[0])
	}
}

func TestSmallPartitionsNeedNoIndex(t *testing.T) {
	s := startWith(t, cosmosdb.Options{})
	k := container(t, connect(t, s), "graph", "/pk")
	fillPartition(t, k, 100)
	first := price(t, k)
	for range 5 {
		if got := price(t, k); got != first {
			t.Fatalf("the charge went from %v to %v", first, got)
		}
	}
}

func TestIndexFollowsTheTypesOfValues(t *testing.T) {
	s := startWith(t, cosmosdb.Options{IndexAfter: 1})
	k := container(t, connect(t, s), "graph", "/pk")
	for i, n := range []any{1, 1.0, "1", true, nil, []int{1}, doc{"a": 1, "b": 2}, "one", -1} {
		create(t, k, "p", doc{"id": fmt.Sprint(i), "pk": "p", "n": n})
	}
	create(t, k, "p", doc{"id": "without", "pk": "p"})
	for range 30 {
		for value, want := range map[string][]string{"1": {"0", "1"}, "'1'": {"2"}, "true": {"3"}, "null": {"4"}, "[1]": {"5"}, `{"b":2,"a":1}`: {"6"}, "2": {}} {
			if got, _ := ids(t, k, key("p"), "SELECT * FROM c WHERE c.n = "+value, nil); !cmp.Equal(got, want) {
				t.Fatalf("n = %s finds %v, want %v", value, got, want)
			}
		}
		if got, _ := ids(t, k, key("p"), "SELECT * FROM c ORDER BY c.n DESC", nil); !cmp.Equal(got, []string{"6", "5", "7", "2", "1", "0", "8", "3", "4"}) {
			t.Fatalf("the order is %v", got)
		}
	}
}

func TestIndexOverSystemProperties(t *testing.T) {
	k := container(t, connect(t, startWith(t, cosmosdb.Options{IndexAfter: 1})), "graph", "/pk")
	etags := map[string]string{}
	for round := range 30 {
		for i := range 4 {
			id := fmt.Sprint(i)
			r, err := k.UpsertItem(context.Background(), key("p"), doc{"id": id, "pk": "p", "round": round}.json(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			etags[id] = string(r.ETag)
		}
		if got, _ := ids(t, k, key("p"), "SELECT * FROM c ORDER BY c._ts", nil); len(got) != 4 {
			t.Fatalf("round %d: ordered by time are %v", round, got)
		}
		o := &azcosmos.QueryOptions{QueryParameters: []azcosmos.QueryParameter{{Name: "@etag", Value: etags["2"]}}}
		if got, _ := ids(t, k, key("p"), "SELECT * FROM c WHERE c._etag = @etag", o); !cmp.Equal(got, []string{"2"}) {
			t.Fatalf("round %d: by etag %v", round, got)
		}
	}
}
