package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"throughline/shared/event"
	"throughline/shared/graph"
)

// Letter is a message that was put aside with its reason.
type Letter struct {
	ID            string    `json:"id"`
	Queue         string    `json:"queue"`
	MessageID     string    `json:"messageId"`
	Body          []byte    `json:"body"`
	Reason        string    `json:"reason"`
	DeliveryCount int       `json:"deliveryCount"`
	At            time.Time `json:"at"`
	Replayed      time.Time `json:"replayed,omitzero"`
}

const parkedPartition, parkedKind = "parked", graph.Kind("parked")

// Park keeps a letter. Parking the same message twice keeps it once.
func (b *Bus) Park(ctx context.Context, l Letter) error {
	sum := sha256.Sum256([]byte(l.Queue + "\x00" + l.MessageID + "\x00" + string(l.Body)))
	l.ID = hex.EncodeToString(sum[:12])
	_, _, err := graph.Update(ctx, b.store, graph.StateKey(parkedPartition, l.ID), parkedKind, func(old graph.Versioned[Letter]) (Letter, bool, error) {
		return l, !old.Exists() || !old.Value.Replayed.IsZero(), nil
	})
	return err
}

// Parked lists letters that were not replayed.
func (b *Bus) Parked(ctx context.Context, cursor string) ([]Letter, string, error) {
	all, next, err := graph.List[Letter](ctx, b.store, graph.Query{Container: graph.StateContainer, Partition: parkedPartition, Kind: parkedKind, Cursor: cursor})
	var waiting []Letter
	for _, l := range all {
		if l.Replayed.IsZero() {
			waiting = append(waiting, l)
		}
	}
	return waiting, next, err
}

// Replay sends a letter into its queue again, as a new message. A body that is no event of ours is refused.
func (b *Bus) Replay(ctx context.Context, id string) error {
	l, err := graph.Get[Letter](ctx, b.store, graph.StateKey(parkedPartition, id))
	if err != nil {
		return err
	}
	if !l.Exists() {
		return fmt.Errorf("parked message %s: %w", id, graph.ErrNotFound)
	}
	e, err := event.Decode(l.Value.Body)
	if err != nil {
		return fmt.Errorf("parked message %s cannot be replayed: %w", id, err)
	}
	if err := b.Publish(ctx, []event.Event{e.Again(time.Time{})}); err != nil {
		return err
	}
	_, _, err = graph.Update(ctx, b.store, graph.StateKey(parkedPartition, id), parkedKind, func(old graph.Versioned[Letter]) (Letter, bool, error) {
		next := old.Value
		next.Replayed = time.Now().UTC()
		return next, old.Exists(), nil
	})
	return err
}
