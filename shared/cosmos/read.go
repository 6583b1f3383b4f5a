package cosmos

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// Read reads one document, or answers graph.ErrNotFound. One request unit for each KB.
func (s *Store) Read(ctx context.Context, k graph.Key) (graph.Document, error) {
	if err := k.Check(); err != nil {
		return graph.Document{}, err
	}
	var d graph.Document
	err := s.try(ctx, k.Container, reading, func(c *azcosmos.ContainerClient) error {
		answer, err := c.ReadItem(ctx, azcosmos.NewPartitionKeyString(k.Partition), escape(k.ID), nil)
		if err != nil {
			return err
		}
		d, err = decode(graph.Key{Container: k.Container, Partition: k.Partition}, answer.Value)
		return err
	})
	return d, err
}
