package cosmos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"

	"throughline/shared/graph"
)

// Query reads one page of one partition. Its cursor is the continuation token of Cosmos DB, good for the same query only.
func (s *Store) Query(ctx context.Context, q graph.Query) (graph.Page, error) {
	if err := q.Check(); err != nil {
		return graph.Page{}, err
	}
	text, parameters, err := statement(q)
	if err != nil {
		return graph.Page{}, err
	}
	if strings.ContainsFunc(q.Cursor, func(r rune) bool { return r < ' ' || r > '~' }) {
		return graph.Page{}, fmt.Errorf("cursor %.40q is not one of Cosmos DB", q.Cursor) // the client would try it for seconds
	}
	o := &azcosmos.QueryOptions{PageSizeHint: int32(q.PageSize()), QueryParameters: parameters}
	if q.Cursor != "" {
		o.ContinuationToken = &q.Cursor
	}
	var p graph.Page
	err = s.try(ctx, q.Container, reading, func(c *azcosmos.ContainerClient) error {
		answer, err := c.NewQueryItemsPager(text, azcosmos.NewPartitionKeyString(q.Partition), o).NextPage(ctx)
		if err != nil {
			return err
		}
		p, err = pageOf(q, answer)
		return err
	})
	return p, err
}

func pageOf(q graph.Query, answer azcosmos.QueryItemsResponse) (graph.Page, error) {
	p := graph.Page{Documents: make([]graph.Document, 0, len(answer.Items))}
	for _, raw := range answer.Items {
		d, err := decode(graph.Key{Container: q.Container, Partition: q.Partition}, raw)
		if err != nil {
			return graph.Page{}, err
		}
		p.Documents = append(p.Documents, d)
	}
	if answer.ContinuationToken != nil {
		p.Cursor = *answer.ContinuationToken
	}
	return p, nil
}

// sql is a query on its way to text. Every value is a parameter.
type sql struct {
	conditions []string
	parameters []azcosmos.QueryParameter
}

func statement(q graph.Query) (string, []azcosmos.QueryParameter, error) {
	var s sql
	if q.Kind != "" {
		s.conditions = append(s.conditions, "c.kind = "+s.parameter(string(q.Kind)))
	}
	for _, w := range q.Where {
		values, err := w.Scalars()
		if err != nil {
			return "", nil, err
		}
		s.conditions = append(s.conditions, s.condition(w, values))
	}
	text := "SELECT * FROM c"
	if len(s.conditions) > 0 {
		text += " WHERE " + strings.Join(s.conditions, " AND ")
	}
	if q.OrderBy != "" {
		text += " ORDER BY " + address(q.OrderBy)
		if q.Descending {
			text += " DESC"
		}
	}
	return text, s.parameters, nil
}

func (s *sql) parameter(value any) string {
	name := fmt.Sprintf("@p%d", len(s.parameters))
	s.parameters = append(s.parameters, azcosmos.QueryParameter{Name: name, Value: value})
	return name
}

func (s *sql) condition(w graph.Where, values []any) string {
	field := address(w.Field)
	switch w.Op {
	case graph.In:
		if len(values) == 0 {
			return "false"
		}
		names := make([]string, len(values))
		for i, v := range values {
			names[i] = s.parameter(v)
		}
		return field + " IN (" + strings.Join(names, ", ") + ")"
	case graph.Contains:
		return "ARRAY_CONTAINS(" + field + ", " + s.parameter(values[0]) + ")"
	case graph.Prefix:
		return "STARTSWITH(" + field + ", " + s.parameter(values[0]) + ")"
	case graph.Search:
		return "CONTAINS(" + field + ", " + s.parameter(values[0]) + ", true)"
	case graph.NotEqual:
		return "(" + typeTest(values[0]) + "(" + field + ") AND " + field + " != " + s.parameter(values[0]) + ")"
	}
	return field + " " + string(w.Op) + " " + s.parameter(values[0])
}

// typeTest names the function that tells whether a field has the type of the value.
func typeTest(value any) string {
	switch value.(type) {
	case bool:
		return "IS_BOOL"
	case float64:
		return "IS_NUMBER"
	}
	return "IS_STRING"
}

// address names a field of the noun. Each step stands as a string, so that no name is taken for syntax.
func address(field string) string {
	var b strings.Builder
	b.WriteString("c.data")
	for step := range strings.SplitSeq(field, ".") {
		b.WriteString("[" + quoted(step) + "]")
	}
	return b.String()
}

func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""` // text always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
