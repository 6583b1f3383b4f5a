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
		all = append(all, Allowance{o.Installation, o.Login, limits.PerHour, max(l.Free(now, limits), 0), max(l.FreeEdits(now, limits), 0), l.Length()})
	}
	return all, err
}
