package cosmosdb

import (
	"net/http"
	"strings"
	"time"

	"throughline/infra/local/cosmosdb/store"
	"throughline/infra/local/cosmosdb/value"
)

func (s *Server) serveDatabases(q *request) (*reply, error) {
	switch {
	case q.feed && q.Method == http.MethodGet:
		return list("Databases", "", s.catalog.databaseBodies()), nil
	case q.feed && q.Method == http.MethodPost && q.isQuery():
		return s.queryResources(q, "Databases", "", s.catalog.databaseBodies())
	case q.feed && q.Method == http.MethodPost:
		return s.createDatabase(q)
	case q.feed:
		return nil, methodNotAllowed()
	}
	d := s.catalog.database(q.id)
	if d == nil {
		return nil, notFound()
	}
	switch q.Method {
	case http.MethodGet:
		return resourceReply(http.StatusOK, d.body, metadataCharge), nil
	case http.MethodDelete:
		return s.deleteDatabase(q, d)
	}
	return nil, methodNotAllowed()
}

func (s *Server) serveContainers(q *request) (*reply, error) {
	d := s.catalog.database(q.db)
	if d == nil {
		return nil, ownerNotFound()
	}
	switch {
	case q.feed && q.Method == http.MethodGet:
		return list("DocumentCollections", d.rid, s.catalog.containerBodies(d.id)), nil
	case q.feed && q.Method == http.MethodPost && q.isQuery():
		return s.queryResources(q, "DocumentCollections", d.rid, s.catalog.containerBodies(d.id))
	case q.feed && q.Method == http.MethodPost:
		return s.createContainer(q, d)
	case q.feed:
		return nil, methodNotAllowed()
	}
	k := s.catalog.container(q.db, q.coll)
	if k == nil {
		return nil, notFound()
	}
	switch q.Method {
	case http.MethodGet:
		return resourceReply(http.StatusOK, k.body, metadataCharge), nil
	case http.MethodPut:
		return s.replaceContainer(q, k)
	case http.MethodDelete:
		return s.deleteContainer(q, k)
	}
	return nil, methodNotAllowed()
}

func resourceReply(status int, body value.Value, charge float64) *reply {
	return &reply{status: status, body: body.JSON(), charge: charge, etag: body.Get("_etag").Text()}
}

// list is a feed of resources: {"_rid":…,"<name>":[…],"_count":n}.
func list(name, rid string, items []value.Value) *reply {
	body := value.OfObject([]string{"_rid", name, "_count"},
		[]value.Value{value.OfString(rid), value.OfArray(items), value.OfNumber(float64(len(items)))})
	return &reply{status: http.StatusOK, body: body.JSON(), charge: metadataCharge}
}

func (s *Server) queryResources(q *request, name, rid string, items []value.Value) (*reply, error) {
	query, err := s.readQuery(q)
	if err != nil {
		return nil, err
	}
	run := query.Start()
	for _, item := range items {
		run.Add(item)
	}
	return list(name, rid, run.Results()), nil
}

// readResource reads the body of a database or container and checks its id.
func (q *request) readResource() (value.Value, error) {
	text, err := q.text()
	if err != nil {
		return value.Value{}, err
	}
	body, err := value.Parse(text)
	if err != nil || body.Kind() != value.Object {
		return value.Value{}, badRequest("The request body is not a JSON object.")
	}
	id := body.Get("id").Text()
	if id == "" || len(id) > 255 || strings.ContainsAny(id, `/\?#`) || strings.HasSuffix(id, " ") {
		return value.Value{}, badRequest("The id '%s' of the resource is not valid.", clip(id))
	}
	return body, nil
}

func (s *Server) createDatabase(q *request) (*reply, error) {
	body, err := q.readResource()
	if err != nil {
		return nil, err
	}
	c := s.catalog
	c.change.Lock()
	defer c.change.Unlock()
	id := body.Get("id").Text()
	if c.database(id) != nil {
		return nil, conflict()
	}
	now := time.Now()
	var offer value.Value
	err = s.store.Write(q.Context(), func(t *store.Tx) error {
		number := t.Next()
		rid := databaseRID(number)
		body = withSystem(body, rid, "dbs/"+rid+"/", etagOf(number), now).
			With("_colls", value.OfString("colls/")).With("_users", value.OfString("users/"))
		t.SetResource(store.Resource{Kind: kindDatabase, Name: id, Body: body.JSON()})
		var err error
		offer, err = s.newOffer(q, t, rid, "dbs/"+rid+"/", false)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.databases[id] = &database{id: id, rid: body.Get("_rid").Text(), body: body}
	c.keepOffer(offer)
	return resourceReply(http.StatusCreated, body, resourceWriteCharge), nil
}

func (s *Server) deleteDatabase(q *request, d *database) (*reply, error) {
	c := s.catalog
	c.change.Lock()
	defer c.change.Unlock()
	if c.database(d.id) != d {
		return nil, notFound()
	}
	var owned []*container
	c.mu.RLock()
	for _, k := range c.containers {
		if k.database == d.id {
			owned = append(owned, k)
		}
	}
	c.mu.RUnlock()
	err := s.store.Write(q.Context(), func(t *store.Tx) error {
		for _, k := range owned {
			c.remove(t, k)
		}
		t.RemoveResource(kindDatabase, d.id)
		t.RemoveResource(kindOffer, d.rid)
		return nil
	})
	if err != nil {
		for _, k := range owned {
			k.state.gone.Store(false)
		}
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range owned {
		delete(c.containers, containerKey(k.database, k.id))
		delete(c.offers, k.rid)
	}
	delete(c.databases, d.id)
	delete(c.offers, d.rid)
	return &reply{status: http.StatusNoContent, charge: resourceWriteCharge}, nil
}

// remove deletes a container with its documents. From then on no write that waits may touch it.
func (c *catalog) remove(t *store.Tx, k *container) {
	k.state.gone.Store(true)
	for _, x := range k.indexes() {
		t.RemoveIndex(x.number)
		t.RemoveResource(kindIndex, x.name())
	}
	t.RemoveContainer(k.number)
	t.RemoveResource(kindContainer, containerKey(k.database, k.id))
	t.RemoveResource(kindOffer, k.rid)
}

func (s *Server) createContainer(q *request, d *database) (*reply, error) {
	body, err := q.readResource()
	if err != nil {
		return nil, err
	}
	body = withDefaults(body)
	if _, fail := newContainer(d.id, body); fail != nil {
		return nil, fail
	}
	c := s.catalog
	c.change.Lock()
	defer c.change.Unlock()
	name := containerKey(d.id, body.Get("id").Text())
	switch {
	case c.database(d.id) != d:
		return nil, ownerNotFound()
	case c.container(d.id, body.Get("id").Text()) != nil:
		return nil, conflict()
	}
	now := time.Now()
	var offer value.Value
	err = s.store.Write(q.Context(), func(t *store.Tx) error {
		number := t.Next()
		rid := containerRID(d.rid, number)
		self := "dbs/" + d.rid + "/colls/" + rid + "/"
		body = withSystem(body, rid, self, etagOf(number), now)
		for _, feed := range []string{"docs", "sprocs", "triggers", "udfs", "conflicts"} {
			body = body.With("_"+feed, value.OfString(feed+"/"))
		}
		t.SetResource(store.Resource{Kind: kindContainer, Name: name, Body: body.JSON()})
		var err error
		offer, err = s.newOffer(q, t, rid, self, !c.hasOffer(d.rid))
		return err
	})
	if err != nil {
		return nil, err
	}
	k, fail := newContainer(d.id, body)
	if fail != nil {
		return nil, fail
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.containers[name] = k
	c.keepOffer(offer)
	return resourceReply(http.StatusCreated, body, resourceWriteCharge), nil
}

func (s *Server) replaceContainer(q *request, k *container) (*reply, error) {
	body, err := q.readResource()
	if err != nil {
		return nil, err
	}
	c := s.catalog
	c.change.Lock()
	defer c.change.Unlock()
	if k = c.container(k.database, k.id); k == nil {
		return nil, notFound()
	}
	if match := q.Header.Get("If-Match"); match != "" && match != "*" && match != k.body.Get("_etag").Text() {
		return nil, preconditionFailed()
	}
	body = withDefaults(body)
	changed, fail := newContainer(k.database, body)
	switch {
	case fail != nil:
		return nil, fail
	case changed.id != k.id:
		return nil, badRequest("The id of a container cannot be changed.")
	case !value.Equal(body.Get("partitionKey").Get("paths"), k.body.Get("partitionKey").Get("paths")):
		return nil, badRequest("Document collection partition key cannot be changed.")
	case !value.Equal(body.Get("uniqueKeyPolicy"), k.body.Get("uniqueKeyPolicy")):
		return nil, badRequest("Unique index cannot be changed.")
	}
	now := time.Now()
	err = s.store.Write(q.Context(), func(t *store.Tx) error {
		body = withSystem(body, k.rid, k.body.Get("_self").Text(), etagOf(t.Next()), now)
		t.SetResource(store.Resource{Kind: kindContainer, Name: containerKey(k.database, k.id), Body: body.JSON()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	changed.body, changed.self, changed.rid, changed.number, changed.state = body, k.self, k.rid, k.number, k.state
	c.mu.Lock()
	defer c.mu.Unlock()
	c.containers[containerKey(k.database, k.id)] = changed
	return resourceReply(http.StatusOK, body, resourceWriteCharge), nil
}

func (s *Server) deleteContainer(q *request, k *container) (*reply, error) {
	c := s.catalog
	c.change.Lock()
	defer c.change.Unlock()
	if k = c.container(k.database, k.id); k == nil {
		return nil, notFound()
	}
	err := s.store.Write(q.Context(), func(t *store.Tx) error {
		c.remove(t, k)
		return nil
	})
	if err != nil {
		k.state.gone.Store(false)
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.containers, containerKey(k.database, k.id))
	delete(c.offers, k.rid)
	return &reply{status: http.StatusNoContent, charge: resourceWriteCharge}, nil
}
