package azure

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strings"

	"throughline/infra/local/demo/kusto"
)

type graphAsk struct {
	Query            string   `json:"query"`
	Subscriptions    []string `json:"subscriptions"`
	ManagementGroups []string `json:"managementGroups"`
	Options          struct {
		Format string `json:"resultFormat"`
		Top    *int   `json:"$top"`
		Skip   int    `json:"$skip"`
		Token  string `json:"$skipToken"`
	} `json:"options"`
}

// skipToken says where a list goes on: behind a row id for tables that are read in the order of ids, at a place for
// results that had to be computed as a whole. It is bound to its query and scope.
type skipToken struct {
	Query uint64 `json:"q"`
	After string `json:"after,omitempty"`
	Place int    `json:"place,omitempty"`
}

// result is what is remembered of a query while nothing changes: the number of its rows, or all of them.
type result struct {
	version string
	total   int
	rows    []kusto.Row
}

func (s *Server) resourceGraph(w http.ResponseWriter, r *http.Request) {
	if !s.quota.admit(w) {
		fail(w, http.StatusTooManyRequests, "RateLimiting", "Please provide below info when asking for support: the client application has been throttled and should not attempt to repeat the request until an amount of time has elapsed.")
		return
	}
	var ask graphAsk
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(raw, &ask)
	}
	if err != nil || strings.TrimSpace(ask.Query) == "" {
		fail(w, http.StatusBadRequest, "BadRequest", "Please provide below info when asking for support: the request body holds no query.")
		return
	}
	q, err := kusto.Parse(ask.Query)
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidQuery", "Query is invalid: "+err.Error())
		return
	}
	top := 100
	if ask.Options.Top != nil {
		top = *ask.Options.Top
	}
	if top < 1 || top > 1000 {
		fail(w, http.StatusBadRequest, "BadRequest", "The value of $top must be between 1 and 1000.")
		return
	}
	page, err := s.page(ask, q, top)
	if err != nil {
		fail(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	write(w, http.StatusOK, page.body(ask.Options.Format))
}

type graphPage struct {
	total int
	rows  []kusto.Row
	token string
}

// body is the answer. resultTruncated is "false" although a token may be there, as in Azure's own examples.
func (p graphPage) body(format string) map[string]any {
	rows := p.rows
	if rows == nil {
		rows = []kusto.Row{}
	}
	out := map[string]any{"totalRecords": p.total, "count": len(rows), "data": rows, "facets": []any{}, "resultTruncated": "false"}
	if p.token != "" {
		out["$skipToken"] = p.token
	}
	if strings.EqualFold(format, "table") {
		out["data"] = asTable(rows)
	}
	return out
}

func asTable(rows []kusto.Row) map[string]any {
	var names []string
	for _, r := range rows {
		for k := range r {
			if !slices.Contains(names, k) {
				names = append(names, k)
			}
		}
	}
	slices.Sort(names)
	columns, lines := []any{}, []any{}
	for _, n := range names {
		columns = append(columns, map[string]string{"name": n, "type": "string"})
	}
	for _, r := range rows {
		line := []any{}
		for _, n := range names {
			line = append(line, r[n])
		}
		lines = append(lines, line)
	}
	return map[string]any{"columns": columns, "rows": lines}
}

func (ask graphAsk) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, ask.Query, "\x00", ask.Subscriptions, "\x00", ask.ManagementGroups)
	return h.Sum64()
}

func (s *Server) page(ask graphAsk, q *kusto.Query, top int) (graphPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.table(q)
	if !known {
		return graphPage{}, fmt.Errorf("query is invalid: table %q is not known", q.Table)
	}
	token := skipToken{Query: ask.hash()}
	if ask.Options.Token != "" {
		raw, err := base64.StdEncoding.DecodeString(ask.Options.Token)
		if err == nil {
			err = json.Unmarshal(raw, &token)
		}
		if err != nil || token.Query != ask.hash() {
			return graphPage{}, fmt.Errorf("the $skipToken is not valid for this query and scope")
		}
	}
	if q.Streams() && ask.Options.Skip == 0 {
		return s.streamed(ask, q, t, top, token), nil
	}
	return s.computed(ask, q, t, top, token), nil
}

// streamed reads the table from where the token stands until the page is full and one more row is known to follow.
func (s *Server) streamed(ask graphAsk, q *kusto.Query, t *table, top int, token skipToken) graphPage {
	p := graphPage{total: s.count(ask, q, t)}
	last := ""
	for n := t.behind(token.After); n < len(t.refs); n++ {
		ref := t.refs[n]
		rows := q.Stream(s.scoped(ask, ref))
		if len(rows) == 0 {
			continue
		}
		if len(p.rows) == top {
			if _, hasID := p.rows[0]["id"]; hasID {
				p.token = encodeToken(skipToken{Query: token.Query, After: last})
			}
			break
		}
		p.rows = append(p.rows, rows[0])
		last = s.rowID(ref)
	}
	return p
}

// computed serves queries that need all rows at once from a remembered result.
func (s *Server) computed(ask graphAsk, q *kusto.Query, t *table, top int, token skipToken) graphPage {
	key := fmt.Sprint(ask.hash(), "rows")
	r := s.results[key]
	if r == nil || r.version != t.version {
		if len(s.results) > 32 {
			clear(s.results)
		}
		r = &result{version: t.version, rows: q.Run(s.rows(ask, t))}
		s.results[key] = r
	}
	from := min(max(token.Place, ask.Options.Skip), len(r.rows))
	to := min(from+top, len(r.rows))
	p := graphPage{total: len(r.rows), rows: r.rows[from:to]}
	if to < len(r.rows) && !q.Limited() {
		if _, hasID := r.rows[to]["id"]; hasID {
			p.token = encodeToken(skipToken{Query: token.Query, Place: to})
		}
	}
	return p
}

func encodeToken(t skipToken) string {
	raw, err := json.Marshal(t)
	if err != nil {
		return "" // numbers and strings always marshal
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// count is the number of rows of a streaming query.
func (s *Server) count(ask graphAsk, q *kusto.Query, t *table) int {
	key := fmt.Sprint(ask.hash(), "count")
	if r := s.results[key]; r != nil && r.version == t.version {
		return r.total
	}
	total := 0
	for row := range s.rows(ask, t) {
		total += len(q.Stream(row))
	}
	if len(s.results) > 32 {
		clear(s.results)
	}
	s.results[key] = &result{version: t.version, total: total}
	return total
}

func (s *Server) rows(ask graphAsk, t *table) func(yield func(kusto.Row) bool) {
	return func(yield func(kusto.Row) bool) {
		for _, ref := range t.refs {
			if row := s.scoped(ask, ref); row != nil && !yield(row) {
				return
			}
		}
	}
}

// scoped makes the row unless the scope leaves it out. CVE details are there at tenant or management group scope only,
// and asking for them elsewhere gives no rows and no error.
func (s *Server) scoped(ask graphAsk, ref rowRef) kusto.Row {
	if len(ask.ManagementGroups) > 0 && !slices.ContainsFunc(ask.ManagementGroups, func(g string) bool {
		return strings.EqualFold(g, s.world.ManagementGroup) || strings.EqualFold(g, s.world.Tenant)
	}) {
		return nil
	}
	if len(ask.Subscriptions) == 0 {
		return s.row(ref)
	}
	if ref.kind == cveRow {
		return nil
	}
	row := s.row(ref)
	sub, _ := row["subscriptionId"].(string)
	if !slices.ContainsFunc(ask.Subscriptions, func(x string) bool { return strings.EqualFold(x, sub) }) {
		return nil
	}
	return row
}
