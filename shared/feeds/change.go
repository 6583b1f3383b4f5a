package feeds

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"throughline/shared/graph"
)

// Change is what an edition, or anything else that concerns many findings, leaves to be decided again.
type Change struct {
	ID    string `json:"id"`
	Cause string `json:"cause"` // "kev 2026.08.31"
	// CVEs are those of which the edition says something else; empty: every finding is concerned.
	CVEs []string `json:"cves,omitempty"`
}

// askEach is the largest change whose findings are asked for CVE by CVE; beyond it the worklist is gone through once.
const askEach = 50

// longestChange is the largest change that is noted CVE by CVE; a larger one concerns every finding.
const longestChange = 50_000

// changePartition lists what is still to be done.
const changePartition = "feedChanges"

func (s *Source) noteChange(ctx context.Context, h Head, differ []CVE) error {
	c := Change{ID: string(h.Feed) + "-" + strings.NewReplacer("/", "-", " ", "-").Replace(h.Edition.Version), Cause: string(h.Feed) + " " + h.Edition.Version}
	if len(differ) <= longestChange {
		for _, one := range differ {
			c.CVEs = append(c.CVEs, one.String())
		}
		slices.Sort(c.CVEs)
	}
	return NoteChange(ctx, s.Store, c)
}

// NoteChange leaves findings to be decided again; the collection "changes" of the feeds names them to the stages.
func NoteChange(ctx context.Context, st graph.Store, c Change) error {
	w, err := graph.NewWrite(graph.StateKey(changePartition, c.ID), kindChange, graph.Any, c)
	if err != nil {
		return err
	}
	return st.Write(ctx, w)
}

func (s *Source) pending(ctx context.Context) ([]Change, error) {
	all, err := graph.ListAll[Change](ctx, s.Store, graph.Query{Container: graph.StateContainer, Partition: changePartition, Kind: kindChange})
	slices.SortFunc(all, func(a, b Change) int { return cmp.Compare(a.ID, b.ID) })
	return all, err
}

// place is how far the findings of a change have been named.
type place struct {
	Change string `json:"change"`
	Orgs   int    `json:"orgs,omitempty"`  // that are done
	After  string `json:"after,omitempty"` // the cursor in the one that is not
	CVE    int    `json:"cve,omitempty"`   // those that were asked for in it
	Done   bool   `json:"done,omitempty"`
}

// changed names one page of the findings that a change concerns. The note of the change is taken away by a page of its
// own, which is asked for only after all the others were said; a page that comes twice names its findings twice, and
// nothing is decided twice for it.
func (s *Source) changed(ctx context.Context, c graph.Collection, got graph.Collected) (graph.Collected, error) {
	var at place
	if c.Cursor != "" {
		if err := json.Unmarshal([]byte(c.Cursor), &at); err != nil {
			return got, &Refused{fmt.Errorf("cursor %.80q: %w", c.Cursor, err)}
		}
	}
	left, err := s.pending(ctx)
	if err != nil || len(left) == 0 {
		return got, err
	}
	i := slices.IndexFunc(left, func(l Change) bool { return l.ID == at.Change })
	if i < 0 {
		i, at = 0, place{Change: left[0].ID}
	}
	if at.Done {
		got.Next, err = following(left, i)
		return got, errors.Join(err, s.Store.Write(ctx, graph.Write{Key: graph.StateKey(changePartition, at.Change), Kind: kindChange, ETag: graph.Any}))
	}
	found, next, err := s.concerned(ctx, left[i], at)
	if err != nil {
		return got, err
	}
	got.Lagging = lagging(found)
	got.Next, err = next.cursor()
	return got, err
}

// following is the cursor of another change than the one at i; empty when there is none.
func following(left []Change, i int) (string, error) {
	for n := range left {
		if n != i {
			return place{Change: left[n].ID}.cursor()
		}
	}
	return "", nil
}

func (p place) cursor() (string, error) {
	raw, err := json.Marshal(p)
	return string(raw), err
}

// concerned reads one page of the open findings that a change concerns, and where to go on.
func (s *Source) concerned(ctx context.Context, c Change, at place) ([]graph.Summary, place, error) {
	orgs, err := graph.Orgs(ctx, s.Store)
	if err != nil {
		return nil, at, err
	}
	partitions := []string{string(graph.UnmappedOrg)}
	for _, o := range orgs {
		partitions = append(partitions, string(o.ID))
	}
	slices.Sort(partitions[1:])
	if at.Orgs >= len(partitions) {
		at.Done = true
		return nil, at, nil
	}
	q := graph.Query{Container: graph.WorklistContainer, Partition: partitions[at.Orgs], Kind: graph.KindSummary, Limit: 500, Cursor: at.After}
	if each := len(c.CVEs) > 0 && len(c.CVEs) <= askEach; each {
		q.Where = []graph.Where{{Field: "cves", Op: graph.Contains, Value: c.CVEs[at.CVE]}}
	}
	found, cursor, err := graph.List[graph.Summary](ctx, s.Store, q)
	if err != nil {
		return nil, at, err
	}
	found = slices.DeleteFunc(found, func(i graph.Summary) bool { return i.State != graph.Open || !c.concerns(i) })
	return found, at.next(c, q, cursor, len(partitions)), nil
}

// next is the place after a page.
func (p place) next(c Change, q graph.Query, cursor string, partitions int) place {
	p.After = cursor
	switch {
	case cursor != "":
	case len(q.Where) > 0 && p.CVE+1 < len(c.CVEs):
		p.CVE++
	default:
		p.CVE = 0
		p.Orgs++
		p.Done = p.Orgs >= partitions
	}
	return p
}

func (c Change) concerns(i graph.Summary) bool {
	if len(c.CVEs) == 0 {
		return true
	}
	return slices.ContainsFunc(i.CVEs, func(cve string) bool {
		_, found := slices.BinarySearch(c.CVEs, cve)
		return found
	})
}

// together is how many findings one message names.
const together = 50

// lagging groups findings by repository.
func lagging(found []graph.Summary) []graph.Lagging {
	var out []graph.Lagging
	slices.SortStableFunc(found, func(a, b graph.Summary) int { return cmp.Compare(a.Repository, b.Repository) })
	for _, f := range found {
		last := len(out) - 1
		if last < 0 || out[last].Repository != f.Repository || len(out[last].Findings) >= together {
			out = append(out, graph.Lagging{Repository: f.Repository})
			last++
		}
		out[last].Findings = append(out[last].Findings, f.ID)
	}
	return out
}
