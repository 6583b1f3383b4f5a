package cosmosdb_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/google/go-cmp/cmp"
)

// changes reads the change feed from a token to its end and gives the ids and the next token.
func changes(t *testing.T, k *azcosmos.ContainerClient, token *string, o azcosmos.ChangeFeedOptions) ([]string, *string) {
	t.Helper()
	list := []string{}
	for {
		o.FeedRange, o.Continuation = &azcosmos.FeedRange{MinInclusive: "", MaxExclusive: "FF"}, token
		r, err := k.ReadChangeFeed(context.Background(), &o)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range r.Items {
			list = append(list, decode(t, item)["id"].(string))
		}
		token = &r.ContinuationToken
		if r.Count == 0 {
			return list, token
		}
	}
}

func TestChangeFeed(t *testing.T) {
	ctx := context.Background()
	k := container(t, connect(t, start(t, t.TempDir())), "graph", "/pk")
	for i := range 5 {
		create(t, k, "a", doc{"id": fmt.Sprint(i), "pk": "a"})
	}
	got, token := changes(t, k, nil, azcosmos.ChangeFeedOptions{MaxItemCount: 2})
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, got); diff != "" {
		t.Fatal(diff)
	}
	if got, token = changes(t, k, token, azcosmos.ChangeFeedOptions{}); len(got) != 0 {
		t.Fatalf("nothing has changed, and yet %v", got)
	}
	if _, err := k.UpsertItem(ctx, key("a"), doc{"id": "1", "pk": "a", "n": 1}.json(t), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.DeleteItem(ctx, key("a"), "2", nil); err != nil {
		t.Fatal(err)
	}
	create(t, k, "b", doc{"id": "5", "pk": "b"})
	if got, _ = changes(t, k, token, azcosmos.ChangeFeedOptions{}); !cmp.Equal(got, []string{"1", "5"}) {
		t.Fatalf("changes are %v", got)
	}
	only := key("b")
	if got, _ = changes(t, k, nil, azcosmos.ChangeFeedOptions{PartitionKey: &only}); !cmp.Equal(got, []string{"5"}) {
		t.Fatalf("changes of b are %v", got)
	}
	future := time.Now().Add(time.Hour)
	if got, _ = changes(t, k, nil, azcosmos.ChangeFeedOptions{StartFrom: &future}); len(got) != 0 {
		t.Fatalf("changes from the future: %v", got)
	}
}

func TestTimeToLive(t *testing.T) {
	ctx := context.Background()
	c := connect(t, start(t, t.TempDir()))
	container(t, c, "other", "/pk")
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	p := azcosmos.ContainerProperties{ID: "short", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}}, DefaultTimeToLive: ptr(int32(1))}
	if _, err := db.CreateContainer(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	k, err := db.NewContainer("short")
	if err != nil {
		t.Fatal(err)
	}
	create(t, k, "a", doc{"id": "brief", "pk": "a"})
	create(t, k, "a", doc{"id": "kept", "pk": "a", "ttl": -1})
	if _, err := k.ReadItem(ctx, key("a"), "brief", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the document expires", func() bool {
		_, err := k.ReadItem(ctx, key("a"), "brief", nil)
		return status(err) == 404
	})
	if got, _ := ids(t, k, key("a"), "SELECT * FROM c ORDER BY c.id", nil); !cmp.Equal(got, []string{"kept"}) {
		t.Fatalf("the query finds %v", got)
	}
	_, err = k.ReplaceItem(ctx, key("a"), "brief", doc{"id": "brief", "pk": "a"}.json(t), nil)
	wantStatus(t, err, 404)
	create(t, k, "a", doc{"id": "brief", "pk": "a"})
	_, err = k.CreateItem(ctx, key("a"), doc{"id": "x", "pk": "a", "ttl": 0}.json(t), nil)
	wantStatus(t, err, 400)
}
