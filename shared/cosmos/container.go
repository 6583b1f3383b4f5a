package cosmos

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// containers lists the containers; the deployment makes the same.
var containers = [...]graph.Container{graph.GraphContainer, graph.WorklistContainer, graph.StateContainer}

// PartitionPath is the path of a container's partition key.
func PartitionPath(c graph.Container) string { return "/" + partitionField(c) }

func partitionField(c graph.Container) string {
	if c == graph.WorklistContainer {
		return "org"
	}
	return "pk"
}

// IndexedPaths lists what a container indexes; all else is excluded, which keeps a write at its floor. It is what the
// queries of the product choose and order by: a condition on any other path is answered by reading the partition, an
// order by any other path is refused by Cosmos DB.
func IndexedPaths(c graph.Container) []string {
	switch c {
	case graph.GraphContainer:
		return []string{"/kind/?", "/data/id/?", "/data/state/?", "/data/remediation/?", "/data/method/?", "/data/cves/[]/?", "/data/runtime/digest/?", "/data/issue/number/?"}
	case graph.WorklistContainer:
		return []string{"/kind/?", "/data/rank/?", "/data/byDue/?", "/data/byAge/?", "/data/state/?", "/data/tier/?", "/data/kind/?", "/data/repository/?", "/data/risks/[]/?",
			"/data/unmapped/?", "/data/status/?", "/data/title/?", "/data/cves/[]/?", "/data/logged/?"}
	case graph.StateContainer:
		return []string{"/kind/?", "/data/path/?", "/data/waiting/?", "/data/at/?", "/data/by/?", "/data/left/[]/?"}
	}
	return nil
}

// indexing is the policy that a container gets; queries on other paths still work, only slower.
func indexing(c graph.Container) *azcosmos.IndexingPolicy {
	p := &azcosmos.IndexingPolicy{Automatic: true, IndexingMode: azcosmos.IndexingModeConsistent, ExcludedPaths: []azcosmos.ExcludedPath{{Path: "/*"}}}
	for _, path := range IndexedPaths(c) {
		p.IncludedPaths = append(p.IncludedPaths, azcosmos.IncludedPath{Path: path})
	}
	return p
}

// container gives the client of a container, and makes what is missing when that is ours to do.
func (s *Store) container(ctx context.Context, l *link, c graph.Container) (*azcosmos.ContainerClient, error) {
	if s.makes && !s.made.Load() {
		if err := s.create(ctx, l.client); err != nil {
			return nil, err
		}
	}
	return l.client.NewContainer(s.options.Database, string(c))
}

// create makes the database and its containers, once for each store.
func (s *Store) create(ctx context.Context, client *azcosmos.Client) error {
	s.making.Lock()
	defer s.making.Unlock()
	if s.made.Load() {
		return nil
	}
	name := s.options.Database
	_, err := client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: name}, nil)
	if err != nil && status(err) != http.StatusConflict {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	database, err := client.NewDatabase(name)
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	var failed error
	for _, c := range containers {
		p := azcosmos.ContainerProperties{ID: string(c), IndexingPolicy: indexing(c),
			PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{PartitionPath(c)}, Version: 2}}
		if _, err := database.CreateContainer(ctx, p, nil); err != nil && status(err) != http.StatusConflict {
			failed = errors.Join(failed, fmt.Errorf("create container %s of database %s: %w", c, name, err))
		}
	}
	s.made.Store(failed == nil)
	return failed
}
