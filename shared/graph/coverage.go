package graph

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Coverage tells how much of what runs is mapped to its source, and what stands in the way of the rest.
type Coverage struct {
	At        time.Time      `json:"at"`
	Images    int            `json:"images"`
	Mapped    int            `json:"mapped"`
	Running   int            `json:"running"`       // images that a workload runs now
	Traced    int            `json:"runningMapped"` // of those, mapped
	Methods   map[Method]int `json:"methods"`       // of mapped images
	Unmapped  []ArtifactLine `json:"unmapped"`      // running images first
	Inquiries []Inquiry      `json:"inquiries"`     // origins that are still being asked for
	Refusals  []Refusal      `json:"refusals"`
	Runs      []RunReport    `json:"runs"`
	Gaps      []Gap          `json:"gaps"` // what stands in the way, stage by stage
}

// Refusal is what a source would not let us read.
type Refusal struct {
	Source string    `json:"source"`
	Scope  string    `json:"scope"`
	Why    string    `json:"why"`
	At     time.Time `json:"at"`
}

// Run is the last full run over a root as resync noted it.
type Run struct {
	ID        string    `json:"id"`
	StartedAt time.Time `json:"startedAt"`
	Asked     time.Time `json:"asked"`
}

// RunReport is a scope with its last reading.
type RunReport struct {
	Scope     string    `json:"scope"`
	Run       string    `json:"run"`
	StartedAt time.Time `json:"startedAt"`
	Complete  bool      `json:"complete"` // read to its end; until then nothing of it is retired
	Messages  int       `json:"messages,omitempty"`
}

func state(partition string) Query {
	return Query{Container: StateContainer, Partition: partition, Limit: MaxPage}
}

// TakeCoverage reads what is mapped and what is not.
func TakeCoverage(ctx context.Context, s Store, now time.Time) (Coverage, error) {
	c := Coverage{At: now, Methods: map[Method]int{}, Unmapped: []ArtifactLine{}}
	lines, err := ListAll[ArtifactLine](ctx, s, state(ArtifactsPartition))
	if err != nil {
		return c, err
	}
	for _, l := range lines {
		c.add(l)
	}
	slices.SortFunc(c.Unmapped, func(a, b ArtifactLine) int {
		return cmp.Or(cmp.Compare(b.Workloads, a.Workloads), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	if c.Inquiries, err = ListAll[Inquiry](ctx, s, state(InquiriesPartition)); err != nil {
		return c, err
	}
	c.Inquiries = slices.DeleteFunc(c.Inquiries, func(i Inquiry) bool { return len(i.Left) == 0 })
	if c.Refusals, err = ListAll[Refusal](ctx, s, state("refusals")); err != nil {
		return c, err
	}
	slices.SortFunc(c.Refusals, func(a, b Refusal) int { return b.At.Compare(a.At) })
	c.Runs, err = Runs(ctx, s)
	c.Gaps = c.gaps()
	return c, err
}

func (c *Coverage) add(l ArtifactLine) {
	c.Images++
	mapped := l.Repository != ""
	if l.Workloads > 0 {
		c.Running++
		if mapped {
			c.Traced++
		}
	}
	if !mapped {
		c.Unmapped = append(c.Unmapped, l)
		return
	}
	c.Mapped++
	c.Methods[l.Method]++
}

// Runs lists the last reading of every scope: those that are under way first, then the newest.
func Runs(ctx context.Context, s Store) ([]RunReport, error) {
	scopes, err := ListAll[Scope](ctx, s, state("scopes"))
	if err != nil {
		return nil, err
	}
	reports := []RunReport{}
	for _, sc := range scopes {
		reports = append(reports, RunReport{Scope: sc.ID, Run: sc.Run, StartedAt: sc.StartedAt, Complete: sc.Complete, Messages: sc.Part})
	}
	under, err := underWay(ctx, s, reports)
	if err != nil {
		return nil, err
	}
	reports = append(reports, under...)
	slices.SortFunc(reports, func(a, b RunReport) int {
		return cmp.Or(cmp.Compare(number(a.Complete), number(b.Complete)), b.StartedAt.Compare(a.StartedAt), cmp.Compare(a.Scope, b.Scope))
	})
	return reports, nil
}

// underWay lists the runs that resync began and whose root was not read to its end.
func underWay(ctx context.Context, s Store, read []RunReport) ([]RunReport, error) {
	runs, err := ListAll[Run](ctx, s, state("runs"))
	var out []RunReport
	for _, r := range runs {
		if !slices.ContainsFunc(read, func(have RunReport) bool { return have.Run == r.ID }) {
			out = append(out, RunReport{Scope: "full run", Run: r.ID, StartedAt: r.StartedAt})
		}
	}
	return out, err
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
