package collect

import (
	"context"
	"fmt"
	"strings"

	"throughline/shared/graph"
)

// pageNote is what one page of a run held.
type pageNote struct {
	Run  string          `json:"run"`
	Page int             `json:"page"`
	Seen []graph.Absence `json:"seen"`
}

func notePartition(c graph.Collection) string { return "run:" + scopeID(c) }

// note keeps what a page held until the scope is closed. The first page of a run clears what the run before left.
func (s *Stage) note(ctx context.Context, c graph.Collection, got graph.Collected) error {
	if got.Seen == nil {
		return nil
	}
	if c.Page == 0 {
		if err := s.clear(ctx, c); err != nil {
			return err
		}
	}
	if c.Page == 0 && got.Next == "" {
		return nil // the only page needs no memory
	}
	k := graph.StateKey(notePartition(c), fmt.Sprintf("%s-%06d", c.Run, c.Page))
	w, err := graph.NewWrite(k, "page", graph.Any, pageNote{c.Run, c.Page, got.Seen})
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, w)
}

func (s *Stage) clear(ctx context.Context, c graph.Collection) error {
	q := graph.Query{Container: graph.StateContainer, Partition: notePartition(c), Kind: "page"}
	for {
		page, err := s.Store.Query(ctx, q)
		if err != nil {
			return err
		}
		for _, d := range page.Documents {
			if strings.HasPrefix(d.Key.ID, c.Run+"-") {
				continue
			}
			if err := s.Store.Write(ctx, graph.Write{Key: d.Key, Kind: d.Kind, ETag: graph.Any}); err != nil {
				return err
			}
		}
		if page.Cursor == "" {
			return nil
		}
		q.Cursor = page.Cursor
	}
}

// missing lists what the graph holds for the scope and no page of the run showed.
func (s *Stage) missing(ctx context.Context, c graph.Collection, got graph.Collected) ([]graph.Absence, error) {
	if got.Seen == nil {
		return nil, nil
	}
	seen, whole, err := s.seen(ctx, c, got)
	if err != nil {
		return nil, err
	}
	if !whole {
		s.Log.WarnContext(ctx, "scope not closed", "scope", scopeID(c), "why", "a page of the run left no note")
		return nil, nil
	}
	held, err := s.held(ctx, c)
	if err != nil {
		return nil, err
	}
	var missing []graph.Absence
	for _, h := range held {
		if !seen[h] {
			missing = append(missing, h)
		}
	}
	return s.guarded(ctx, c, missing, len(held))
}

// seen gathers the notes of a run; whole is false when one is missing.
func (s *Stage) seen(ctx context.Context, c graph.Collection, got graph.Collected) (seen map[graph.Absence]bool, whole bool, err error) {
	seen = map[graph.Absence]bool{}
	add := func(as []graph.Absence) {
		for _, a := range as {
			seen[a] = true
		}
	}
	add(got.Seen)
	if c.Page == 0 {
		return seen, true, nil
	}
	notes, err := graph.ListAll[pageNote](ctx, s.Store, graph.Query{Container: graph.StateContainer, Partition: notePartition(c), Kind: "page"})
	if err != nil {
		return nil, false, err
	}
	pages := map[int]bool{}
	for _, n := range notes {
		if n.Run == c.Run {
			pages[n.Page] = true
			add(n.Seen)
		}
	}
	return seen, len(pages) == c.Page+1, nil
}

// held lists what the graph holds for a scope: open alerts and repositories of an organisation from their lists, all
// else from what correlate noted.
func (s *Stage) held(ctx context.Context, c graph.Collection) ([]graph.Absence, error) {
	what, login, found := strings.Cut(c.Scope, ":")
	if c.Source == "github" && found {
		for _, kind := range graph.AlertKinds {
			if what == string(kind) {
				return s.heldAlerts(ctx, kind, login)
			}
		}
		if what == "repositories" {
			return s.heldRepositories(ctx, login)
		}
	}
	return graph.ListAll[graph.Absence](ctx, s.Store, graph.Query{Container: graph.StateContainer, Partition: graph.HeldPartition(scopeID(c))})
}

func (s *Stage) heldAlerts(ctx context.Context, kind graph.AlertKind, login string) ([]graph.Absence, error) {
	orgs, err := s.orgs(ctx, login)
	if err != nil {
		return nil, err
	}
	var held []graph.Absence
	for _, org := range orgs {
		open, err := graph.ListAll[graph.Summary](ctx, s.Store, graph.Query{Container: graph.WorklistContainer, Partition: string(org), Kind: graph.KindSummary,
			Where: []graph.Where{{Field: "kind", Op: graph.Equal, Value: string(kind)}, {Field: "state", Op: graph.Equal, Value: string(graph.Open)}}})
		if err != nil {
			return nil, err
		}
		for _, o := range open {
			held = append(held, graph.Absence{Kind: graph.KindFinding, ID: string(o.ID)})
		}
	}
	return held, nil
}

// orgs finds the identities of an organisation's login; a login that was given away may have had two.
func (s *Stage) orgs(ctx context.Context, login string) ([]graph.OrgID, error) {
	all, err := graph.Orgs(ctx, s.Store)
	var ids []graph.OrgID
	for _, o := range all {
		if strings.EqualFold(o.Login, login) {
			ids = append(ids, o.ID)
		}
	}
	return ids, err
}

func (s *Stage) heldRepositories(ctx context.Context, login string) ([]graph.Absence, error) {
	names, err := graph.Names(ctx, s.Store)
	var held []graph.Absence
	for _, n := range names {
		owner, _, _ := strings.Cut(n.FullName, "/")
		if !n.Deleted && strings.EqualFold(owner, login) {
			held = append(held, graph.Absence{Kind: graph.KindRepository, ID: string(n.Repository)})
		}
	}
	return held, err
}
