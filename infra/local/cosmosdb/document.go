package cosmosdb

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

// The limits of Cosmos DB.
const (
	maxDocument = 2 << 20
	maxID       = 1023
)

func (s *Server) serveDocuments(q *request) (*reply, error) {
	if !q.feed {
		return s.serveDocument(q)
	}
	switch {
	case q.Method == http.MethodGet && q.Header.Get("A-Im") != "":
		return s.changeFeed(q)
	case q.Method == http.MethodGet:
		return s.listDocuments(q)
	case q.Method == http.MethodPost && q.isQuery():
		return s.query(q)
	case q.Method == http.MethodPost && q.Header.Get("X-Ms-Cosmos-Is-Batch-Request") != "":
		return s.batch(q)
	case q.Method == http.MethodPost && isTrue(q.Header.Get("X-Ms-Documentdb-Is-Upsert")):
		return s.writeDocument(q, opUpsert)
	case q.Method == http.MethodPost:
		return s.writeDocument(q, opCreate)
	}
	return nil, methodNotAllowed()
}

func (s *Server) serveDocument(q *request) (*reply, error) {
	switch q.Method {
	case http.MethodGet:
		return s.readDocument(q)
	case http.MethodPut:
		return s.writeDocument(q, opReplace)
	case http.MethodPatch:
		return s.writeDocument(q, opPatch)
	case http.MethodDelete:
		return s.writeDocument(q, opDelete)
	}
	return nil, methodNotAllowed()
}

// partition is the encoded partition key of the header, complete as point operations need it.
func (q *request) partition() (string, *failure) {
	header := q.Header.Get("X-Ms-Documentdb-Partitionkey")
	if header == "" {
		return "", badRequest("PartitionKey value must be supplied for this operation.")
	}
	values, fail := partitionHeader(header)
	if fail != nil {
		return "", fail
	}
	if len(values) != len(q.container.paths) {
		return "", badRequest("Partition key provided either doesn't correspond to definition in the collection or doesn't match partition key field values specified in the document.")
	}
	return encodePartition(values), nil
}

func (s *Server) readDocument(q *request) (*reply, error) {
	partition, fail := q.partition()
	if fail != nil {
		return nil, fail
	}
	d, found, err := s.store.Get(q.Context(), store.Key{Container: q.container.number, Partition: partition, ID: q.id}, time.Now().Unix())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, notFound()
	}
	a := &reply{status: http.StatusOK, charge: readCharge(len(d.Body)), etag: etagOf(d.LSN), lsn: d.LSN}
	if a.etag == q.Header.Get("If-None-Match") {
		a.status, a.charge = http.StatusNotModified, readBase
		return a, nil
	}
	a.body = d.Body
	return a, nil
}

// The operations that write, by the names of a batch.
const (
	opCreate  = "Create"
	opUpsert  = "Upsert"
	opReplace = "Replace"
	opPatch   = "Patch"
	opDelete  = "Delete"
	opRead    = "Read"
)

// change is one write that is ready to be carried out.
type change struct {
	op        string
	key       store.Key
	ifMatch   string
	ifNone    string
	doc       value.Value // create, upsert, replace: without system properties
	members   []byte      // doc as text, without its closing brace
	patch     *patch
	container *container
}

func (s *Server) writeDocument(q *request, op string) (*reply, error) {
	partition, fail := q.partition()
	if fail != nil {
		return nil, fail
	}
	text, err := q.text()
	if err != nil {
		return nil, err
	}
	c := &change{op: op, ifMatch: q.Header.Get("If-Match"), ifNone: q.Header.Get("If-None-Match"), container: q.container}
	c.key = store.Key{Container: q.container.number, Partition: partition, ID: q.id}
	if fail := c.read(text, s.parsed); fail != nil {
		return nil, fail
	}
	var o outcome
	err = s.store.Write(q.Context(), func(t *store.Tx) error {
		var fail error
		o, fail = c.apply(t, time.Now())
		return fail
	})
	if err != nil {
		return nil, err
	}
	a := &reply{status: o.status, charge: o.charge, etag: o.etag, lsn: o.lsn, written: 1}
	if q.Header.Get("Prefer") != "return=minimal" && o.status != http.StatusNoContent {
		a.body = o.body
	}
	return a, nil
}

// read takes the body apart: a document or a patch; a delete has none.
func (c *change) read(text string, parsed *statements) *failure {
	switch c.op {
	case opDelete, opRead:
		return nil
	case opPatch:
		var fail *failure
		c.patch, fail = parsePatch(text, parsed)
		return fail
	}
	doc, err := value.Parse(text)
	if err != nil {
		return badRequest("The request body cannot be read: %v", err)
	}
	return c.take(doc, len(text)+8)
}

// take checks a document against its address and makes the text of it, which needs about so much room.
func (c *change) take(doc value.Value, room int) *failure {
	if doc.Kind() != value.Object {
		return badRequest("The document body must be a JSON object.")
	}
	id := doc.Get("id")
	switch {
	case id.Kind() == value.Undefined:
		return badRequest("The input content is invalid because the required properties - 'id; ' - are missing")
	case id.Text() == "" || len(id.Text()) > maxID:
		return badRequest("The input name '%s' is invalid. Ensure to provide a unique non-empty string less than '%d' characters.", clip(id.Text()), maxID+1)
	case c.op == opReplace && id.Text() != c.key.ID:
		return badRequest("The id of the document does not match the id of the address.")
	}
	if c.container.partitionOf(doc) != c.key.Partition {
		f := badRequest("PartitionKey extracted from document doesn't match the one specified in the header.")
		f.substatus = 1001
		return f
	}
	if ttl := doc.Get("ttl"); c.container.ttl != 0 && ttl.Kind() != value.Undefined && !validTTL(ttl) {
		return badRequest("The input ttl '%s' is invalid. Ensure to provide a nonzero positive integer or -1.", clip(ttl.JSON()))
	}
	c.key.ID = id.Text()
	c.doc = withoutSystem(doc)
	c.members = append(c.doc.AppendMembers(append(make([]byte, 0, room), '{')), ',')
	if len(c.members) > maxDocument {
		return tooLarge()
	}
	return nil
}

func validTTL(v value.Value) bool {
	n := v.Float()
	return v.Kind() == value.Number && n == float64(int32(n)) && (n > 0 || n == -1)
}

// withoutSystem drops what only the server may set.
func withoutSystem(doc value.Value) value.Value {
	for _, name := range []string{"_rid", "_self", "_etag", "_attachments", "_ts"} {
		if doc.Get(name).Kind() != value.Undefined {
			doc = doc.With(name, value.Value{})
		}
	}
	return doc
}

// outcome is what a single operation gives.
type outcome struct {
	status int
	charge float64
	etag   string
	lsn    int64
	body   string
}

// apply carries the change out inside a transaction.
func (c *change) apply(t *store.Tx, now time.Time) (outcome, error) {
	if c.container.state.gone.Load() {
		return outcome{}, ownerNotFound()
	}
	old, found := t.Get(c.key)
	if found && old.Expires > 0 && old.Expires <= now.Unix() {
		c.container.forget(t, old)
		t.Remove(c.key)
		found = false
	}
	if fail := c.check(old, found); fail != nil {
		return outcome{}, fail
	}
	switch c.op {
	case opRead:
		return outcome{status: http.StatusOK, charge: readCharge(len(old.Body)), etag: etagOf(old.LSN), lsn: old.LSN, body: old.Body}, nil
	case opDelete:
		c.container.forget(t, old)
		t.Remove(c.key)
		return outcome{status: http.StatusNoContent, charge: writeCharge(len(old.Body), 0), lsn: t.Next()}, nil
	case opPatch:
		if err := c.patchOld(old); err != nil {
			return outcome{}, err
		}
	}
	return c.put(t, old, found, now)
}

// check holds the change against the state: existence and ETag.
func (c *change) check(old store.Document, live bool) *failure {
	switch {
	case !live && c.op != opCreate && c.op != opUpsert:
		return notFound()
	case live && c.op == opCreate:
		return conflict()
	case live && c.ifMatch != "" && c.ifMatch != "*" && c.ifMatch != etagOf(old.LSN):
		return preconditionFailed()
	case live && (c.ifNone == "*" || c.ifNone != "" && c.ifNone == etagOf(old.LSN)):
		return preconditionFailed()
	}
	return nil
}

// patchOld makes the document that the patch gives out of the old one.
func (c *change) patchOld(old store.Document) error {
	doc, err := value.Parse(old.Body)
	if err != nil {
		return err
	}
	if fail := c.patch.check(doc); fail != nil {
		return fail
	}
	if doc, fail := c.patch.apply(doc); fail != nil {
		return fail
	} else if fail := c.take(doc, len(old.Body)+64); fail != nil {
		return fail
	}
	return nil
}

func (c *change) put(t *store.Tx, old store.Document, found bool, now time.Time) (outcome, error) {
	d := store.Document{Key: c.key, LSN: t.Next(), Time: now.Unix(), Expires: c.container.expiry(c.doc, now)}
	d.RID = d.LSN
	if found {
		d.RID = old.RID
	}
	if err := c.container.claim(t, old, found, d.Key, c.doc); err != nil {
		return outcome{}, err
	}
	o := outcome{status: http.StatusCreated, etag: etagOf(d.LSN), lsn: d.LSN}
	d.Body = c.container.complete(c.members, d, o.etag)
	c.container.reindex(t, old, found, d)
	t.Put(d)
	o.body, o.charge = d.Body, writeCharge(len(d.Body), scalars(c.doc))
	if found {
		o.status = http.StatusOK
	}
	if c.patch != nil {
		o.charge += patchPerOperationCharge * float64(len(c.patch.operations))
	}
	return o, nil
}

// complete adds the system properties to `{"a":1,`.
func (k *container) complete(members []byte, d store.Document, etag string) string {
	rid := documentRID(k.rid, d.RID)
	var b strings.Builder
	b.Grow(len(members) + len(k.self) + 180)
	b.Write(members)
	b.WriteString(`"_rid":"`)
	b.WriteString(rid)
	b.WriteString(`","_self":"`)
	b.WriteString(k.self)
	b.WriteString(`docs/`)
	b.WriteString(rid)
	b.WriteString(`/","_etag":"\`)
	b.WriteString(etag[:len(etag)-1])
	b.WriteString(`\"","_attachments":"attachments/","_ts":`)
	b.WriteString(strconv.FormatInt(d.Time, 10))
	b.WriteByte('}')
	return b.String()
}

// scalars counts the indexed leaves of a document.
func scalars(v value.Value) int {
	if v.Kind() < value.Array {
		return 1
	}
	n := 0
	for _, item := range v.Items() {
		n += scalars(item)
	}
	return n
}

// expiry is when a document ends, in Unix seconds; 0 is never. Its own ttl counts only where the container has switched it on.
func (k *container) expiry(doc value.Value, now time.Time) int64 {
	ttl := k.ttl
	if own := doc.Get("ttl"); own.Kind() == value.Number && ttl != 0 {
		ttl = int64(own.Float())
	}
	if ttl <= 0 {
		return 0
	}
	return now.Unix() + ttl
}
