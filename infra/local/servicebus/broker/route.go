package broker

import "throughline/infra/local/servicebus/amqp"

// maxHops is how often a message is forwarded before it counts as going in circles.
const maxHops = 4

// route brings a message that is due to where its entity sends it.
func (b *Broker) route(t *transaction, e *Entity, in Incoming) { b.routeFrom(t, e, in, 0) }

func (b *Broker) routeFrom(t *transaction, e *Entity, in Incoming, hops int) {
	e.touch(now())
	switch {
	case e.desc.Kind == KindTopic:
		for _, s := range e.subs {
			b.fanOut(t, s, in, hops)
		}
	case e.desc.ForwardTo != "":
		b.forward(t, e, in, hops)
	case e.main.sessionful() && !in.InSession:
		e.main.putAside(t, e.dead, in, "Session id is null.", "The message has no session id, and the entity requires sessions.")
	default:
		e.main.put(t, in)
	}
}

func (q *Queue) put(t *transaction, in Incoming) {
	at := now()
	m := q.message(in, at)
	m.at = q.expiry(in.TTL, at)
	t.put(q, m, in.content, nil)
}

// putAside stores a message in a dead-letter queue with the reason.
func (q *Queue) putAside(t *transaction, to *Queue, in Incoming, reason, description string) {
	in.content = q.changed(in.content, amqp.Map{text("DeadLetterReason", reason), text("DeadLetterErrorDescription", description)}, nil)
	m := &message{seq: to.nextSeq(), enqueued: now(), size: uint32(len(in.content)), content: in.content, index: -1}
	t.put(to, m, in.content, nil)
}

// fanOut gives a subscription its copies of a message.
func (b *Broker) fanOut(t *transaction, s *Entity, in Incoming, hops int) {
	if !s.desc.accepts() {
		return
	}
	copies, err := s.selected(in)
	if err != nil {
		if s.desc.DeadLetteringOnFilterErrors == nil || *s.desc.DeadLetteringOnFilterErrors {
			s.main.putAside(t, s.dead, in, "FilterEvaluationException", err.Error())
		}
		return
	}
	for _, c := range copies {
		b.routeFrom(t, s, c, hops)
	}
}

// forward sends a message on. What cannot be sent on goes to the transfer dead-letter queue of its entity.
func (b *Broker) forward(t *transaction, e *Entity, in Incoming, hops int) {
	to := b.forwardTarget(e.desc.ForwardTo)
	switch {
	case hops >= maxHops:
		e.main.putAside(t, e.transfer, in, "MaxTransferHopCountExceeded", "The message was forwarded too often.")
	case to == nil || to.desc.Kind == KindSubscription:
		e.main.putAside(t, e.transfer, in, "MessagingEntityNotFound", "The entity to forward to could not be found: "+e.desc.ForwardTo)
	case !to.desc.accepts():
		e.main.putAside(t, e.transfer, in, "MessagingEntityDisabled", "The entity to forward to is disabled.")
	default:
		in.content = e.main.changed(in.content, nil, amqp.Map{{Key: amqp.Symbol("x-opt-enqueue-sequence-number"), Value: e.main.nextSeq()}})
		b.routeFrom(t, to, in, hops+1)
	}
}

// forwardTarget is the entity that a ForwardTo property names, nil when there is none.
func (b *Broker) forwardTarget(address string) *Entity {
	if address == "" {
		return nil
	}
	return b.entities[pathKey(entityPath(address))]
}

// forwardAll sends on what waits in an entity that has come to forward.
func (e *Entity) forwardAll() {
	q := e.main
	if e.desc.ForwardTo == "" {
		return
	}
	lines := []*line{&q.ready}
	for _, s := range q.sessions {
		if s.holder == nil {
			lines = append(lines, &s.line)
		}
	}
	for _, l := range lines {
		for m := l.pop(); m != nil; m = l.pop() {
			q.forwardOne(m)
		}
	}
}

// forwardOne sends on a message that has left its line.
func (q *Queue) forwardOne(m *message) {
	content, err := q.b.content(m)
	if err != nil {
		return
	}
	t := &transaction{}
	in := fromContent(content)
	t.drop(m, q)
	q.remove(m)
	q.b.route(t, q.ent, in)
	q.b.commit(t, nil)
}
