package cosmosdb_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/infra/local/cosmosdb"
)

// start runs a server on a free port; dir "" keeps it in memory.
func start(t testing.TB, dir string) *cosmosdb.Server {
	t.Helper()
	return startWith(t, cosmosdb.Options{Dir: dir})
}

func startWith(t testing.TB, o cosmosdb.Options) *cosmosdb.Server {
	t.Helper()
	o.Addr = "127.0.0.1:0"
	s, err := cosmosdb.Start(context.Background(), o)
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

// connect gives the unmodified client.
func connect(t testing.TB, s *cosmosdb.Server) *azcosmos.Client {
	t.Helper()
	return dial(t, s.ConnectionString())
}

// failer is what testing.TB and rapid.T share.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func dial(t failer, connection string) *azcosmos.Client {
	t.Helper()
	c, err := azcosmos.NewClientFromConnectionString(connection, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// container makes database db with a container of that name and partition key.
func container(t failer, c *azcosmos.Client, name string, paths ...string) *azcosmos.ContainerClient {
	t.Helper()
	ctx := context.Background()
	if _, err := c.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "db"}, nil); err != nil && status(err) != http.StatusConflict {
		t.Fatal(err)
	}
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	p := azcosmos.ContainerProperties{ID: name, PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: paths}}
	if _, err := db.CreateContainer(ctx, p, nil); err != nil && status(err) != http.StatusConflict {
		t.Fatal(err)
	}
	k, err := db.NewContainer(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// status is the HTTP status of an error of the SDK, 0 for others.
func status(err error) int {
	var r *azcore.ResponseError
	if errors.As(err, &r) {
		return r.StatusCode
	}
	return 0
}

func wantStatus(t failer, err error, want int) {
	t.Helper()
	if got := status(err); got != want {
		t.Fatalf("status %d, want %d (error %v)", got, want, err)
	}
}

type doc map[string]any

func (d doc) json(t failer) []byte {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decode(t failer, b []byte) doc {
	t.Helper()
	var d doc
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return d
}

func key(s string) azcosmos.PartitionKey { return azcosmos.NewPartitionKeyString(s) }

func create(t testing.TB, k *azcosmos.ContainerClient, pk string, d doc) {
	t.Helper()
	if _, err := k.CreateItem(context.Background(), key(pk), d.json(t), nil); err != nil {
		t.Fatal(err)
	}
}

// ids runs a query to its end and gives the ids, and how many pages it took.
func ids(t failer, k *azcosmos.ContainerClient, pk azcosmos.PartitionKey, query string, o *azcosmos.QueryOptions) ([]string, int) {
	t.Helper()
	list, pages := []string{}, 0
	for pager := k.NewQueryItemsPager(query, pk, o); pager.More(); pages++ {
		p, err := pager.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range p.Items {
			list = append(list, decode(t, item)["id"].(string))
		}
	}
	return list, pages
}

func optionsWithIndexAfter(n int) cosmosdb.Options { return cosmosdb.Options{IndexAfter: n} }
