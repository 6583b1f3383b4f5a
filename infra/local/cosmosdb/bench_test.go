package cosmosdb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/infra/local/cosmosdb"
)

// Every benchmark runs in turns with a server that does nothing but answer with fixed bytes. The metric ×nothing is the
// throughput beside that of the other server, the median over the turns: it is what counts, absolute figures
// follow the machine. THROUGHLINE_LONG=1 adds stores of 100,000 documents.

const perPartition = 20

func benchDoc(i int) doc {
	return doc{"id": fmt.Sprintf("doc-%06d", i), "pk": fmt.Sprintf("p%d", i/perPartition), "kind": "alert", "rank": i * 7919 % 100, "remediation": "r1",
		"title": strings.Repeat("a title that says something ", 10), "body": strings.Repeat("text ", 80), "tags": []string{"one", "two"}}
}

// nothing answers what azcosmos needs and does no work.
func nothing(b *testing.B) string {
	one, err := json.Marshal(benchDoc(1))
	if err != nil {
		b.Fatal(err)
	}
	page := []byte(`{"_rid":"x","Documents":[` + strings.TrimSuffix(strings.Repeat(string(one)+",", perPartition), ",") + `],"_count":20}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["X-Ms-Request-Charge"] = []string{"1.00"}
		h["Etag"] = []string{`"1"`}
		h["X-Ms-Session-Token"] = []string{"0:-1#1"}
		body := one
		switch {
		case r.URL.Path == "/":
			region := `[{"name":"South Central US","databaseAccountEndpoint":"http://` + r.Host + `/"}]`
			body = []byte(`{"writableLocations":` + region + `,"readableLocations":` + region + `,"userConsistencyPolicy":{"defaultConsistencyLevel":"Strong"}}`)
		case r.Header.Get("X-Ms-Documentdb-Query") != "":
			_, _ = io.Copy(io.Discard, r.Body)
			body = page
		case r.Method == http.MethodPost:
			_, _ = io.Copy(io.Discard, r.Body)
			body = nil
		}
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		_, _ = w.Write(body)
	}))
	b.Cleanup(server.Close)
	return "AccountEndpoint=" + server.URL + "/;AccountKey=" + cosmosdb.EmulatorKey
}

// target is one server to measure.
type target struct {
	name string
	docs int
	dir  func(b *testing.B) string
}

func targets() []target {
	memory := func(*testing.B) string { return "" }
	disk := func(b *testing.B) string { return b.TempDir() }
	list := []target{{"memory-1000", 1000, memory}, {"disk-1000", 1000, disk}}
	if long() {
		list = append(list, target{"disk-100000", 100_000, disk})
	}
	return list
}

func (t target) start(b *testing.B) *azcosmos.ContainerClient {
	k := container(b, connect(b, start(b, t.dir(b))), "bench", "/pk")
	fill(b, k, t.docs)
	return k
}

func idle(b *testing.B) *azcosmos.ContainerClient {
	k, err := dial(b, nothing(b)).NewContainer("db", "bench")
	if err != nil {
		b.Fatal(err)
	}
	return k
}

func fill(b *testing.B, k *azcosmos.ContainerClient, n int) {
	for p := 0; p < n; p += perPartition {
		batch := k.NewTransactionalBatch(key(fmt.Sprintf("p%d", p/perPartition)))
		for i := p; i < p+perPartition; i++ {
			batch.CreateItem(benchDoc(i).json(b), nil)
		}
		if r, err := k.ExecuteTransactionalBatch(context.Background(), batch, nil); err != nil || !r.Success {
			b.Fatal(err, r.Success)
		}
	}
}

// turn is how many requests go to one server before the other one has its turn.
const turn = 400

// measure runs op with one and with eight goroutines against every target, in turns with the server that does nothing.
func measure(b *testing.B, op func(k *azcosmos.ContainerClient, i int) error) {
	other := idle(b)
	for _, t := range targets() {
		b.Run(t.name, func(b *testing.B) {
			k := t.start(b)
			for _, hands := range []int{1, 8} {
				b.Run(fmt.Sprintf("goroutines=%d", hands), func(b *testing.B) {
					var ratios []float64
					for first := 0; first < b.N; first += turn {
						n := min(turn, b.N-first)
						b.StopTimer()
						floor := burst(b, other, hands, n, first, t.docs, op)
						b.StartTimer()
						ratios = append(ratios, floor.Seconds()/burst(b, k, hands, n, first, t.docs, op).Seconds())
					}
					slices.Sort(ratios)
					b.ReportMetric(ratios[len(ratios)/2], "×nothing")
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
				})
			}
		})
	}
}

// burst sends n requests by so many goroutines and tells how long they took.
func burst(b *testing.B, k *azcosmos.ContainerClient, hands, n, first, docs int, op func(*azcosmos.ContainerClient, int) error) time.Duration {
	var next atomic.Int64
	var running sync.WaitGroup
	begin := time.Now()
	for range hands {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := op(k, (first+i)*7919%docs); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	return time.Since(begin)
}

func BenchmarkRead(b *testing.B) {
	ctx := context.Background()
	measure(b, func(k *azcosmos.ContainerClient, i int) error {
		d := benchDoc(i)
		_, err := k.ReadItem(ctx, key(d["pk"].(string)), d["id"].(string), nil)
		return err
	})
}

func BenchmarkUpsert(b *testing.B) {
	ctx := context.Background()
	measure(b, func(k *azcosmos.ContainerClient, i int) error {
		d := benchDoc(i)
		_, err := k.UpsertItem(ctx, key(d["pk"].(string)), d.json(b), nil)
		return err
	})
}

func BenchmarkQuery(b *testing.B) {
	ctx := context.Background()
	o := &azcosmos.QueryOptions{QueryParameters: []azcosmos.QueryParameter{{Name: "@kind", Value: "alert"}, {Name: "@r", Value: "r1"}}}
	measure(b, func(k *azcosmos.ContainerClient, i int) error {
		pk := key(benchDoc(i)["pk"].(string))
		p, err := k.NewQueryItemsPager("SELECT * FROM c WHERE c.kind = @kind AND c.remediation = @r ORDER BY c.rank ASC", pk, o).NextPage(ctx)
		if err == nil && len(p.Items) != perPartition {
			err = fmt.Errorf("%d documents", len(p.Items))
		}
		return err
	})
}
