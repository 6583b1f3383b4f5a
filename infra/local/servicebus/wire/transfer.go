package wire

import (
	"fmt"

	"throughline/infra/local/servicebus/amqp"
	"throughline/infra/local/servicebus/broker"
)

// transfer gathers the frames of a message, and handles it when it is whole.
func (l *link) transfer(t *amqp.Transfer) error {
	first := l.part == nil
	if first {
		if err := l.begin(t); err != nil {
			return err
		}
	}
	switch {
	case t.Aborted:
		l.part, l.body = nil, nil
		l.credit()
		return nil
	case len(l.body)+len(t.Payload) > l.limits+64<<10: // far beyond what could be taken: do not even gather it
		l.part, l.body = nil, nil
		l.Detach(broker.ErrTooLarge)
		return nil
	}
	whole := t.Payload
	if !first || t.More {
		l.body = append(l.body, t.Payload...)
		whole = l.body
	}
	if t.More {
		return nil
	}
	part := l.part
	l.part, l.body = nil, nil
	if l.stopped() {
		l.credit()
		return nil
	}
	part.Settled = part.Settled || t.Settled
	l.take(part, whole)
	return nil
}

// begin checks the first frame of a message and takes its credit.
func (l *link) begin(t *amqp.Transfer) error {
	if !t.HasDeliveryID {
		return &broker.Fault{Condition: "amqp:not-allowed", Description: "A transfer began without a delivery-id."}
	}
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	if int32(l.limit-l.count) <= 0 {
		return &broker.Fault{Condition: "amqp:link:transfer-limit-exceeded", Description: "A transfer came without credit."}
	}
	l.count++
	l.part = &amqp.Transfer{DeliveryID: t.DeliveryID, MessageFormat: t.MessageFormat, Settled: t.Settled}
	return nil
}

// stopped tells whether the link takes no more messages.
func (l *link) stopped() bool {
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	return l.detached || l.retiring != nil
}

// take handles a whole message; payload is valid during the call only.
func (l *link) take(t *amqp.Transfer, payload []byte) {
	switch l.node {
	case toCBS:
		l.accept(t, nil)
		l.putToken(payload)
	case toManagement:
		l.accept(t, nil)
		l.manage(payload)
	default:
		in, err := l.messages(t, payload)
		if err != nil {
			l.accept(t, err)
			return
		}
		l.s.c.s.Broker.Send(l.queue, in, func(err error) { l.accept(t, err) })
	}
}

func (l *link) messages(t *amqp.Transfer, payload []byte) ([]broker.Incoming, error) {
	b := l.s.c.s.Broker
	if err := l.s.c.trouble("send", l.path); err != nil {
		return nil, err
	}
	if len(payload) > l.limits {
		return nil, broker.ErrTooLarge
	}
	if t.MessageFormat != amqp.BatchFormat {
		in, err := broker.Read(payload, b.NewID)
		return []broker.Incoming{in}, err
	}
	m, err := amqp.ParseMessage(payload)
	if err != nil {
		return nil, &broker.Fault{Condition: "amqp:decode-error", Description: err.Error()}
	}
	parts, err := amqp.Data(m.Body)
	if err != nil {
		return nil, &broker.Fault{Condition: "amqp:decode-error", Description: err.Error()}
	}
	in := make([]broker.Incoming, len(parts))
	for i, p := range parts {
		if in[i], err = broker.Read(p, b.NewID); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// accept settles what a client sent, and renews its credit.
func (l *link) accept(t *amqp.Transfer, err error) {
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	switch {
	case t.Settled || l.detached || l.s.ended:
	case err == nil:
		l.s.c.confirm(l.s.channel, t.DeliveryID)
	default:
		l.s.add(&amqp.Disposition{Receiver: true, First: t.DeliveryID, Last: t.DeliveryID, Settled: true, State: amqp.Rejected{Error: errorOf(broker.AsFault(err))}})
	}
	l.addCredit()
}

func (l *link) credit() {
	l.s.c.mu.Lock()
	defer l.s.c.mu.Unlock()
	l.addCredit()
}

// addCredit renews the credit of a sending client when half of it is used up; mu is held.
func (l *link) addCredit() {
	l.done++
	l.leave()
	if l.limit-l.done <= senderCredit/2 && !l.detached {
		l.limit = l.done + senderCredit
		l.s.addFlow(l, false)
	}
}

// settle carries out the outcome that a client gave for a delivery, and answers.
func (l *link) settle(id uint32, token broker.Token, d *amqp.Disposition) {
	o, reply, ok := outcome(d.State)
	if !ok { // nothing said yet, or settled without an outcome: the lock runs on
		if !d.Settled {
			l.s.c.mu.Lock()
			l.s.unsettled[id] = unsettled{l: l, token: token}
			l.s.c.mu.Unlock()
		}
		return
	}
	done := func(err error) {
		if d.Settled {
			return
		}
		r := &amqp.Disposition{First: id, Last: id, Settled: true, State: reply}
		if err != nil {
			r.State = amqp.Rejected{Error: errorOf(broker.AsFault(err))}
		}
		l.s.post(r)
	}
	if err := l.s.c.trouble("settle", l.path); err != nil {
		done(err)
		return
	}
	l.s.c.s.Broker.Settle(l.queue, token, o, done)
}

// outcome is what a delivery state asks of the broker, and the state to answer with.
func outcome(s amqp.State) (o broker.Outcome, reply amqp.State, ok bool) {
	switch s := s.(type) {
	case amqp.Accepted:
		return broker.Outcome{Verdict: broker.Complete}, s, true
	case amqp.Released:
		return broker.Outcome{Verdict: broker.Release}, s, true
	case amqp.Modified:
		o := broker.Outcome{Verdict: broker.Abandon, Properties: names(s.Annotations)}
		if s.UndeliverableHere {
			o.Verdict = broker.Defer
		}
		return o, amqp.Modified{UndeliverableHere: s.UndeliverableHere, DeliveryFailed: s.DeliveryFailed}, true
	case amqp.Rejected:
		return rejection(s.Error), amqp.Rejected{}, true
	}
	return o, nil, false
}

// rejection dead-letters with the reason that the error tells.
func rejection(e *amqp.Error) broker.Outcome {
	o := broker.Outcome{Verdict: broker.DeadLetter}
	if e == nil {
		return o
	}
	if e.Condition != "com.microsoft:dead-letter" {
		o.Reason, o.Description = string(e.Condition), e.Description
	}
	for _, p := range names(e.Info) {
		switch text, isText := p.Value.(string); {
		case p.Key == "DeadLetterReason":
			o.Reason = text
		case p.Key == "DeadLetterErrorDescription" && isText:
			o.Description = text
		default:
			o.Properties = append(o.Properties, p)
		}
	}
	return o
}

// names turns the keys of a map into strings, as application-properties have them.
func names(m amqp.Map) amqp.Map {
	out := make(amqp.Map, 0, len(m))
	for _, p := range m {
		switch k := p.Key.(type) {
		case string:
			out = append(out, p)
		case amqp.Symbol:
			out = append(out, amqp.Pair{Key: string(k), Value: p.Value})
		default:
			out = append(out, amqp.Pair{Key: fmt.Sprint(k), Value: p.Value})
		}
	}
	return out
}
