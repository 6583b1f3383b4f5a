package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
)

const (
	perPartition = 20
	smallStore   = 1000
	portion      = 400
)

// container is a server's container with so many documents.
type container struct {
	*azcosmos.ContainerClient
	documents int
}

func measureStore(ctx context.Context, rounds, large int) (err error) {
	dir, err := os.MkdirTemp("", "throughline-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, names := map[string]container{}, []string{"nothing", "memory", "durable"}
	list := []struct {
		name, what, dir string
		documents       int
	}{{"nothing", "nothing", "", smallStore}, {"memory", "cosmosdb", "", smallStore}, {"durable", "cosmosdb", dir + "/small", smallStore}}
	if large > 0 {
		names = append(names, "large")
		list = append(list, struct {
			name, what, dir string
			documents       int
		}{"large", "cosmosdb", dir + "/large", large})
	}
	for _, s := range list {
		p, err := spawn(s.what, s.dir)
		if err != nil {
			return err
		}
		defer p.stop()
		if servers[s.name], err = dialStore(ctx, p.connection, s.documents, s.what == "cosmosdb"); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	// A portion is short, so that there are enough of them to tell the noise of the machine from a difference.
	r, err := inTurns(ctx, 3*rounds, names, servers, storeTasks())
	if err != nil {
		return err
	}
	return printStore(r, large)
}

// storeWork is the work of G4: the goals of one goroutine and of eight beside the server that does nothing.
var storeWork = []struct {
	name string
	do   func(ctx context.Context, c container, i int) error
	goal map[int]goal
}{
	{"read", readOne, map[int]goal{1: {low: 0.9}, 8: {low: 0.9}}},
	{"upsert", upsertOne, map[int]goal{8: {low: 0.6}}},
	{"query", queryPartition, map[int]goal{1: {low: 0.5}, 8: {low: 0.5}}},
}

func storeTasks() (out []task[container]) {
	for _, w := range storeWork {
		for _, hands := range []int{1, 8} {
			out = append(out, task[container]{fmt.Sprintf("%s %d", w.name, hands), portion, func(ctx context.Context, c container, n int) error {
				return share(hands, n, func(i int) error { return w.do(ctx, c, i*7919%c.documents) })
			}})
		}
	}
	return out
}

func printStore(r results, large int) error {
	var rows, growth []row
	for _, w := range storeWork {
		for _, hands := range []int{1, 8} {
			name := fmt.Sprintf("%s %d", w.name, hands)
			rows = append(rows, row{name, "durable", "nothing", w.goal[hands]}, row{name, "memory", "nothing", goal{}})
			growth = append(growth, row{name, "large", "durable", goal{low: 0.9, high: 1.1}})
		}
	}
	if err := r.print("Cosmos DB through azcosmos, 0.9 KB documents, query of 20; n goroutines; beside a server that does nothing", rows); err != nil || large == 0 {
		return err
	}
	return r.print(fmt.Sprintf("The same with %d documents beside %d, durable", large, smallStore), growth)
}

// document is the i-th document; perPartition of them share a partition.
func document(i int) (pk, id string, text []byte) {
	pk, id = fmt.Sprintf("p%d", i/perPartition), fmt.Sprintf("doc-%06d", i)
	text, err := json.Marshal(map[string]any{"id": id, "pk": pk, "kind": "alert", "rank": i * 7919 % 100, "remediation": "r1",
		"title": strings.Repeat("a title that says something ", 10), "body": strings.Repeat("text ", 80), "tags": []string{"one", "two"}})
	if err != nil {
		panic(err) // a map of texts and numbers
	}
	return pk, id, text
}

func readOne(ctx context.Context, c container, i int) error {
	pk, id, _ := document(i)
	_, err := c.ReadItem(ctx, azcosmos.NewPartitionKeyString(pk), id, nil)
	return err
}

func upsertOne(ctx context.Context, c container, i int) error {
	pk, _, text := document(i)
	_, err := c.UpsertItem(ctx, azcosmos.NewPartitionKeyString(pk), text, nil)
	return err
}

func queryPartition(ctx context.Context, c container, i int) error {
	pk, _, _ := document(i)
	pager := c.NewQueryItemsPager("SELECT * FROM c WHERE c.kind = @kind AND c.remediation = @r ORDER BY c.rank ASC", azcosmos.NewPartitionKeyString(pk),
		&azcosmos.QueryOptions{QueryParameters: []azcosmos.QueryParameter{{Name: "@kind", Value: "alert"}, {Name: "@r", Value: "r1"}}})
	p, err := pager.NextPage(ctx)
	if err == nil && len(p.Items) != perPartition {
		err = fmt.Errorf("%d documents for %d", len(p.Items), perPartition)
	}
	return err
}

func dialStore(ctx context.Context, connection string, documents int, fill bool) (container, error) {
	client, err := azcosmos.NewClientFromConnectionString(connection, nil)
	if err != nil {
		return container{}, err
	}
	if fill {
		if err := create(ctx, client); err != nil {
			return container{}, err
		}
	}
	c, err := client.NewContainer("bench", "bench")
	if err != nil || !fill {
		return container{c, documents}, err
	}
	return container{c, documents}, share(8, documents/perPartition, func(p int) error { return fillPartition(ctx, c, p) })
}

func create(ctx context.Context, client *azcosmos.Client) error {
	if _, err := client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "bench"}, nil); err != nil {
		return unlessThere(err)
	}
	db, err := client.NewDatabase("bench")
	if err != nil {
		return err
	}
	_, err = db.CreateContainer(ctx, azcosmos.ContainerProperties{ID: "bench", PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}}}, nil)
	return unlessThere(err)
}

func unlessThere(err error) error {
	if e := (*azcore.ResponseError)(nil); errors.As(err, &e) && e.StatusCode == http.StatusConflict {
		return nil
	}
	return err
}

func fillPartition(ctx context.Context, c *azcosmos.ContainerClient, p int) error {
	pk, _, _ := document(p * perPartition)
	batch := c.NewTransactionalBatch(azcosmos.NewPartitionKeyString(pk))
	for i := range perPartition {
		_, _, text := document(p*perPartition + i)
		batch.CreateItem(text, nil)
	}
	r, err := c.ExecuteTransactionalBatch(ctx, batch, nil)
	if err == nil && !r.Success {
		err = fmt.Errorf("partition %s cannot be filled", pk)
	}
	return err
}
