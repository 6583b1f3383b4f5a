package graph

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Overview counts the worklist: how many findings there are, how many of them run, are exposed and are urgent.
type Overview struct {
	At time.Time `json:"at"`
	// Open, Deployed, Exposed and Urgent are one inside the other: urgent findings are at P0 or P1.
	Open     int `json:"open"`
	Deployed int `json:"deployed"`
	Exposed  int `json:"exposed"`
	Urgent   int `json:"urgent"`
	// Beside are urgent findings outside the funnel: a leaked secret needs no workload to be urgent.
	Beside   int            `json:"beside"`
	Tiers    map[Tier]int   `json:"tiers"` // open findings
	Overdue  map[Tier]int   `json:"overdue"`
	DueSoon  map[Tier]int   `json:"dueSoon"` // within seven days
	Unmapped int            `json:"unmapped"`
	Unknown  int            `json:"unknown"` // open, and not known whether it runs
	Fixes    []Fix          `json:"fixes"`   // most urgent first
	Statuses map[string]int `json:"statuses"`
	// Agents tells what became of the fixes that were given to the coding agent.
	Agents AgentRecord `json:"agents"`
	// Trend has a line for each of the last days, oldest first; Mended tells by tier how long fixes took until proven.
	Trend  []Day         `json:"trend"`
	Mended map[Tier]Mean `json:"mended"`
}

// Fix is one remediation as the worklist shows it, with its most urgent finding.
type Fix struct {
	Summary
	Findings int `json:"findings"` // that it is for
	Open     int `json:"open"`     // that are open
}

// week is the time that the overview looks ahead.
const week = 7 * 24 * time.Hour

// TakeOverview goes once through the worklist of every organisation.
func TakeOverview(ctx context.Context, s Store, now time.Time) (Overview, error) {
	orgs, err := Orgs(ctx, s)
	if err != nil {
		return Overview{}, err
	}
	c := counter{now: now, history: newHistory(now), o: Overview{At: now, Tiers: map[Tier]int{}, Overdue: map[Tier]int{}, DueSoon: map[Tier]int{}, Statuses: map[string]int{}},
		fixes: map[RemediationID]*Fix{}}
	for _, o := range append(orgs, Org{ID: UnmappedOrg}) {
		q := Query{Container: WorklistContainer, Partition: string(o.ID), Kind: KindSummary, Limit: MaxPage}
		for {
			items, cursor, err := List[Summary](ctx, s, q)
			if err != nil {
				return Overview{}, err
			}
			for _, i := range items {
				c.add(i)
			}
			if cursor == "" {
				break
			}
			q.Cursor = cursor
		}
	}
	return c.done(), nil
}

type counter struct {
	now     time.Time
	o       Overview
	fixes   map[RemediationID]*Fix
	history history
}

func (c *counter) add(s Summary) {
	c.fix(s)
	c.history.add(s)
	if s.State != Open {
		return
	}
	c.o.Open++
	c.funnel(s)
	if s.Tier != "" {
		c.o.Tiers[s.Tier]++
	}
	if s.Unmapped {
		c.o.Unmapped++
	}
	switch {
	case s.DueAt.IsZero(), s.Held:
	case s.DueAt.Before(c.now):
		c.o.Overdue[s.Tier]++
	case s.DueAt.Before(c.now.Add(week)):
		c.o.DueSoon[s.Tier]++
	}
}

func (c *counter) funnel(s Summary) {
	deployed := s.Running == Yes
	exposed := deployed && slices.Contains(s.Risks, InternetExposed)
	urgent := s.Tier == P0 || s.Tier == P1
	if deployed {
		c.o.Deployed++
	}
	if !s.Running.Known() {
		c.o.Unknown++
	}
	if exposed {
		c.o.Exposed++
	}
	switch {
	case urgent && exposed:
		c.o.Urgent++
	case urgent:
		c.o.Beside++
	}
}

// fix adds a finding to its remediation, which shows its most urgent open finding.
func (c *counter) fix(s Summary) {
	if s.Remediation == "" || s.Known {
		return
	}
	f := c.fixes[s.Remediation]
	if f == nil {
		f = &Fix{Summary: s}
		c.fixes[s.Remediation] = f
	}
	f.Findings++
	if s.State != Open {
		return
	}
	f.Open++
	if f.State != Open || s.Rank < f.Rank {
		f.Summary = s
	}
}

// done lists what is tracked: what is open, and what once had an issue or an acceptance.
func (c *counter) done() Overview {
	c.o.Trend, c.o.Mended = c.history.trend(), c.history.mended
	for _, f := range c.fixes {
		if f.Open == 0 && f.Status == "" {
			continue
		}
		c.o.Fixes = append(c.o.Fixes, *f)
		c.o.Agents.add(f.Summary, c.now)
		c.o.Statuses[cmp.Or(f.Status, string(StatusOpen))]++
	}
	slices.SortFunc(c.o.Fixes, func(a, b Fix) int {
		return cmp.Or(cmp.Compare(done(a), done(b)), cmp.Compare(a.Rank, b.Rank))
	})
	return c.o
}

// done puts fixes without an open finding last.
func done(f Fix) int {
	if f.Open == 0 {
		return 1
	}
	return 0
}
