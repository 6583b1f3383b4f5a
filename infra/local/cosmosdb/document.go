package cosmosdb

import (
	"context"
	"net/http"
	"strconv"
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
	d, found, err := s.store.Get(q.Context(), store.Key{Container: q.container.number, Partition: partition, ID: q.id})
	if err != nil {
		return nil, err
	}
	if !found || expired(d, time.Now()) {
		return nil, notFound()
	}
	a := &reply{status: http.StatusOK, charge: readCharge(len(d.Body)), etag: d.ETag, lsn: d.LSN}
	if d.ETag == q.Header.Get("If-None-Match") {
		a.status, a.charge = http.StatusNotModified, readBase
		return a, nil
	}
	a.body = []byte(d.Body)
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
		a.body = []byte(o.body)
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
	return c.take(doc)
}

// take checks a document against its address and makes the text of it.
func (c *change) take(doc value.Value) *failure {
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
	c.members = append(c.doc.AppendMembers(append(make([]byte, 0, 1024), '{')), ',')
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
	if c.container.gone.Load() {
		return outcome{}, ownerNotFound()
	}
	old, found, err := t.Get(c.key)
	if err != nil {
		return outcome{}, err
	}
	expired := found && expired(old, now)
	if expired {
		if err := c.container.free(t, old); err != nil {
			return outcome{}, err
		}
	}
	if fail := c.check(old, found && !expired); fail != nil {
		return outcome{}, fail
	}
	live := found && !expired
	switch c.op {
	case opRead:
		return outcome{status: http.StatusOK, charge: readCharge(len(old.Body)), etag: old.ETag, lsn: old.LSN, body: old.Body}, nil
	case opDelete:
		return c.remove(t, old)
	case opPatch:
		if err := c.patchOld(old); err != nil {
			return outcome{}, err
		}
	}
	return c.put(t, old, live, found, now)
}

// check holds the change against the state: existence and ETag.
func (c *change) check(old store.Document, live bool) *failure {
	switch {
	case !live && c.op != opCreate && c.op != opUpsert:
		return notFound()
	case live && c.op == opCreate:
		return conflict()
	case live && c.ifMatch != "" && c.ifMatch != "*" && c.ifMatch != old.ETag:
		return preconditionFailed()
	case live && (c.ifNone == "*" || c.ifNone != "" && c.ifNone == old.ETag):
		return preconditionFailed()
	}
	return nil
}

func (c *change) remove(t *store.Tx, old store.Document) (outcome, error) {
	if err := c.container.free(t, old); err != nil {
		return outcome{}, err
	}
	t.Remove(c.key)
	return outcome{status: http.StatusNoContent, charge: writeCharge(len(old.Body), 0), lsn: t.Next()}, nil
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
	} else if fail := c.take(doc); fail != nil {
		return fail
	}
	return nil
}

func (c *change) put(t *store.Tx, old store.Document, live, found bool, now time.Time) (outcome, error) {
	d := store.Document{Key: c.key, LSN: t.Next(), Time: now.Unix(), Expires: c.container.expiry(c.doc, now)}
	d.RID = d.LSN
	if found {
		d.RID = old.RID
	}
	if err := c.container.claim(t, old, live, c.key, c.doc); err != nil {
		return outcome{}, err
	}
	d.ETag = newETag(d.LSN, now)
	d.Body = c.container.complete(c.members, d)
	t.Put(d)
	o := outcome{status: http.StatusCreated, charge: writeCharge(len(d.Body), scalars(c.doc)), etag: d.ETag, lsn: d.LSN, body: d.Body}
	if live {
		o.status = http.StatusOK
	}
	if c.patch != nil {
		o.charge += patchPerOperationCharge * float64(len(c.patch.operations))
	}
	return o, nil
}

// complete adds the system properties to `{"a":1,`.
func (k *container) complete(members []byte, d store.Document) string {
	rid := documentRID(k.rid, d.RID)
	b := append(make([]byte, 0, len(members)+256), members...)
	b = append(b, `"_rid":"`...)
	b = append(b, rid...)
	b = append(b, `","_self":"`...)
	b = append(b, k.body.Get("_self").Text()...)
	b = append(b, `docs/`...)
	b = append(b, rid...)
	b = append(b, `/","_etag":`...)
	b = value.AppendString(b, d.ETag)
	b = append(b, `,"_attachments":"attachments/","_ts":`...)
	b = strconv.AppendInt(b, d.Time, 10)
	return string(append(b, '}'))
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

func expired(d store.Document, now time.Time) bool {
	return d.Expires > 0 && d.Expires <= now.Unix()
}

// uniqueKeys are the encoded values of the unique keys of a document in its partition.
func (k *container) uniqueKeys(partition string, doc value.Value) []store.Key {
	var keys []store.Key
	for i, paths := range k.uniques {
		values := []value.Value{value.OfNumber(float64(i))}
		for _, p := range paths {
			values = append(values, at(doc, p))
		}
		keys = append(keys, store.Key{Container: k.number, Partition: partition, ID: encodePartition(values)})
	}
	return keys
}

// free gives up the unique values of a document that goes.
func (k *container) free(t *store.Tx, old store.Document) error {
	if len(k.uniques) == 0 {
		return nil
	}
	doc, err := value.Parse(old.Body)
	if err != nil {
		return err
	}
	for _, key := range k.uniqueKeys(old.Partition, doc) {
		t.SetUnique(key, "")
	}
	return nil
}

// claim takes the unique values of the new document, after those of the old one are free.
func (k *container) claim(t *store.Tx, old store.Document, live bool, key store.Key, doc value.Value) error {
	if len(k.uniques) == 0 {
		return nil
	}
	for _, u := range k.uniqueKeys(key.Partition, doc) {
		holder, err := t.Unique(u)
		if err != nil {
			return err
		}
		if holder != "" && holder != key.ID {
			f := conflict()
			f.message = "Unique index constraint violation."
			return f
		}
	}
	if live {
		if err := k.free(t, old); err != nil {
			return err
		}
	}
	for _, u := range k.uniqueKeys(key.Partition, doc) {
		t.SetUnique(u, key.ID)
	}
	return nil
}

// sweep is how many expired documents one transaction removes.
const sweep = 500

// removeExpired deletes documents whose time to live has passed.
func (s *Server) removeExpired(ctx context.Context, now time.Time) error {
	for {
		n := 0
		err := s.store.Write(ctx, func(t *store.Tx) error {
			old, err := t.Expired(now.Unix(), sweep)
			if err != nil {
				return err
			}
			n = len(old)
			for _, d := range old {
				if k := s.catalog.byNumber(d.Container); k != nil {
					if err := k.free(t, d); err != nil {
						return err
					}
				}
				t.Remove(d.Key)
			}
			return nil
		})
		if err != nil || n < sweep {
			return err
		}
	}
}

func (c *catalog) byNumber(number int64) *container {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.containers {
		if k.number == number {
			return k
		}
	}
	return nil
}
