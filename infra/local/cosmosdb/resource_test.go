package cosmosdb_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/google/go-cmp/cmp"

	"throughline/infra/local/cosmosdb"
)

func TestResourcesSurviveARestart(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	s := start(t, dir)
	c := connect(t, s)
	throughput := azcosmos.NewManualThroughputProperties(600)
	if _, err := c.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "db"}, nil); err != nil {
		t.Fatal(err)
	}
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	ttl := int32(-1)
	properties := azcosmos.ContainerProperties{
		ID:                     "graph",
		PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}},
		DefaultTimeToLive:      &ttl,
		UniqueKeyPolicy:        &azcosmos.UniqueKeyPolicy{UniqueKeys: []azcosmos.UniqueKey{{Paths: []string{"/serial"}}}},
	}
	if _, err := db.CreateContainer(ctx, properties, &azcosmos.CreateContainerOptions{ThroughputProperties: &throughput}); err != nil {
		t.Fatal(err)
	}
	k := container(t, c, "graph", "/pk")
	create(t, k, "a", doc{"id": "1", "pk": "a", "serial": "s1"})
	before, err := k.Read(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	c = connect(t, start(t, dir))
	k = container(t, c, "graph", "/pk")
	after, err := k.Read(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.ContainerProperties, after.ContainerProperties); diff != "" {
		t.Error(diff)
	}
	r, err := k.ReadThroughput(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := r.ThroughputProperties.ManualThroughput(); !ok || n != 600 {
		t.Errorf("throughput %d %v", n, ok)
	}
	_, err = k.CreateItem(ctx, key("a"), doc{"id": "2", "pk": "a", "serial": "s1"}.json(t), nil)
	wantStatus(t, err, http.StatusConflict)
}

func TestThroughput(t *testing.T) {
	ctx := context.Background()
	c := connect(t, start(t, ""))
	k := container(t, c, "graph", "/pk")
	r, err := k.ReadThroughput(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := r.ThroughputProperties.ManualThroughput(); !ok || n != 400 {
		t.Errorf("a container without a setting has %d %v", n, ok)
	}
	if _, err := k.ReplaceThroughput(ctx, azcosmos.NewAutoscaleThroughputProperties(4000), nil); err != nil {
		t.Fatal(err)
	}
	if r, err = k.ReadThroughput(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if n, ok := r.ThroughputProperties.AutoscaleMaxThroughput(); !ok || n != 4000 {
		t.Errorf("autoscale %d %v", n, ok)
	}
	_, err = k.ReplaceThroughput(ctx, azcosmos.NewManualThroughputProperties(100), nil)
	wantStatus(t, err, http.StatusBadRequest)
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ReadThroughput(ctx, nil)
	wantStatus(t, err, http.StatusNotFound)
}

func TestQueriesOverResources(t *testing.T) {
	ctx := context.Background()
	c := connect(t, start(t, ""))
	container(t, c, "one", "/pk")
	container(t, c, "two", "/pk")
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	containers, err := db.NewQueryContainersPager("SELECT * FROM root r WHERE r.id = @id", &azcosmos.QueryContainersOptions{
		QueryParameters: []azcosmos.QueryParameter{{Name: "@id", Value: "two"}}}).NextPage(ctx)
	if err != nil || len(containers.Containers) != 1 || containers.Containers[0].ID != "two" {
		t.Errorf("%v %+v", err, containers.Containers)
	}
	databases, err := c.NewQueryDatabasesPager("SELECT * FROM c", nil).NextPage(ctx)
	if err != nil || len(databases.Databases) != 1 || databases.Databases[0].ID != "db" {
		t.Errorf("%v %+v", err, databases.Databases)
	}
	_, err = db.NewQueryContainersPager("SELECT nonsense", nil).NextPage(ctx)
	wantStatus(t, err, http.StatusBadRequest)
}

func TestDeletingTakesEverythingBelow(t *testing.T) {
	ctx := context.Background()
	s := start(t, "")
	c := connect(t, s)
	k := container(t, c, "graph", "/pk")
	create(t, k, "a", doc{"id": "1", "pk": "a"})
	old, err := k.Read(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Delete(ctx, nil); err != nil {
		t.Fatal(err)
	}
	_, err = k.ReadItem(ctx, key("a"), "1", nil)
	wantStatus(t, err, http.StatusNotFound)
	k = container(t, c, "graph", "/pk")
	fresh, err := k.Read(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.ContainerProperties.ResourceID == old.ContainerProperties.ResourceID {
		t.Error("the container that was made again has the old _rid")
	}
	_, err = k.ReadItem(ctx, key("a"), "1", nil)
	wantStatus(t, err, http.StatusNotFound)
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Delete(ctx, nil); err != nil {
		t.Fatal(err)
	}
	_, err = k.Read(ctx, nil)
	wantStatus(t, err, http.StatusNotFound)
	_, err = db.Read(ctx, nil)
	wantStatus(t, err, http.StatusNotFound)
}

func TestContainerRefused(t *testing.T) {
	ctx := context.Background()
	c := connect(t, start(t, ""))
	container(t, c, "graph", "/pk")
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]azcosmos.ContainerProperties{
		"no key":      {ID: "x"},
		"bad path":    {ID: "x", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"pk"}}},
		"four levels": {ID: "x", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/a", "/b", "/c", "/d"}}},
		"bad id":      {ID: "a/b", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}}},
	} {
		_, err := db.CreateContainer(ctx, p, nil)
		if got := status(err); got != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got)
		}
	}
	k, err := db.NewContainer("graph")
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Replace(ctx, azcosmos.ContainerProperties{ID: "graph", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/other"}}}, nil)
	wantStatus(t, err, http.StatusBadRequest)
}

func TestUniqueKeys(t *testing.T) {
	ctx := context.Background()
	c := connect(t, start(t, ""))
	container(t, c, "other", "/pk")
	db, err := c.NewDatabase("db")
	if err != nil {
		t.Fatal(err)
	}
	p := azcosmos.ContainerProperties{ID: "users", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}},
		UniqueKeyPolicy: &azcosmos.UniqueKeyPolicy{UniqueKeys: []azcosmos.UniqueKey{{Paths: []string{"/mail"}}, {Paths: []string{"/first", "/last"}}}}}
	if _, err := db.CreateContainer(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	k, err := db.NewContainer("users")
	if err != nil {
		t.Fatal(err)
	}
	person := func(id, mail, last string) doc {
		return doc{"id": id, "pk": "a", "mail": mail, "first": "f", "last": last}
	}
	create(t, k, "a", person("1", "m1", "l1"))
	for _, d := range []doc{person("2", "m1", "l2"), person("2", "m2", "l1")} {
		_, err := k.CreateItem(ctx, key("a"), d.json(t), nil)
		wantStatus(t, err, http.StatusConflict)
	}
	create(t, k, "b", doc{"id": "1", "pk": "b", "mail": "m1", "first": "f", "last": "l1"})
	create(t, k, "a", person("2", "m2", "l2"))
	_, err = k.ReplaceItem(ctx, key("a"), "2", person("2", "m1", "l2").json(t), nil)
	wantStatus(t, err, http.StatusConflict)
	if _, err := k.ReplaceItem(ctx, key("a"), "1", person("1", "m3", "l1").json(t), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.ReplaceItem(ctx, key("a"), "2", person("2", "m1", "l2").json(t), nil); err != nil {
		t.Fatalf("the value that was given up is not free: %v", err)
	}
	if _, err := k.DeleteItem(ctx, key("a"), "2", nil); err != nil {
		t.Fatal(err)
	}
	create(t, k, "a", person("3", "m1", "l2"))
}

func TestHierarchicalKeys(t *testing.T) {
	ctx := context.Background()
	k := container(t, connect(t, start(t, "")), "tenants", "/tenant", "/user")
	pk := func(parts ...string) azcosmos.PartitionKey {
		p := azcosmos.NewPartitionKey()
		for _, s := range parts {
			p = p.AppendString(s)
		}
		return p
	}
	for _, d := range []doc{{"id": "1", "tenant": "t", "user": "u"}, {"id": "2", "tenant": "t", "user": "v"}, {"id": "3", "tenant": "tt", "user": "u"}} {
		if _, err := k.CreateItem(ctx, pk(d["tenant"].(string), d["user"].(string)), d.json(t), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := ids(t, k, pk("t"), "SELECT * FROM c", nil); !cmp.Equal(got, []string{"1", "2"}) {
		t.Errorf("a prefix of the key finds %v", got)
	}
	if got, _ := ids(t, k, pk("t", "v"), "SELECT * FROM c ORDER BY c.id", nil); !cmp.Equal(got, []string{"2"}) {
		t.Errorf("the whole key finds %v", got)
	}
	_, err := k.ReadItem(ctx, pk("t"), "1", nil)
	wantStatus(t, err, http.StatusBadRequest)
}

func TestReadMany(t *testing.T) {
	k := container(t, connect(t, start(t, "")), "graph", "/pk")
	var wanted []azcosmos.ItemIdentity
	for _, id := range []string{"1", "2", "3"} {
		create(t, k, "p"+id, doc{"id": id, "pk": "p" + id})
		wanted = append(wanted, azcosmos.ItemIdentity{ID: id, PartitionKey: key("p" + id)})
	}
	wanted = append(wanted[:2:2], azcosmos.ItemIdentity{ID: "none", PartitionKey: key("p1")})
	r, err := k.ReadManyItems(context.Background(), wanted, nil)
	if err != nil || len(r.Items) != 2 || r.RequestCharge <= 0 {
		t.Fatalf("%v: %q for %v", err, r.Items, r.RequestCharge)
	}
}

func TestStartRefuses(t *testing.T) {
	ctx := context.Background()
	s := start(t, "")
	if other, err := cosmosdb.Start(ctx, cosmosdb.Options{Addr: s.Addr()}); err == nil {
		other.Close()
		t.Error("two servers on one port")
	} else if want := "cosmosdb: " + s.Addr() + " is in use: stop what listens there or choose another port"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if other, err := cosmosdb.Start(ctx, cosmosdb.Options{Addr: "127.0.0.1:0", Dir: "/dev/null/x"}); err == nil {
		other.Close()
		t.Error("a store below a file")
	}
	if other, err := cosmosdb.Start(ctx, cosmosdb.Options{Addr: "127.0.0.1:0", Key: "not base64!"}); err == nil {
		other.Close()
		t.Error("a key that is not base64")
	}
}
