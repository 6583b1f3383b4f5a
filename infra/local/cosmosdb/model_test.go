package cosmosdb_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"throughline/infra/local/cosmosdb/sql"
	"throughline/infra/local/cosmosdb/value"
)

// The model is a map: what every operation should answer, and what every document should be, follows from it alone.

type stored struct {
	doc  doc // without system properties
	etag azcore.ETag
}

type place struct{ pk, id string }

type model struct {
	dir        string
	indexAfter int
	server     *child
	k          *azcosmos.ContainerClient
	docs       map[place]stored
	old        []azcore.ETag // ETags that no document has any more
}

var allIDs = []string{"1", "2", "3", "4", "5", "6", "x y", "é"}

var (
	partitions = rapid.SampledFrom([]string{"a", "b"})
	itemIDs    = rapid.SampledFrom(allIDs)
	kinds      = rapid.SampledFrom([]any{"alert", "edge", "", 1.0, nil, "absent"})
	numbers    = rapid.SampledFrom([]any{0.0, 1.0, 1.0, 2.5, -3.0, "two", true, nil, []any{1.0}, "absent"})
)

// fields draws the content of a document; "absent" stays out of it.
func fields(t *rapid.T, at place) doc {
	d := doc{"id": at.id, "pk": at.pk, "tags": rapid.SliceOfN(rapid.SampledFrom([]any{"t1", "t2", 3.0}), 0, 2).Draw(t, "tags")}
	for name, v := range map[string]any{"kind": kinds.Draw(t, "kind"), "n": numbers.Draw(t, "n"), "m": numbers.Draw(t, "m")} {
		if v != "absent" {
			d[name] = v
		}
	}
	d["o"] = map[string]any{"n": numbers.Draw(t, "o.n")}
	// Through JSON, so that what was drawn and what is read have the same Go types.
	return decode(t, d.json(t))
}

func drawPlace(t *rapid.T) place {
	return place{partitions.Draw(t, "pk"), itemIDs.Draw(t, "id")}
}

// condition draws an If-Match header: none, the right one, a stale one, any.
func (m *model) condition(t *rapid.T, at place) *azcore.ETag {
	choices := []*azcore.ETag{nil, nil, ptr(azcore.ETag("*")), ptr(azcore.ETag(`"never-was"`))}
	if s, ok := m.docs[at]; ok {
		choices = append(choices, &s.etag, &s.etag)
	}
	for _, e := range m.old[max(0, len(m.old)-2):] {
		choices = append(choices, &e)
	}
	return rapid.SampledFrom(choices).Draw(t, "if-match")
}

func ptr[T any](v T) *T { return &v }

func (m *model) holds(at place, cond *azcore.ETag) bool {
	return cond == nil || *cond == "*" || *cond == m.docs[at].etag
}

func (m *model) set(t failer, at place, d doc, etag azcore.ETag) {
	if etag == "" || slices.Contains(m.old, etag) || m.docs[at].etag == etag {
		t.Fatalf("%v: the ETag %s is not new", at, etag)
	}
	m.retire(at)
	m.docs[at] = stored{d, etag}
}

func (m *model) retire(at place) {
	if s, ok := m.docs[at]; ok {
		m.old = append(m.old, s.etag)
		delete(m.docs, at)
	}
}

func (m *model) create(t *rapid.T) {
	at := drawPlace(t)
	d := fields(t, at)
	r, err := m.k.CreateItem(context.Background(), key(at.pk), d.json(t), nil)
	if _, exists := m.docs[at]; exists {
		wantStatus(t, err, http.StatusConflict)
		return
	}
	m.wantDone(t, r, err, http.StatusCreated)
	m.set(t, at, d, r.ETag)
}

func (m *model) wantDone(t *rapid.T, r azcosmos.ItemResponse, err error, want int) {
	t.Helper()
	if err != nil || r.RawResponse.StatusCode != want {
		t.Fatalf("want %d: %v", want, err)
	}
	if r.RequestCharge <= 0 {
		t.Fatalf("charge %v", r.RequestCharge)
	}
}

func (m *model) upsert(t *rapid.T) {
	at := drawPlace(t)
	d, cond := fields(t, at), m.condition(t, at)
	r, err := m.k.UpsertItem(context.Background(), key(at.pk), d.json(t), &azcosmos.ItemOptions{IfMatchEtag: cond})
	switch _, exists := m.docs[at]; {
	case !exists:
		m.wantDone(t, r, err, http.StatusCreated)
	case !m.holds(at, cond):
		wantStatus(t, err, http.StatusPreconditionFailed)
		return
	default:
		m.wantDone(t, r, err, http.StatusOK)
	}
	m.set(t, at, d, r.ETag)
}

func (m *model) replace(t *rapid.T) {
	at := drawPlace(t)
	d, cond := fields(t, at), m.condition(t, at)
	r, err := m.k.ReplaceItem(context.Background(), key(at.pk), at.id, d.json(t), &azcosmos.ItemOptions{IfMatchEtag: cond})
	if m.refuses(t, at, cond, err) {
		return
	}
	m.wantDone(t, r, err, http.StatusOK)
	m.set(t, at, d, r.ETag)
}

// refuses checks the answer of an operation on an existing document, and whether it had to be an error.
func (m *model) refuses(t *rapid.T, at place, cond *azcore.ETag, err error) bool {
	switch _, exists := m.docs[at]; {
	case !exists:
		wantStatus(t, err, http.StatusNotFound)
	case !m.holds(at, cond):
		wantStatus(t, err, http.StatusPreconditionFailed)
	default:
		return false
	}
	return true
}

func (m *model) delete(t *rapid.T) {
	at := drawPlace(t)
	cond := m.condition(t, at)
	r, err := m.k.DeleteItem(context.Background(), key(at.pk), at.id, &azcosmos.ItemOptions{IfMatchEtag: cond})
	if m.refuses(t, at, cond, err) {
		return
	}
	m.wantDone(t, r, err, http.StatusNoContent)
	m.retire(at)
}

func (m *model) patch(t *rapid.T) {
	at := drawPlace(t)
	cond := m.condition(t, at)
	var p azcosmos.PatchOperations
	p.AppendSet("/kind", "patched")
	p.AppendAdd("/tags/-", "new")
	p.AppendIncrement("/n", 2)
	r, err := m.k.PatchItem(context.Background(), key(at.pk), at.id, p, &azcosmos.ItemOptions{IfMatchEtag: cond})
	if m.refuses(t, at, cond, err) {
		return
	}
	d, ok := patched(m.docs[at].doc)
	if !ok {
		wantStatus(t, err, http.StatusBadRequest)
		return
	}
	m.wantDone(t, r, err, http.StatusOK)
	m.set(t, at, d, r.ETag)
}

// patched is what the patch above makes of a document; incr takes a number or nothing.
func patched(d doc) (doc, bool) {
	d = maps.Clone(d)
	d["kind"] = "patched"
	d["tags"] = append(slices.Clone(d["tags"].([]any)), "new")
	switch n := d["n"].(type) {
	case float64:
		d["n"] = n + 2
	default:
		if _, there := d["n"]; there {
			return nil, false
		}
		d["n"] = 2.0
	}
	return d, true
}

func (m *model) read(t *rapid.T) {
	m.check(t, drawPlace(t))
}

func (m *model) check(t failer, at place) {
	r, err := m.k.ReadItem(context.Background(), key(at.pk), at.id, nil)
	want, exists := m.docs[at]
	if !exists {
		wantStatus(t, err, http.StatusNotFound)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.doc, withoutSystem(decode(t, r.Value))); diff != "" || r.ETag != want.etag {
		t.Fatalf("%v: etag %s, want %s; %s", at, r.ETag, want.etag, diff)
	}
}

func withoutSystem(d doc) doc {
	for _, name := range []string{"_rid", "_self", "_etag", "_attachments", "_ts"} {
		delete(d, name)
	}
	return d
}

// batch sends creates, upserts, deletes and replaces of one partition and expects all of them or none.
func (m *model) batch(t *rapid.T) {
	pk := partitions.Draw(t, "pk")
	b := m.k.NewTransactionalBatch(key(pk))
	after := &model{docs: maps.Clone(m.docs)}
	wantFail, places := -1, []place{}
	for i := range rapid.IntRange(1, 5).Draw(t, "operations") {
		at := place{pk, itemIDs.Draw(t, "id")}
		cond, op := m.condition(t, at), rapid.SampledFrom([]string{"create", "upsert", "delete", "replace"}).Draw(t, "op")
		d := fields(t, at)
		o := &azcosmos.TransactionalBatchItemOptions{IfMatchETag: cond}
		_, exists := after.docs[at]
		ok := exists && after.holds(at, cond)
		switch op {
		case "create":
			b.CreateItem(d.json(t), nil)
			ok = !exists
		case "upsert":
			b.UpsertItem(d.json(t), o)
			ok = !exists || after.holds(at, cond)
		case "delete":
			b.DeleteItem(at.id, o)
		case "replace":
			b.ReplaceItem(at.id, d.json(t), o)
		}
		if !ok && wantFail < 0 {
			wantFail = i
		}
		if op == "delete" {
			delete(after.docs, at)
		} else {
			// Its ETag is not known before the answer.
			after.docs[at] = stored{d, azcore.ETag(fmt.Sprintf("operation %d", i))}
		}
		places = append(places, at)
	}
	m.settle(t, b, after, places, wantFail)
}

func (m *model) settle(t *rapid.T, b azcosmos.TransactionalBatch, after *model, places []place, wantFail int) {
	r, err := m.k.ExecuteTransactionalBatch(context.Background(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Success != (wantFail < 0) || len(r.OperationResults) != len(places) {
		t.Fatalf("success %v with %d results, operation %d should fail", r.Success, len(r.OperationResults), wantFail)
	}
	if wantFail >= 0 {
		for i, o := range r.OperationResults {
			if (o.StatusCode == http.StatusFailedDependency) == (i == wantFail) {
				t.Fatalf("operation %d answers %d, operation %d should fail", i, o.StatusCode, wantFail)
			}
		}
		return
	}
	for _, at := range places {
		m.retire(at)
	}
	for at, s := range after.docs {
		var i int
		if n, _ := fmt.Sscanf(string(s.etag), "operation %d", &i); n == 1 {
			s.etag = r.OperationResults[i].ETag
			m.docs[at] = s
		}
	}
}

// conditions are filters that touch every way a query can run.
var conditions = []string{
	"", "c.kind = 'alert'", "c.kind = 'edge' AND c.n = 1", "c.n = @n", "c.n > 0", "NOT (c.n > 0)", "c.n != null", "c.kind = null", "IS_DEFINED(c.m)", "ARRAY_CONTAINS(c.tags, 't1')",
	"c.o.n = 1 OR c.kind = 'alert'", "STARTSWITH(c.kind, 'a') AND c.m = @n", "c.id IN ('1', 'é')", "c.kind = 'alert' AND c.kind = 'edge'", "c.o.n = @n AND c.kind = 'alert'", "c.pk = 'a'", "c.m = c.n",
}

func (m *model) query(t *rapid.T) {
	pk := partitions.Draw(t, "pk")
	where := rapid.SampledFrom(conditions).Draw(t, "where")
	path := rapid.SampledFrom([]string{"", "", "n", "id", "kind", "o.n", "kind,n"}).Draw(t, "order by")
	down := rapid.Bool().Draw(t, "down")
	cut := rapid.SampledFrom([]string{"", "", " OFFSET 1 LIMIT 3", " OFFSET 0 LIMIT 1"}).Draw(t, "cut")
	n := rapid.SampledFrom([]any{0.0, 1.0, "two", nil}).Draw(t, "@n")
	text := rapid.SampledFrom([]string{"SELECT * FROM c", "SELECT c.id, c.n FROM c", "SELECT TOP 2 * FROM c"}).Draw(t, "select")
	if strings.Contains(text, "TOP") {
		cut = ""
	}
	if where != "" {
		text += " WHERE " + where
	}
	if path != "" {
		direction := map[bool]string{true: " DESC"}[down]
		text += " ORDER BY c." + strings.ReplaceAll(path, ",", direction+", c.") + direction
	}
	text += cut
	want := m.naive(t, pk, text, path, down, n)
	o := &azcosmos.QueryOptions{PageSizeHint: int32(rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "page")), QueryParameters: []azcosmos.QueryParameter{{Name: "@n", Value: n}}}
	got, _ := ids(t, m.k, key(pk), text, o)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s with @n = %v in %s: %s", text, n, pk, diff)
	}
	m.count(t, pk, where, n)
}

// naive evaluates the query over the whole partition at once, in the order that the server promises for ties.
func (m *model) naive(t *rapid.T, pk, text, path string, down bool, n any) []string {
	var list []place
	for at := range m.docs {
		if at.pk == pk {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(a, b place) int { return strings.Compare(a.id, b.id) })
	if path != "" && down {
		slices.Reverse(list)
	}
	b, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	param, err := value.Parse(string(b))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sql.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.Bind(map[string]value.Value{"@n": param})
	if err != nil {
		t.Fatal(err)
	}
	r := q.Start()
	for _, at := range list {
		v, err := value.Parse(string(m.docs[at].doc.json(t)))
		if err != nil {
			t.Fatal(err)
		}
		sortValue := v
		for _, step := range strings.Split(path, ".") {
			sortValue = sortValue.Get(step)
		}
		// Without the property a document is in no result that is ordered by it alone, as its path is not named in the indexing policy.
		if path == "" || strings.Contains(path, ",") || sortValue.Kind() != value.Undefined {
			r.Add(v)
		}
	}
	found := []string{}
	for _, v := range r.Results() {
		found = append(found, v.Get("id").Text())
	}
	return found
}

func (m *model) count(t *rapid.T, pk, where string, n any) {
	text := "SELECT VALUE COUNT(1) FROM c"
	if where != "" {
		text += " WHERE " + where
	}
	p, err := m.k.NewQueryItemsPager(text, key(pk), &azcosmos.QueryOptions{QueryParameters: []azcosmos.QueryParameter{{Name: "@n", Value: n}}}).NextPage(context.Background())
	if err != nil || len(p.Items) != 1 {
		t.Fatalf("%s: %v %q", text, err, p.Items)
	}
	want := len(m.naive(t, pk, strings.Replace(text, "VALUE COUNT(1)", "c.id", 1), "", false, n))
	if string(p.Items[0]) != fmt.Sprint(want) {
		t.Fatalf("%s with @n = %v in %s: %s, want %d", text, n, pk, p.Items[0], want)
	}
}

// kill ends the server in the middle of its life and starts another one on its folder.
func (m *model) kill(t *rapid.T) {
	m.server.kill()
	m.begin(t)
	m.everything(t)
}

func (m *model) begin(t *rapid.T) {
	m.server = spawn(t, m.dir, m.indexAfter)
	m.k = composite(t, dial(t, m.server.connection))
}

// composite makes the container of the model, whose indexing policy allows one order by two properties.
func composite(t failer, c *azcosmos.Client) *azcosmos.ContainerClient {
	k := container(t, c, "graph", "/pk")
	r, err := k.Read(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := *r.ContainerProperties
	p.IndexingPolicy.CompositeIndexes = [][]azcosmos.CompositeIndex{{{Path: "/kind", Order: azcosmos.CompositeIndexAscending}, {Path: "/n", Order: azcosmos.CompositeIndexAscending}}}
	if _, err := k.Replace(context.Background(), p, nil); err != nil {
		t.Fatal(err)
	}
	return k
}

func (m *model) everything(t *rapid.T) {
	for _, pk := range []string{"a", "b"} {
		for _, id := range allIDs {
			m.check(t, place{pk, id})
		}
	}
}

// fill creates most documents, so that queries have something to find.
func (m *model) fill(t *rapid.T) {
	for range 12 {
		m.upsert(t)
	}
}

// checks sets how many sequences rapid tries, until the test ends.
func checks(t *testing.T, n int) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	if err := f.Value.Set(fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(before); err != nil {
			t.Error(err)
		}
	})
}

func TestModelInMemory(t *testing.T) {
	checks(t, map[bool]int{false: 40, true: 500}[long()])
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{docs: map[place]stored{}}
		s := startWith(t, optionsWithIndexAfter(rapid.SampledFrom([]int{1, 3, 0}).Draw(rt, "index after")))
		m.k = composite(rt, dial(rt, s.ConnectionString()))
		m.fill(rt)
		rt.Repeat(m.actions())
		m.everything(rt)
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create": m.create, "upsert": m.upsert, "replace": m.replace, "delete": m.delete, "patch": m.patch, "read": m.read, "batch": m.batch,
		"query": m.query, "query 2": m.query, "query 3": m.query, "query 4": m.query,
	}
}

func TestModelKilled(t *testing.T) {
	checks(t, map[bool]int{false: 4, true: 100}[long()])
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "store")
		if err != nil {
			rt.Fatal(err)
		}
		m := &model{dir: dir, indexAfter: 2, docs: map[place]stored{}}
		m.begin(rt)
		defer func() { m.server.kill() }()
		m.fill(rt)
		actions := m.actions()
		actions["kill"] = m.kill
		rt.Repeat(actions)
		m.everything(rt)
	})
}
