package graph

import (
	"context"
	"time"
)

// Allowance is what may still be written through one installation, and how many wait to write.
type Allowance struct {
	Installation int64  `json:"installation"`
	Login        string `json:"login"`
	PerHour      int    `json:"perHour"`
	Free         int    `json:"free"` // new issues that may be opened now
	Left         int    `json:"left"` // writes left within the hour
	Waiting      int    `json:"waiting"`
	// Finish is when the last of those who wait may write, as far as is known now.
	Finish time.Time `json:"finish,omitzero"`
}

// Allowances reads the ledger of every installation.
func Allowances(ctx context.Context, s Store, now time.Time, limits Limits) ([]Allowance, error) {
	orgs, err := Orgs(ctx, s)
	all := []Allowance{}
	for _, o := range orgs {
		if o.Installation == 0 {
			continue
		}
		ledger, err := Get[Ledger](ctx, s, BudgetKey(o.Installation))
		if err != nil {
			return nil, err
		}
		l := ledger.Value
		a := Allowance{Installation: o.Installation, Login: o.Login, PerHour: limits.PerHour, Free: max(l.Free(now, limits), 0), Left: max(l.FreeEdits(now, limits), 0), Waiting: l.Length()}
		if a.Waiting > 0 {
			a.Finish = l.Slot(now, a.Waiting-1, limits)
		}
		all = append(all, a)
	}
	return all, err
}
