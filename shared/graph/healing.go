package graph

import (
	"context"
	"slices"
	"time"
)

// KindHealing is the kind of the documents of a Healing.
const KindHealing Kind = "healing"

// healingPartition holds one document a day.
const healingPartition = "healing"

// keptHealing is how many days are kept.
const keptHealing = 14

// Healing tells which webhooks of a day did not reach us and were asked for again.
type Healing struct {
	Day string `json:"day"` // UTC, of the lost attempts
	// Deliveries are the GUIDs that were asked for again, each once.
	Deliveries []string `json:"deliveries"`
	// Events counts them by event.
	Events map[string]int `json:"events"`
	// LongestStale and TotalStale are seconds from a lost attempt to the request for another.
	LongestStale float64   `json:"longestStaleSeconds"`
	TotalStale   float64   `json:"totalStaleSeconds"`
	Last         time.Time `json:"last"` // when one was last asked for
}

// Lost is a webhook that no attempt brought to us.
type Lost struct {
	GUID, Event string
	At          time.Time // of the lost attempt
}

func dayOf(t time.Time) string { return t.UTC().Format("2006-01-02") }

func healingKey(day string) Key { return StateKey(healingPartition, day) }

// Healed tells which webhooks of a day were asked for again already.
func (g Graph) Healed(ctx context.Context, at time.Time) ([]string, error) {
	h, err := Get[Healing](ctx, g.Store, healingKey(dayOf(at)))
	return h.Value.Deliveries, err
}

// NoteHealed notes webhooks of one day that were asked for again, and lets the oldest day go.
func (g Graph) NoteHealed(ctx context.Context, all []Lost, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	day := dayOf(all[0].At)
	_, _, err := Update(ctx, g.Store, healingKey(day), KindHealing, func(old Versioned[Healing]) (Healing, bool, error) {
		next := old.Value
		next.Day, next.Deliveries, next.Events = day, slices.Clone(next.Deliveries), map[string]int{}
		for e, n := range old.Value.Events {
			next.Events[e] = n
		}
		for _, l := range all {
			next.add(l, now)
		}
		return next, len(next.Deliveries) > len(old.Value.Deliveries), nil
	})
	if err != nil {
		return err
	}
	return g.Store.Write(ctx, Write{Key: healingKey(dayOf(now.AddDate(0, 0, -keptHealing))), Kind: KindHealing, ETag: Any})
}

func (h *Healing) add(l Lost, now time.Time) {
	if slices.Contains(h.Deliveries, l.GUID) {
		return
	}
	stale := now.Sub(l.At).Seconds()
	h.Deliveries, h.Last = append(h.Deliveries, l.GUID), now
	h.Events[l.Event]++
	h.LongestStale, h.TotalStale = max(h.LongestStale, stale), h.TotalStale+stale
}

// Healings lists the days on which webhooks were lost, the newest first.
func Healings(ctx context.Context, s Store) ([]Healing, error) {
	all, err := ListAll[Healing](ctx, s, Query{Container: StateContainer, Partition: healingPartition, Kind: KindHealing})
	slices.SortFunc(all, func(a, b Healing) int { return b.Last.Compare(a.Last) })
	return all, err
}
