package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// KindGuard is the kind of what holds issues back, KindWaiting of each remediation that waits for it.
const (
	KindGuard   Kind = "guard"
	KindWaiting Kind = "waiting"
)

// Guard counts the issues that one cause would open: a new policy, a revision of the feeds, evidence gone stale. Beyond
// the policy's bound all of them wait for a person.
type Guard struct {
	ID    string    `json:"id"` // of the cause
	Cause string    `json:"cause"`
	Since time.Time `json:"since"`
	// Asked are the remediations that asked for an issue, until there are too many; Last is when the last one did.
	Asked []RemediationID `json:"asked,omitempty"`
	Last  time.Time       `json:"last,omitzero"`
	// Opened are the remediations that were let through without approval.
	Opened []RemediationID `json:"opened"`
	// Held tells that there are more, and that they wait.
	Held     bool      `json:"held"`
	Approved time.Time `json:"approved,omitzero"`
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason,omitempty"`
}

// Waiting is one remediation that a guard holds back.
type Waiting struct {
	Repository  RepositoryID  `json:"repository"`
	Remediation RemediationID `json:"remediation"`
}

// guards is the partition of all guards.
const guards = "guards"

// GuardID names the guard of a cause.
func GuardID(cause string) string {
	sum := sha256.Sum256([]byte(cause))
	return hex.EncodeToString(sum[:8])
}

// GuardKey names the document of a guard.
func GuardKey(id string) Key { return StateKey(guards, id) }

// WaitingPartition lists what a guard holds back.
func WaitingPartition(id string) string { return "guard:" + id }

// Quiet is how long a cause must ask for no further issue before it counts as not asking for more: how many it would open
// is known only then.
const Quiet = time.Minute

// Pass lets a remediation through, holds it back until a person approves of the cause, or answers *Limited while it is not
// known yet how many issues the cause would open. A remediation that was let through once is let through again.
func (g Graph) Pass(ctx context.Context, cause string, w Waiting, limit int, now time.Time) (bool, error) {
	guard, passed, err := g.count(ctx, cause, w, limit, now)
	if err != nil || passed {
		return passed, err
	}
	if !guard.Held {
		return false, &Limited{Until: guard.Last.Add(Quiet), Why: "it is not known yet how many issues " + cause + " would open"}
	}
	held, err := NewWrite(StateKey(WaitingPartition(guard.ID), string(w.Remediation)), KindWaiting, Any, w)
	if err == nil {
		err = g.Store.Write(ctx, held)
	}
	if err != nil {
		return false, err
	}
	// Somebody may have approved between the look and the note.
	_, passed, err = g.count(ctx, cause, w, limit, now)
	return passed, err
}

func (g Graph) count(ctx context.Context, cause string, w Waiting, limit int, now time.Time) (guard Guard, passed bool, err error) {
	guard, _, err = Update(ctx, g.Store, GuardKey(GuardID(cause)), KindGuard, func(old Versioned[Guard]) (Guard, bool, error) {
		next := old.Value
		if !old.Exists() {
			next = Guard{ID: GuardID(cause), Cause: cause, Since: now, Opened: []RemediationID{}}
		}
		if passed = !next.Approved.IsZero() || slices.Contains(next.Opened, w.Remediation); passed || next.Held {
			return next, false, nil
		}
		next, passed = next.ask(w.Remediation, limit, now)
		return next, true, nil
	})
	return guard, passed, err
}

// ask takes a remediation in; passed tells that it may go on.
func (g Guard) ask(r RemediationID, limit int, now time.Time) (next Guard, passed bool) {
	if !slices.Contains(g.Asked, r) {
		g.Asked, g.Last = append(slices.Clone(g.Asked), r), now
	}
	g.Held = len(g.Asked) > limit
	if passed = !g.Held && now.Sub(g.Last) >= Quiet; passed {
		g.Opened = append(slices.Clone(g.Opened), r)
	}
	return g, passed
}

// Guards lists the guards that hold something back or did, newest first.
func (g Graph) Guards(ctx context.Context) ([]Guard, error) {
	all, err := ListAll[Guard](ctx, g.Store, Query{Container: StateContainer, Partition: guards, Kind: KindGuard})
	all = slices.DeleteFunc(all, func(g Guard) bool { return !g.Held })
	slices.SortFunc(all, func(a, b Guard) int { return b.Since.Compare(a.Since) })
	return all, err
}

// Approve lets everything pass that a cause holds back. It is done once; who asks later changes nothing.
func (g Graph) Approve(ctx context.Context, id, by, reason string, now time.Time) (Guard, error) {
	next, _, err := Update(ctx, g.Store, GuardKey(id), KindGuard, func(old Versioned[Guard]) (Guard, bool, error) {
		next := old.Value
		if !old.Exists() {
			return next, false, ErrNotFound
		}
		if !next.Approved.IsZero() {
			return next, false, nil
		}
		next.Approved, next.By, next.Reason = now, by, reason
		return next, true, nil
	})
	return next, err
}

// Release takes a page of what a guard held back; nothing when all is released. Forget drops it once it was passed on.
func (g Graph) Release(ctx context.Context, id string) ([]Waiting, error) {
	page, _, err := List[Waiting](ctx, g.Store, Query{Container: StateContainer, Partition: WaitingPartition(id), Kind: KindWaiting, Limit: releasePage})
	return page, err
}

// releasePage is how many remediations are released together; a transaction takes 100 changes.
const releasePage = 100

// Forget drops what was released and passed on.
func (g Graph) Forget(ctx context.Context, id string, released []Waiting) error {
	var writes []Write
	for _, w := range released {
		writes = append(writes, Write{Key: StateKey(WaitingPartition(id), string(w.Remediation)), Kind: KindWaiting, ETag: Any})
	}
	return g.Store.Write(ctx, writes...)
}
