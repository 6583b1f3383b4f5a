package cosmos

import (
	"context"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// Query reads one page of one partition.
func (s *Store) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	if err := q.Check(); err != nil {
		return graph.Page{}, err
	}
	c, err := s.container(ctx, q.Container)
	if err != nil {
		return graph.Page{}, err
	}
	text, parameters, err := statement(q)
	if err != nil {
		return graph.Page{}, err
	}
	options := &azcosmos.QueryOptions{PageSizeHint: int32(q.PageSize()), QueryParameters: parameters}
	if q.Cursor != "" {
		options.ContinuationToken = &q.Cursor
	}
	var page graph.Page
	err = s.retry(ctx, true, func() error {
		r, err := c.NewQueryItemsPager(text, azcosmos.NewPartitionKeyString(q.Partition), options).NextPage(ctx)
		if err != nil {
			return err
		}
		s.spend(r.RequestCharge)
		page, err = read(q, r)
		return err
	})
	return page, translate(err)
}

func read(q graph.Query, r azcosmos.QueryItemsResponse) (graph.Page, error) {
	var page graph.Page
	for _, raw := range r.Items {
		d, err := decode(graph.Key{Container: q.Container, Partition: q.Partition}, raw, "")
		if err != nil {
			return page, err
		}
		page.Documents = append(page.Documents, d)
	}
	if r.ContinuationToken != nil {
		page.Cursor = *r.ContinuationToken
	}
	return page, nil
}

// statement writes the query with every value as a parameter.
func statement(q graph.Query) (string, []azcosmos.QueryParameter, error) {
	var conditions []string
	var parameters []azcosmos.QueryParameter
	name := func(v any) string {
		n := fmt.Sprintf("@p%d", len(parameters))
		parameters = append(parameters, azcosmos.QueryParameter{Name: n, Value: v})
		return n
	}
	if q.Kind != "" {
		conditions = append(conditions, "c.kind = "+name(string(q.Kind)))
	}
	for _, w := range q.Where {
		values, err := w.Scalars()
		if err != nil {
			return "", nil, err
		}
		conditions = append(conditions, condition(w, values, name))
	}
	text := "SELECT * FROM c"
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
	if q.OrderBy != "" {
		text += " ORDER BY " + path(q.OrderBy)
		if q.Descending {
			text += " DESC"
		}
	}
	return text, parameters, nil
}

func condition(w graph.Where, values []any, name func(any) string) string {
	p := path(w.Field)
	switch w.Op {
	case graph.In:
		if len(values) == 0 {
			return "false"
		}
		var all []string
		for _, v := range values {
			all = append(all, name(v))
		}
		return p + " IN (" + strings.Join(all, ", ") + ")"
	case graph.Contains:
		return "ARRAY_CONTAINS(" + p + ", " + name(values[0]) + ")"
	case graph.Prefix:
		return "STARTSWITH(" + p + ", " + name(values[0]) + ")"
	case graph.Search:
		return "CONTAINS(" + p + ", " + name(values[0]) + ", true)"
	case graph.NotEqual:
		return "(IS_DEFINED(" + p + ") AND " + p + " != " + name(values[0]) + ")"
	}
	return p + " " + string(w.Op) + " " + name(values[0])
}

// path addresses a field of the noun; each step is a string literal, so that no name is taken for syntax.
func path(field string) string {
	var b strings.Builder
	b.WriteString(`c["data"]`)
	for _, step := range strings.Split(field, ".") {
		fmt.Fprintf(&b, "[%q]", step)
	}
	return b.String()
}
