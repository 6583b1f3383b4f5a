// Package atom is the administration of Service Bus over HTTP: Atom entries that create, list, update, delete and
// show queues, topics, subscriptions and rules.
//
// It answers as the service does where that is odd: an entity that is not there is an empty feed with status 200,
// creating is PUT, and updating is PUT with If-Match.
package atom

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"throughline/infra/local/servicebus/broker"
	"throughline/infra/local/servicebus/wire"
)

const maxBody = 1 << 20

// Handler answers the requests of the administration.
type Handler struct {
	Broker *broker.Broker
	Keys   wire.Keys
	// Updated is called with an entity after its update was answered, for its links must end some time later.
	Updated func(q *broker.Queue)
	// Deleted is called with an entity that was deleted, for its links must end.
	Deleted func(q *broker.Queue)
}

// refusal is an answer that is an error.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return r.detail }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &question{h: h, r: r, base: base(r)}
	err := q.answer(w)
	if err == nil {
		return
	}
	var refused *refusal
	if !errors.As(err, &refused) {
		refused = refusalOf(err)
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	w.WriteHeader(refused.status)
	fmt.Fprintf(w, "<Error><Code>%d</Code><Detail>%s</Detail></Error>", refused.status, escape(refused.detail))
}

// escape leaves quotation marks as they are, as the service does, and replaces what XML cannot hold.
func escape(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xfffd || r >= 0x10000 {
			return r
		}
		return '\ufffd'
	}, s)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func refusalOf(err error) *refusal {
	switch {
	case errors.Is(err, broker.ErrExists):
		return &refusal{http.StatusConflict, "SubCode=40900. Conflict. " + err.Error()}
	case errors.Is(err, broker.ErrNoEntity):
		return &refusal{http.StatusNotFound, "SubCode=40400. Not Found. " + err.Error()}
	}
	return &refusal{http.StatusBadRequest, err.Error()}
}

// question is one request, its path taken apart.
type question struct {
	h      *Handler
	r      *http.Request
	base   string
	rights wire.Rights
	name   string // of a queue or topic
	sub    string
	rule   string
}

func base(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (q *question) answer(w http.ResponseWriter) error {
	path := strings.Trim(q.r.URL.Path, "/")
	if err := q.authorize(path); err != nil {
		return err
	}
	switch strings.ToLower(path) {
	case "$namespaceinfo":
		return q.namespace(w)
	case "$resources/queues":
		return q.list(w, broker.KindQueue, "Queues")
	case "$resources/topics":
		return q.list(w, broker.KindTopic, "Topics")
	case "":
		return q.nothing(w)
	}
	parts := strings.Split(path, "/")
	at := slices.IndexFunc(parts, func(p string) bool { return strings.EqualFold(p, "subscriptions") })
	if at < 1 {
		q.name = path
		return q.entity(w)
	}
	q.name = strings.Join(parts[:at], "/")
	return q.below(w, parts[at+1:])
}

// below answers for what is under <topic>/Subscriptions.
func (q *question) below(w http.ResponseWriter, parts []string) error {
	switch {
	case len(parts) == 0:
		return q.list(w, broker.KindSubscription, "Subscriptions")
	case len(parts) == 1:
		q.sub = parts[0]
		return q.entity(w)
	case len(parts) == 2 && strings.EqualFold(parts[1], "rules"):
		q.sub = parts[0]
		return q.listRules(w)
	case len(parts) == 3 && strings.EqualFold(parts[1], "rules"):
		q.sub, q.rule = parts[0], parts[2]
		return q.oneRule(w)
	}
	return &refusal{http.StatusNotFound, "SubCode=40400. Not Found."}
}

func (q *question) authorize(path string) error {
	token := strings.TrimPrefix(q.r.Header.Get("Authorization"), "Bearer ")
	g, err := q.h.Keys.Check(token, time.Now())
	if err != nil {
		return &refusal{http.StatusUnauthorized, "SubCode=40100. " + err.Error()}
	}
	if !g.Covers(strings.ToLower(path)) {
		return &refusal{http.StatusUnauthorized, "SubCode=40102. InvalidAudience: The token is for another resource."}
	}
	q.rights = g.Rights
	return nil
}

func (q *question) manages() bool { return q.rights&wire.Manage != 0 }

// path is the broker's name of the entity.
func (q *question) path() string {
	if q.sub != "" {
		return q.name + "/Subscriptions/" + q.sub
	}
	return q.name
}

// subscriptionRight refuses an operation on subscriptions to who may not manage.
func (q *question) subscriptionRight(operation string) error {
	if q.manages() {
		return nil
	}
	return &refusal{http.StatusUnauthorized, fmt.Sprintf("401 SubCode=40100: Unauthorized : Unauthorized access for '%s' operation on endpoint '%s'.", operation, q.base+q.r.URL.Path)}
}

func (q *question) right(action string) error {
	if q.manages() {
		return nil
	}
	if action == "EntityRead" {
		return &refusal{http.StatusUnauthorized, "Manage,EntityRead claims required for this operation."}
	}
	return &refusal{http.StatusUnauthorized, fmt.Sprintf("SubCode=40100: Authorization failed for specified action: Manage,%s.", action)}
}

func (q *question) entity(w http.ResponseWriter) error {
	switch q.r.Method {
	case http.MethodGet:
		return q.show(w)
	case http.MethodPut:
		return q.put(w)
	case http.MethodDelete:
		return q.delete(w)
	}
	return &refusal{http.StatusMethodNotAllowed, "The method is not allowed."}
}

func (q *question) show(w http.ResponseWriter) error {
	if q.sub != "" {
		if err := q.subscriptionRight("GetSubscription"); err != nil {
			return err
		}
	}
	v, err := q.h.Broker.Look(q.path())
	if err != nil {
		return q.nothing(w)
	}
	if err := q.right("EntityRead"); err != nil {
		return err
	}
	return q.write(w, http.StatusOK, q.entry(v))
}

// nothing is how the service says that there is no such entity.
func (q *question) nothing(w http.ResponseWriter) error {
	return q.write(w, http.StatusOK, &feed{XMLNS: atomNS, Title: "Publicly Listed Services", ID: q.base + q.r.URL.Path, Updated: stamp(time.Now().UnixMilli())})
}

func (q *question) delete(w http.ResponseWriter) error {
	if q.sub != "" {
		if err := q.subscriptionRight("DeleteSubscription"); err != nil {
			return err
		}
	} else if err := q.right("EntityDelete"); err != nil {
		return err
	}
	entity, err := q.h.Broker.Find(q.path())
	if err != nil {
		return broker.ErrNoEntity
	}
	if err := q.h.Broker.Delete(q.path()); err != nil {
		return err
	}
	if q.h.Deleted != nil {
		q.h.Deleted(entity)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (q *question) put(w http.ResponseWriter) error {
	if q.sub != "" {
		if err := q.subscriptionRight("CreateOrUpdateSubscription"); err != nil {
			return err
		}
	} else if err := q.right("EntityWrite"); err != nil {
		return err
	}
	d, rules, err := q.description()
	if err != nil {
		return err
	}
	update := q.r.Header.Get("If-Match") != ""
	status := http.StatusCreated
	if update {
		status, err = http.StatusOK, q.h.Broker.Update(d)
	} else {
		if d.EnablePartitioning { // sixteen partitions of that size each
			d.MaxSizeInMegabytes = d.Defaults().MaxSizeInMegabytes * 16
		}
		err = q.h.Broker.Create(d, rules...)
	}
	if err != nil {
		return err
	}
	v, err := q.h.Broker.Look(d.Path())
	if err != nil {
		return err
	}
	if err := q.write(w, status, q.entry(v)); err != nil {
		return err
	}
	if entity, err := q.h.Broker.Find(d.Path()); err == nil && update && q.h.Updated != nil {
		q.h.Updated(entity)
	}
	return nil
}

func (q *question) list(w http.ResponseWriter, kind broker.Kind, title string) error {
	if q.r.Method != http.MethodGet {
		return &refusal{http.StatusMethodNotAllowed, "The method is not allowed."}
	}
	if kind == broker.KindSubscription {
		if err := q.subscriptionRight("EnumerateSubscriptions"); err != nil {
			return err
		}
	} else if err := q.right("EntityRead"); err != nil {
		return err
	}
	views := q.h.Broker.List(kind, q.name)
	from, to := q.page(len(views))
	f := q.feed(title)
	for _, v := range views[from:to] {
		f.Entries = append(f.Entries, q.entry(v))
	}
	return q.write(w, http.StatusOK, f)
}

func (q *question) feed(title string) *feed {
	return &feed{XMLNS: atomNS, Title: title, ID: q.base + q.r.URL.Path, Updated: stamp(time.Now().UnixMilli())}
}

// page is the part of n entries that $skip and $top ask for; a page has a hundred unless they say otherwise.
func (q *question) page(n int) (from, to int) {
	number := func(name string, def int) int {
		if v, err := strconv.Atoi(q.parameter(name)); err == nil && v >= 0 {
			return v
		}
		return def
	}
	from = min(number("$skip", 0), n)
	return from, min(from+number("$top", 100), n)
}

// parameter finds a query parameter even behind the stray "?" that the Go client sends.
func (q *question) parameter(name string) string {
	for _, part := range strings.FieldsFunc(q.r.URL.RawQuery, func(r rune) bool { return r == '&' || r == '?' }) {
		key, value, _ := strings.Cut(part, "=")
		if k, err := url.QueryUnescape(key); err == nil && strings.TrimPrefix(k, "?") == name {
			return value
		}
	}
	return ""
}

func (q *question) namespace(w http.ResponseWriter) error {
	if err := q.right("EntityRead"); err != nil {
		return err
	}
	name, _, _ := strings.Cut(q.r.Host, ":")
	e := q.wrap(name, q.base+"/$namespaceinfo", 0, 0)
	e.Content.Namespace = &namespaceInfo{XMLNS: serviceNS, CreatedTime: stamp(epoch), MessagingSKU: "Standard",
		ModifiedTime: stamp(epoch), Name: name, NamespaceType: "Messaging"}
	return q.write(w, http.StatusOK, e)
}

// epoch is when the namespace was made: it has always been there.
const epoch = 1704067200000

func (q *question) write(w http.ResponseWriter, status int, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/atom+xml;type=entry;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // who asked is gone
	return nil
}

func (q *question) read(into any) error {
	b, err := io.ReadAll(http.MaxBytesReader(nil, q.r.Body, maxBody))
	if err != nil {
		return &refusal{http.StatusBadRequest, "SubCode=40000. The body cannot be read: " + err.Error()}
	}
	if err := xml.Unmarshal(b, into); err != nil {
		return &refusal{http.StatusBadRequest, "SubCode=40000. The body is no Atom entry: " + err.Error()}
	}
	return nil
}
