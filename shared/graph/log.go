package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// KindLog is a segment of the decision log, in its repository's partition.
const KindLog Kind = "log"

// Segment is a part of the decision log of a repository: what was decided and closed since the segment before, whose hash
// it carries. Together the segments are a chain, and the links in them bind every decision to it.
type Segment struct {
	Number  int       `json:"number"` // 1, 2, 3, ...
	Prev    string    `json:"prev,omitempty"`
	At      time.Time `json:"at"`
	Entries []Logged  `json:"entries"`
	Hash    string    `json:"hash"` // of all the rest but the signature
	// Signature is the signed hash, when a key is configured.
	Signature []byte `json:"signature,omitempty"`
}

// Logged is one line of the decision log: a decision, or the closing of a fix.
type Logged struct {
	Finding     FindingID     `json:"finding,omitempty"`
	Remediation RemediationID `json:"remediation,omitempty"` // of a closing
	At          time.Time     `json:"at"`
	Tier        Tier          `json:"tier,omitempty"`
	Rule        string        `json:"rule,omitempty"`
	Version     string        `json:"version,omitempty"`
	Link        string        `json:"link,omitempty"`
	Closing     *Closing      `json:"closing,omitempty"`
	Proof       *Proof        `json:"proof,omitempty"`
}

// LogKey names a segment.
func LogKey(r RepositoryID, number int) Key {
	return Key{GraphContainer, RepositoryPartition(r), fmt.Sprintf("log-%010d", number)}
}

// logHead is the newest segment of a repository: whoever cuts the end of the log off must change it, too.
type logHead struct {
	Number int    `json:"number"`
	Hash   string `json:"hash"`
}

func logHeadKey(r RepositoryID) Key { return StateKey("logs", string(r)) }

// logCursor is up to when the worklist of an owner was taken into the log.
type logCursor struct {
	Until string `json:"until"`
}

func logCursorKey(o OrgID) Key { return StateKey("logs", "of-"+string(o)) }

// LogDelay is how long a decision rests before it is taken into the log: until then its writers have written its line.
const LogDelay = 2 * time.Minute

// maxEntries bounds a segment.
const maxEntries = 500

// Logbook keeps the decision logs. It takes in what the worklist shows, in one segment for each repository at a time, so
// that a decision itself pays nothing for it and many hands never meet.
type Logbook struct {
	Store Store
	// Sign signs the hash of a segment; nil: segments are not signed.
	Sign func(hash string) ([]byte, error)
}

// Append takes in what was decided and closed up to a short while ago. What a crash left half done is taken in again: two
// lines of the same decision say the same.
func (b Logbook) Append(ctx context.Context, now time.Time) error {
	orgs, err := Orgs(ctx, b.Store)
	if err != nil {
		return err
	}
	for _, o := range orgs {
		if err := b.appendOrg(ctx, o.ID, now); err != nil {
			return fmt.Errorf("decision log of %s: %w", o.ID, err)
		}
	}
	return nil
}

func (b Logbook) appendOrg(ctx context.Context, o OrgID, now time.Time) error {
	was, err := Get[logCursor](ctx, b.Store, logCursorKey(o))
	if err != nil {
		return err
	}
	until := logStamp(now.Add(-LogDelay))
	if until <= was.Value.Until {
		return nil
	}
	q := Query{Container: WorklistContainer, Partition: string(o), Kind: KindSummary,
		Where: []Where{{Field: "logged", Op: Greater, Value: was.Value.Until}}}
	for more := true; more; more = q.Cursor != "" {
		lines, cursor, err := List[Summary](ctx, b.Store, q)
		if err != nil {
			return err
		}
		if err := b.take(ctx, lines, was.Value.Until, until, now); err != nil {
			return err
		}
		q.Cursor = cursor
	}
	w, err := NewWrite(logCursorKey(o), "log cursor", Any, logCursor{until})
	if err != nil {
		return err
	}
	return b.Store.Write(ctx, w)
}

// take writes one segment for each repository that the lines are about.
func (b Logbook) take(ctx context.Context, lines []Summary, from, until string, now time.Time) error {
	entries := map[RepositoryID][]Logged{}
	closed := map[RemediationID]bool{}
	for _, s := range lines {
		if at := logStamp(s.DecidedAt); s.Link != "" && at > from && at <= until {
			entries[s.Repository] = append(entries[s.Repository], Logged{Finding: s.ID, At: s.DecidedAt, Tier: s.Tier, Rule: s.Rule, Version: s.Decided, Link: s.Link})
		}
		if at := logStamp(s.ClosedAt); at <= from || at > until || closed[s.Remediation] {
			continue
		}
		closed[s.Remediation] = true
		m, err := Get[Remediation](ctx, b.Store, RemediationKey(s.Repository, s.Remediation))
		if err != nil {
			return err
		}
		if m.Value.Closed != nil {
			entries[s.Repository] = append(entries[s.Repository], Logged{Remediation: s.Remediation, At: m.Value.Closed.At, Tier: m.Value.Tier, Closing: m.Value.Closed, Proof: m.Value.Proof})
		}
	}
	for r, es := range entries {
		slices.SortFunc(es, func(x, y Logged) int {
			return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Finding, y.Finding), cmp.Compare(x.Remediation, y.Remediation))
		})
		for part := range slices.Chunk(es, maxEntries) {
			if err := b.segment(ctx, r, part, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// segment appends to the log of a repository. That the document of its number must not exist yet keeps two hands apart.
func (b Logbook) segment(ctx context.Context, r RepositoryID, entries []Logged, now time.Time) error {
	head, err := Get[logHead](ctx, b.Store, logHeadKey(r))
	if err != nil {
		return err
	}
	next := Segment{Number: head.Value.Number, Hash: head.Value.Hash}
	for {
		next = Segment{Number: next.Number + 1, Prev: next.Hash, At: now, Entries: entries}
		if next, err = b.sealed(next); err != nil {
			return err
		}
		w, err := NewWrite(LogKey(r, next.Number), KindLog, "", next)
		if err != nil {
			return err
		}
		err = b.Store.Write(ctx, w)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrStale) {
			return err
		}
		there, err := Get[Segment](ctx, b.Store, LogKey(r, next.Number)) // a crash, or another hand, was between this and the head
		if err != nil {
			return err
		}
		next = there.Value
	}
	w, err := NewWrite(logHeadKey(r), "log head", Any, logHead{next.Number, next.Hash})
	if err != nil {
		return err
	}
	return b.Store.Write(ctx, w)
}

func (b Logbook) sealed(s Segment) (Segment, error) {
	raw, err := json.Marshal(s)
	if err == nil {
		s.Hash, err = chainHash(raw, "hash", "signature")
	}
	if err == nil && b.Sign != nil {
		s.Signature, err = b.Sign(s.Hash)
	}
	return s, err
}

// logStamp sorts as text; the zero time is empty.
func logStamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("20060102T150405.000000000")
}
