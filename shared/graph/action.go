package graph

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// KindAction is the kind of the documents that tell what people did; ActionsPartition holds them.
const (
	KindAction       Kind   = "action"
	ActionsPartition string = "actions"
)

// Action is what a person did: who, what, on what and why. It is written before it is done, so that nothing happens that
// is not written down, and again with how it went.
type Action struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	Who  string    `json:"who"`
	What string    `json:"what"` // the last word of its address: accept, issue, reassess, replay, resync, plan
	On   string    `json:"on"`   // what it was done to
	Why  string    `json:"why,omitempty"`
	// Asked is the hash of the request, so that a key is not used for two.
	Asked string `json:"asked"`
	// Ended, Status and Answer are how it went; Status 0 means that it was begun and its end is not known.
	Ended  time.Time `json:"ended,omitzero"`
	Status int       `json:"status,omitempty"`
	Answer []byte    `json:"answer,omitempty"`
	// Said is what was wrong, in the words that the caller was told.
	Said string `json:"said,omitempty"`
}

// ActionKey names the document of an action.
func ActionKey(id string) Key { return StateKey(ActionsPartition, safeID(id)) }

// Keyed gives the action its name: the same for the same caller and key, a new one without a key.
func (a Action) Keyed(key, address string, body []byte) Action {
	a.Asked = Version(address, string(body))
	a.ID = rand.Text()
	if key != "" {
		a.ID = Version(a.Who, key)
	}
	return a
}

// Done tells whether its end is known.
func (a Action) Done() bool { return a.Status != 0 }

// Worked tells whether it was done without fault.
func (a Action) Worked() bool { return a.Status >= 200 && a.Status < 300 }

// Form is the media type of the kept answer.
func (a Action) Form() string {
	if a.Worked() {
		return "application/json"
	}
	return "application/problem+json"
}

// abandoned is after what time an action without an end is taken for broken off: it may be done again then.
const abandoned = time.Minute

// mostAnswer bounds the answer that is kept; a longer one is a plan, which may be asked for again.
const mostAnswer = 64 << 10

// BeginAction writes down that an action begins. It gives the one that was done under the same key before instead, and
// tells so, unless that was broken off, went wrong by our own fault, or its answer was not kept.
func BeginAction(ctx context.Context, s Store, a Action) (kept Action, repeated bool, err error) {
	kept, began, err := Update(ctx, s, ActionKey(a.ID), KindAction, func(old Versioned[Action]) (Action, bool, error) {
		o := old.Value
		again := o.Status >= http.StatusInternalServerError || o.Done() && o.Answer == nil || !o.Done() && a.At.Sub(o.At) > abandoned
		return a, !old.Exists() || again && o.Asked == a.Asked, nil
	})
	if err != nil {
		return a, false, fmt.Errorf("write down action %s: %w", a.What, err)
	}
	return kept, !began, nil
}

// End is the action with how it went.
func (a Action) End(now time.Time, status int, answer []byte) Action {
	a.Ended, a.Status = now, status
	if len(answer) <= mostAnswer {
		a.Answer = answer
	}
	var problem struct {
		Detail string `json:"detail"`
	}
	if !a.Worked() && json.Unmarshal(answer, &problem) == nil {
		a.Said = problem.Detail
	}
	return a
}

// EndAction writes down how an action went.
func EndAction(ctx context.Context, s Store, a Action) error {
	w, err := NewWrite(ActionKey(a.ID), KindAction, Any, a)
	if err == nil {
		err = s.Write(ctx, w)
	}
	return err
}

// Actions lists what people did, newest first.
func Actions(ctx context.Context, s Store, cursor string) ([]Action, string, error) {
	return List[Action](ctx, s, Query{Container: StateContainer, Partition: ActionsPartition, Kind: KindAction, OrderBy: "at", Descending: true, Limit: 50, Cursor: cursor})
}
