package broker

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"sort"
	"strings"
)

// Entity is a queue, topic or subscription with its queues of messages.
type Entity struct {
	b        *Broker
	desc     Description
	main     *Queue
	dead     *Queue
	transfer *Queue
	topic    *Entity   // of a subscription
	subs     []*Entity // of a topic, in the order of creation
	rules    []Rule    // of a subscription
	created  int64
	updated  int64
	accessed int64 // 0 = never
	segment  uint32
}

// Path is the address of the entity.
func (e *Entity) Path() string { return e.desc.Path() }

func (e *Entity) lockMillis() int64 { return e.desc.LockDuration.millis() }

func (e *Entity) touch(t int64) { e.accessed = t }

func (e *Entity) definition() definition {
	return definition{Description: e.desc, Rules: e.rules, Created: e.created, Updated: e.updated, Accessed: e.accessed}
}

// Errors of the administration.
var (
	ErrExists    = errors.New("the entity exists already")
	ErrNoEntity  = errors.New("the entity does not exist")
	ErrImmutable = errors.New("the property cannot be changed")
)

// Create makes an entity; a subscription gets the rule that matches everything unless others are given.
func (b *Broker) Create(d Description, rules ...Rule) error {
	d = d.Defaults()
	if err := d.Check(); err != nil {
		return fmt.Errorf("create %s: %w", d.Path(), err)
	}
	return b.change(func(t *transaction) error {
		if b.entities[pathKey(d.Path())] != nil {
			return fmt.Errorf("create %s: %w", d.Path(), ErrExists)
		}
		if d.Kind == KindSubscription && (b.entities[pathKey(d.Topic)] == nil || b.entities[pathKey(d.Topic)].desc.Kind != KindTopic) {
			return fmt.Errorf("create %s: topic: %w", d.Path(), ErrNoEntity)
		}
		if d.Kind == KindSubscription && len(rules) == 0 {
			rules = []Rule{DefaultRule()}
		}
		if err := compileAll(rules); err != nil {
			return fmt.Errorf("create %s: %w", d.Path(), err)
		}
		stamp := now()
		for i := range rules {
			rules[i].Created = stamp
		}
		e := b.install(b.nextID, definition{Description: d, Rules: rules, Created: stamp, Updated: stamp})
		return t.entity(e)
	})
}

// change runs f, commits what it put into the transaction, and waits until that is safe.
func (b *Broker) change(f func(t *transaction) error) error {
	done := make(chan error, 1)
	b.mu.Lock()
	err := b.usable()
	if err == nil {
		t := &transaction{}
		if err = f(t); err == nil {
			b.commit(t, func(err error) { done <- err })
		}
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	return <-done
}

// install puts an entity in place; the lock is held.
func (b *Broker) install(id uint32, d definition) *Entity {
	e := &Entity{b: b, desc: d.Description, rules: d.Rules, created: d.Created, updated: d.Updated, accessed: d.Accessed, segment: b.segment()}
	e.main = &Queue{b: b, id: id, role: roleMain, ent: e}
	e.dead = &Queue{b: b, id: id + 1, role: roleDeadLetter, ent: e}
	e.transfer = &Queue{b: b, id: id + 2, role: roleTransfer, ent: e}
	for _, q := range e.queues() {
		b.queues[q.id] = q
	}
	if d.RequiresSession && d.Kind != KindTopic {
		e.main.sessions, e.main.held = map[string]*session{}, map[*session]bool{}
	}
	if d.Kind == KindSubscription {
		e.topic = b.entities[pathKey(d.Topic)]
		e.topic.subs = append(e.topic.subs, e)
	}
	b.entities[pathKey(e.Path())] = e
	b.alarmIdle(e)
	b.nextID = max(b.nextID, id+queuesPerEntity)
	return e
}

func (e *Entity) queues() []*Queue { return []*Queue{e.main, e.dead, e.transfer} }

func (b *Broker) segment() uint32 {
	if b.journal == nil {
		return 0
	}
	_, newest := b.journal.Segments()
	return newest
}

// Update changes the properties of an entity. What cannot be changed is refused.
func (b *Broker) Update(d Description) error {
	d = d.Defaults()
	if err := d.Check(); err != nil {
		return fmt.Errorf("update %s: %w", d.Path(), err)
	}
	return b.change(func(t *transaction) error {
		e := b.entities[pathKey(d.Path())]
		if e == nil || e.desc.Kind != d.Kind {
			return fmt.Errorf("update %s: %w", d.Path(), ErrNoEntity)
		}
		if err := unchanged(&e.desc, &d); err != nil {
			return err
		}
		if d.Name, d.Topic = e.desc.Name, e.desc.Topic; reflect.DeepEqual(d, e.desc) {
			return nil
		}
		e.desc, e.updated, e.segment = d, now(), b.segment()
		if err := t.entity(e); err != nil {
			return err
		}
		b.alarmIdle(e)
		e.forwardAll()
		return nil
	})
}

// immutable is Azure's sentence about a property that cannot be changed.
type immutable string

func (e immutable) Error() string { return string(e) }

func (e immutable) Is(target error) bool { return target == ErrImmutable }

func unchanged(old, new *Description) error {
	kind := strings.ToUpper(string(old.Kind[:1])) + string(old.Kind[1:])
	switch {
	case old.RequiresSession != new.RequiresSession:
		return immutable("The value for the RequiresSession property of an existing " + kind + " cannot be changed.")
	case old.RequiresDuplicateDetection != new.RequiresDuplicateDetection:
		return immutable("The value for the RequiresDuplicateDetection property of an existing " + kind + " cannot be changed.")
	case old.EnablePartitioning != new.EnablePartitioning:
		return immutable("Partitioning cannot be changed for " + kind + ". ")
	}
	return nil
}

// Delete removes an entity, its subscriptions and all messages, and detaches its links.
func (b *Broker) Delete(path string) error {
	return b.change(func(t *transaction) error {
		e := b.entities[pathKey(path)]
		if e == nil {
			return fmt.Errorf("delete %s: %w", path, ErrNoEntity)
		}
		for _, s := range append([]*Entity(nil), e.subs...) {
			b.uninstall(t, s)
		}
		b.uninstall(t, e)
		return nil
	})
}

func (b *Broker) uninstall(t *transaction, e *Entity) {
	t.op(opRemoved, uint64(e.main.id))
	b.removeEntity(e)
}

func (b *Broker) removeEntity(e *Entity) {
	delete(b.entities, pathKey(e.Path()))
	for _, q := range e.queues() {
		q.detachAll(ErrDetached)
		q.gone = true
		delete(b.queues, q.id)
		q.all.from(0, func(m *message) bool { b.forget(m); return true })
	}
	if e.topic == nil {
		return
	}
	for i, s := range e.topic.subs {
		if s == e {
			e.topic.subs = append(append([]*Entity(nil), e.topic.subs[:i]...), e.topic.subs[i+1:]...)
			return
		}
	}
}

func (q *Queue) detachAll(f *Fault) {
	for _, c := range append([]*Consumer(nil), q.consumers...) {
		c.dismiss(f)
	}
	for _, c := range q.waiters {
		c.closed = true
		c.ready(f)
	}
	q.waiters = nil
	for s := range q.held {
		s.holder.dismiss(f)
	}
}

// DetachLinks ends all links that receive from the entity of q, as Service Bus does some time after an update.
func (b *Broker) DetachLinks(q *Queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range q.ent.queues() {
		q.detachAll(ErrDetached)
	}
}

// Find returns the queue behind an address: an entity, or one of its dead-letter queues, in any case.
func (b *Broker) Find(address string) (*Queue, error) {
	key := pathKey(entityPath(address))
	b.mu.Lock()
	defer b.mu.Unlock()
	role := roleMain
	for suffix, r := range map[string]int{"/$transfer/$deadletterqueue": roleTransfer, "/$deadletterqueue": roleDeadLetter} {
		if strings.HasSuffix(key, suffix) && role != roleTransfer {
			role = r
		}
	}
	switch role {
	case roleTransfer:
		key = strings.TrimSuffix(key, "/$transfer/$deadletterqueue")
	case roleDeadLetter:
		key = strings.TrimSuffix(key, "/$deadletterqueue")
	}
	e := b.entities[key]
	if e == nil {
		return nil, fmt.Errorf("%s: %w", address, ErrNotFound)
	}
	return e.queues()[role], nil
}

// MaxMessageSize is the largest message that q takes, in bytes.
func (b *Broker) MaxMessageSize(q *Queue) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return q.ent.desc.MaxMessageSizeInKilobytes << 10
}

// entityPath is the path of an address that may be a URL.
func entityPath(address string) string {
	if strings.Contains(address, "://") {
		if u, err := url.Parse(address); err == nil {
			return u.Path
		}
	}
	return address
}

// View is what the administration shows of an entity.
type View struct {
	Description
	Counts
	Rules                      []Rule
	Created, Updated, Accessed int64 // milliseconds since the epoch; Accessed 0 = never
	Subscriptions              int
	SQLFilters                 int // of all subscriptions of a topic; the filters that are always true or false count
	CorrelationFilters         int
}

// Look returns the entity at a path.
func (b *Broker) Look(path string) (View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entities[pathKey(path)]
	if e == nil {
		return View{}, fmt.Errorf("%s: %w", path, ErrNoEntity)
	}
	return e.view(), nil
}

func (e *Entity) view() View {
	v := View{Description: e.desc, Counts: e.counts(), Rules: append([]Rule(nil), e.rules...), Created: e.created,
		Updated: e.updated, Accessed: e.accessed, Subscriptions: len(e.subs)}
	for _, s := range e.subs {
		for _, r := range s.rules {
			if r.Filter.Type == CorrelationFilter {
				v.CorrelationFilters++
			} else {
				v.SQLFilters++
			}
		}
	}
	return v
}

func (e *Entity) counts() Counts {
	c := e.main.count
	c.DeadLetter = int64(e.dead.all.len())
	c.Transfer = int64(e.transfer.all.len())
	c.Bytes = e.main.bytes + e.dead.bytes + e.transfer.bytes
	return c
}

// List returns the entities of a kind, by path; topic names whose subscriptions are wanted.
func (b *Broker) List(kind Kind, topic string) []View {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []View
	for _, e := range b.entities {
		if e.desc.Kind == kind && (kind != KindSubscription || pathKey(e.desc.Topic) == pathKey(topic)) {
			out = append(out, e.view())
		}
	}
	sort.Slice(out, func(i, j int) bool { return pathKey(out[i].Path()) < pathKey(out[j].Path()) })
	return out
}
