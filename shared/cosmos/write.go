package cosmos

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// Write applies all changes in their order, or none: one as a point write, several as a transactional batch. When the
// answer was lost the error is neither graph.ErrStale nor graph.ErrNotFound, and the changes may stand.
func (s *Store) Write(ctx context.Context, changes ...graph.Write) error {
	if err := graph.CheckWrites(changes); err != nil || len(changes) == 0 {
		return err
	}
	bodies := make([]json.RawMessage, len(changes))
	for i, w := range changes {
		if w.Data == nil {
			continue
		}
		var err error
		if bodies[i], err = encode(w); err != nil {
			return err
		}
	}
	return s.try(ctx, changes[0].Key.Container, writing, func(c *azcosmos.ContainerClient) error {
		if len(changes) == 1 {
			return one(ctx, c, changes[0], bodies[0])
		}
		return many(ctx, c, changes, bodies)
	})
}

// one writes a single document.
func one(ctx context.Context, c *azcosmos.ContainerClient, w graph.Write, body []byte) error {
	pk, o := azcosmos.NewPartitionKeyString(w.Key.Partition), &azcosmos.ItemOptions{IfMatchEtag: match(w)}
	var err error
	switch {
	case w.Data == nil:
		_, err = c.DeleteItem(ctx, pk, escape(w.Key.ID), o)
	case w.ETag == "":
		_, err = c.CreateItem(ctx, pk, body, o)
	case w.ETag == graph.Any:
		_, err = c.UpsertItem(ctx, pk, body, o)
	default:
		_, err = c.ReplaceItem(ctx, pk, escape(w.Key.ID), body, o)
	}
	if isMissing(err) {
		if mayMiss(w) {
			return nil
		}
		return graph.ErrStale // it was there when its ETag was read
	}
	return err
}

func match(w graph.Write) *azcore.ETag {
	if w.ETag == "" || w.ETag == graph.Any {
		return nil
	}
	etag := azcore.ETag(w.ETag)
	return &etag
}

// mayMiss tells whether nothing to change is no fault.
func mayMiss(w graph.Write) bool { return w.Data == nil && w.ETag == graph.Any }

// many writes a batch. A delete that finds nothing would fail it as a whole: where that is no fault the rest is sent again.
func many(ctx context.Context, c *azcosmos.ContainerClient, changes []graph.Write, bodies []json.RawMessage) error {
	changes, bodies = slices.Clone(changes), slices.Clone(bodies)
	for len(changes) > 0 {
		failed, err := batch(ctx, c, changes, bodies)
		if err == nil || failed < 0 || !mayMiss(changes[failed]) || status(err) != http.StatusNotFound {
			return err
		}
		changes, bodies = slices.Delete(changes, failed, failed+1), slices.Delete(bodies, failed, failed+1)
	}
	return nil
}

// batch sends a batch; failed is the index of the change that was refused, -1 when none is named.
func batch(ctx context.Context, c *azcosmos.ContainerClient, changes []graph.Write, bodies []json.RawMessage) (failed int, err error) {
	b := c.NewTransactionalBatch(azcosmos.NewPartitionKeyString(changes[0].Key.Partition))
	for i, w := range changes {
		o := &azcosmos.TransactionalBatchItemOptions{IfMatchETag: match(w)}
		switch {
		case w.Data == nil:
			b.DeleteItem(escape(w.Key.ID), o)
		case w.ETag == "":
			b.CreateItem(bodies[i], o)
		case w.ETag == graph.Any:
			b.UpsertItem(bodies[i], o)
		default:
			b.ReplaceItem(escape(w.Key.ID), bodies[i], o)
		}
	}
	answer, err := c.ExecuteTransactionalBatch(ctx, b, nil)
	if err != nil {
		return -1, err
	}
	for i, r := range answer.OperationResults {
		if r.StatusCode >= http.StatusBadRequest && r.StatusCode != http.StatusFailedDependency {
			return i, &refusal{int(r.StatusCode), changes[i].Key}
		}
	}
	if !answer.Success {
		return -1, &refusal{http.StatusMultiStatus, changes[0].Key}
	}
	return -1, nil
}
