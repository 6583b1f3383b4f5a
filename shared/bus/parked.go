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

// Letter is a message that was put aside with its reason: parked by a handler, or dead-lettered by Service Bus.
type Letter struct {
	// ID names a parked letter. For a dead letter it is the sequence number.
	ID        string `json:"id"`
	Queue     string `json:"queue"`
	MessageID string `json:"messageId"`
	// Body is the message as it was received.
	Body          []byte    `json:"body"`
	Reason        string    `json:"reason"`
	DeliveryCount int       `json:"deliveryCount"`
	At            time.Time `json:"at"` // UTC, whole seconds
	// Replayed is when it was sent again; zero while it waits.
	Replayed time.Time `json:"replayed,omitzero"`
}

// parked is a letter as it is stored.
type parked struct {
	Letter
	Waiting bool `json:"waiting"`
}

const (
	parkedPartition            = "parked"
	parkedKind      graph.Kind = "parked"
)

// Park keeps a letter until somebody replays it. The same message parked twice is kept once.
func (b *Bus) Park(ctx context.Context, l Letter) error {
	if b.store == nil {
		return fmt.Errorf("park %s of %s: %w", l.MessageID, l.Queue, errNoStore)
	}
	sum := sha256.Sum256([]byte(l.Queue + "\x00" + l.MessageID + "\x00" + string(l.Body)))
	l.ID, l.At = hex.EncodeToString(sum[:12]), l.At.UTC().Truncate(time.Second)
	_, _, err := graph.Update(ctx, b.store, graph.StateKey(parkedPartition, l.ID), parkedKind, func(old graph.Versioned[parked]) (parked, bool, error) {
		return parked{l, true}, !old.Value.Waiting, nil
	})
	if err != nil {
		return fmt.Errorf("park %s of %s: %w", l.MessageID, l.Queue, err)
	}
	return nil
}

// Parked lists the letters that wait, newest first, a page at a time; the empty cursor begins and ends the list.
func (b *Bus) Parked(ctx context.Context, cursor string) (letters []Letter, next string, err error) {
	if b.store == nil {
		return nil, "", errNoStore
	}
	q := graph.Query{Container: graph.StateContainer, Partition: parkedPartition, Kind: parkedKind,
		Where: []graph.Where{{Field: "waiting", Op: graph.Equal, Value: true}}, OrderBy: "at", Descending: true, Cursor: cursor}
	found, next, err := graph.List[parked](ctx, b.store, q)
	for _, p := range found {
		letters = append(letters, p.Letter)
	}
	return letters, next, err
}

// Replay sends a letter into its queue again, as a new message, so that duplicate detection does not swallow it. A body that is
// no event of ours is refused with event.ErrPermanent, an id that nobody parked with graph.ErrNotFound. A letter that was
// replayed already is left alone: when it failed again it was parked again.
func (b *Bus) Replay(ctx context.Context, id string) error {
	if b.store == nil {
		return errNoStore
	}
	k := graph.StateKey(parkedPartition, id)
	l, err := graph.Get[parked](ctx, b.store, k)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if !l.Exists() {
		return fmt.Errorf("replay: parked message %s: %w", id, graph.ErrNotFound)
	}
	if !l.Value.Waiting {
		return nil
	}
	e, err := event.Decode(l.Value.Body)
	if err != nil {
		return fmt.Errorf("parked message %s of %s cannot be replayed: %w", id, l.Value.Queue, err)
	}
	if err := b.Publish(ctx, []event.Event{e.Again(time.Time{})}); err != nil {
		return fmt.Errorf("replay %s: %w", id, err)
	}
	_, _, err = graph.Update(ctx, b.store, k, parkedKind, func(old graph.Versioned[parked]) (parked, bool, error) {
		next := old.Value
		next.Waiting, next.Replayed = false, time.Now().UTC()
		return next, old.Value.Waiting, nil
	})
	if err != nil {
		return fmt.Errorf("note that %s was replayed: %w", id, err)
	}
	return nil
}
