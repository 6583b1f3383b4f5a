package graph

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Inquiry notes that it was asked where a digest comes from, or what a tag stands for. Until every source has answered, a
// digest maps to no repository: nobody must get an issue on the strength of the first, perhaps wrong, hint.
type Inquiry struct {
	About string    `json:"about"`        // a digest, or a reference by tag
	Left  []string  `json:"left"`         // scopes that have not answered
	By    string    `json:"by,omitempty"` // the event that asked; delivered again it asks again
	At    time.Time `json:"at"`
}

// patience is how long a source may be silent before the others decide without it.
const patience = 10 * time.Minute

// Open tells whether an answer is still waited for.
func (i Inquiry) Open(now time.Time) bool {
	return len(i.Left) > 0 && now.Sub(i.At) <= patience
}

// Overdue lists inquiries about digests that waited for their sources too long: from now on the others decide.
func Overdue(ctx context.Context, s Store, now time.Time) ([]Inquiry, error) {
	old, _, err := List[Inquiry](ctx, s, Query{Container: StateContainer, Partition: InquiriesPartition, Limit: MaxPage,
		Where: []Where{{Field: "at", Op: Less, Value: now.Add(-patience).UTC().Format(time.RFC3339)}}})
	return slices.DeleteFunc(old, func(i Inquiry) bool {
		_, err := ParseDigest(i.About)
		return err != nil || i.Open(now)
	}), err
}

// Unsettled tells whether its digest is not mapped yet: an answer is waited for, or the last one came and is still being
// taken in. The note is dropped once the mapping is written.
func (i Inquiry) Unsettled(now time.Time) bool { return now.Sub(i.At) <= patience }

// Answered strikes what a scope has answered: whatever was asked of the same source.
func (i Inquiry) Answered(scope string) Inquiry {
	source, _, _ := strings.Cut(scope, " ")
	var left []string
	for _, s := range i.Left {
		if asked, _, _ := strings.Cut(s, " "); asked != source {
			left = append(left, s)
		}
	}
	i.Left = left
	return i
}

// Round gathers inquiries that GitHub is asked about in one call. It is open until somebody reads it.
type Round struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// RoundKey names the note of the round that is open.
var RoundKey = StateKey("marks", "round")

// roundAge is after how long a round counts as lost with its message.
const roundAge = time.Minute

// OpenRound joins the open round, or opens one under the given id; opened tells that somebody must ask for it.
func OpenRound(ctx context.Context, s Store, id string, now time.Time) (r Round, opened bool, err error) {
	return Update(ctx, s, RoundKey, "round", func(old Versioned[Round]) (Round, bool, error) {
		if old.Exists() && now.Sub(old.Value.At) < roundAge {
			return old.Value, false, nil
		}
		return Round{ID: id, At: now}, true, nil
	})
}

// RoundScope is the scope that a round is asked under.
func RoundScope(id string) string { return "github inquiries:" + id }

// DigestsOfRound closes a round and lists by pages the digests that are being asked for in it.
func (g Graph) DigestsOfRound(ctx context.Context, id, cursor string) ([]Digest, string, error) {
	if cursor == "" {
		if err := g.closeRound(ctx, id); err != nil {
			return nil, "", err
		}
	}
	asked, next, err := List[Inquiry](ctx, g.Store, Query{Container: StateContainer, Partition: InquiriesPartition, Cursor: cursor, Limit: MaxPage,
		Where: []Where{{Field: "left", Op: Contains, Value: RoundScope(id)}}})
	var ds []Digest
	for _, i := range asked {
		ds = append(ds, Digest(i.About))
	}
	return ds, next, err
}

// closeRound lets the next inquiry open another round.
func (g Graph) closeRound(ctx context.Context, id string) error {
	open, err := Get[Round](ctx, g.Store, RoundKey)
	if err != nil || open.Value.ID != id {
		return err
	}
	err = g.Store.Write(ctx, Write{Key: RoundKey, Kind: "round", ETag: open.ETag})
	if errors.Is(err, ErrStale) || errors.Is(err, ErrNotFound) {
		return nil // somebody closed it, and perhaps opened another
	}
	return err
}
