package cosmosdb

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

const (
	defaultPage  = 100
	maxPage      = 1000    // for a page size of -1: as many as fit
	maxPageBytes = 4 << 20 // of documents in one reply
)

// search is one query request on its way.
type search struct {
	query     *sql.Query
	reader    *sql.Reader
	plan      sql.Plan
	container *container
	scope     store.Range
	pinned    bool // inside one partition
	wanted    access
	size      int // of the page
	from      token
	now       time.Time
	seen      int // documents looked at, and their bytes
	bytes     int
}

// page is what a query answers.
type page struct {
	documents []string
	bytes     int
	next      *token
}

func (p *page) add(doc string) {
	p.documents = append(p.documents, doc)
	p.bytes += len(doc)
}

func (s *Server) query(q *request) (*reply, error) {
	bound, err := s.readQuery(q)
	if err != nil {
		return nil, err
	}
	return s.search(q, bound)
}

func (s *Server) search(q *request, bound *sql.Query) (*reply, error) {
	f := &search{query: bound, reader: bound.Reader(), plan: bound.Plan(), container: q.container, now: time.Now()}
	if fail := f.address(q); fail != nil {
		return nil, fail
	}
	if fail := f.checkServable(); fail != nil {
		return nil, fail
	}
	var fail *failure
	if f.size, fail = pageSize(q); fail != nil {
		return nil, fail
	}
	if f.from, fail = readToken(q.Header.Get("X-Ms-Continuation"), q.container.rid); fail != nil {
		return nil, fail
	}
	if f.from.Keys != nil && len(f.from.Keys) != len(f.plan.Order) {
		return nil, badRequest("The continuation token belongs to another query.")
	}
	f.useIndex()
	last := s.store.Last()
	p, err := f.run(q.Context(), s.store)
	if err != nil {
		return nil, err
	}
	if f.seen-len(p.documents) > s.wasteful {
		s.wishFor(f.container, f.wanted.paths)
	}
	a := f.reply(q, p)
	a.lsn = last
	return a, nil
}

func pageSize(q *request) (int, *failure) {
	h := q.Header.Get("X-Ms-Max-Item-Count")
	if h == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(h)
	switch {
	case err != nil || n < -1 || n == 0:
		return 0, badRequest("The page size '%s' is not valid: it is -1 or positive.", clip(h))
	case n == -1:
		return maxPage, nil
	}
	return min(n, maxPage), nil
}

// address finds the partition: the header, or equalities in the WHERE clause that pin every path of the key.
func (f *search) address(q *request) *failure {
	f.scope = store.Range{Container: f.container.number, Now: f.now.Unix(), Created: true}
	if header := q.Header.Get("X-Ms-Documentdb-Partitionkey"); header != "" {
		values, fail := partitionHeader(header)
		if fail != nil {
			return fail
		}
		if len(values) > len(f.container.paths) {
			return badRequest("The partition key has more values than the container has paths.")
		}
		f.pinned = len(values) == len(f.container.paths)
		if len(values) > 0 {
			f.scope.Created, f.scope.Partition, f.scope.Exact = false, encodePartition(values), f.pinned
			return nil
		}
	}
	if values, ok := f.pinnedKey(); ok {
		f.pinned = true
		f.scope.Created, f.scope.Partition, f.scope.Exact = false, encodePartition(values), true
		return nil
	}
	if !isTrue(q.Header.Get("X-Ms-Documentdb-Query-Enablecrosspartition")) && q.Header.Get("X-Ms-Documentdb-Partitionkeyrangeid") == "" {
		return badRequest("Cross partition query is required but disabled. Please set x-ms-documentdb-query-enablecrosspartition to true, specify x-ms-documentdb-partitionkey, or revise your query to avoid this exception.")
	}
	return nil
}

func (f *search) pinnedKey() ([]value.Value, bool) {
	var values []value.Value
	for _, path := range f.container.paths {
		i := slices.IndexFunc(f.plan.Pins, func(p sql.Pin) bool { return slices.Equal(p.Path, path) && p.Value.Kind() < value.Array })
		if i < 0 || f.plan.Pins[i].Value.Kind() == value.Undefined {
			return nil, false
		}
		values = append(values, f.plan.Pins[i].Value)
	}
	return values, true
}

// checkServable refuses what the gateway refuses to a client without a query engine.
func (f *search) checkServable() *failure {
	p := f.plan
	if !f.pinned && !p.FromNothing && (len(p.Order) > 0 || p.Aggregate || p.Cut || p.Distinct) {
		return badRequest("The provided cross partition query can not be directly served by the gateway. This is a first chance (internal) exception that all newer clients will know how to handle gracefully. This exception is traced, but unless you see it bubble up as an exception (which only happens on older SDK clients), then you can safely ignore this message.")
	}
	if len(p.Order) > 1 && !f.container.hasComposite(p.Order) {
		return badRequest("The order by query does not have a corresponding composite index that it can be served from.")
	}
	return nil
}

func (f *search) reply(q *request, p *page) *reply {
	a := documentsReply(q.container.rid, p.documents, p.bytes)
	a.charge = queryCharge(f.seen, f.bytes)
	a.set("x-ms-item-count", strconv.Itoa(len(p.documents)))
	a.set("x-ms-documentdb-query-metrics", f.metrics(p))
	if isTrue(q.Header.Get("X-Ms-Cosmos-Populateindexmetrics")) {
		a.set("x-ms-cosmos-index-utilization", f.utilization())
	}
	if p.next != nil {
		p.next.Container = q.container.rid
		a.set("x-ms-continuation", p.next.String())
	}
	return a
}

func documentsReply(rid string, documents []string, size int) *reply {
	var b strings.Builder
	b.Grow(size + len(documents) + len(rid) + 60)
	b.WriteString(`{"_rid":"`)
	b.WriteString(rid)
	b.WriteString(`","Documents":[`)
	for i, d := range documents {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d)
	}
	b.WriteString(`],"_count":`)
	b.WriteString(strconv.Itoa(len(documents)))
	b.WriteByte('}')
	return &reply{status: http.StatusOK, body: b.String()}
}

func (f *search) metrics(p *page) string {
	ms := float64(time.Since(f.now).Microseconds()) / 1000
	return fmt.Sprintf("totalExecutionTimeInMs=%.2f;queryCompileTimeInMs=0.00;queryLogicalPlanBuildTimeInMs=0.00;queryPhysicalPlanBuildTimeInMs=0.00;"+
		"queryOptimizationTimeInMs=0.00;VMExecutionTimeInMs=%.2f;indexLookupTimeInMs=0.00;instructionCount=0;documentLoadTimeInMs=%.2f;systemFunctionExecuteTimeInMs=0.00;"+
		"userFunctionExecuteTimeInMs=0.00;retrievedDocumentCount=%d;retrievedDocumentSize=%d;outputDocumentCount=%d;outputDocumentSize=%d;writeOutputTimeInMs=0.00;indexUtilizationRatio=%.2f",
		ms, ms, ms, f.seen, f.bytes, len(p.documents), p.bytes, float64(len(p.documents))/float64(max(f.seen, 1)))
}

// utilization names the paths of the filter that an index of Azure would serve.
func (f *search) utilization() string {
	var used []value.Value
	for _, p := range f.plan.Pins {
		spec := ""
		for _, s := range p.Path {
			spec += "/" + s
		}
		used = append(used, value.OfObject([]string{"FilterExpression", "IndexSpec", "FilterPreciseSet", "IndexPreciseSet", "IndexImpactScore"},
			[]value.Value{value.OfString(""), value.OfString(spec + "/?"), value.OfBool(true), value.OfBool(true), value.OfString("High")}))
	}
	none := value.OfArray(nil)
	metrics := value.OfObject([]string{"UtilizedSingleIndexes", "PotentialSingleIndexes", "UtilizedCompositeIndexes", "PotentialCompositeIndexes"},
		[]value.Value{value.OfArray(used), none, none, none})
	return base64.StdEncoding.EncodeToString(metrics.Append(nil))
}
